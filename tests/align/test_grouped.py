"""RLOO and GRPO: one update by autograd on transformers, and what their loops promise, watched as it happens."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from broken import broken_off
from prefloop import presets
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


@BOTH
def test_how_a_step_is_split_changes_nothing(
    make_config: Make, watch: Watch, read_lines: Read, algorithm: type[Grouped], train: Any
):
    watch()
    own = {"ratio": "response"} if algorithm is GRPOConfig else {}
    given = {"steps": 2, "epochs": 2, "minibatch_size": 4, "overlong": "mask", "lr": 0.001, **own}
    few, whole = (make_config(algorithm, micro_tokens=size, **given) for size in (30, 16384))
    rows = [read_lines(train(config).parents[1] / "metrics.jsonl") for config in (few, whole)]
    assert rows[0][0] == pytest.approx(rows[1][0], rel=1e-4, abs=1e-5)
    assert rows[0][1] == pytest.approx(rows[1][1], rel=2e-2, abs=1e-3)  # by then AdamW has magnified the last bits


@BOTH
def test_the_soft_charge_is_in_the_rewards_and_not_in_the_scores(
    make_config: Make, watch: Watch, algorithm: type[Grouped], train: Any
):
    """Of at most 8 tokens the last 4 cost a quarter of unfinished_penalty each, ended or not."""
    seen = watch()
    given = {"kl_where": "reward", "kl_estimator": "k1", "kl_coef": 0.0, "rollouts_per_step": 16, "minibatch_size": 16}
    train(make_config(algorithm, overlong="soft", overlong_share=0.5, unfinished_penalty=2.0, **given))
    batch, codec = seen.batches[0], seen.setups[0].policy.codec
    lengths = [len(response) for response in batch.rollouts.responses]
    late_ends = [n for n, ended in zip(lengths, batch.rollouts.finished, strict=True) if n > 4 and ended]
    assert late_ends
    assert max(lengths) == 8
    for i, response in enumerate(batch.rollouts.responses):
        score = expected_score(codec.decode(response))
        assert float(batch.scores[i]) == pytest.approx(score)
        charge = 2.0 * max(0, lengths[i] - 4) / 4
        assert float(batch.rewards[i].sum()) == pytest.approx(score - charge, abs=1e-5)


def test_a_minibatch_of_unfinished_responses_alone_moves_nothing(
    make_config: Make, watch: Watch, weights: Weights, folder: str, read_lines: Read
):
    """overlong=mask leaves nothing of it, and nothing is divided by 0."""
    config = make_config(GRPOConfig, overlong="mask", max_new_tokens=1, entropy_coef=0.5, kl_coef=0.5)
    changed, begun = weights(grpo.train(config)), weights(Path(folder))
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert row["rollouts/finished"] == 0
    assert row["grad/norm"] == 0
    assert all(torch.equal(changed[name], begun[name]) for name in changed)


def test_max_policy_kl_ends_a_steps_epochs(make_config: Make, watch: Watch, read_lines: Read):
    watch()
    config = make_config(GRPOConfig, epochs=4, minibatch_size=4, lr=0.05, max_policy_kl=1e-4, steps=2)
    grpo.train(config)
    assert all(row["updates"] < 8 for row in read_lines(Path(config.out) / "metrics.jsonl"))


REFUSED = [
    (RLOOConfig, {"responses_per_prompt": 1}, "Set responses_per_prompt = 2, or more."),
    (GRPOConfig, {"responses_per_prompt": 1}, "Set responses_per_prompt = 2, or more."),
    (GRPOConfig, {"minibatch_size": 3}, "minibatch_size = 3 does not divide it"),
    (GRPOConfig, {"overlong": "soft"}, "need each other"),
    (RLOOConfig, {"overlong_share": 0.3}, "need each other"),
    (RLOOConfig, {"overlong": "soft", "overlong_share": 0.3, "unfinished_penalty": 0.0}, "here it is 0. Set it."),
    (RLOOConfig, {"discount": 0.9}, "discount"),
    (RLOOConfig, {"scale": "none"}, "scale"),
    (GRPOConfig, {"whiten_advantages": True}, "whiten_advantages"),
    (GRPOConfig, {"kl_estimator": "k1"}, "kl_estimator = k1 has no useful gradient in the loss"),
]


@pytest.mark.parametrize(("algorithm", "given", "sentence"), REFUSED)
def test_settings_that_make_no_sense_are_refused(
    make_config: Make, algorithm: type[Grouped], given: dict[str, Any], sentence: str
):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make_config(algorithm, **given)


PRESETS = [
    ("grpo", "dapo"), ("grpo", "dr-grpo"), ("grpo", "gspo"), ("grpo", "cispo"),
    ("reinforce", "reinforce-plus-plus"), ("reinforce", "reinforce-plus-plus-baseline"), ("rloo", "tldr"),
]  # fmt: skip


def test_every_variant_that_has_a_name_is_a_preset():
    """tests/test_presets.py looks at each of them."""
    assert {(stage, name) for stage in ("grpo", "reinforce", "rloo") for name in presets.names(stage)} == set(PRESETS)


@pytest.mark.parametrize("name", ["dapo", "dr-grpo", "gspo", "cispo"])
def test_a_step_of_each_variant_of_grpo(make_config: Make, watch: Watch, read_lines: Read, name: str):
    """From sampling to the log line, with all of its settings."""
    watch()
    config = make_config(
        GRPOConfig, preset=name, rollouts_per_step=16, responses_per_prompt=4, minibatch_size=4, lr=1e-3
    )
    grpo.train(config)
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert row["ratio/first_error"] == 0
    assert row["updates"] == 4
    assert row["grad/norm"] > 0
    assert math.isfinite(row["loss/policy"])
    assert ("groups/tries" in row) == (config.tries > 1)
