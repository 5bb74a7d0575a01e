"""KL of whole distributions by chunks against all logits at once, and the forward KL from the policy's own tokens."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prefloop.ops import vocabulary
from prefloop.ops.divergence import exact_kl
from prefloop.ops.kl import KLEstimator, forward_kl_estimate, kl_full
from prefloop.ops.shapes import ShapeError

N, D, V = 77, 5, 70
ALL: list[KLEstimator] = ["k1", "k2", "k3"]
UNBIASED: list[KLEstimator] = ["k1", "k3"]


@pytest.fixture
def states(rng: torch.Generator) -> list[Tensor]:
    """Hidden states and matrix of a policy, then of a reference of another width, in float64."""
    shapes = ((N, D), (V, D), (N, D + 1), (V, D + 1))
    made = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [made[0].requires_grad_(), made[1].requires_grad_(), made[2], made[3]]


def by_chunks(states: list[Tensor], *, forward: bool) -> Tensor:
    hidden, weight, ref_hidden, ref_weight = states
    return exact_kl(
        hidden,
        ref_hidden,
        lambda some: linear(some, weight),
        lambda some: linear(some, ref_weight),
        size=V,
        temperature=0.7,
        forward=forward,
    )


@pytest.mark.parametrize("chunk", [16 * 2**20, 32 * 4 * V], ids=["one chunk", "three chunks"])
@pytest.mark.parametrize("forward", [False, True])
def test_values_and_gradients_are_those_of_all_logits(
    states: list[Tensor], rng: torch.Generator, monkeypatch: pytest.MonkeyPatch, forward: bool, chunk: int
):
    """KL(p || q), or KL(q || p), of softmaxes at temperature 0.7; every token weighs something else."""
    monkeypatch.setattr(vocabulary, "CHUNK", chunk)
    kl = by_chunks(states, forward=forward)
    logits = [linear(states[i], states[i + 1]) for i in (0, 2)]
    expected = kl_full(*(reversed(logits) if forward else logits), temperature=0.7)
    torch.testing.assert_close(kl, expected)
    weights = torch.randn(N, generator=rng, dtype=torch.float64)
    for actual, right in zip(
        torch.autograd.grad(kl @ weights, states[:2]), torch.autograd.grad(expected @ weights, states[:2]), strict=True
    ):
        torch.testing.assert_close(actual, right)


@pytest.mark.parametrize("forward", [False, True])
def test_the_gradient_by_logits_is_the_one_written_down(rng: torch.Generator, forward: bool):
    """reverse: p (log p - log q - KL);  forward: p - q."""
    logits, ref_logits = torch.randn(2, 4, 6, generator=rng, dtype=torch.float64)
    logits.requires_grad_()
    kl = exact_kl(logits, ref_logits, lambda x: x, lambda x: x, size=6, temperature=1.0, forward=forward)
    p, q = logits.detach().log_softmax(-1), ref_logits.log_softmax(-1)
    expected = p.exp() - q.exp() if forward else p.exp() * (p - q - kl.detach()[:, None])
    torch.testing.assert_close(torch.autograd.grad(kl.sum(), logits)[0], expected)


class Largest(TorchDispatchMode):
    """Notes the most numbers of any tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return out


def test_no_tensor_is_tokens_times_vocabulary(states: list[Tensor], monkeypatch: pytest.MonkeyPatch):
    """Forward and backward, the largest tensor is a chunk's logits: 32 tokens of 77."""
    monkeypatch.setattr(vocabulary, "CHUNK", 32 * 4 * V)
    with Largest() as largest:
        by_chunks(states, forward=False).sum().backward()
    assert largest.numbers == 32 * V < N * V


def test_other_vocabularies_do_not_meet(states: list[Tensor]):
    with pytest.raises(ShapeError):
        by_chunks([*states[:3], states[3][:-1]], forward=False)


