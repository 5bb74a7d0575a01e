"""What every algorithm's loop promises, watched in each of them."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prefloop.align import grpo, online, online_dpo, ppo, reinforce, rft, rloo
from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RFTConfig, RLOOConfig
from prefloop.align.settings import OnlineConfig
from prefloop.errors import UserError
from prefloop.models.network import Network
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled

from .conftest import Seen

Make = Callable[..., OnlineConfig]
Train = Callable[[Any], Path]
CHARGING = [
    (ppo.train, PPOConfig),
    (reinforce.train, REINFORCEConfig),
    (rloo.train, RLOOConfig),
    (grpo.train, GRPOConfig),
]
NAMES = ["ppo", "reinforce", "rloo", "grpo"]
ALGORITHMS = pytest.mark.parametrize(("train", "settings"), CHARGING, ids=NAMES)
EVERY = pytest.mark.parametrize(
    ("train", "settings"),
    [*CHARGING, (rft.train, RFTConfig), (online_dpo.train, OnlineDPOConfig)],
    ids=[*NAMES, "rft", "online-dpo"],
)


@EVERY
def test_steps_draw_differently_and_from_the_policy_as_it_is(
    make_config: Make,
    watch: Callable[..., Seen],
    write_rows: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    train: Train,
    settings: type[OnlineConfig],
):
    """One prompt, hardly any learning: the same random numbers would write the same responses again.

    The sampler is told of the policy before every step: another engine would sample from weights long gone.
    """
    weights: list[Tensor] = []
    drawn: list[list[Sampled]] = []
    real, real_sample = InProcess.refresh, InProcess.sample

    def refresh(self: InProcess, policy: Network) -> None:
        weights.append(next(policy.parameters()).detach().clone())
        real(self, policy)

    def sample(self: InProcess, *args: Any, **kwargs: Any) -> list[Sampled]:
        drawn.append(real_sample(self, *args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(InProcess, "refresh", refresh)
    monkeypatch.setattr(InProcess, "sample", sample)
    watch()
    prompt = write_rows("one.jsonl", [{"id": "p", "messages": [{"role": "user", "content": "where is it?"}]}])
    train(make_config(settings, prompts=prompt, steps=3, lr=1e-7))
    assert len({tuple(responses) for responses in drawn}) == len(weights) == 3
    assert not any(torch.equal(a, b) for a, b in pairwise(weights))


@ALGORITHMS
def test_the_drift_that_is_logged_steers_what_the_next_step_pays(
    make_config: Make,
    watch: Callable[..., Seen],
    read_lines: Callable[[Path], list[dict[str, Any]]],
    other: Network,
    train: Train,
    settings: type[OnlineConfig],
):
    """Far from the reference: 20 % of 8 responses of a horizon of 2 more with each step, in the log and in the
    rewards."""
    seen = watch(reference=other)
    config = make_config(settings, kl_coef=0.3, kl_target=0.1, kl_horizon=2.0, steps=3)
    train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert all(row["rewards/kl"] > 0.12 for row in rows)
    assert seen.coefs == [row["kl/coef"] for row in rows] == pytest.approx([0.3, 0.3 * 1.8, 0.3 * 1.8**2])


def test_what_was_read_before_the_update_is_not_read_again(make_config: Make, monkeypatch: pytest.MonkeyPatch):
    """One minibatch: its reading before the updates is the first update's, so two epochs read twice and not three
    times; what looks at the first batch reads it once more, and is off."""
    count, real = [0], Network.read

    def read(self: Network, *args: Any, **kwargs: Any) -> Any:
        count[0] += self.critic is not None  # the policy, and not its reference
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Network, "read", read)
    ppo.train(make_config(PPOConfig, epochs=2, minibatch_size=8, watch="off"))
    assert count[0] == 2
    ppo.train(make_config(PPOConfig, epochs=2, minibatch_size=4, watch="off"))
    assert count[0] == 2 + 2 + 4


@pytest.mark.parametrize(("minibatch_size", "at"), [(4, 7), (8, 5), (8, 6)])
def test_a_killed_run_goes_on_bit_identically(
    make_config: Make,
    watch: Callable[..., Seen],
    weights: Callable[[Path], dict[str, Tensor]],
    read_lines: Callable[[Path], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    minibatch_size: int,
    at: int,
):
    """Killed inside the second step's four updates, begun again: the same policy and the same metrics as if nothing had
    happened. With one minibatch its first update learns from what was read before it, which no checkpoint holds."""
    watch()
    settings = {
        "steps": 3,
        "epochs": minibatch_size // 2,
        "minibatch_size": minibatch_size,
        "checkpoint_every": 1,
        "kl_target": 1.0,
        "critic": "separate",
    }
    whole = make_config(PPOConfig, **settings)
    expected = weights(ppo.train(whole))
    broken, calls = make_config(PPOConfig, **settings), []
    real = ppo.__dict__["ppo_policy_loss"]

    def dies(*args: Any, **kwargs: Any) -> Tensor:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(ppo, "ppo_policy_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        ppo.train(broken)
    actual = weights(ppo.train(broken))
    assert len(calls) == 13  # 12 updates, one of them tried twice
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    metrics = [read_lines(Path(config.out) / "metrics.jsonl") for config in (broken, whole)]
    assert metrics[0] == metrics[1]


@EVERY
def test_rewards_of_parts_are_logged_and_sum_and_a_broken_constraint_is_charged_more_each_step(
    make_config: Make,
    watch: Callable[..., Seen],
    read_lines: Callable[[Path], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    train: Train,
    settings: type[OnlineConfig],
):
    """5 is asked of a reward that is below 1.2: its multiplier rises by what is missing, and goes on after a kill."""
    watch()
    model = f"python:{tmp_path / 'reward.py'}:score"
    reward = {"curt": {"model": model, "weight": -0.3}, "good": {"model": model, "weight": 0.7, "at_least": 5.0}}
    shared = {"reward": reward, "steps": 3, "multiplier_lr": 0.5, "checkpoint_every": 1}
    whole, broken = (make_config(settings, **shared) for _ in range(2))
    train(whole)
    rows = read_lines(Path(whole.out) / "metrics.jsonl")
    multipliers = [row["multiplier/good"] for row in rows]
    assert multipliers[0] == 0
    for row, later in zip(rows, multipliers[1:], strict=False):
        assert later == pytest.approx(row["multiplier/good"] - 0.5 * row["constraint/good"])
    assert multipliers[2] > multipliers[1] > 1
    for row in rows:
        assert row["scores/mean"] == row["scores/curt"] + row["scores/good"]
        raw = row["constraint/good"] + 5
        charged = row["multiplier/good"] * row["constraint/good"]
        assert row["scores/good"] == pytest.approx(0.7 * raw + charged, abs=1e-5)
        assert row["scores/curt"] == pytest.approx(-0.3 * raw, abs=1e-6)
    real, calls = online.__dict__["judged"], [0]

    def dies(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(online, "judged", dies)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    train(broken)
    assert read_lines(Path(broken.out) / "metrics.jsonl") == rows


def test_unusual_responses_need_a_model_that_tells_them(make_config: Make):
    with pytest.raises(UserError, match=r"outliers=clip: python:.* does not tell what is unusual to it"):
        ppo.train(make_config(outliers="clip"))
