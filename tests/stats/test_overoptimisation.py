"""Laws of over-optimisation: a planted law is found again, peaks are where hand and search find them, turns by hand."""

import math

import numpy as np
import pytest

from prefloop.stats import overoptimisation as laws
from prefloop.stats.overoptimisation import Law

BOTH: tuple[Law, ...] = ("best_of_n", "rl")


def test_the_laws_by_hand():
    """At d = e, log d is 1: RL says e (2 - 1), the best of n e (2 - e); at d = 1 the first says a, the second a - b."""
    assert laws.gain(math.e, a=2.0, b=1.0, law="rl") == pytest.approx(math.e)
    assert laws.gain(math.e, a=2.0, b=1.0, law="best_of_n") == pytest.approx(math.e * (2 - math.e))
    assert laws.gain(1.0, a=2.0, b=0.5, law="rl") == pytest.approx(2.0)
    assert laws.gain(1.0, a=2.0, b=0.5, law="best_of_n") == pytest.approx(1.5)
    assert [laws.gain(0.0, a=2.0, b=0.5, law=law) for law in BOTH] == [0.0, 0.0]


@pytest.mark.parametrize("law", BOTH)
@pytest.mark.parametrize(("a", "b"), [(0.8, 0.2), (0.3, -0.1), (-0.4, 0.6)])
def test_a_planted_law_is_found_again(law: Law, a: float, b: float):
    d = [0.0, 0.4, 1.0, 2.5, 4.0, 6.0]
    fit = laws.fitted(d, [laws.gain(x, a=a, b=b, law=law) for x in d], law=law)
    assert (fit.a, fit.b, fit.r2, fit.num) == (pytest.approx(a), pytest.approx(b), pytest.approx(1.0), 5)


@pytest.mark.parametrize("law", BOTH)
def test_no_other_law_of_its_kind_is_nearer(law: Law):
    rng = np.random.default_rng(3)
    d = rng.uniform(0.2, 6, 30)
    y = np.array([laws.gain(x, a=0.7, b=0.2, law=law) for x in d]) + rng.normal(0, 0.3, 30)

    def missed(a: float, b: float) -> float:
        return float(np.square(y - [laws.gain(x, a=a, b=b, law=law) for x in d]).sum())

    fit = laws.fitted(d.tolist(), y.tolist(), law=law)
    least = missed(fit.a, fit.b)
    assert all(missed(fit.a + da, fit.b + db) > least for da in (-0.01, 0, 0.01) for db in (-0.01, 0, 0.01) if da or db)
    assert fit.r2 == pytest.approx(1 - least / float(np.square(y - y.mean()).sum()))
    assert 0 < fit.r2 < 1


@pytest.mark.parametrize("law", BOTH)
def test_the_wrong_law_fits_worse(law: Law):
    other: Law = "rl" if law == "best_of_n" else "best_of_n"
    d = np.linspace(0.3, 6, 12).tolist()
    y = [laws.gain(x, a=0.8, b=0.3, law=law) for x in d]
    worse = laws.fitted(d, y, law=other).r2
    assert worse is not None
    assert worse < 0.999


@pytest.mark.parametrize(("law", "a", "b"), [("best_of_n", 1.0, 0.2), ("rl", 0.9, 0.5), ("rl", -0.2, 0.4)])
def test_a_peak_is_where_a_search_finds_it(law: Law, a: float, b: float):
    found = laws.peak(a=a, b=b, law=law)
    places = np.linspace(0.001, 12, 24_000)
    best = places[int(np.argmax([laws.gain(float(x), a=a, b=b, law=law) for x in places]))]
    assert found == pytest.approx(best, abs=1e-3)


def test_what_never_turns_has_no_peak():
    assert laws.peak(a=1.0, b=0.0, law="rl") is None
    assert laws.peak(a=1.0, b=-0.1, law="best_of_n") is None
    assert laws.peak(a=-1.0, b=0.1, law="best_of_n") is None
    assert laws.peak(a=1.0, b=1e-4, law="rl") is None  # e to the 9999


def test_intervals_over_seeds_hold_what_was_planted_as_often_as_they_say():
    """Seeds differ in a (0.8, deviation 0.1). 200 worlds of eight seeds, of which a bootstrap is a bit narrow."""
    rng, d, held = np.random.default_rng(0), [0.5, 1.0, 2.0, 3.0, 4.0], 0
    for world in range(200):
        slopes = rng.normal(0.8, 0.1, 8)
        curves = [(d, [laws.gain(x, a=a, b=0.2, law="rl") + rng.normal(0, 0.02) for x in d]) for a in slopes]
        (low, _), (high, _) = laws.bootstrap(curves, law="rl", confidence=0.95, resamples=200, seed=world)
        held += low <= 0.8 <= high
    assert 0.84 <= held / 200 <= 0.97


def test_whole_seeds_are_drawn_and_not_points():
    """Two seeds, each of them exactly on a law of its own: whatever is drawn lies between them, and both ends come."""
    d = [0.5, 1.0, 2.0, 4.0]
    curves = [(d, [laws.gain(x, a=a, b=0.3, law="best_of_n") for x in d]) for a in (0.4, 0.8)]
    low, high = laws.bootstrap(curves, law="best_of_n", confidence=0.9, resamples=400, seed=1)
    assert (low[0], high[0]) == (pytest.approx(0.4), pytest.approx(0.8))
    assert (low[1], high[1]) == (pytest.approx(0.3), pytest.approx(0.3))


def test_a_turn_by_hand():
    turn = laws.turn([0.0, 0.5, 0.5, 0.2, -0.4], [0.0, 1.0, 1.2, 1.5, 1.4])
    assert (turn.index, turn.rise, turn.fall, turn.proxy_rise) == (1, 0.5, pytest.approx(0.9), pytest.approx(0.4))
    still = laws.turn([0.0, 0.1, 0.3], [0.0, 1.0, 2.0])
    assert (still.index, still.rise, still.fall, still.proxy_rise) == (2, 0.3, 0.0, 0.0)


def test_what_cannot_be_told_is_refused():
    with pytest.raises(ValueError, match="three points at different places, got 2"):
        laws.fitted([0.0, 1.0, 2.0], [0.0, 1.0, 1.0], law="rl")
    with pytest.raises(ValueError, match="three points at different places"):
        laws.fitted([1.0, 1.0, 1.0], [0.0, 1.0, 1.0], law="rl")
    with pytest.raises(ValueError, match="needs two curves, got 1"):
        laws.bootstrap([([1, 2, 3], [1, 2, 3])], law="rl", confidence=0.95, resamples=9, seed=0)
    with pytest.raises(ValueError, match="got 2 and 1"):
        laws.turn([0.0, 1.0], [0.0])
    assert laws.fitted([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], law="rl").r2 is None
