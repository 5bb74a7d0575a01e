"""A run that diverges: what went wrong first is said, noted and not saved; planted one by one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prefloop import cli
from prefloop.align import grpo, limits, online, ppo, reinforce, rloo
from prefloop.align.config import GRPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.align.online import Before
from prefloop.errors import Diverged, UserError
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled

from .conftest import Seen, expected_score

Make = Callable[..., Any]
ALGORITHMS = pytest.mark.parametrize(
    ("train", "settings"),
    [(ppo.train, PPOConfig), (reinforce.train, REINFORCEConfig), (rloo.train, RLOOConfig), (grpo.train, GRPOConfig)],
    ids=["ppo", "reinforce", "rloo", "grpo"],
)


def noted(config: Any) -> str:
    """What run.json says of it."""
    return json.loads((Path(config.out) / "run.json").read_text(encoding="utf-8"))["diverged"]


def kept(config: Any) -> list[str]:
    return sorted(path.name for path in (Path(config.out) / "models").glob("*"))


def planted_loss(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *, at: int, value: float) -> None:
    """The loss of the update number `at` is that."""
    real, calls = module.__dict__[name], list[int]()

    def broken(*args: Any, **kwargs: Any) -> Tensor:
        calls.append(1)
        loss = real(*args, **kwargs)
        return loss * value if len(calls) == at else loss

    monkeypatch.setattr(module, name, broken)


def planted_reading(monkeypatch: pytest.MonkeyPatch, *, at: int, **grids: float) -> None:
    """What is read before the updates of the step number `at` is that, at the first token."""
    real, calls = online.read, list[int]()

    def broken(*args: Any, **kwargs: Any) -> Before:
        calls.append(1)
        before = real(*args, **kwargs)
        if len(calls) < at:
            return before
        changed = {name: vars(before)[name].clone() for name in grids}
        for name, value in grids.items():
            changed[name][0, 0] = value
        return replace(before, **changed)

    monkeypatch.setattr(online, "read", broken)


@pytest.mark.parametrize("loss", ["ppo_policy_loss", "ppo_value_loss"])
def test_a_loss_that_is_no_number(make_config: Make, monkeypatch: pytest.MonkeyPatch, loss: str):
    """In the second of step 2's two updates: named first though the gradient is broken too; policies before it stay."""
    planted_loss(monkeypatch, ppo, loss, at=4, value=float("nan"))
    config = make_config(steps=3, epochs=2, save_every=1, checkpoint_every=1)
    name = {"ppo_policy_loss": "loss/policy", "ppo_value_loss": "loss/value"}[loss]
    with pytest.raises(Diverged, match=rf"{name} became nan in step 2, so training has diverged and stops here\..*lr"):
        ppo.train(config)
    assert noted(config) == f"step 2: {name} became nan"
    assert kept(config) == ["step-000001"]
    state = torch.load(next((Path(config.out) / "checkpoints").glob("*/state.pt")), weights_only=True)
    assert state["position"] == 3
    assert all(bool(torch.isfinite(weight).all()) for weight in state["state"]["policy"].values())


def test_the_same_command_says_the_same_and_a_run_that_ends_well_forgets_it(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
):
    config = make_config(steps=2, checkpoint_every=1)
    with monkeypatch.context() as planted:
        planted_loss(planted, ppo, "ppo_policy_loss", at=2, value=float("inf"))
        with pytest.raises(Diverged) as first:
            ppo.train(config)
    with monkeypatch.context() as planted:
        planted_loss(planted, ppo, "ppo_policy_loss", at=1, value=float("inf"))
        with pytest.raises(Diverged) as again:
            ppo.train(config)
    assert str(first.value) == str(again.value)
    ppo.train(config)
    assert noted(config) == ""


def test_a_gradient_that_is_no_number(make_config: Make, monkeypatch: pytest.MonkeyPatch):
    real = Optimizer.step

    def broken(self: Optimizer) -> float:
        self.parameters[0].grad[0] = float("nan")  # pyright: ignore[reportOptionalSubscript]
        return real(self)

    monkeypatch.setattr(Optimizer, "step", broken)
    with pytest.raises(Diverged, match="grad/norm became nan in step 1"):
        ppo.train(make_config())


@ALGORITHMS
def test_weights_that_are_no_numbers(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, train: Callable[[Any], Path], settings: Any
):
    """Every loss and the gradient were finite, and so a checkpoint would have been written."""
    real, calls = Optimizer.step, list[int]()

    @torch.no_grad()
    def broken(self: Optimizer) -> float:
        norm = real(self)
        calls.append(1)
        if len(calls) == 2:
            self.parameters[0][3] = float("inf")
        return norm

    monkeypatch.setattr(Optimizer, "step", broken)
    config = make_config(settings, steps=3, save_every=1, checkpoint_every=1)
    with pytest.raises(Diverged, match=r"the weights .* became inf in step 2.*models/step-000001 is the last good"):
        train(config)
    assert noted(config).startswith("step 2: the weights")
    assert kept(config) == ["step-000001"]


def test_a_ratio_beyond_its_limit(make_config: Make):
    """Four epochs at a rate that is far too high; the same run without the limit goes on."""
    settings = {"epochs": 8, "lr": 0.2, "value_coef": 0.0, "steps": 1}
    config = make_config(max_ratio=3.0, **settings)
    with pytest.raises(Diverged, match=r"probability ratio of a token reached .*, past max_ratio = 3 .*max_policy_kl"):
        ppo.train(config)
    assert "past max_ratio = 3" in noted(config)
    ppo.train(make_config(**settings))


