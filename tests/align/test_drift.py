"""What drift costs, where and how it is told: every place and estimator in both loops, watched as it happens."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from transformers import PreTrainedModel

from prefloop.align import biases, drift, grpo, ppo, reinforce, rloo
from prefloop.align.config import GRPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.align.settings import OnlineConfig, Reused
from prefloop.models.network import Network
from prefloop.ops.kl import forward_kl_estimate, kl_estimate

from .conftest import Seen

Make = Callable[..., OnlineConfig]
Watch = Callable[..., Seen]
Train = Callable[[Any], Path]
Read = Callable[[Path], list[dict[str, Any]]]
EVERY = pytest.mark.parametrize(
    ("train", "settings"),
    [(ppo.train, PPOConfig), (reinforce.train, REINFORCEConfig), (rloo.train, RLOOConfig), (grpo.train, GRPOConfig)],
    ids=["ppo", "reinforce", "rloo", "grpo"],
)


def rows(config: Any, read_lines: Read) -> list[dict[str, Any]]:
    return read_lines(Path(config.out) / "metrics.jsonl")


def whole_drift(model: PreTrainedModel, reference: PreTrainedModel, seen: Seen, *, forward: bool) -> list[list[float]]:
    """KL of transformers' whole distributions before each response token, token by token."""
    found = []
    for prompt, response in zip(seen.batches[0].rollouts.prompts, seen.batches[0].rollouts.responses, strict=True):
        ids, start = torch.tensor([[*prompt, *response]]), len(prompt) - 1
        with torch.no_grad():
            p, q = (m(ids).logits[0, start : start + len(response)].log_softmax(-1) for m in (model, reference))
        p, q = (q, p) if forward else (p, q)
        found.append((p.exp() * (p - q)).sum(-1).tolist())
    return found


@pytest.mark.parametrize("direction", ["reverse", "forward"])
@pytest.mark.parametrize("micro_tokens", [16384, 30])
def test_full_drift_in_the_reward_is_that_of_transformers(
    make_config: Make,
    watch: Watch,
    read_lines: Read,
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    other: Network,
    direction: str,
    micro_tokens: int,
):
    """Each token pays for the whole distribution that it was drawn from; the log tells the exact drift beside k1's."""
    seen = watch(reference=other)
    config = make_config(
        kl_estimator="full", kl_direction=direction, kl_coef=0.3, unfinished_penalty=0.0, micro_tokens=micro_tokens
    )
    ppo.train(config)
    batch = seen.batches[0]
    expected = whole_drift(plain, new_llama(2).eval(), seen, forward=direction == "forward")
    for i, kl in enumerate(expected):
        charged = [-0.3 * x for x in kl]
        charged[-1] += float(batch.scores[i])
        assert batch.rewards[i, : len(kl)].tolist() == pytest.approx(charged, abs=1e-4)
    row = rows(config, read_lines)[0]
    assert row["rewards/kl_full"] == pytest.approx(sum(map(sum, expected)) / len(expected), rel=1e-4)
    k1 = (batch.logprobs - batch.ref_logprobs) * batch.rollouts.mask
    assert row["rewards/kl"] == pytest.approx(float(k1.sum(1).mean()), abs=1e-5)


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_forward_drift_in_the_reward_is_weighed(make_config: Make, watch: Watch, other: Network, estimator: str):
    """w = q / p of the token: w (log q - log p), half its square, or w log w - w + 1."""
    seen = watch(reference=other)
    ppo.train(make_config(kl_estimator=estimator, kl_direction="forward", kl_coef=0.3, unfinished_penalty=0.0))
    batch = seen.batches[0]
    for i, response in enumerate(batch.rollouts.responses):
        d = (batch.ref_logprobs - batch.logprobs)[i, : len(response)].double()
        w = d.exp()
        kl = {"k1": w * d, "k2": w * d * d / 2, "k3": w * d - w + 1}[estimator]
        charged = (-0.3 * kl).tolist()
        charged[-1] += float(batch.scores[i])
        assert batch.rewards[i, : len(response)].tolist() == pytest.approx(charged, rel=1e-4, abs=1e-4)


