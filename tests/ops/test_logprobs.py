import math

import pytest
import torch
from scipy import special, stats

from prefloop.ops.logprobs import all_logprobs, logprobs_and_entropy, token_entropy, token_logprobs
from prefloop.ops.shapes import ShapeError


@pytest.fixture
def logits(rng: torch.Generator) -> torch.Tensor:
    return 3 * torch.randn(6, 5, generator=rng, dtype=torch.float64)


TOKENS = torch.tensor([0, 4, 2, 2, 1, 3])


def test_by_hand():
    """logits [0, log 3], temperature 1: p = [1/4, 3/4]; log 1/4 = -log 4.

    Temperature 1/2 doubles the logits: p = [1/10, 9/10].
    Entropy at 1: log 4 / 4 + 3/4 log(4/3).
    """
    logits = torch.tensor([[0.0, math.log(3)]])
    token = torch.tensor([0])
    assert token_logprobs(logits, token, temperature=1.0).item() == pytest.approx(-math.log(4))
    assert token_logprobs(logits, token, temperature=0.5).item() == pytest.approx(-math.log(10))
    by_hand = math.log(4) / 4 + 0.75 * math.log(4 / 3)
    assert token_entropy(logits, temperature=1.0).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_against_scipy(logits: torch.Tensor, temperature: float):
    expected = special.log_softmax(logits.numpy() / temperature, axis=1)
    actual = token_logprobs(logits, TOKENS, temperature=temperature)
    torch.testing.assert_close(actual, torch.from_numpy(expected)[range(6), TOKENS])
    entropy = torch.from_numpy(stats.entropy(special.softmax(logits.numpy() / temperature, axis=1), axis=1))
    torch.testing.assert_close(token_entropy(logits, temperature=temperature), entropy)


def test_probabilities_sum_to_one(logits: torch.Tensor):
    every = torch.arange(5).expand(6, 5)
    logprobs = token_logprobs(logits.unsqueeze(1).expand(6, 5, 5), every, temperature=0.7)
    torch.testing.assert_close(logprobs.exp().sum(1), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(all_logprobs(logits, temperature=0.7), logprobs)


def test_temperature_law(logits: torch.Tensor):
    """Temperature t on logits x is temperature 1 on x / t, and a constant added to a row changes nothing."""
    hot = token_logprobs(logits, TOKENS, temperature=2.0)
    torch.testing.assert_close(hot, token_logprobs(logits / 2 + 100, TOKENS, temperature=1.0))
    torch.testing.assert_close(token_entropy(logits, temperature=2.0), token_entropy(logits / 2 - 100, temperature=1.0))


def test_entropy_is_that_of_the_distribution_not_of_the_token_drawn(logits: torch.Tensor):
    """Mean of -logprob over the distribution, by enumeration."""
    logprobs = logits.log_softmax(-1)
    torch.testing.assert_close(token_entropy(logits, temperature=1.0), -(logprobs.exp() * logprobs).sum(-1))
    entropies = token_entropy(logits, temperature=1.0)
    assert not torch.allclose(entropies, -token_logprobs(logits, TOKENS, temperature=1.0))
    assert bool((entropies > 0).all())
    assert bool((entropies < math.log(5)).all())


def test_entropy_is_largest_for_the_uniform_and_rises_with_temperature(logits: torch.Tensor):
    assert token_entropy(torch.zeros(1, 8), temperature=1.0).item() == pytest.approx(math.log(8))
    cold, warm = token_entropy(logits, temperature=0.5), token_entropy(logits, temperature=1.5)
    assert bool((cold < warm).all())


def test_both_at_once_are_the_two_apart(logits: torch.Tensor):
    logprobs, entropy = logprobs_and_entropy(logits, TOKENS, temperature=0.7)
    torch.testing.assert_close(logprobs, token_logprobs(logits, TOKENS, temperature=0.7))
    torch.testing.assert_close(entropy, token_entropy(logits, temperature=0.7))


def test_gradients(logits: torch.Tensor):
    logits = logits.requires_grad_()
    torch.autograd.gradcheck(lambda x: logprobs_and_entropy(x, TOKENS, temperature=0.7), (logits,))


def test_a_token_that_cannot_be():
    """-inf logits: the other two share the mass, entropy log 2, and no NaN in the gradient."""
    logits = torch.tensor([[1.0, 1.0, -torch.inf]], requires_grad=True)
    entropy = token_entropy(logits, temperature=1.0)
    assert entropy.item() == pytest.approx(math.log(2))
    entropy.sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3), rtol=0, atol=1e-7)
    assert token_logprobs(logits, torch.tensor([2]), temperature=1.0).item() == -math.inf


def test_half_precision_is_computed_in_float32(rng: torch.Generator):
    """The logits are rounded once, when they are made; nothing is rounded after."""
    logits = (5 * torch.randn(4, 300, generator=rng)).bfloat16()
    tokens = torch.tensor([5, 100, 200, 299])
    actual = token_logprobs(logits, tokens, temperature=0.7)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, token_logprobs(logits.double(), tokens, temperature=0.7).float())
    entropy = token_entropy(logits.double(), temperature=0.7).float()
    torch.testing.assert_close(token_entropy(logits, temperature=0.7), entropy)


def test_rows_do_not_meet(logits: torch.Tensor):
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    whole = token_logprobs(logits, TOKENS, temperature=0.7)
    torch.testing.assert_close(token_logprobs(logits[order], TOKENS[order], temperature=0.7), whole[order])
    halves = [token_logprobs(logits[s], TOKENS[s], temperature=0.7) for s in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(torch.cat(halves), whole)
    table = token_logprobs(logits.view(2, 3, 5), TOKENS.view(2, 3), temperature=0.7)
    torch.testing.assert_close(table, whole.view(2, 3))


def test_refusals(logits: torch.Tensor):
    with pytest.raises(ShapeError, match=r"expected \(6,\), got tokens \(5,\)"):
        token_logprobs(logits, TOKENS[:5], temperature=1.0)
    with pytest.raises(ShapeError):
        logprobs_and_entropy(logits, TOKENS[:1], temperature=1.0)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        token_entropy(logits, temperature=0.0)
