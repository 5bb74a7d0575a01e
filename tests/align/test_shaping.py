"""What becomes of scores before they are a reward: by hand, and watched in both loops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from prefloop.align import grpo, online, ppo, reinforce, rloo, shaping
from prefloop.align.config import GRPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.align.settings import OnlineConfig
from prefloop.sampling.rollouts import Rollouts

from .conftest import Seen

Make = Callable[..., OnlineConfig]
Watch = Callable[..., Seen]
Train = Callable[[Any], Path]
Read = Callable[[Path], list[dict[str, Any]]]
SCORES = torch.tensor([1.0, 3.0, -4.0])
ROLLOUTS = Rollouts(
    ((1,),) * 3, ((2, 3), (2,), (2, 3)), torch.tensor([True, True, False]), torch.tensor([[1, 1], [1, 0], [1, 1]]) > 0
)
EVERY = pytest.mark.parametrize(
    ("train", "settings"),
    [(ppo.train, PPOConfig), (reinforce.train, REINFORCEConfig), (rloo.train, RLOOConfig), (grpo.train, GRPOConfig)],
    ids=["ppo", "reinforce", "rloo", "grpo"],
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1.0, 3.0, -4.0 - 1.0]),  # the third did not end: a penalty of 1
        ({"unfinished_penalty": 0.25}, [1.0, 3.0, -4.25]),
        ({"score_scale": 0.5, "score_shift": 2.0, "unfinished_penalty": 0.0}, [2.5, 3.5, 0.0]),
        ({"score_clip": 2.5}, [1.0, 2.5, -2.5 - 1.0]),  # clipped, then charged
        ({"score_scale": 2.0, "score_shift": -1.0, "score_clip": 4.0, "unfinished_penalty": 0.0}, [1.0, 4.0, -4.0]),
        ({"unfinished_score": -1.0}, [1.0, 3.0, -1.0]),  # in place of its score, and nothing besides
        ({"unfinished_score": -9.0, "score_clip": 2.0, "score_scale": 10.0}, [2.0, 2.0, -9.0]),
        # mean 0, deviation sqrt(26 / 3) = 2.9439 of these three
        ({"score_norm": "running", "unfinished_penalty": 0.0}, [0.33968, 1.01905, -1.35873]),
        ({"score_norm": "running", "score_clip": 1.0}, [0.33968, 1.0, -2.0]),
    ],
)
def test_what_a_response_earns_by_hand(make_config: Make, settings: dict[str, Any], expected: list[float]):
    config = make_config(**settings)
    whole = shaping.shaped(config, SCORES, ROLLOUTS, ())
    earned = online.earned(whole, ROLLOUTS, unfinished_penalty=config.unfinished_penalty)
    assert earned.tolist() == pytest.approx(expected, abs=1e-5)


def test_scores_are_measured_by_all_of_the_run(make_config: Make):
    """1, 3, -4 in the first step and 10, 0 in the second: mean 2, deviation sqrt(106 / 5) = 4.60435."""
    config = make_config(score_norm="running")
    seen = shaping.next_seen(config, (), SCORES)
    later = torch.tensor([10.0, 0.0])
    assert shaping.shaped(config, later, ROLLOUTS, seen).tolist() == pytest.approx(
        [8 / 4.60435, -2 / 4.60435], abs=1e-5
    )
    assert shaping.next_seen(config, seen, later) == pytest.approx((5, 2, 106))
    assert shaping.next_seen(make_config(), (), SCORES) == ()


def test_scores_that_are_all_alike_become_0(make_config: Make):
    config = make_config(score_norm="running")
    assert shaping.shaped(config, torch.full((4,), 0.7), ROLLOUTS, ()).tolist() == [0.0] * 4


@EVERY
def test_the_log_tells_scores_as_they_were_and_as_they_are_rewarded(
    make_config: Make, watch: Watch, read_lines: Read, train: Train, settings: type[OnlineConfig]
):
    """`scores/mean` stays the scorer's own; what is rewarded has a mean of its own, and so have the rewards."""
    watch()
    plain = make_config(settings, kl_coef=0.0, unfinished_penalty=0.0)
    shaped = make_config(settings, kl_coef=0.0, unfinished_penalty=0.0, score_scale=3.0, score_shift=1.0)
    clipped = make_config(settings, kl_coef=0.0, unfinished_score=-2.0, score_clip=0.5)
    told = []
    for config in (plain, shaped, clipped):
        train(config)
        told.append(read_lines(Path(config.out) / "metrics.jsonl")[0])
    assert told[0]["scores/mean"] == told[1]["scores/mean"] == told[2]["scores/mean"]
    assert "scores/shaped" not in told[0]
    assert told[1]["scores/shaped"] == pytest.approx(3 * told[0]["scores/mean"] + 1)
    assert told[1]["scores/shaped_std"] == pytest.approx(3 * told[0]["scores/std"])
    for row in told[1:]:
        assert row["rewards/mean"] == pytest.approx(row["scores/shaped"], abs=1e-6)
    assert "scores/clipped" not in told[1]
    assert 0 < told[2]["scores/clipped"] < 1


