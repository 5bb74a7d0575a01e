import math
from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from prefloop.ops.losses import (
    bradley_terry_loss,
    graded_preference_loss,
    plackett_luce_loss,
    ppo_policy_clipped,
    ppo_policy_loss,
    ppo_value_clipped,
    ppo_value_loss,
    reinforce_loss,
)
from prefloop.ops.reduce import masked_sum
from prefloop.ops.shapes import ShapeError


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


# ppo_policy_loss


def test_ppo_policy_loss_by_hand():
    """clip 0.2; the gradient is by logprobs, where d ratio = ratio.

    ratio   A    ratio A   clipped A   loss = -min   gradient
     1.5   +1      1.5        1.2         -1.2           0      gone far enough: stop
     1.5   -1     -1.5       -1.2          1.5         1.5      gone the wrong way: come back
     0.5   +1      0.5        0.8         -0.5        -0.5      gone the wrong way: come back
     0.5   -1     -0.5       -0.8          0.8           0      gone far enough: stop
     1.1   +2      2.2        2.2         -2.2        -2.2
     1.0   -3     -3.0       -3.0          3.0         3.0
    """
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1, 1.0])
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0, -3.0])

    def loss(logprobs: Tensor) -> Tensor:
        return ppo_policy_loss(logprobs, torch.zeros(6), advantages, clip=0.2)

    torch.testing.assert_close(loss(ratio.log()), torch.tensor([-1.2, 1.5, -0.5, 0.8, -2.2, 3.0]))
    torch.testing.assert_close(gradient(loss, ratio.log()), torch.tensor([0.0, 1.5, -0.5, 0.0, -2.2, 3.0]))


def test_ppo_gradient_is_zero_exactly_where_clipped_on_the_pessimistic_side(rng: torch.Generator):
    draw = torch.randn(3, 2000, generator=rng, dtype=torch.float64)
    logprobs, old_logprobs, advantages = 0.3 * draw[0] - 2, 0.3 * draw[1] - 2, draw[2]
    ratio = (logprobs - old_logprobs).exp()
    far_enough = ((ratio > 1.2) & (advantages > 0)) | ((ratio < 0.8) & (advantages < 0))
    actual = gradient(lambda x: ppo_policy_loss(x, old_logprobs, advantages, clip=0.2), logprobs)
    assert 300 < far_enough.sum().item() < 1700
    torch.testing.assert_close(actual, torch.where(far_enough, 0.0, -ratio * advantages))
    assert ppo_policy_clipped(logprobs, old_logprobs, advantages, clip=0.2).tolist() == (actual == 0).tolist()
    outside = (ratio - 1).abs() > 0.2
    assert outside.sum().item() > 1.5 * far_enough.sum().item()  # half of what is outside is pulled back


def test_ppo_first_step_is_the_policy_gradient(rng: torch.Generator):
    """At ratio 1 the loss is -A, and its gradient that of -A log p, whatever the clip."""
    logprobs, advantages = torch.randn(2, 3, 4, generator=rng)
    torch.testing.assert_close(ppo_policy_loss(logprobs, logprobs, advantages, clip=0.1), -advantages)
    actual = gradient(lambda x: ppo_policy_loss(x, logprobs, advantages, clip=0.1), logprobs)
    torch.testing.assert_close(actual, -advantages)


def test_ppo_loss_is_never_below_the_unclipped(rng: torch.Generator):
    logprobs, old_logprobs, advantages = torch.randn(3, 500, generator=rng)
    clipped = ppo_policy_loss(logprobs, old_logprobs, advantages, clip=0.2)
    unclipped = ppo_policy_loss(logprobs, old_logprobs, advantages, clip=math.inf)
    assert bool((clipped >= unclipped).all())
    torch.testing.assert_close(unclipped, -(logprobs - old_logprobs).exp() * advantages)


# reinforce_loss


def test_reinforce_loss_is_minus_advantage_times_the_score_function():
    """Better than expected (2) becomes likelier, worse (-1) less likely, each in proportion; advantages have no
    gradient."""
    logprobs = torch.tensor([-0.5, -3.0], requires_grad=True)
    loss = reinforce_loss(logprobs, torch.tensor([2.0, -1.0]))
    assert loss.tolist() == [1.0, -3.0]
    assert torch.autograd.grad(loss.sum(), logprobs)[0].tolist() == [-2.0, 1.0]


