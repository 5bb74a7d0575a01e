import itertools

import numpy as np
import pytest
from scipy import special

from prefloop.stats.lists import plackett_luce
from prefloop.stats.strengths import bradley_terry, strengths_with_ties
from stats.reference import REFERENCE

FRUITS = ((1, 2, 0), (3, 1, 2), (2, 1, 1), (1, 2, 3), (2, 1, 1), (1, 0, 2))
"""Ranks of apple, banana, orange, 0 where absent: the example of the R package PlackettLuce."""


def groups(ranks: tuple[int, ...]) -> list[list[int]]:
    """Best to worst from ranks, without those of rank 0."""
    return [[i for i, rank in enumerate(ranks) if rank == place] for place in sorted(set(ranks) - {0})]


def drawn(rng: np.random.Generator, strengths: np.ndarray, n: int, k: int) -> list[list[list[int]]]:
    """n lists of k random players each: order of strength plus Gumbel noise."""
    lists = []
    for _ in range(n):
        who = rng.permutation(len(strengths))[:k]
        noisy = strengths[who] + rng.gumbel(size=k)
        lists.append([[int(i)] for i in who[np.argsort(-noisy)]])
    return lists


def test_fruits_as_published():
    """The package adds half a win and half a loss of each fruit against a made-up one: here all else is doubled.

    It prints apple 0, banana 0.2867987, orange -0.4636687, tie2 -1.0701129.
    """
    lists = [groups(ranks) for ranks in FRUITS] * 2
    lists += [game for fruit in range(3) for game in ([[fruit], [3]], [[3], [fruit]])]
    fitted = plackett_luce(lists, num_players=4, ridge=0.0)
    assert fitted.strengths[:3] - fitted.strengths[0] == pytest.approx([0, 0.2867987, -0.4636687], abs=1e-7)
    assert fitted.effects == pytest.approx([-1.0701129], abs=1e-7)


def test_two_without_ties_is_bradley_terry():
    rng = np.random.default_rng(0)
    i = rng.integers(4, size=300)
    j = (i + rng.integers(1, 4, size=300)) % 4
    y = rng.random(300) < special.expit((i - j) / 3)
    lists = [[[a], [b]] if won else [[b], [a]] for a, b, won in zip(i.tolist(), j.tolist(), y, strict=True)]
    fitted, expected = plackett_luce(lists, num_players=4, ridge=0.5), bradley_terry(i, j, y, num_players=4, ridge=0.5)
    assert fitted.strengths == pytest.approx(expected.strengths)
    assert fitted.covariance == pytest.approx(expected.covariance)
    assert fitted.log_likelihood == pytest.approx(expected.log_likelihood)


def test_two_with_ties_is_davidson():
    rows = REFERENCE["ties_chocolate_pudding"]["rows"]
    lists = []
    for a, b, wins, losses, ties in rows:
        lists += [[[a - 1], [b - 1]]] * wins + [[[b - 1], [a - 1]]] * losses + [[[a - 1, b - 1]]] * ties
    i, j, wins, losses, ties = np.array(rows).T
    fitted = plackett_luce(lists, num_players=6, ridge=0.0)
    expected = strengths_with_ties(i - 1, j - 1, wins, losses, ties, num_players=6, model="davidson")
    assert fitted.worth == pytest.approx(expected.worth)
    assert fitted.effects == pytest.approx(expected.effects)
    assert fitted.log_likelihood == pytest.approx(-809.7095, abs=6e-5)
    assert fitted.effect_errors == pytest.approx(expected.effect_errors)


def test_likelihood_by_hand():
    """Worths w from the fit: P(2 > 0 > 1) = w2 / (w0 + w1 + w2) * w0 / (w0 + w1), and the others alike."""
    lists = [[[2], [0], [1]], [[0], [1], [2]], [[1], [2], [0]], [[2], [1], [0]]]
    fitted = plackett_luce(lists, num_players=3, ridge=0.0)
    w = fitted.worth
    expected = sum(np.log(w[a]) + np.log(w[b] / (w[b] + w[c])) for (a,), (b,), (c,) in lists)
    assert fitted.log_likelihood == pytest.approx(expected)
    assert fitted.strengths.argmax() == 2


def test_truth_is_recovered_within_its_errors():
    rng, truth = np.random.default_rng(1), np.array([1.0, 0.3, 0.0, -0.3, -1.0])
    fitted = plackett_luce(drawn(rng, truth, 1500, 4), num_players=5, ridge=0.0)
    z = (fitted.strengths - truth) / fitted.standard_errors
    assert np.abs(z).max() < 3.0
    assert fitted.standard_errors.max() < 0.06


def test_a_list_is_worth_more_than_a_pair():
    """K candidates ordered at once narrow strengths more than only the best of them does (a top-1 list)."""
    lists = drawn(np.random.default_rng(2), np.linspace(1, -1, 5), 300, 4)
    whole = plackett_luce(lists, num_players=5, ridge=0.0)
    top = plackett_luce([x[:1] for x in lists], num_players=5, ridge=0.0, offered=[[i for (i,) in x] for x in lists])
    assert (top.standard_errors > whole.standard_errors).all()
    assert np.corrcoef(top.strengths, whole.strengths)[0, 1] > 0.7


def test_partial_lists():
    """The last of a list adds nothing; an absent player is not a loser; one offered and not listed is."""
    lists = [[[0], [1], [2]], [[2], [0], [1]], [[1], [2], [0]], [[0], [2], [1]]]
    whole = plackett_luce(lists, num_players=3, ridge=0.3)
    top = plackett_luce([x[:2] for x in lists], num_players=3, ridge=0.3, offered=[[0, 1, 2]] * 4)
    assert top.strengths == pytest.approx(whole.strengths)
    absent = plackett_luce([*lists, [[0]]], num_players=3, ridge=0.3)
    assert absent.strengths == pytest.approx(whole.strengths)
    offered = plackett_luce([*lists, [[0]]], num_players=3, ridge=0.3, offered=[[0, 1, 2]] * 5)
    assert offered.strengths[0] > whole.strengths[0]


def test_names_and_order_are_no_matter():
    lists = [groups(ranks) for ranks in FRUITS]
    before = plackett_luce(lists, num_players=3, ridge=0.1)
    for names in itertools.permutations(range(3)):
        renamed = [[[names[i] for i in group] for group in listed] for listed in lists[::-1]]
        after = plackett_luce(renamed, num_players=3, ridge=0.1)
        assert after.strengths[list(names)] == pytest.approx(before.strengths)
        assert after.effects == pytest.approx(before.effects)


def test_a_size_of_tie_that_never_occurs_has_no_chance():
    lists = [[[0, 1, 2], [3]], [[3], [0], [1], [2]], [[1], [0], [3], [2]], [[2], [3], [1], [0]]]
    fitted = plackett_luce(lists, num_players=4, ridge=0.1)
    assert fitted.effects[0] == -np.inf
    assert np.isfinite(fitted.effects[1])


@pytest.mark.parametrize(
    ("lists", "ridge", "offered", "sentence"),
    [
        ([[[0], [1]], [[0], [0]]], 1.0, None, "list 1 is"),
        ([[[0], [1]]], 0.0, None, "no finite strengths"),
        ([[[0]]], 0.0, None, "no finite strengths"),
        ([[[0], [1]]], 0.1, [[0]], "among those offered"),
    ],
)
def test_lists_that_are_none(lists, ridge, offered, sentence):
    with pytest.raises(ValueError, match=sentence):
        plackett_luce(lists, num_players=2, ridge=ridge, offered=offered)
