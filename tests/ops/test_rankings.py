"""The losses of K responses to one prompt; what they are for two is in test_preferences."""

import math
from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor

from prefloop.ops.preferences import all_pairs_loss, bradley_terry_loss, plackett_luce_loss
from prefloop.ops.shapes import ShapeError

NAN = math.nan
KWAY: dict[str, Callable[..., Tensor]] = {
    "plackett_luce": plackett_luce_loss,
    "all pairs by pairs": lambda s, r, **mask: all_pairs_loss(s, r, divisor="pairs", **mask),
    "all pairs by all": lambda s, r, **mask: all_pairs_loss(s, r, divisor="all", **mask),
}
"""Losses of scores and ranks, (B, K) each, that take a mask."""
RANKS = torch.tensor([[4, 1, 3, 2], [2, 1, 2, 1], [NAN, 1, NAN, 2], [1, 1, NAN, 2]], dtype=torch.float64)
"""Strict, tied, partial, and all of it."""


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


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


@pytest.mark.parametrize("name", KWAY)
def test_what_stands_where_no_response_is_does_not_matter(
    name: str, rng: torch.Generator, unmoved_by_padding: Callable[..., None]
):
    """Neither scores nor ranks there, to the last bit; and a padded row is the shorter row."""
    loss = KWAY[name]
    scores = torch.randn(5, 7, generator=rng, dtype=torch.float64)
    mask = torch.stack([torch.randperm(7, generator=rng) < n for n in (7, 1, 4, 6, 2)])
    for levels in (7, 2):
        ranks = torch.stack([torch.randperm(7, generator=rng) % levels for _ in range(5)]).double()
        ranks[:, 0] = NAN
        unmoved_by_padding(lambda s, m, ranks=ranks: loss(s, ranks, mask=m), mask, scores)
        whole = loss(scores, ranks, mask=mask)
        for filler in (NAN, -1e9, 0.0, 1e9):
            assert torch.equal(loss(scores, torch.where(mask, ranks, filler), mask=mask), whole)
        short = [loss(s[m][None], r[m][None]) for s, r, m in zip(scores, ranks, mask, strict=True)]
        torch.testing.assert_close(whole, torch.cat(short))


@pytest.mark.parametrize("name", KWAY)
def test_losses_of_rankings_have_their_own_gradients_and_are_finite_far_out(name: str, rng: torch.Generator):
    loss = KWAY[name]
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1]], dtype=torch.bool)
    near = torch.randn(4, 4, generator=rng, dtype=torch.float64)
    for rows in (slice(0, 1), slice(0, 4)):
        for m in (None, mask[rows]):
            assert torch.autograd.gradcheck(
                lambda s, r=RANKS[rows], m=m: loss(s, r, mask=m), near[rows].detach().requires_grad_()
            )
    far = torch.tensor([1e3, 0.0, -1e3, 500.0]).expand(4, 4)
    assert bool(loss(far, RANKS, mask=mask).isfinite().all())
    assert bool(gradient(lambda s: loss(s, RANKS, mask=mask), far).isfinite().all())


@pytest.mark.parametrize("name", KWAY)
def test_a_response_without_a_rank_is_tied_at_the_bottom(name: str, rng: torch.Generator):
    loss, scores = KWAY[name], torch.randn(4, 4, generator=rng, dtype=torch.float64)
    tied = RANKS.nan_to_num(nan=9.0)
    torch.testing.assert_close(loss(scores, RANKS), loss(scores, tied), rtol=0, atol=0)
    torch.testing.assert_close(gradient(lambda s: loss(s, RANKS), scores), gradient(lambda s: loss(s, tied), scores))


def test_a_partial_ranking_is_every_order_that_it_leaves_open(rng: torch.Generator):
    """Two of five have a rank: the sum over the six orders of the others, drawn out term by term."""
    scores = torch.randn(8, 5, generator=rng, dtype=torch.float64)
    ranks = torch.stack([torch.randperm(5, generator=rng) for _ in range(8)]).double()
    ranks = torch.where(ranks < 2, ranks, NAN)
    lowest = ranks.nan_to_num(nan=2.0).tolist()
    expected = [brute_force_plackett_luce(s, r) for s, r in zip(scores.tolist(), lowest, strict=True)]
    assert plackett_luce_loss(scores, ranks).tolist() == pytest.approx(expected, abs=1e-12)


def test_best_of_many_is_one_softmax_at_any_number(rng: torch.Generator):
    scores = torch.randn(6, 40, generator=rng, dtype=torch.float64)
    best = torch.arange(6) * 5
    ranks = torch.full((6, 40), NAN).scatter(1, best[:, None], 1.0)
    expected = torch.nn.functional.cross_entropy(scores, best, reduction="none")
    torch.testing.assert_close(plackett_luce_loss(scores, ranks), expected)


def test_no_response_and_one_response_say_nothing():
    mask = torch.tensor([[False, False], [True, False]])
    for loss in KWAY.values():
        assert loss(torch.full((2, 2), NAN).masked_fill(mask, 3.0), torch.ones(2, 2), mask=mask).tolist() == [0, 0]


def test_all_pairs_of_two_is_bradley_terry_and_its_divisors_differ_by_the_ties(rng: torch.Generator):
    """K = 4 has 6 pairs; the four rows of RANKS decide 6, 4, 5 and 5 of them."""
    scores = torch.randn(4, 4, generator=rng, dtype=torch.float64)
    pair = all_pairs_loss(scores[:, :2], torch.tensor([1, 2]).expand(4, 2), divisor="all")
    torch.testing.assert_close(pair, bradley_terry_loss(scores[:, 0], scores[:, 1]))
    by_pairs, by_all = (all_pairs_loss(scores, RANKS, divisor=divisor) for divisor in ("pairs", "all"))
    torch.testing.assert_close(by_pairs * torch.tensor([6, 4, 5, 5]), by_all * 6)
    strict = [
        bradley_terry_loss(scores[0, [better]], scores[0, [worse]]).item()
        for better in range(4)
        for worse in range(4)
        if RANKS[0, better] < RANKS[0, worse]
    ]
    assert by_all[0].item() == pytest.approx(sum(strict) / 6)