# ppo_value_loss


def test_ppo_value_loss_by_hand():
    """clip 0.5, old value 1; the gradient is by values, 0 where the clipped square is the larger.

    value  return  clipped   square   clipped square   loss    gradient
      2      3       1.5       1           2.25        1.125       0
      2      0       1.5       4           2.25        2           2
      0      3       0.5       9           6.25        4.5        -3
     1.2     1       1.2      0.04         0.04        0.02       0.2
    """
    values, returns = torch.tensor([2.0, 2.0, 0.0, 1.2]), torch.tensor([3.0, 0.0, 3.0, 1.0])

    def loss(values: Tensor) -> Tensor:
        return ppo_value_loss(values, torch.ones(4), returns, clip=0.5)

    torch.testing.assert_close(loss(values), torch.tensor([1.125, 2.0, 4.5, 0.02]))
    torch.testing.assert_close(gradient(loss, values), torch.tensor([0.0, 2.0, -3.0, 0.2]))


def test_values_are_clipped_where_their_gradient_is_zero(rng: torch.Generator):
    values, old_values, returns = torch.randn(3, 2000, generator=rng, dtype=torch.float64)
    still = gradient(lambda x: ppo_value_loss(x, old_values, returns, clip=0.5), values) == 0
    clipped = ppo_value_clipped(values, old_values, returns, clip=0.5)
    assert clipped.tolist() == still.tolist()
    assert 200 < still.sum().item() < ((values - old_values).abs() > 0.5).sum().item() - 200
    assert not bool(ppo_value_clipped(values, old_values, returns, clip=math.inf).any())


def test_ppo_value_loss_without_a_clip_is_half_the_squared_error(rng: torch.Generator):
    values, old_values, returns = torch.randn(3, 4, 5, generator=rng)
    actual = ppo_value_loss(values, old_values, returns, clip=math.inf)
    torch.testing.assert_close(actual, functional.mse_loss(values, returns, reduction="none") / 2)
    assert bool((ppo_value_loss(values, old_values, returns, clip=0.1) >= actual).all())


# What the token losses have in common


def test_token_losses_by_finite_differences(rng: torch.Generator):
    x, old, target = torch.randn(3, 40, generator=rng, dtype=torch.float64)
    x = x.requires_grad_()
    torch.autograd.gradcheck(lambda x: ppo_policy_loss(x, old, target, clip=0.2), (x,))
    torch.autograd.gradcheck(lambda x: ppo_value_loss(x, old, target, clip=0.2), (x,))


@pytest.mark.parametrize("loss", [ppo_policy_loss, ppo_value_loss])
def test_token_losses_are_elementwise(
    loss: Callable[..., Tensor], unmoved_by_padding: Callable[..., None], rng: torch.Generator, ragged_mask: Tensor
):
    """A table, its packed tokens and its rows in another order are alike; packed, no padding reaches a gradient."""
    table = torch.randn(3, 5, 7, generator=rng, dtype=torch.float64)
    whole = loss(*table, clip=0.2)
    torch.testing.assert_close(loss(*table[:, ragged_mask], clip=0.2), whole[ragged_mask])
    torch.testing.assert_close(loss(*table[:, [3, 1, 4, 0, 2]], clip=0.2), whole[[3, 1, 4, 0, 2]])
    torch.testing.assert_close(masked_sum(whole, ragged_mask), loss(*table[:, ragged_mask], clip=0.2).sum())
    unmoved_by_padding(lambda a, b, c, mask: loss(a[mask], b[mask], c[mask], clip=0.2), ragged_mask, *table)


@pytest.mark.parametrize("loss", [ppo_policy_loss, ppo_value_loss])
def test_token_losses_refuse_to_broadcast(loss: Callable[..., Tensor]):
    with pytest.raises(ShapeError, match=r"\(4, 4\), .* \(4, 4\), .* \(4,\)"):
        loss(torch.zeros(4, 4), torch.zeros(4, 4), torch.zeros(4), clip=0.2)


