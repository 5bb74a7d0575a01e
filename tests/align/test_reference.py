"""A reference that follows the policy: what drift is charged from, what is told of the start, and how it goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from prefloop.align import grpo, ppo, reinforce, rloo
from prefloop.align.config import GRPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig

from .conftest import Seen

Make = Callable[..., Any]
Read = Callable[[Path], list[dict[str, Any]]]
ALGORITHMS = pytest.mark.parametrize(
    ("train", "settings"),
    [(ppo.train, PPOConfig), (reinforce.train, REINFORCEConfig), (rloo.train, RLOOConfig), (grpo.train, GRPOConfig)],
    ids=["ppo", "reinforce", "rloo", "grpo"],
)


@ALGORITHMS
def test_a_reference_that_is_the_policy_charges_nothing_and_the_start_is_told(
    make_config: Make, read_lines: Read, train: Callable[[Any], Path], settings: Any
):
    config = make_config(settings, steps=3, reference_every=1)
    train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert [row["rewards/kl"] for row in rows] == pytest.approx([0.0] * 3, abs=1e-5)
    assert rows[0]["rewards/kl_start"] == pytest.approx(0.0, abs=1e-5)
    assert all(abs(row["rewards/kl_start"]) > 1e-3 for row in rows[1:])


@ALGORITHMS
def test_a_reference_that_stays_is_the_start(
    make_config: Make, read_lines: Read, train: Callable[[Any], Path], settings: Any
):
    """Refreshed only after the last step, both drifts are one; without it, it is told once."""
    followed, stayed = make_config(settings, steps=3, reference_every=3), make_config(settings, steps=3)
    for config in (followed, stayed):
        train(config)
    rows, plain = (read_lines(Path(config.out) / "metrics.jsonl") for config in (followed, stayed))
    assert [row["rewards/kl_start"] for row in rows] == [row["rewards/kl"] for row in rows]
    assert [row["rewards/kl"] for row in rows] == [row["rewards/kl"] for row in plain]
    assert not any("rewards/kl_start" in row for row in plain)


def test_drift_is_charged_from_the_mix(make_config: Make, watch: Callable[..., Seen], read_lines: Read):
    """After two steps: 0.4 of what it was and 0.6 of the policy, refreshed after the second; by transformers."""
    seen = watch()
    config = make_config(steps=3, save_every=1, reference_every=2, reference_mix=0.6, kl_coef=0.5)
    made = ppo.train(config)
    models = [
        AutoModelForCausalLM.from_pretrained(path, attn_implementation="sdpa").eval()
        for path in (config.policy, made.parent / "step-000002")
    ]
    begun, then = (dict(model.named_parameters()) for model in models)
    with torch.no_grad():
        for name, weight in begun.items():
            weight.copy_(0.4 * weight + 0.6 * then[name])
    drift = list[float]()
    batch = seen.batches[2]
    for row, (prompt, response) in enumerate(zip(batch.rollouts.prompts, batch.rollouts.responses, strict=True)):
        with torch.no_grad():
            logits = models[0](torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1)[range(len(response)), response]
        torch.testing.assert_close(batch.ref_logprobs[row, : len(response)], expected, atol=1e-4, rtol=0)
        drift.append(float((batch.logprobs[row, : len(response)] - expected).sum()))
    row = read_lines(Path(config.out) / "metrics.jsonl")[2]
    assert row["rewards/kl"] == pytest.approx(sum(drift) / len(drift), abs=1e-3)
    assert abs(row["rewards/kl"] - row["rewards/kl_start"]) > 1e-3


def everything(make_config: Make, texts: str) -> dict[str, Any]:
    """Settings of all that goes on beside the policy."""
    return {
        "steps": 3,
        "epochs": 2,
        "minibatch_size": 4,
        "checkpoint_every": 1,
        "kl_target": 1.0,
        "reference_every": 1,
        "reference_mix": 0.5,
        "ptx": texts,
        "ptx_tokens": 48,
        "replay_steps": 2,
        "replay_share": 0.4,
        "dump_rollouts": 1,
        "max_kl": 1e3,
        "max_ratio": 1e3,
        "max_score": 1e3,
        "kl_where": "loss",
        "kl_estimator": "k2",
    }


@pytest.mark.parametrize("at", [2, 5, 6, 8, 9, 11])
def test_a_killed_run_with_everything_on_goes_on_bit_identically(
    make_config: Make,
    write_rows: Callable[..., str],
    weights: Callable[[Path], dict[str, Tensor]],
    read_lines: Read,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
):
    """Killed in any update of the second and third step: weights, metrics and files as if nothing had happened."""
    texts = write_rows("texts.jsonl", [{"text": f"the parcel {i * 7} is on its way"} for i in range(12)])
    settings = everything(make_config, texts)
    whole, broken = (make_config(**settings) for _ in range(2))
    expected, calls = weights(ppo.train(whole)), list[int]()
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
    assert len(calls) == 13
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    ours, theirs = (Path(config.out) for config in (broken, whole))
    assert read_lines(ours / "metrics.jsonl") == read_lines(theirs / "metrics.jsonl")
    for step in (1, 2, 3):
        file = f"rollouts-{step:06d}.parquet"
        assert (ours / file).read_bytes() == (theirs / file).read_bytes()


def test_a_killed_reinforce_goes_on_bit_identically(
    make_config: Make,
    write_rows: Callable[..., str],
    weights: Callable[[Path], dict[str, Tensor]],
    read_lines: Read,
    monkeypatch: pytest.MonkeyPatch,
):
    texts = write_rows("texts.jsonl", [{"text": f"the parcel {i * 7} is on its way"} for i in range(12)])
    names = ("steps", "checkpoint_every", "reference_every", "reference_mix", "ptx", "ptx_tokens", "dump_rollouts")
    settings = {name: value for name, value in everything(make_config, texts).items() if name in names}
    whole, broken = (make_config(REINFORCEConfig, **settings) for _ in range(2))
    expected, calls = weights(reinforce.train(whole)), list[int]()
    real = reinforce.__dict__["reinforce_loss"]

    def dies(*args: Any) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(reinforce, "reinforce_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        reinforce.train(broken)
    actual = weights(reinforce.train(broken))
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    assert read_lines(Path(broken.out) / "metrics.jsonl") == read_lines(Path(whole.out) / "metrics.jsonl")


@ALGORITHMS
def test_exact_drift_in_the_loss_is_from_the_reference_that_follows(
    make_config: Make, read_lines: Read, train: Callable[[Any], Path], settings: Any
):
    """Copied after every step, the one update of each step finds no drift at all."""
    config = make_config(settings, steps=3, reference_every=1, kl_where="loss", kl_estimator="full", kl_coef=0.5)
    train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert [row["loss/kl"] for row in rows] == pytest.approx([0.0] * 3, abs=1e-5)
    assert abs(rows[2]["rewards/kl_start"]) > 1e-3


@pytest.mark.parametrize(("name", "value"), [("reference_every", 2), ("max_kl", 5.0)])
def test_without_a_reference_nothing_of_it_is_asked(make_config: Make, name: str, value: float):
    with pytest.raises(ValueError, match=rf"kl_where = off has no reference, so that {name}"):
        make_config(kl_where="off", **{name: value})


def test_what_is_imitated_waits_for_the_critic_and_needs_no_reference(
    make_config: Make, write_rows: Callable[..., str], read_lines: Read, weights: Callable[[Path], dict[str, Tensor]]
):
    texts = write_rows("texts.jsonl", [{"text": f"the parcel {i * 7} is on its way"} for i in range(12)])
    config = make_config(steps=2, save_every=1, critic_warmup=1, kl_where="off", ptx=texts)
    made = ppo.train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert "loss/ptx" not in rows[0]
    assert rows[1]["loss/ptx"] > 0
    first, before = weights(made.parent / "step-000001"), weights(Path(config.policy))
    assert all(torch.equal(first[name], before[name]) for name in before)


def test_of_an_adapter_the_adapter_follows(make_config: Make, read_lines: Read, write_rows: Callable[..., str]):
    """On one base: the reference that is charged wears a copy of the policy's adapter, and the start the base alone."""
    texts = write_rows("texts.jsonl", [{"text": f"the parcel {i * 7} is on its way"} for i in range(12)])
    settings = everything(make_config, texts) | {"reference_mix": 1.0, "adapter": "lora", "critic": "separate"}
    config = make_config(**settings)
    ppo.train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert [row["rewards/kl"] for row in rows] == pytest.approx([0.0] * 3, abs=1e-5)
    assert abs(rows[2]["rewards/kl_start"]) > 1e-4
