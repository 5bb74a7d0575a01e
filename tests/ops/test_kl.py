import math
from functools import partial

import pytest
import torch
from scipy import special
from torch import Tensor

from prefloop.ops.kl import KLEstimator, adapted_kl_coef, kl_estimate, kl_full
from prefloop.ops.shapes import ShapeError

UNBIASED: list[KLEstimator] = ["k1", "k3"]
ALL: list[KLEstimator] = ["k1", "k2", "k3"]


@pytest.fixture
def pair(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Logits (5, 6) of a policy and of a reference near it."""
    reference = torch.randn(5, 6, generator=rng, dtype=torch.float64)
    return reference + 0.5 * torch.randn(5, 6, generator=rng, dtype=torch.float64), reference


def test_estimators_by_hand():
    """d = log 2 - log 1 = log 2:  k1 = 0.6931, k2 = 0.6931^2 / 2 = 0.2402, k3 = 1/2 - 1 + 0.6931 = 0.1931.

    d = -log 2:                    k1 = -0.6931, k2 = 0.2402,               k3 = 2 - 1 - 0.6931 = 0.3069.
    """
    logprobs, ref_logprobs = (
        torch.tensor([math.log(0.5), math.log(0.25)]),
        torch.tensor([math.log(0.25), math.log(0.5)]),
    )
    expected = {"k1": [0.6931, -0.6931], "k2": [0.2402, 0.2402], "k3": [0.1931, 0.3069]}
    for estimator in ALL:
        actual = kl_estimate(logprobs, ref_logprobs, estimator=estimator)
        torch.testing.assert_close(actual, torch.tensor(expected[estimator]), rtol=0, atol=1e-4)


def test_full_by_hand():
    """p = [1/2, 1/2], q = [1/4, 3/4]: KL = 1/2 log 2 + 1/2 log(2/3) = 1/2 log(4/3)."""
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    assert kl_full(p, q, temperature=1.0).item() == pytest.approx(0.5 * math.log(4 / 3))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_full_against_scipy(pair: tuple[Tensor, Tensor], temperature: float):
    p, q = (special.softmax(x.numpy() / temperature, axis=1) for x in pair)
    expected = torch.from_numpy(special.rel_entr(p, q).sum(1))
    torch.testing.assert_close(kl_full(*pair, temperature=temperature), expected)


def test_full_is_positive_zero_only_at_home_and_not_symmetric(pair: tuple[Tensor, Tensor]):
    policy, reference = pair
    there, back = kl_full(policy, reference, temperature=1.0), kl_full(reference, policy, temperature=1.0)
    assert bool((there > 0).all())
    assert bool((back > 0).all())
    assert not torch.allclose(there, back, rtol=1e-3)
    home = kl_full(policy, policy + 7, temperature=1.0)
    torch.testing.assert_close(home, torch.zeros_like(home), rtol=0, atol=1e-12)


def test_full_where_tokens_cannot_be():
    """Forbidden to both: 0 log 0 = 0, finite gradients. Forbidden to the reference only: infinitely far."""
    both = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    kl = kl_full(both, torch.tensor([[1.0, 0.0, -torch.inf]]), temperature=1.0)
    kl.sum().backward()
    assert kl.item() == pytest.approx(math.tanh(0.5))
    assert both.grad is not None
    assert bool(both.grad.isfinite().all())
    assert kl_full(torch.zeros(1, 2), torch.tensor([[0.0, -torch.inf]]), temperature=1.0).item() == math.inf


def test_unbiased_by_enumeration(pair: tuple[Tensor, Tensor]):
    """sum_v p(v) k(v) is KL for k1 and k3, and is not for k2."""
    p, q = pair[0].log_softmax(-1), pair[1].log_softmax(-1)
    exact = kl_full(*pair, temperature=1.0)
    mean = {e: (p.exp() * kl_estimate(p, q, estimator=e)).sum(-1) for e in ALL}
    torch.testing.assert_close(mean["k1"], exact)
    torch.testing.assert_close(mean["k3"], exact)
    assert not torch.allclose(mean["k2"], exact, rtol=1e-3)


def test_unbiased_by_sampling_and_k3_varies_less(pair: tuple[Tensor, Tensor], rng: torch.Generator):
    """10,000 tokens per state: within 3 standard errors of the exact KL; var(k3) < var(k1)."""
    p, q = pair[0].log_softmax(-1), pair[1].log_softmax(-1)
    exact = kl_full(*pair, temperature=1.0)
    tokens = torch.multinomial(p.exp(), 10_000, replacement=True, generator=rng)
    logprobs, ref_logprobs = p.gather(1, tokens), q.gather(1, tokens)
    spread = {}
    for estimator in UNBIASED:
        sample = kl_estimate(logprobs, ref_logprobs, estimator=estimator)
        assert bool(((sample.mean(1) - exact).abs() < 3 * sample.std(1) / 100).all())
        spread[estimator] = sample.var(1)
    assert bool((spread["k3"] < spread["k1"]).all())


def test_k2_and_k3_are_never_negative_and_agree_near_home(rng: torch.Generator):
    """k2 = d^2/2, k3 = d^2/2 - d^3/6 + ..."""
    d = 0.01 * torch.randn(1000, generator=rng, dtype=torch.float64)
    k2 = kl_estimate(d, torch.zeros_like(d), estimator="k2")
    k3 = kl_estimate(d, torch.zeros_like(d), estimator="k3")
    assert bool((k2 >= 0).all())
    assert bool((k3 >= 0).all())
    torch.testing.assert_close(k2 - k3, d**3 / 6, rtol=0.02, atol=1e-12)


def test_expected_gradients_of_the_estimators_as_losses(pair: tuple[Tensor, Tensor]):
    """Tokens drawn from the policy, gradient through the estimate alone: k1 nothing, k2 reverse KL, k3 forward KL."""
    policy, reference = pair[0].clone().requires_grad_(), pair[1]
    p, q = policy.log_softmax(-1), reference.log_softmax(-1)

    def expected_gradient(estimator: KLEstimator) -> Tensor:
        mean = (p.detach().exp() * kl_estimate(p, q, estimator=estimator)).sum()
        return torch.autograd.grad(mean, policy, retain_graph=True)[0]

    def gradient_of(kl: Tensor) -> Tensor:
        return torch.autograd.grad(kl.sum(), policy)[0]

    torch.testing.assert_close(expected_gradient("k1"), torch.zeros_like(policy), rtol=0, atol=1e-12)
    torch.testing.assert_close(expected_gradient("k2"), gradient_of(kl_full(policy, reference, temperature=1.0)))
    torch.testing.assert_close(expected_gradient("k3"), gradient_of(kl_full(reference, policy, temperature=1.0)))


def test_gradients(pair: tuple[Tensor, Tensor]):
    policy, reference = (x.clone().requires_grad_() for x in pair)
    torch.autograd.gradcheck(lambda a, b: kl_full(a, b, temperature=0.7), (policy, reference))
    for estimator in ALL:
        torch.autograd.gradcheck(partial(kl_estimate, estimator=estimator), (policy, reference))


def test_rows_do_not_meet(pair: tuple[Tensor, Tensor]):
    policy, reference = pair
    order = torch.tensor([4, 2, 0, 1, 3])
    whole = kl_full(policy, reference, temperature=1.0)
    torch.testing.assert_close(kl_full(policy[order], reference[order], temperature=1.0), whole[order])


def test_controller_by_hand():
    """error = clip(9/6 - 1) = 0.2; 0.1 * (1 + 0.2 * 500 / 10000) = 0.101

    error = 6.6/6 - 1 = 0.1;      0.1 * (1 + 0.1 * 500 / 10000) = 0.1005
    error = clip(0/6 - 1) = -0.2; 0.1 * (1 - 0.2 * 500 / 10000) = 0.099
    """

    def adapted(kl: float) -> float:
        return adapted_kl_coef(0.1, kl, target=6.0, horizon=10_000, num_responses=500)

    assert adapted(9.0) == pytest.approx(0.101)
    assert adapted(6.6) == pytest.approx(0.1005)
    assert adapted(6.0) == 0.1
    assert adapted(0.0) == pytest.approx(0.099)


@pytest.mark.parametrize("first", [0.001, 10.0])
def test_controller_holds_its_target(first: float):
    """A policy whose drift is 0.4 / coef settles at the target of 4 nats, from either side."""
    coef = first
    for _ in range(2000):
        coef = adapted_kl_coef(coef, 0.4 / coef, target=4.0, horizon=1000, num_responses=100)
    assert 0.4 / coef == pytest.approx(4.0, rel=1e-3)


def test_refusals():
    with pytest.raises(ShapeError, match=r"logprobs \(4, 4\), ref_logprobs \(4,\)"):
        kl_estimate(torch.zeros(4, 4), torch.zeros(4), estimator="k1")
    with pytest.raises(ShapeError):
        kl_full(torch.zeros(4, 4), torch.zeros(1, 4), temperature=1.0)
    with pytest.raises(ValueError, match="choose k1, k2 or k3"):
        kl_estimate(torch.zeros(1), torch.zeros(1), estimator="k4")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="above 0"):
        adapted_kl_coef(0.1, 1.0, target=0.0, horizon=100, num_responses=1)
    with pytest.raises(ValueError, match="horizon above 20"):
        adapted_kl_coef(0.1, 1.0, target=1.0, horizon=20, num_responses=100)
