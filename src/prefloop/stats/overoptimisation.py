"""Over-optimisation: what a reward model's favour is worth as a policy drifts, in laws of two numbers.

What is optimised is the proxy, what counts is gold; how far a policy went is d, the root of its KL from where it began.
Shape letters: P points of a curve, R curves, one of each seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prefloop.stats.arrays import Array
from prefloop.stats.intervals import middle

Law = Literal["best_of_n", "rl"]
"""Which of the two laws, by how the policy was made."""
Curve = tuple[Sequence[float], Sequence[float]]
"""(P,) d in roots of nats, and (P,) the gain there."""


@dataclass(frozen=True)
class Fit:
    """A law fitted to points."""

    a: float
    """what the first of d is worth, in the gain's units per root of a nat"""
    b: float
    """how fast that is used up"""
    r2: float | None
    """share of the variance of the gains that it explains; None if they do not vary"""
    num: int
    """points that it was fitted to"""


def gain(d: float, *, a: float, b: float, law: Law) -> float:
    """What a law says.

        best of n:  d (a - b d)          RL:  d (a - b log d)          0 at d = 0

    (Gao, Schulman, Hilton 2022, arXiv:2210.10760, section 3.1.)

    Args:
        d: roots of nats, at least 0.
    """
    if d == 0.0:
        return 0.0
    return d * (a - b * (d if law == "best_of_n" else math.log(d)))


def fitted(d: Sequence[float], gains: Sequence[float], *, law: Law) -> Fit:
    """The law that is nearest to some points, by least squares; it is linear in a and b.

    Args:
        d: (P,) roots of nats; points at 0 count nothing, for there every law is 0.
        gains: (P,) any units.

    Raises: ValueError if fewer than three points are away from 0, or all at one place.
    """
    x, y = np.asarray(d, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    x, y = x[x > 0], y[x > 0]
    if len(x) < 3 or np.ptp(x) == 0:
        raise ValueError(f"a law of two numbers needs three points at different places, got {len(x)}")
    slowing = x * x if law == "best_of_n" else x * np.log(x)
    (a, b), *_ = np.linalg.lstsq(np.stack([x, -slowing], axis=1), y, rcond=None)
    left, all_of_it = np.square(y - a * x + b * slowing).sum(), np.square(y - y.mean()).sum()
    return Fit(float(a), float(b), float(1 - left / all_of_it) if all_of_it > 0 else None, len(x))


def peak(*, a: float, b: float, law: Law) -> float | None:
    """The d at which a law is highest: a / (2 b) for best of n, exp(a / b - 1) for RL.

    Returns: None if it never falls again (b <= 0), or falls from the first (best of n with a <= 0), or lies further
        than numbers reach.
    """
    if b <= 0 or (law == "best_of_n" and a <= 0):
        return None
    if law == "best_of_n":
        return a / (2 * b)
    return math.exp(a / b - 1) if a / b < 100 else None


def pooled(curves: Sequence[Curve], *, law: Law) -> Fit:
    """One law for all curves' points together. Raises: ValueError, as `fitted` does."""
    return fitted([x for d, _ in curves for x in d], [y for _, gains in curves for y in gains], law=law)


def bootstrap(curves: Sequence[Curve], *, law: Law, confidence: float, resamples: int, seed: int) -> Array:
    """(2, 2) intervals of a and b: whole curves are drawn anew, as seeds are what was drawn (Efron 1979).

    With few curves they are somewhat too narrow.

    Returns: rows low and high, columns a and b.
    Raises: ValueError if there are fewer than two curves, or too few points.
    """
    if len(curves) < 2:
        raise ValueError(f"an interval over seeds needs two curves, got {len(curves)}")
    rng = np.random.default_rng(seed)
    drawn = [
        pooled([curves[i] for i in rng.integers(len(curves), size=len(curves))], law=law) for _ in range(resamples)
    ]
    return middle([[fit.a, fit.b] for fit in drawn], confidence=confidence)


@dataclass(frozen=True)
class Turn:
    """Where gold was highest on a curve, and what came after."""

    index: int
    """of the highest point; of equal ones the first"""
    rise: float
    """from the first point to the highest, in gold's units"""
    fall: float
    """from the highest point to the last, in gold's units; at least 0"""
    proxy_rise: float
    """of the proxy over that fall, in its own units"""


def turn(gold: Sequence[float], proxy: Sequence[float]) -> Turn:
    """The highest point of gold on a curve.

    That it is the highest of several flatters it by some of its own error: look at the interval of the fall too.

    Args:
        gold: (P,) in the order of training, at least one.
        proxy: (P,) at the same points.

    Raises: ValueError if there is no point, or the lengths differ.
    """
    if not gold or len(gold) != len(proxy):
        raise ValueError(f"a curve has gold and proxy at each of its points, got {len(gold)} and {len(proxy)}")
    index = int(np.argmax(gold))
    return Turn(index, gold[index] - gold[0], gold[index] - gold[-1], proxy[-1] - proxy[index])