# bradley_terry_loss


def test_bradley_terry_by_hand():
    """Gap log 3: p = 3/4, loss log(4/3). Gap 0: log 2. Gap 2, margin 2 - log 3: as gap log 3. Gap -log 3: log 4."""
    chosen, rejected = torch.tensor([math.log(3), 5.0, 2.0, 0.0]), torch.tensor([0.0, 5.0, 0.0, math.log(3)])
    margin = torch.tensor([0.0, 0.0, 2 - math.log(3), 0.0])
    actual = bradley_terry_loss(chosen, rejected, margin=margin)
    torch.testing.assert_close(actual, torch.tensor([4 / 3, 2.0, 4 / 3, 4.0]).log())
    torch.testing.assert_close(
        bradley_terry_loss(chosen, rejected), bradley_terry_loss(chosen, rejected, margin=0 * margin)
    )


def test_bradley_terry_is_finite_at_any_gap_and_its_gradient_is_the_surprise():
    """d loss / d chosen = -sigmoid(rejected - chosen), and the opposite for rejected; at +-1000 that is 0 or 1."""
    gap = torch.tensor([-1e3, -30.0, -1.0, 0.0, 1.0, 30.0, 1e3])
    loss = bradley_terry_loss(gap, torch.zeros(7))
    assert bool(loss.isfinite().all())
    assert loss[0].item() == 1e3
    assert loss[-1].item() == 0
    actual = gradient(lambda chosen: bradley_terry_loss(chosen, torch.zeros(7)), gap)
    torch.testing.assert_close(actual, -torch.sigmoid(-gap))
    actual = gradient(lambda rejected: bradley_terry_loss(torch.zeros(7), rejected), -gap)
    torch.testing.assert_close(actual, torch.sigmoid(-gap))


def test_bradley_terry_laws(rng: torch.Generator):
    """The two outcomes share a probability of 1; only gaps matter; a margin asks for more; rows do not meet."""
    a, b = torch.randn(2, 50, generator=rng, dtype=torch.float64)
    both = torch.exp(-bradley_terry_loss(a, b)) + torch.exp(-bradley_terry_loss(b, a))
    torch.testing.assert_close(both, torch.ones_like(both))
    torch.testing.assert_close(bradley_terry_loss(a + 9, b + 9), bradley_terry_loss(a, b))
    margin = torch.rand(50, generator=rng, dtype=torch.float64)
    assert bool((bradley_terry_loss(a, b, margin=margin) > bradley_terry_loss(a, b)).all())
    torch.testing.assert_close(bradley_terry_loss(a, b, margin=margin), bradley_terry_loss(a, b + margin))
    torch.testing.assert_close(bradley_terry_loss(a.flip(0), b.flip(0)), bradley_terry_loss(a, b).flip(0))


def test_bradley_terry_refuses_to_broadcast():
    with pytest.raises(ShapeError, match=r"chosen \(4,\), rejected \(4, 1\)"):
        bradley_terry_loss(torch.zeros(4), torch.zeros(4, 1))
    with pytest.raises(ShapeError, match=r"chosen \(4,\), margin \(1,\)"):
        bradley_terry_loss(torch.zeros(4), torch.zeros(4), margin=torch.zeros(1))


# graded_preference_loss


def test_graded_preference_by_hand():
    """sigmoid is 1/4, 1/2, 3/4 at -log 3, 0, log 3. Gap 0: (-log 3, log 3) holds 1/2, (0, log 3) and (log 3, inf)
    1/4."""
    edge = math.log(3)
    lower, upper = (
        torch.tensor([-edge, 0.0, edge, -math.inf, 0.0]),
        torch.tensor([edge, edge, math.inf, edge, math.inf]),
    )
    actual = graded_preference_loss(torch.zeros(5), lower, upper)
    torch.testing.assert_close(actual, -torch.tensor([0.5, 0.25, 0.25, 0.75, 0.5]).log())