@EVERY
def test_both_is_the_reward_and_the_loss(
    make_config: Make, watch: Watch, read_lines: Read, other: Network, train: Train, settings: type[OnlineConfig]
):
    """The rewards of kl_where = reward, and the term of kl_where = loss, on the same rollouts."""
    watch(reference=other)
    found = {}
    places = {
        "reward": {"kl_estimator": "k1"},
        "loss": {"kl_estimator": "full"},
        "both": {"kl_estimator": "k1", "kl_loss_estimator": "full"},
    }
    for where, more in places.items():
        config = make_config(settings, kl_where=where, kl_coef=0.3, **more)
        train(config)
        found[where] = rows(config, read_lines)[0]
    assert found["both"]["rewards/mean"] == found["reward"]["rewards/mean"] != found["loss"]["rewards/mean"]
    assert found["both"]["loss/kl"] == found["loss"]["loss/kl"] > 0
    assert "loss/kl" not in found["reward"]
    assert found["both"]["grad/norm"] != found["reward"]["grad/norm"]


@EVERY
def test_off_neither_makes_nor_reads_a_reference(
    make_config: Make,
    watch: Watch,
    read_lines: Read,
    monkeypatch: pytest.MonkeyPatch,
    train: Train,
    settings: type[OnlineConfig],
):
    """Whoever makes one fails. The log tells no drift; the weights are those of a run that charges nothing for it."""
    watch()
    measured = make_config(settings, kl_coef=0.0, steps=2)
    last = train(measured)

    def broken(self: Network) -> Network:
        raise AssertionError("nobody asked for a reference")

    monkeypatch.setattr(Network, "frozen_copy", broken)
    config = make_config(settings, kl_where="off", steps=2)
    found = train(config)
    assert (found / "model.safetensors").read_bytes() == (last / "model.safetensors").read_bytes()
    told, silent = rows(measured, read_lines), rows(config, read_lines)
    assert all("rewards/kl" in row for row in told)
    assert not any("rewards/kl" in row or "loss/kl" in row for row in silent)
    assert [row["rewards/mean"] for row in silent] == [row["rewards/mean"] for row in told]
    assert all("kl" not in row for row in read_lines(Path(config.out) / "samples.jsonl"))