@ALGORITHMS
def test_drift_beyond_its_limit_names_the_policy_before_it(
    make_config: Make, read_lines: Any, train: Callable[[Any], Path], settings: Any
):
    """What drifted too far was kept after a step; the one before it is the last that is good."""
    shared = {"steps": 5, "lr": 0.02, "save_every": 1, "kl_coef": 0.01}
    free = make_config(settings, **shared)
    train(free)
    drift = [row["rewards/kl"] for row in read_lines(Path(free.out) / "metrics.jsonl")]
    first = next(i for i in range(2, 5) if drift[i] > max(0.0, *drift[:i]))
    limit = (drift[first] + max(0.0, *drift[:first])) / 2
    held = make_config(settings, **shared, max_kl=limit)
    with pytest.raises(
        Diverged, match=rf"the drift from the reference reached .* in step {first + 1}.*kl_coef"
    ) as said:
        train(held)
    assert f"models/step-{first - 1:06d} is the last good policy" in str(said.value)
    assert len(read_lines(Path(held.out) / "metrics.jsonl")) == first


def test_a_score_beyond_its_limit(make_config: Make):
    config = make_config(max_score=0.05)
    with pytest.raises(Diverged, match=r"a score reached .* in size, past max_score = 0\.05 in step 1"):
        ppo.train(config)


@pytest.mark.parametrize(
    ("grids", "settings", "said"),
    [
        ({"logprobs": float("nan")}, {}, "a logprob of the policy became nan in step 2"),
        ({"ref_logprobs": float("-inf")}, {}, "a logprob of the reference became -inf in step 2"),
        ({"values": float("inf")}, {}, "a value of the critic became inf in step 2"),
        ({"values": 900.0}, {"max_score": 100.0}, "a value of the critic reached 900 in size, past max_score = 100"),
        ({"logprobs": float("nan"), "values": float("nan")}, {}, "a logprob of the policy became nan"),
    ],
)
def test_what_is_read_before_the_updates(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, grids: dict[str, float], settings: dict[str, float], said: str
):
    planted_reading(monkeypatch, at=2, **grids)
    with pytest.raises(Diverged, match=said):
        ppo.train(make_config(steps=2, **settings))


def test_padding_diverges_from_nothing(make_config: Make, watch: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch):
    real = online.read

    def padded(*args: Any, **kwargs: Any) -> Before:
        before, mask = real(*args, **kwargs), args[1].mask
        assert not bool(mask.all())
        return replace(before, values=torch.where(mask, before.values, torch.tensor(1e9)))

    watch()
    monkeypatch.setattr(online, "read", padded)
    monkeypatch.setattr(limits, "after_update", lambda *args: None)
    ppo.train(make_config(max_score=100.0))


def test_the_command_line_ends_with_3(make_config: Make, capsys: pytest.CaptureFixture[str]):
    values = make_config().model_dump(exclude_unset=True)
    assert cli.main(["ppo", *(f"{name}={value}" for name, value in values.items()), "max_score=0.05"]) == 3
    assert "so training has diverged and stops here. The last good checkpoint is kept." in capsys.readouterr().err


def test_a_policy_that_never_ends_a_response_is_said_so_once(make_config: Make, capsys: pytest.CaptureFixture[str]):
    """Its end-of-text token is there, but one token is no room for it: every response is cut off."""
    config = make_config(steps=2, max_new_tokens=1, seed=1)
    ppo.train(config)
    assert (
        capsys.readouterr().out.count("none of the first 8 responses ended by itself within max_new_tokens = 1.") == 1
    )


def test_a_response_of_the_end_alone_is_learned_from(make_config: Make, watch: Callable[..., Seen], network: Network):
    """Empty to a reader, and yet a decision: one token, which earns its score."""
    end = network.codec.stop_ids[0]
    seen = watch()

    def ends(self: InProcess, prompts: Any, *args: Any, **kwargs: Any) -> list[Sampled]:
        return [Sampled((end,), finished=True) for _ in prompts]

    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(InProcess, "sample", ends)
        ppo.train(make_config(kl_coef=0.0))
    (batch,) = seen.batches
    assert batch.rollouts.mask.shape == (8, 1)
    assert batch.rewards[:, 0].tolist() == batch.scores.tolist() == [expected_score("")] * 8


def test_a_sampler_that_gives_nothing_is_refused(make_config: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(InProcess, "sample", lambda self, prompts, *args, **kwargs: [Sampled((), True)] * len(prompts))
    with pytest.raises(UserError, match="without a single token"):
        ppo.train(make_config())


def test_a_prompt_that_fills_the_context_is_left_out_or_refused(
    make_config: Make, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    """56 tokens and a response of 8 fill a context of 64; one token more does not fit."""
    rows = [
        {"id": f"{n}", "messages": [{"role": "user", "content": "9" * n}]} for n in (54, 55)
    ]  # and two tokens of the template
    ppo.train(make_config(prompts=write_rows("long.jsonl", rows), rollouts_per_step=2, minibatch_size=2))
    assert "1 of 2 prompts" in capsys.readouterr().out
    with pytest.raises(UserError, match="no prompt leaves room for max_new_tokens = 8 in the context of 64"):
        ppo.train(make_config(prompts=write_rows("longer.jsonl", rows[1:])))


@pytest.mark.parametrize("name", ["top_p", "top_k"])
def test_cut_offs_are_refused_with_the_reason(make_config: Make, name: str):
    with pytest.raises(ValueError, match=f"there is no {name} where a policy learns from what it writes"):
        make_config(**{name: 0.9})