def test_a_plain_win_is_bradley_terry_exactly(rng: torch.Generator):
    gap = torch.cat([torch.randn(50, generator=rng), torch.tensor([-1e3, 1e3])])
    actual = graded_preference_loss(gap, torch.zeros(52), torch.full((52,), math.inf))
    assert torch.equal(actual, bradley_terry_loss(gap, torch.zeros(52)))


def test_graded_preference_laws(rng: torch.Generator):
    """Intervals that share an edge add up; gap and edges move together; the mirror image is the other side's; finite
    gradients."""
    gap = torch.randn(40, generator=rng, dtype=torch.float64) * 3
    low = torch.randn(40, generator=rng, dtype=torch.float64)
    middle, high = low + 0.3, low + 1.7
    part = torch.exp(-graded_preference_loss(gap, low, middle)) + torch.exp(-graded_preference_loss(gap, middle, high))
    torch.testing.assert_close(part, torch.exp(-graded_preference_loss(gap, low, high)))
    torch.testing.assert_close(
        graded_preference_loss(gap + 2, low + 2, high + 2), graded_preference_loss(gap, low, high)
    )
    torch.testing.assert_close(graded_preference_loss(-gap, -high, -low), graded_preference_loss(gap, low, high))
    for far in (-1e3, 1e3):
        for bounds in ((0.5, 1.5), (-0.5, 0.5), (2.0, math.inf)):
            lower, upper = (torch.full((1,), b) for b in bounds)
            assert bool(
                gradient(lambda g, a=lower, b=upper: graded_preference_loss(g, a, b), torch.full((1,), far))
                .isfinite()
                .all()
            )
    numeric = torch.autograd.gradcheck(
        graded_preference_loss, (gap.requires_grad_(), low.requires_grad_(), high.detach().requires_grad_())
    )
    assert numeric


def test_graded_preference_refuses_to_broadcast():
    with pytest.raises(ShapeError, match=r"gap \(4,\), lower \(1,\)"):
        graded_preference_loss(torch.zeros(4), torch.zeros(1), torch.ones(4))


# plackett_luce_loss


def brute_force_plackett_luce(scores: list[float], ranks: list[float]) -> float:
    """Every strict order that does not contradict the ranks, its probability drawn out term by term."""
    worth = [math.exp(s) for s in scores]
    total = 0.0
    for order in permutations(range(len(scores))):
        if [ranks[i] for i in order] == sorted(ranks):
            left, probability = sum(worth), 1.0
            for i in order:
                probability, left = probability * worth[i] / left, left - worth[i]
            total += probability
    return -math.log(total)