@EVERY
@pytest.mark.parametrize(("where", "more"), [("both", {"kl_loss_estimator": "full"}), ("loss", {"kl_estimator": "k2"})])
def test_the_coefficient_that_is_steered_is_charged_in_both_places(
    make_config: Make,
    watch: Watch,
    read_lines: Read,
    monkeypatch: pytest.MonkeyPatch,
    other: Network,
    train: Train,
    settings: type[OnlineConfig],
    where: str,
    more: dict[str, Any],
):
    """20 % of 8 responses of a horizon of 2 more with each step, in rewards and loss alike."""
    seen, in_loss = watch(reference=other), list[float]()
    real = drift.__dict__["terms"]

    def terms(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        in_loss.append(found["loss/kl"][0])
        return found

    monkeypatch.setattr(drift, "terms", terms)
    config = make_config(settings, kl_where=where, kl_coef=0.3, kl_target=0.1, kl_horizon=2.0, steps=3, **more)
    train(config)
    coefs = [row["kl/coef"] for row in rows(config, read_lines)]
    assert coefs == pytest.approx([0.3, 0.3 * 1.8, 0.3 * 1.8**2])
    assert in_loss == seen.coefs == coefs


def test_a_target_per_token_follows_the_length(make_config: Make, watch: Watch, read_lines: Read, other: Network):
    """target = 1.5 nats a token times the step's mean length: as if that had been kl_target, in each step."""
    watch(reference=other)
    config = make_config(kl_coef=0.3, kl_target_per_token=1.5, kl_horizon=2.0, steps=3)
    ppo.train(config)
    told = rows(config, read_lines)
    for row, later in pairwise(told):
        error = max(-0.2, min(0.2, row["rewards/kl"] / (1.5 * row["rollouts/length"]) - 1))
        assert later["kl/coef"] == pytest.approx(row["kl/coef"] * (1 + error * 8 / 2))
    assert len({row["rollouts/length"] for row in told}) > 1


@EVERY
@pytest.mark.parametrize(
    "more",
    [
        {"kl_where": "both", "kl_estimator": "full"},
        {"kl_where": "loss", "kl_estimator": "full", "kl_direction": "forward"},
        {"kl_where": "off", "score_norm": "running", "score_clip": 1.0},
    ],
    ids=["both", "forward", "normalised"],
)
def test_a_killed_run_goes_on_bit_identically(
    make_config: Make,
    watch: Watch,
    read_lines: Read,
    monkeypatch: pytest.MonkeyPatch,
    train: Train,
    settings: type[OnlineConfig],
    more: dict[str, Any],
):
    """Killed in the third step, between two of its updates if it has several: the same weights and metrics as in one
    go."""
    watch()
    shared = {"steps": 3, "checkpoint_every": 1, **more}
    if issubclass(settings, Reused):
        shared |= {"minibatch_size": 4, "epochs": 1}
    whole, broken = (make_config(settings, **shared) for _ in range(2))
    last, real, calls = train(whole), drift.__dict__["terms"], list[int]()

    def dies(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == (6 if issubclass(settings, Reused) else 3):
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(drift, "terms", dies)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    found = train(broken)
    assert (found / "model.safetensors").read_bytes() == (last / "model.safetensors").read_bytes()
    assert rows(broken, read_lines) == rows(whole, read_lines)


def test_splitting_changes_nothing(make_config: Make, watch: Watch, read_lines: Read, other: Network):
    """Exact drift in both places, in one piece or a response or two at a time."""
    watch(reference=other)
    found = []
    for micro_tokens in (16384, 30):
        config = make_config(kl_where="both", kl_estimator="full", kl_coef=0.5, micro_tokens=micro_tokens)
        ppo.train(config)
        found.append(rows(config, read_lines)[0])
    for name in ("loss/kl", "loss/policy", "rewards/kl_full", "grad/norm"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kl_where": "both"},
            "kl_loss_estimator = k1 has no useful gradient in the loss. Set kl_loss_estimator = full",
        ),
        ({"kl_where": "loss"}, "kl_estimator = k1 has no useful gradient"),
        ({"kl_where": "loss", "kl_loss_estimator": "k2"}, "has no useful gradient|is for kl_where = both"),
        ({"kl_where": "off", "kl_coef": 0.1}, "kl_coef = 0.1 does nothing. Leave kl_coef out; kl_coef = 0"),
        ({"kl_where": "off", "kl_estimator": "k3"}, "kl_estimator = k3 does nothing"),
        ({"kl_where": "off", "kl_target": 3.0}, "so that kl_target has nothing to steer"),
        ({"kl_where": "off", "kl_unit": "response"}, "kl_unit = response only makes sense in the reward"),
        ({"kl_target": 3.0, "kl_target_per_token": 0.1}, "both say what kl_coef is steered to"),
        ({"kl_target_per_token": 0.1, "kl_coef": 0.0}, "kl_target_per_token steers kl_coef"),
        ({"kl_target_per_token": 0.1, "kl_horizon": 1.0}, "kl_horizon = 1 is so short"),
    ],
)
def test_contradictions(make_config: Make, settings: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        make_config(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"kl_where": "loss", "kl_estimator": "full"}, []),
        ({"kl_where": "both", "kl_estimator": "full"}, []),
        ({"kl_where": "off"}, []),
        ({"kl_estimator": "k3", "kl_coef": 0.0}, []),
        ({"kl_where": "loss", "kl_estimator": "k1", "kl_direction": "forward"}, []),
        ({"kl_estimator": "k3"}, ["unbiased in value only"]),
        ({"kl_estimator": "k2"}, ["biased in value and gradient"]),
        ({"kl_estimator": "full"}, ["only what is charged later teaches"]),
        ({"kl_direction": "forward"}, ["KL(reference || policy), which kl_where=loss has"]),
        ({"kl_where": "loss", "kl_estimator": "k2"}, ["biased in value, which loss/kl tells"]),
        ({"kl_where": "loss", "kl_estimator": "k3"}, ["the other direction"]),
        ({"kl_where": "both", "kl_estimator": "k3"}, ["unbiased in value only", "the other direction"]),
        ({"kl_where": "loss", "kl_estimator": "k2", "kl_direction": "forward"}, ["only while the two are close"]),
    ],
)
def test_what_is_biased_is_told(make_config: Make, settings: dict[str, Any], words: list[str]):
    told = biases.of(make_config(**settings))
    assert len(told) == len(words)
    assert all(word in sentence for word, sentence in zip(words, told, strict=True))


def test_it_is_told_when_the_run_begins(make_config: Make, watch: Watch, capsys: pytest.CaptureFixture[str]):
    watch()
    config = make_config(kl_where="loss", kl_estimator="k3")
    ppo.train(config)
    assert "ppo: k3 in the loss is unbiased in value, but" in capsys.readouterr().out
    card = json.loads((Path(config.out) / "run.json").read_text(encoding="utf-8"))
    assert card["chosen"]["drift"]["said"] == biases.of(config)


