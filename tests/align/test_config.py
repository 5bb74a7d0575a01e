"""Settings of PPO that contradict each other are refused with what to type instead."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from prefloop.align.config import PPOConfig, REINFORCEConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rollouts_per_step": 70, "minibatch_size": 16},
            "6 of rollouts_per_step = 70 would be dropped.*Try rollouts_per_step = 64",
        ),
        ({"rollouts_per_step": 8, "minibatch_size": 16}, "Try rollouts_per_step = 16"),
        ({"responses_per_prompt": 3}, "responses_per_prompt = 3 does not divide rollouts_per_step = 8"),
        ({"kl_where": "loss"}, "Set kl_estimator = full, k2 or k3"),
        (
            {"kl_where": "loss", "kl_estimator": "k3", "kl_unit": "batch"},
            "kl_unit = batch only makes sense in the reward",
        ),
        ({"kl_target": 6.0, "kl_horizon": 1.0}, "kl_horizon = 1.* Set kl_horizon"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"advantage": "td"}, "the setting `advantage` is gone. td is now decay = 0"),
        ({"kl_coef": -0.1}, "greater than or equal to 0"),
    ],
)
def test_contradictions(make_config: Callable[..., PPOConfig], settings: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        make_config(**settings)


def test_a_response_as_one_decision_has_no_discount(make_config: Callable[..., REINFORCEConfig]):
    with pytest.raises(ValidationError, match=r"discount = 0.9 does nothing. Leave discount out"):
        make_config(REINFORCEConfig, credit="response", discount=0.9)