def test_forward_estimators_by_hand():
    """sampled at p = 1/2, now p = 1/3, reference q = 1/4:  w = 1/2,  d = log(3/4) = -0.28768

    k1 = w d = -0.14384    k2 = w d^2 / 2 = 0.02069    k3 = w (4/3 - 1 - 0.28768) = 0.02283
    """
    now, reference, sampled = (torch.tensor([x]).log() for x in (1 / 3, 1 / 4, 1 / 2))
    expected = {"k1": -0.14384, "k2": 0.02069, "k3": 0.02283}
    for estimator in ALL:
        found = forward_kl_estimate(now, reference, sampled, estimator=estimator)
        assert float(found) == pytest.approx(expected[estimator], abs=1e-5)


def four(rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of a policy, of a reference near it, and of the policy that sampled: five states, six tokens."""
    reference = torch.randn(5, 6, generator=rng, dtype=torch.float64)
    near = 0.5 * torch.randn(2, 5, 6, generator=rng, dtype=torch.float64)
    return (reference + near[0]).requires_grad_(), reference, reference + near[1]


def test_forward_estimators_are_unbiased_by_enumeration_whoever_sampled(rng: torch.Generator):
    """sum_v s(v) k(v) = KL(q || p) and so are the gradients, for k1 and k3 of any sampler s; k2 is biased in both."""
    policy, reference, sampler = four(rng)
    p, q, s = policy.log_softmax(-1), reference.log_softmax(-1), sampler.log_softmax(-1)
    exact = kl_full(reference, policy, temperature=1.0)
    (slope,) = torch.autograd.grad(exact.sum(), policy)
    for estimator in ALL:
        mean = (s.exp() * forward_kl_estimate(p, q, s, estimator=estimator)).sum(-1)
        (gradient,) = torch.autograd.grad(mean.sum(), policy, retain_graph=True)
        right = torch.allclose(mean, exact), torch.allclose(gradient, slope)
        assert right == ((False, False) if estimator == "k2" else (True, True))
        assert torch.allclose(mean, exact, rtol=0.5)


def test_forward_estimators_by_sampling(rng: torch.Generator):
    """10,000 tokens of the policy at each state: k1 and k3 within 3 standard errors of the exact KL(reference ||
    policy), k2 with its bias; k3 varies least."""
    policy, reference, _ = four(rng)
    p, q = policy.detach().log_softmax(-1), reference.log_softmax(-1)
    exact = kl_full(reference, policy.detach(), temperature=1.0)
    tokens = torch.multinomial(p.exp(), 10_000, replacement=True, generator=rng)
    logprobs, ref_logprobs = p.gather(1, tokens), q.gather(1, tokens)
    off, spread = {}, {}
    for estimator in ALL:
        sample = forward_kl_estimate(logprobs, ref_logprobs, logprobs, estimator=estimator)
        off[estimator] = (sample.mean(1) - exact) / (sample.std(1) / 100)
        spread[estimator] = sample.var(1)
    assert all(bool((off[estimator].abs() < 3).all()) for estimator in UNBIASED)
    assert bool((off["k2"].abs() > 3).any())
    assert bool((spread["k3"] < spread["k1"]).all())


def test_forward_and_reverse_are_two_things(rng: torch.Generator):
    """Where the reference says what the policy never does, forward is large and reverse is not, and the other way
    round: p = [0.99, 0.01], q = [0.5, 0.5]: reverse 0.637, forward 1.614."""
    p, q = torch.tensor([[0.99, 0.01]]).log(), torch.tensor([[0.5, 0.5]]).log()

    def kl(forward: bool) -> float:
        return float(exact_kl(p, q, lambda x: x, lambda x: x, size=2, temperature=1.0, forward=forward))

    assert kl(False) == pytest.approx(0.99 * math.log(1.98) + 0.01 * math.log(0.02))
    assert kl(True) == pytest.approx(-0.5 * math.log(1.98) - 0.5 * math.log(0.02))
