"""What would twice as many labels give? A saturating power law through a few points of the learning curve.

    accuracy(n) = a - b n^-c        a <= 1,  b >= 0,  SLOW <= c <= FAST

Cortes et al. 1993; Rosenfeld et al. 2020 (arXiv:1909.12673). With c given the law is linear in a and b: for each c of a
grid these are bounded weighted least squares, and the c with the least is taken. Shape letters: n points, R rows of
accuracies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from prefloop.records.probes import CurvePoint, LearningCurve, Refusal
from prefloop.stats.intervals import middle

CONFIDENCE = 0.95
SLOW, FAST = 0.2, 1.0
"""Exponents that learning curves of classifiers have; 1/2 and 1 are those of theory."""
EXPONENTS = np.linspace(SLOW, FAST, 17)
LEAST_POINTS = 3
SPAN = 4
"""Times by which the largest number of pairs must exceed the smallest."""
WIDEST = 0.12
"""Width of an interval, in accuracy, beyond which a forecast is none."""
UNLIKELY = 0.01
"""Probability of points as far from the curve, below which it is not theirs."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Laws:
    """R laws a - b n^-c, one for each row of accuracies."""

    a: np.ndarray
    """(R,)"""
    b: np.ndarray
    """(R,) accuracy lost where n is `unit`"""
    c: np.ndarray
    """(R,)"""
    unit: float
    misfit: np.ndarray
    """(R,) sum of squared errors, in standard errors"""

    def accuracy(self, num_pairs: float) -> np.ndarray:
        """(R,) what they say of so many pairs."""
        return self.a - self.b * (num_pairs / self.unit) ** -self.c


def fitted(num_pairs: np.ndarray, accuracies: np.ndarray, errors: np.ndarray) -> Laws:
    """The laws of weighted least squares; for each c in closed form, at the bounds where it lies beyond them.

    Args:
        num_pairs: (n,).
        accuracies: (R, n).
        errors: (n,) standard errors.
    """
    weights, unit = errors**-2.0, float(num_pairs.min())
    ys, yys = accuracies @ weights, (accuracies**2) @ weights
    best: np.ndarray | None = None
    for c in EXPONENTS.tolist():
        x = -((num_pairs / unit) ** -c)
        one, sx, sxx, xys = weights.sum(), weights @ x, weights @ x**2, accuracies @ (weights * x)
        inner_b = (one * xys - sx * ys) / (one * sxx - sx**2)
        tried = []
        for a, b in (
            ((ys - inner_b * sx) / one, inner_b),
            (np.minimum(1.0, ys / one), np.zeros_like(ys)),
            (np.ones_like(ys), np.maximum(0.0, (xys - sx) / sxx)),
        ):
            cost = yys - 2 * a * ys - 2 * b * xys + a**2 * one + 2 * a * b * sx + b**2 * sxx
            cost = np.where((a <= 1) & (b >= 0), np.maximum(cost, 0.0), np.inf)
            tried.append(np.stack([cost, a, b, np.full_like(a, c)]))
        for law in tried:
            best = law if best is None else np.where(law[0] < best[0] - 1e-12, law, best)
    assert best is not None  # there are exponents
    return Laws(best[1], best[2], best[3], unit, best[0])


def learning_curve(points: Sequence[CurvePoint], *, exact: bool, seed: int) -> LearningCurve:
    """The curve through some points, and what it says of twice as many pairs as the last has.

    The interval is a parametric bootstrap: each accuracy is drawn anew with its error, and the law fitted anew. Points
    that were tried on the same held-out pairs err together, so their differences are known better than is reckoned
    here: the interval errs on the wide side.

    Args:
        points: in any order.
        exact: whether each is a model trained on so many pairs from start to end.
        seed: decides the draws.
    """
    ordered = tuple(sorted(points, key=lambda point: (point.num_pairs, point.accuracy)))
    numbers = np.array([point.num_pairs for point in ordered], dtype=float)
    seen, errors = (np.array([[p.accuracy, p.error] for p in ordered]).reshape(-1, 2)).T

    def refused(why: Refusal) -> LearningCurve:
        return LearningCurve(points=ordered, exact=exact, refusal=why)

    if len(set(numbers.tolist())) < LEAST_POINTS:
        return refused("few_points")
    if numbers[-1] < SPAN * numbers[0]:
        return refused("narrow")
    law, last = fitted(numbers, seen[None], errors), float(numbers[-1])
    if stats.chi2.sf(law.misfit[0], max(1, len(ordered) - 2)) < UNLIKELY:
        return refused("misfit")
    rng = np.random.default_rng(seed)
    drawn = fitted(numbers, seen + errors * rng.standard_normal((RESAMPLES, len(seen))), errors)
    there = drawn.accuracy(2 * last)
    gains = there - drawn.accuracy(last)
    (low, high), (gain_low, gain_high) = (middle(draws, confidence=CONFIDENCE).tolist() for draws in (there, gains))
    if high - low > WIDEST:
        return refused("wide")
    forecast = float(law.accuracy(2 * last)[0])
    return LearningCurve(
        points=ordered,
        exact=exact,
        refusal=None,
        num_pairs=round(2 * last),
        forecast=forecast,
        low=low,
        high=high,
        gain=forecast - float(law.accuracy(last)[0]),
        gain_low=gain_low,
        gain_high=gain_high,
        ceiling=float(law.a[0]),
    )
