"""What a setting becomes that is left to prefloop."""

from pathlib import Path

import pytest

from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.config import Config
from prefloop.defaults import TABLES, Learner, chosen, rate, resolved
from prefloop.errors import UserError
from prefloop.reward.config import RewardConfig
from prefloop.sft.config import SFTConfig

CONFIGS: dict[str, Config] = {
    "sft": SFTConfig(model="m", demonstrations="d", out="o"),
    "reward": RewardConfig(model="m", preferences="p", out="o"),
    "ppo": PPOConfig(policy="m", reward="r", prompts="p", out="o"),
    "reinforce": REINFORCEConfig(policy="m", reward="r", prompts="p", out="o"),
    "rloo": RLOOConfig(policy="m", reward="r", prompts="p", out="o"),
    "grpo": GRPOConfig(policy="m", reward="r", prompts="p", out="o"),
    "online-dpo": OnlineDPOConfig(policy="m", reward="r", prompts="p", out="o"),
}
SMALL, FULL, ADAPTER = Learner(700_000, False), Learner(135_000_000, False), Learner(135_000_000, True)


@pytest.mark.parametrize("stage", CONFIGS)
def test_everything_that_is_left_is_chosen_and_what_is_given_stays(stage: str):
    config = CONFIGS[stage]
    values = chosen(stage, config, ADAPTER)
    settled = resolved(config, values)
    assert set(values) == set(TABLES[stage])
    assert all(dict(settled)[name] == value for name, value in values.items())
    assert chosen(stage, settled, FULL) == {}
    given = resolved(config, {"lr": 0.5})
    assert "lr" not in chosen(stage, given, ADAPTER)


def test_the_rate_falls_with_the_root_of_the_size():
    assert [rate(2e-5, size) for size in (10**9, 4 * 10**9, 250_000_000, 10_000_000)] == [2e-5, 1e-5, 4e-5, 8e-5]


@pytest.mark.parametrize(("learner", "lr", "head_lr"), [(SMALL, 1e-3, 1e-3), (FULL, 5e-5, 1e-3), (ADAPTER, 5e-4, 1e-3)])
def test_a_head_that_begins_at_zero_does_not_wait_for_the_trunk(learner: Learner, lr: float, head_lr: float):
    values = chosen("reward", CONFIGS["reward"], learner)
    assert (values["lr"], values["head_lr"]) == (lr, head_lr)


def test_a_small_models_head_goes_with_the_rest():
    assert chosen("reward", resolved(CONFIGS["reward"], {"lr": 0.5}), SMALL)["head_lr"] == 0.5


@pytest.mark.parametrize(
    ("given", "rollouts", "size"),
    [({"rollouts_per_step": 6}, None, 6), ({"minibatch_size": 48}, 288, None), ({"responses_per_prompt": 3}, 258, 43)],
)
def test_sizes_that_are_chosen_fit_those_that_are_given(given: dict[str, int], rollouts: int | None, size: int | None):
    values = chosen("ppo", resolved(CONFIGS["ppo"], given), SMALL)
    assert (values.get("rollouts_per_step"), values.get("minibatch_size")) == (rollouts, size)


def test_what_contradicts_is_refused_once_it_is_known():
    with pytest.raises(UserError, match="kl_horizon"):
        resolved(CONFIGS["ppo"], {"kl_target": 1.0, "kl_horizon": 10.0, "kl_coef": 0.05, "rollouts_per_step": 256})


def test_the_page_says_what_the_table_says():
    page = (Path(__file__).parents[1] / "docs" / "defaults.md").read_text(encoding="utf-8")
    said = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ") and "`" in line]
    found = {(names.split()[0], names.split("`")[1]): cells for names, *cells in said}
    assert set(found) == {(stage, name) for stage, row in TABLES.items() for name in row}
    for (stage, name), cells in found.items():
        words = [cell.removesuffix(" at 10⁹ weights") for cell in cells]
        assert [None if word == "as `lr`" else float(word) for word in words] == list(TABLES[stage][name])