@EVERY
def test_running_moments_reach_the_next_step(
    make_config: Make, watch: Watch, read_lines: Read, train: Train, settings: type[OnlineConfig]
):
    """By the log alone: the second step's rewards are measured by the scores of both."""
    watch()
    config = make_config(settings, kl_coef=0.0, unfinished_penalty=0.0, score_norm="running", steps=2)
    train(config)
    first, second = read_lines(Path(config.out) / "metrics.jsonl")
    assert first["scores/shaped"] == pytest.approx(0, abs=1e-6)
    assert first["scores/shaped_std"] == pytest.approx(1, abs=1e-6)
    mean = (first["scores/mean"] + second["scores/mean"]) / 2
    squares = [row["scores/std"] ** 2 + (row["scores/mean"] - mean) ** 2 for row in (first, second)]
    assert second["scores/shaped"] == pytest.approx((second["scores/mean"] - mean) / (sum(squares) / 2) ** 0.5)


def test_rewards_are_whitened_without_a_shift(make_config: Make, watch: Watch):
    """N+ detail 18: deviation 1 over the step's tokens, the mean as it was; charges are inside."""
    seen = watch()
    settings = {"kl_coef": 0.3, "steps": 2}
    for whiten in (False, True):
        ppo.train(make_config(whiten_rewards=whiten, **settings))
    (plain, *_), white = seen.batches[:2], seen.batches[2]
    before, after = plain.rewards[plain.rollouts.mask], white.rewards[white.rollouts.mask]
    assert float(after.std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert float(after.mean()) == pytest.approx(float(before.mean()), abs=1e-6)
    torch.testing.assert_close((after - after.mean()) * before.std(correction=0), before - before.mean())


def test_a_score_at_every_token_is_paid_as_often(make_config: Make, watch: Watch):
    seen = watch()
    ppo.train(make_config(score_at="every", double_counting=True, kl_coef=0.0, unfinished_penalty=0.5))
    batch = seen.batches[0]
    for i, response in enumerate(batch.rollouts.responses):
        whole = float(batch.scores[i]) - (0.0 if batch.rollouts.finished[i] else 0.5)
        assert batch.rewards[i, : len(response)].tolist() == pytest.approx([whole] * len(response))
        assert batch.rewards[i, len(response) :].abs().sum() == 0


@pytest.mark.parametrize("shift", [True, False])
def test_advantages_are_whitened_with_or_without_a_shift(make_config: Make, watch: Watch, shift: bool):
    seen = watch()
    ppo.train(make_config(whiten_advantages=False, critic_head="zero"))
    ppo.train(make_config(whiten_shift=shift, critic_head="zero"))
    plain, white = (batch.advantages[batch.rollouts.mask] for batch in seen.batches)
    assert float(white.std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert abs(float(plain.mean())) > 0.1
    assert float(white.mean()) == pytest.approx(0 if shift else float(plain.mean()), abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"score_at": "every"}, "its whole score again.*leave score_at out.*set double_counting = true"),
        ({"score_at": "every", "double_counting": True, "env": "python:e.py:E"}, "env says itself when it pays"),
        ({"double_counting": True}, "double_counting does nothing with score_at = last"),
        ({"reward_at": "every"}, "`reward_at` is gone. every, as a return, is now decay = 1; paid at every"),
        ({"unfinished_score": -1.0, "unfinished_penalty": 0.5}, "unfinished_penalty = 0.5 would be taken off that too"),
        ({"whiten_advantages": False, "whiten_shift": False}, "whiten_shift is how advantages are whitened"),
        ({"score_scale": 0.0}, "greater than 0"),
    ],
)
def test_contradictions(make_config: Make, settings: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        make_config(**settings)