class Enumerable:
    """Every response of two tokens out of four to one prompt: a policy and a reference, and all their probabilities."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(7)
        self.reference = torch.randn(5, 4, generator=generator, dtype=torch.float64)
        near = torch.randn(5, 4, generator=generator, dtype=torch.float64)
        self.logits = (self.reference + near).requires_grad_()  # (state, token): the start, then after each first token
        self.pairs = [(a, b) for a in range(4) for b in range(4)]

    def steps(self, logits: Tensor) -> Tensor:
        """(16, 2) logprobs of both tokens of every response."""
        table = logits.log_softmax(-1)
        return torch.stack([torch.stack([table[0, a], table[1 + a, b]]) for a, b in self.pairs])

    def whole(self, *, forward: bool) -> Tensor:
        """(16, 2) exact KL at the state of each token."""
        p, q = self.logits.log_softmax(-1), self.reference.log_softmax(-1)
        p, q = (q, p) if forward else (p, q)
        kl = (p.exp() * (p - q)).sum(-1)
        return torch.stack([torch.stack([kl[0], kl[1 + a]]) for a, _ in self.pairs])

    @property
    def slope(self) -> Tensor:
        """(5, 4) gradient of the KL of whole responses, by enumeration."""
        p, q = self.steps(self.logits).sum(1), self.steps(self.reference).sum(1)
        return torch.autograd.grad((p.exp() * (p - q)).sum(), self.logits)[0]

    def by_reward(self, charge: Tensor) -> Tensor:
        """(5, 4) expected policy gradient of a charge (16, 2) in the reward, by what is still to come."""
        p = self.steps(self.logits)
        to_come = charge.detach().flip(1).cumsum(1).flip(1)
        return torch.autograd.grad((p.detach().sum(1).exp()[:, None] * to_come * p).sum(), self.logits)[0]

    def by_loss(self, charge: Tensor) -> Tensor:
        """(5, 4) expected gradient of a term (16, 2) of the loss."""
        weights = self.steps(self.logits).detach().sum(1).exp()[:, None]
        return torch.autograd.grad((weights * charge).sum(), self.logits)[0]


def test_which_places_and_estimators_have_the_gradient_of_the_drift_of_responses():
    """By enumeration of all 16 responses: k1 in the reward has it; full has it in both places together, and in neither
    alone; k3 in the reward has not."""
    all_of_it = Enumerable()
    p, q, slope = all_of_it.steps(all_of_it.logits), all_of_it.steps(all_of_it.reference), all_of_it.slope
    whole = all_of_it.whole(forward=False)
    in_reward, in_loss = all_of_it.by_reward(whole), all_of_it.by_loss(whole)
    torch.testing.assert_close(all_of_it.by_reward(kl_estimate(p, q, estimator="k1")), slope)
    torch.testing.assert_close(in_reward + in_loss, slope)
    for wrong in (in_reward, in_loss, all_of_it.by_reward(kl_estimate(p, q, estimator="k3"))):
        assert float((wrong - slope).norm() / slope.norm()) > 0.05
    weights = p.detach().sum(1).exp()[:, None]
    torch.testing.assert_close((weights * whole).sum(), (p.sum(1).exp() * (p - q).sum(1)).sum())


def test_estimators_of_a_response_against_the_exact_drift():
    """10,000 responses of two tokens: k1, k3 and full within 3 standard errors of KL(policy || reference), k2 not; full
    varies least. Forward, by weights: of the exact KL(reference || policy) at the states that the policy visits."""
    all_of_it = Enumerable()
    with torch.no_grad():
        p, q = all_of_it.steps(all_of_it.logits), all_of_it.steps(all_of_it.reference)
        weights = p.sum(1).exp()
        drawn = torch.multinomial(weights, 10_000, replacement=True, generator=torch.Generator().manual_seed(8))
        exact = {
            False: (weights * (p - q).sum(1)).sum(),
            True: (weights[:, None] * all_of_it.whole(forward=True)).sum(),
        }
        for forward, truth in exact.items():
            samples = {"full": all_of_it.whole(forward=forward)}
            for name in ("k1", "k2", "k3"):
                samples[name] = (
                    forward_kl_estimate(p, q, p, estimator=name) if forward else kl_estimate(p, q, estimator=name)
                )
            found = {name: sample.sum(1)[drawn] for name, sample in samples.items()}
            off = {name: float((each.mean() - truth) / (each.std() / 100)) for name, each in found.items()}
            assert all(abs(off[name]) < 3 for name in ("k1", "k3", "full")), off
            assert abs(off["k2"]) > 3
            assert min(found, key=lambda name: float(found[name].var())) == "full"
