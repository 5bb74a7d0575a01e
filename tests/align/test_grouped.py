"""RLOO and GRPO: one update by autograd on transformers, and what their loops promise, watched as it happens."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from broken import broken_off
from prefloop.align import grpo, rloo
from prefloop.align.config import GRPOConfig, RLOOConfig
from prefloop.align.progress import Batch
from prefloop.align.settings import Grouped
from prefloop.models.network import Network

from .conftest import Seen, expected_score

Make = Callable[..., Any]
Watch = Callable[..., Seen]
Read = Callable[[Path], list[dict[str, Any]]]
Weights = Callable[[Path], dict[str, Tensor]]
BOTH = pytest.mark.parametrize(("algorithm", "train"), [(RLOOConfig, rloo.train), (GRPOConfig, grpo.train)])


def stale(batch: Batch) -> Batch:
    """As if sampled by a policy some way off: ratios are clipped."""
    noise = 0.3 * torch.randn(batch.rollouts.mask.shape, generator=torch.Generator().manual_seed(11))
    return replace(batch, logprobs=batch.logprobs + noise)


def by_autograd(model: PreTrainedModel, reference: PreTrainedModel, batch: Batch, config: Any) -> dict[str, float]:
    """The update's numbers, response by response, with transformers' forward and nothing of ours."""
    rollouts, temperature, grouped = batch.rollouts, config.temperature, isinstance(config, GRPOConfig)
    mean = config.loss_mean if grouped else "constant"
    low, high = config.clip, config.clip_high or config.clip
    learned = [bool(f) or config.overlong != "mask" for f in rollouts.finished]
    num, tokens = sum(learned), sum(len(r) for r, used in zip(rollouts.responses, learned, strict=True) if used)
    parts: dict[str, list[Tensor]] = {"policy": [], "entropy": [], "kl": []}
    stopped = list[bool]()
    for row, (prompt, response) in enumerate(zip(rollouts.prompts, rollouts.responses, strict=True)):
        ids, n = torch.tensor([[*prompt, *response]]), len(response)
        p, q = ((m(ids).logits[0, len(prompt) - 1 : -1] / temperature).log_softmax(-1) for m in (model, reference))
        own, ref = p[range(n), response], q[range(n), response].detach()
        ratio = (own - batch.logprobs[row, :n]).exp()
        if not grouped:
            ratio = ratio.prod()[None]  # one decision
        elif config.ratio == "response":
            ratio = ratio.log().mean().exp().expand(n)
        a = batch.advantages[row, 0]
        loss = -torch.minimum(ratio * a, ratio.clamp(1 - low, 1 + high) * a)
        cut = (ratio > 1 + high) & (a > 0) | (ratio < 1 - low) & (a < 0)
        if grouped and config.surrogate == "cispo":
            loss = -ratio.detach().clamp(1 - low, 1 + high) * a * own
            cut = (ratio > 1 + high) | (ratio < 1 - low)
        stopped += cut.tolist()
        weight = {"response": 1 / (num * n), "token": 1 / tokens, "constant": 1 / (num * config.max_new_tokens)}[mean]
        weight = weight if learned[row] else 0.0
        d = own - ref
        parts["policy"].append(weight * loss.sum())
        parts["entropy"].append(weight * (p.exp() * p).sum())
        parts["kl"].append(weight * ((d * d / 2) if config.kl_estimator == "k2" else (-d).exp() - 1 + d).sum())
    sums = {name: torch.stack(values).sum() for name, values in parts.items()}
    loss = sums["policy"] + config.entropy_coef * sums["entropy"]
    if config.kl_where == "loss":
        loss = loss + config.kl_coef * sums["kl"]
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients if g is not None))
    share = sum(stopped) / len(stopped)
    return {"grad/norm": norm, "ratio/clipped": share, **{f"loss/{k}": float(v.detach()) for k, v in sums.items()}}


LOSS = {"kl_where": "loss", "kl_coef": 0.7}


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        (RLOOConfig, {"temperature": 0.7, "clip": 0.5}),
        (RLOOConfig, {"micro_tokens": 30, "overlong": "mask", "entropy_coef": 0.5, "clip_high": 0.9}),
        (RLOOConfig, {**LOSS, "kl_estimator": "k2", "responses_per_prompt": 2}),
        (GRPOConfig, LOSS),
        (GRPOConfig, {**LOSS, "micro_tokens": 30, "temperature": 1.3, "entropy_coef": 0.5}),
        (GRPOConfig, {**LOSS, "scale": "none", "loss_mean": "constant", "kl_estimator": "k2"}),
        (GRPOConfig, {**LOSS, "loss_mean": "token", "clip_high": 0.28, "overlong": "mask"}),
        (GRPOConfig, {**LOSS, "ratio": "response", "clip": 0.05, "micro_tokens": 30}),
        (GRPOConfig, {**LOSS, "surrogate": "cispo", "clip": 0.3, "loss_mean": "token", "micro_tokens": 30}),
    ],
)
def test_an_update_is_that_of_autograd_on_transformers(
    make_config: Make,
    watch: Watch,
    read_lines: Read,
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    other: Network,
    algorithm: type[Grouped],
    settings: dict[str, Any],
):
    """Losses, clipped share and gradient norm of one update on stale rollouts; the reference is another model."""
    seen = watch(stale, reference=other)
    config = make_config(algorithm, rollouts_per_step=12, minibatch_size=12, **settings)
    (rloo if algorithm is RLOOConfig else grpo).train(config)
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    expected = by_autograd(plain, new_llama(2).eval(), seen.batches[0], config)
    assert 0 < expected["ratio/clipped"] < 1
    names = set(expected) - ({"loss/kl"} if config.kl_where == "reward" else set())
    assert {k: row[k] for k in names} == pytest.approx({k: expected[k] for k in names}, rel=2e-4, abs=1e-5)


@BOTH
def test_advantages_are_those_of_what_each_response_earned(
    make_config: Make, watch: Watch, read_lines: Read, other: Network, algorithm: type[Grouped], train: Any
):
    """Score, penalty and charge for drift of all its tokens, against the others to its prompt, at each of its
    tokens."""
    seen = watch(reference=other)
    config = make_config(
        algorithm, rollouts_per_step=12, minibatch_size=4, kl_where="reward", kl_estimator="k1", kl_coef=0.3
    )
    train(config)
    batch, codec, copies = seen.batches[0], seen.setups[0].policy.codec, config.responses_per_prompt
    earned = []
    for i, response in enumerate(batch.rollouts.responses):
        assert batch.rollouts.prompts[i] == batch.rollouts.prompts[i - i % copies]
        drift = float((batch.logprobs - batch.ref_logprobs)[i, : len(response)].sum())
        earned.append(expected_score(codec.decode(response)) - (response[-1] not in codec.stop_ids) - 0.3 * drift)
    for i, response in enumerate(batch.rollouts.responses):
        group = torch.tensor(earned[i - i % copies : i - i % copies + copies])
        others = (group.sum() - earned[i]) / (copies - 1)
        a = earned[i] - others if algorithm is RLOOConfig else (earned[i] - group.mean()) / (group.std() + 1e-4)
        assert batch.advantages[i, : len(response)].tolist() == pytest.approx([float(a)] * len(response), abs=1e-4)
        assert batch.advantages[i, len(response) :].abs().sum() == 0
    assert read_lines(Path(config.out) / "metrics.jsonl")[0]["groups/flat"] == 0


@BOTH
@pytest.mark.parametrize("micro_tokens", [16384, 40])
def test_the_first_ratio_is_exactly_1_and_the_first_drift_exactly_0(
    make_config: Make, watch: Watch, read_lines: Read, algorithm: type[Grouped], train: Any, micro_tokens: int
):
    watch()
    config = make_config(
        algorithm, micro_tokens=micro_tokens, steps=3, rollouts_per_step=16, minibatch_size=4, epochs=2
    )
    train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert [row["ratio/first_error"] for row in rows] == [0.0, 0.0, 0.0]
    assert [row["updates"] for row in rows] == [8, 8, 8]
    assert rows[0]["rewards/kl"] == 0.0
    assert abs(rows[1]["rewards/kl"]) > 1e-3
    assert rows[0]["ratio/kl"] > 0


@BOTH
def test_a_run_that_was_broken_off_inside_a_step_goes_on_to_the_bit(
    make_config: Make, watch: Watch, weights: Weights, read_lines: Read, algorithm: type[Grouped], train: Any
):
    watch()
    settings = {"steps": 2, "minibatch_size": 4, "epochs": 2, "checkpoint_every": 1}
    whole, broken = (make_config(algorithm, **settings) for _ in range(2))
    expected = weights(train(whole))
    with broken_off(3):
        train(broken)
    resumed = weights(train(broken))
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert read_lines(Path(broken.out) / "metrics.jsonl") == read_lines(Path(whole.out) / "metrics.jsonl")


@BOTH
def test_padding_is_never_read(make_config: Make, watch: Watch, weights: Weights, algorithm: type[Grouped], train: Any):
    """Rollouts whose padding is NaN everywhere lead to the same policy, to the last bit."""

    def spoiled(batch: Batch) -> Batch:
        mask = batch.rollouts.mask
        assert not mask.all()
        names = ("logprobs", "ref_logprobs", "advantages")
        return replace(batch, **{name: torch.where(mask, vars(batch)[name], torch.nan) for name in names})

    watch()
    clean = weights(train(make_config(algorithm, epochs=2, minibatch_size=4)))
    watch(spoiled)
    dirty = weights(train(make_config(algorithm, epochs=2, minibatch_size=4)))
    assert all(torch.equal(clean[name], dirty[name]) for name in clean)