def test_plackett_luce_by_hand():
    """Worth 1, 2, 5 (scores are their logs).

    order 3rd, 1st, 2nd:   5/8 * 1/3           = 5/24
    3rd best, rest tied:   5/8
    3rd worst, rest tied:  1/8 * 2/7 + 2/8 * 1/6 = 13/168
    all tied:              1
    """
    scores = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64).log().expand(4, 3)
    ranks = torch.tensor([[2.0, 3.0, 1.0], [2.0, 2.0, 1.0], [1.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    expected = -torch.tensor([5 / 24, 5 / 8, 13 / 168, 1.0], dtype=torch.float64).log()
    torch.testing.assert_close(plackett_luce_loss(scores, ranks), expected)
    torch.testing.assert_close(plackett_luce_loss(scores[:1], ranks[:1]), expected[:1])


def test_plackett_luce_of_two_is_bradley_terry(rng: torch.Generator):
    scores = 10 * torch.randn(20, 2, generator=rng, dtype=torch.float64)
    first_wins = plackett_luce_loss(scores, torch.tensor([1, 2]).expand(20, 2))
    torch.testing.assert_close(first_wins, bradley_terry_loss(scores[:, 0], scores[:, 1]))
    second_wins = plackett_luce_loss(scores, torch.tensor([7, 0]).expand(20, 2))
    torch.testing.assert_close(second_wins, bradley_terry_loss(scores[:, 1], scores[:, 0]))


@pytest.mark.parametrize("num_levels", [1, 2, 3, 99])
def test_plackett_luce_against_every_order(num_levels: int, rng: torch.Generator):
    scores = torch.randn(8, 5, generator=rng, dtype=torch.float64)
    ranks = torch.stack([torch.randperm(5, generator=rng) for _ in range(8)]) % num_levels
    expected = [brute_force_plackett_luce(s, r) for s, r in zip(scores.tolist(), ranks.tolist(), strict=True)]
    assert plackett_luce_loss(scores, ranks).tolist() == pytest.approx(expected, abs=1e-12)


def test_plackett_luce_gives_the_same_row_whether_or_not_another_row_is_tied(rng: torch.Generator):
    scores = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    ranks = torch.stack([torch.randperm(4, generator=rng) for _ in range(6)])
    strict = plackett_luce_loss(scores, ranks)
    ranks[0] = torch.tensor([1, 2, 1, 3])
    torch.testing.assert_close(plackett_luce_loss(scores, ranks)[1:], strict[1:])


@pytest.mark.parametrize("tied", [False, True])
def test_plackett_luce_laws(tied: bool, rng: torch.Generator):
    """Only the order of the ranks and the gaps of the scores matter; neither rows nor columns have an order."""
    scores = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    ranks = torch.stack([torch.randperm(4, generator=rng) for _ in range(6)]) // (2 if tied else 1)
    loss = plackett_luce_loss(scores, ranks)
    torch.testing.assert_close(plackett_luce_loss(scores + 50, (2 * ranks).exp()), loss)
    torch.testing.assert_close(plackett_luce_loss(scores[:, [2, 0, 3, 1]], ranks[:, [2, 0, 3, 1]]), loss)
    torch.testing.assert_close(plackett_luce_loss(scores.flip(0), ranks.flip(0)), loss.flip(0))
    best_first = plackett_luce_loss(-ranks.double(), ranks)
    assert bool((best_first < plackett_luce_loss(ranks.double(), ranks)).all())
    torch.autograd.gradcheck(lambda s: plackett_luce_loss(s, ranks), (scores.requires_grad_(),))


def test_plackett_luce_of_one_tie_says_nothing(rng: torch.Generator):
    scores = torch.randn(3, 4, generator=rng)
    torch.testing.assert_close(plackett_luce_loss(scores, torch.ones(3, 4)), torch.zeros(3))
    actual = gradient(lambda s: plackett_luce_loss(s, torch.ones(3, 4)), scores)
    torch.testing.assert_close(actual, torch.zeros(3, 4))


@pytest.mark.parametrize("ranks", [[1, 2, 3, 4], [1, 1, 2, 2]])
def test_plackett_luce_is_finite_far_from_home(ranks: list[int]):
    scores = torch.tensor([[-1e3, 0.0, 1e3, 500.0]])
    assert plackett_luce_loss(scores, torch.tensor([ranks])).isfinite().all()
    assert gradient(lambda s: plackett_luce_loss(s, torch.tensor([ranks])), scores).isfinite().all()


@pytest.mark.parametrize("tied", [False, True])
def test_plackett_luce_recovers_planted_utilities(tied: bool, rng: torch.Generator):
    """3000 rankings drawn by exponential races with rates exp(utility); tied keeps only the better and worse halves."""
    utilities = torch.tensor([1.0, 0.3, -0.2, -1.1], dtype=torch.float64)
    finish = torch.empty(3000, 4, dtype=torch.float64).exponential_(generator=rng) / utilities.exp()
    ranks = finish.argsort(-1).argsort(-1) // (2 if tied else 1)
    fitted = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([fitted], max_iter=30, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = plackett_luce_loss(fitted.expand(3000, 4), ranks).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    actual = (fitted - fitted.mean()).detach()
    torch.testing.assert_close(actual, utilities - utilities.mean(), rtol=0, atol=0.1)


def test_plackett_luce_refusals():
    with pytest.raises(ShapeError, match=r"scores \(2, 3\), ranks \(3,\)"):
        plackett_luce_loss(torch.zeros(2, 3), torch.zeros(3))
    many = torch.arange(13).expand(1, 13)
    assert plackett_luce_loss(torch.zeros(1, 13), many).item() == pytest.approx(math.lgamma(14), rel=1e-5)
    with pytest.raises(ValueError, match="a ranking of 13 has ties"):
        plackett_luce_loss(torch.zeros(1, 13), many // 2)
