"""Learning curves: points of a known law give it back, and points that tell nothing give no forecast."""

import numpy as np
import pytest
from scipy import optimize

from prefloop.health.curve import EXPONENTS, fitted, learning_curve
from prefloop.records.probes import CurvePoint

SIZES = (250, 500, 1000, 2000)


def law(n: float, a: float = 0.85, b: float = 2.0, c: float = 0.5) -> float:
    return a - b * n**-c


def points(accuracies: list[float], error: float = 0.01, sizes: tuple[int, ...] = SIZES) -> list[CurvePoint]:
    return [CurvePoint(num_pairs=n, accuracy=a, error=error) for n, a in zip(sizes, accuracies, strict=True)]


@pytest.mark.parametrize("c", [0.2, 0.5, 0.75, 1.0])
def test_a_law_is_found_again(c: float):
    numbers = np.array(SIZES, dtype=float)
    found = fitted(numbers, law(numbers, c=c, b=0.3 * 250**c)[None], np.full(4, 0.01))
    assert (found.a[0], found.b[0], found.c[0]) == pytest.approx((0.85, 0.3, c))
    assert found.misfit[0] == pytest.approx(0, abs=1e-6)


def test_the_closed_form_is_scipys_bounded_least_squares():
    rng, numbers = np.random.default_rng(0), np.array(SIZES, dtype=float)
    seen, errors = rng.uniform(0.5, 1.0, (6, 4)), rng.uniform(0.005, 0.03, 4)
    found = fitted(numbers, seen, errors)
    for row in range(6):
        costs = []
        for c in EXPONENTS:
            columns = np.stack([np.ones(4), -((numbers / 250) ** -c)], axis=1) / errors[:, None]
            costs.append(2 * optimize.lsq_linear(columns, seen[row] / errors, bounds=([0, 0], [1, np.inf])).cost)
        assert found.misfit[row] == pytest.approx(min(costs), rel=1e-6)


def test_twice_as_many_by_hand():
    """0.85 - 2 / sqrt(4000) = 0.8184, of which 0.0131 is gained since 0.85 - 2 / sqrt(2000) = 0.8053."""
    curve = learning_curve(points([law(n) for n in SIZES], error=0.003), exact=True, seed=0)
    assert (curve.refusal, curve.num_pairs) == (None, 4000)
    assert (curve.forecast, curve.gain) == pytest.approx((0.8184, 0.0131), abs=5e-4)
    assert curve.low < curve.forecast < curve.high < 0.84
    assert curve == learning_curve(points([law(n) for n in SIZES], error=0.003)[::-1], exact=True, seed=0)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (points([0.6, 0.7], sizes=(100, 1000)), "few_points"),
        ([], "few_points"),
        (points([0.70, 0.71, 0.72], sizes=(1000, 1500, 2000)), "narrow"),
        (points([0.80, 0.75, 0.70, 0.65]), "misfit"),
        (points([0.60, 0.80, 0.60, 0.80]), "misfit"),
        (points([0.55, 0.60, 0.65, 0.70], error=0.06), "wide"),
        (points([0.70, 0.70, 0.70, 0.70]), None),
    ],
)
def test_no_forecast_where_points_do_not_tell(given: list[CurvePoint], why: str | None):
    curve = learning_curve(given, exact=False, seed=0)
    assert curve.refusal == why
    assert (curve.forecast is None) == (why is not None)


def test_a_flat_curve_promises_nothing():
    curve = learning_curve(points([0.7] * 4, error=0.005), exact=True, seed=0)
    assert curve.gain == pytest.approx(0, abs=1e-6)
    assert curve.gain_high < 0.02


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Of 60 noisy curves of a known law, at least 90 % of the intervals hold what it says of twice as many."""
    rng, inside = np.random.default_rng(3), 0
    for seed in range(60):
        noisy = points([law(n) + 0.006 * rng.standard_normal() for n in SIZES], error=0.006)
        curve = learning_curve(noisy, exact=True, seed=seed)
        inside += curve.refusal is None and curve.low <= law(4000) <= curve.high
    assert inside >= 54
