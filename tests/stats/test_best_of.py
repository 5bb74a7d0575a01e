"""The best of n: expected score against all draws written out, and its distance."""

import itertools
import math

import pytest

from prefloop.stats.best_of import best_of_kl, best_of_mean

SCORES = [0.5, -1.0, 2.0, 2.0, 0.25]


@pytest.mark.parametrize("n", range(1, 6))
def test_it_is_the_mean_over_all_draws(n: int):
    draws = list(itertools.combinations(SCORES, n))
    assert best_of_mean(SCORES, n) == pytest.approx(sum(map(max, draws)) / len(draws), abs=1e-12)


@pytest.mark.parametrize("n", range(1, 6))
def test_what_the_chosen_one_is_worth_to_somebody_else(n: int):
    scores, worth = [0.5, -1.0, 2.5, 2.0, 0.25], [3.0, 1.0, -4.0, 1.0, 5.0]
    draws = list(itertools.combinations(range(5), n))
    told = sum(worth[max(draw, key=scores.__getitem__)] for draw in draws) / len(draws)
    assert best_of_mean(scores, n, worth=worth) == pytest.approx(told, abs=1e-12)


def test_many_responses_are_no_trouble():
    assert best_of_mean(list(range(10_000)), 10_000) == 9_999
    assert best_of_mean([1.0] * 5000, 2500) == pytest.approx(1.0)


@pytest.mark.parametrize("n", [0, 6])
def test_more_than_there_are_cannot_be_told(n: int):
    with pytest.raises(ValueError, match="cannot be told from 5 responses"):
        best_of_mean(SCORES, n)


def test_how_far_choosing_goes():
    """Two continuous responses: the density of the better one is 2 F, whose KL is the integral of 2u log 2u."""
    assert best_of_kl(1) == 0
    assert best_of_kl(2) == pytest.approx(math.log(2) - 0.5)
    us = [(k + 0.5) / 100_000 for k in range(100_000)]
    assert best_of_kl(4) == pytest.approx(sum(4 * u**3 * math.log(4 * u**3) for u in us) / len(us), abs=1e-6)
