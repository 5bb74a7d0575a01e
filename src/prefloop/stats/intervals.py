"""How sure we may be: intervals of shares, win rates and means, and many tests at once.

An interval is (low, high). Its confidence is the share of repetitions in which it would hold the truth, e.g. 0.95.
Shape letters: n observations.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from prefloop.stats.arrays import Array, Ints

_RESAMPLED_AT_ONCE = 4_000_000  # draws held in memory by bootstrap_interval


@dataclass(frozen=True)
class Proportion:
    """A share with its Wilson interval and a test."""

    successes: int
    n: int
    rate: float | None
    """None if n is 0"""
    low: float
    high: float
    p_value: float
    """two-sided, exact, against 1/2 unless its maker says otherwise; 1 if n is 0"""


def proportion(successes: int, n: int, *, confidence: float) -> Proportion:
    """A share, its Wilson interval, and an exact two-sided binomial test against 1/2.

    Args:
        successes: in [0, n].
        n: independent trials.
        confidence: in (0, 1).

    Returns: Proportion; (0, 1) is the interval of nothing.
    Raises: ValueError if there are more successes than trials.
    """
    if n == 0 and successes == 0:
        return Proportion(0, 0, None, 0.0, 1.0, 1.0)
    low, high = wilson_interval(successes, n, confidence=confidence)
    return Proportion(successes, n, successes / n, low, high, float(stats.binomtest(successes, n).pvalue))


def wilson_interval(successes: float, n: int, *, confidence: float) -> tuple[float, float]:
    """Interval for a proportion, sensible at 0, at n and for small n.

        low and high solve (successes / n - p)^2 = z^2 p (1 - p) / n for p, z the normal quantile

    Wilson 1927.

    Args:
        successes: in [0, n].
        n: trials, at least 1; independent of each other. If several share a prompt, use `share_interval`.
        confidence: in (0, 1).

    Returns: (low, high), proportions in [0, 1].
    Raises: ValueError if there is no trial, or more successes than trials.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"a proportion needs trials and no more successes than trials, got {successes} of {n}")
    return _score_interval(successes / n, n, 0.0, _normal_quantile(confidence))


def win_rate_interval(wins: int, ties: int, losses: int, *, confidence: float) -> tuple[float, float]:
    """Interval for a win rate in which a tie is half a win: (wins + ties / 2) / n.

        (rate - p)^2 = z^2 (p (1 - p) - tied / 4) / n        tied = ties / (n + z^2)

    A game scores 1, 1/2 or 0, so ties take a quarter of their share off the variance p (1 - p). Their share is shrunk
    towards 0, so that a few games that are all ties do not look certain. Without ties it is `wilson_interval`. If
    several games share a prompt they are not independent: use `share_interval`.

    Args:
        wins, ties, losses: counts of games, together at least 1.
        confidence: in (0, 1).

    Returns: (low, high), win rates in [0, 1].
    Raises: ValueError if there is no game or a count is negative.
    """
    n = wins + ties + losses
    if min(wins, ties, losses) < 0 or n < 1:
        raise ValueError(f"a win rate needs at least one game, got {wins} wins, {ties} ties, {losses} losses")
    z = _normal_quantile(confidence)
    return _score_interval((wins + ties / 2) / n, n, ties / (n + z * z), z)


def share_interval(values: ArrayLike, clusters: ArrayLike, *, confidence: float) -> tuple[float, float]:
    """Interval for a mean of numbers in [0, 1] of which some hang together: wins, half for a tie, of games on a prompt.

        deff = clustered variance of the mean / its variance if all were independent, at least 1
        n*   = n / deff (t(n - 1) / t(G - 1))^2        the interval is that of n* independent values

    Korn and Graubard 1998, section 2, with Wilson's interval as in Franco et al. 2019 (J. Surv. Stat. Methodol. 7:334).
    Where all values are equal nothing tells deff, and n* is G. If every cluster has one value it is `wilson_interval`,
    or with ties `win_rate_interval`.

    Args:
        values: (n,) in [0, 1], at least one.
        clusters: (n,) a label per value, normally its prompt; clusters are independent of each other.
        confidence: in (0, 1).

    Returns: (low, high), in [0, 1]; (0, 1) if there is one cluster and several values, of which nothing can be said.
    Raises: ValueError if there is no value, one is outside [0, 1], or the lengths differ.
    """
    x, labels = _clustered(values, clusters)
    if not (x.size and x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"a share needs values between 0 and 1, got {x.tolist()[:3]} and so on")
    n, num, rate, z = x.size, int(labels.max()) + 1, float(x.mean()), _normal_quantile(confidence)
    if num == 1 < n:
        return 0.0, 1.0
    counted, variance = float(num), float(x.var())
    if num > 1 and variance > 0:
        deff = max(1.0, clustered_error(x, labels) ** 2 / (variance / (n - 1)))
        narrower = special.stdtrit(n - 1, 1 - _tail(confidence)) / special.stdtrit(num - 1, 1 - _tail(confidence))
        counted = n / deff * float(narrower) ** 2
    tied = max(0.0, 4 * (rate * (1 - rate) - variance)) * counted / (counted + z * z)
    return _score_interval(rate, counted, tied, z)


def mean_interval(values: ArrayLike, *, confidence: float, clusters: ArrayLike | None = None) -> tuple[float, float]:
    """Student's t interval for a mean; right for any n if the values are normal, for large n in any case.

        mean +- t sqrt(var / n), var divided by n - 1, t the quantile with n - 1 degrees of freedom

    Student 1908. With clusters it is t `clustered_error` with G - 1 degrees of freedom: the same for one value each.

    Args:
        values: (n,) any units, n at least 2; differences, for a paired comparison.
        confidence: in (0, 1).
        clusters: (n,) a label per value, such as its prompt; None if all values are independent.

    Returns: (low, high) in the units of values.
    Raises: ValueError if there are fewer than 2 values or clusters, or the lengths differ.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or x.size < 2:
        raise ValueError(f"an interval for a mean needs at least 2 values in one row, got shape {x.shape}")
    x, labels = _clustered(x, np.arange(x.size) if clusters is None else clusters)
    half = special.stdtrit(labels.max(), 1.0 - _tail(confidence)) * clustered_error(x, labels)
    return float(x.mean() - half), float(x.mean() + half)


def ratio_interval(totals: ArrayLike, sizes: ArrayLike, *, confidence: float) -> tuple[float, float]:
    """Interval for a ratio of sums, such as nats per token of some texts: a text counts by its size.

        ratio = sum totals / sum sizes      error = sqrt(n / (n - 1) sum (total - ratio size)^2) / sum sizes

    It is the mean over all tokens with texts as clusters: `mean_interval` of the tokens, without having them. For a
    paired comparison pass differences of totals. Cochran 1977, section 6.3.

    Args:
        totals: (n,) any units, n at least 2, independent of each other.
        sizes: (n,) above 0.
        confidence: in (0, 1).

    Returns: (low, high) in the units of totals per unit of size.
    Raises: ValueError if there are fewer than 2, or the lengths differ.
    """
    x, size = np.asarray(totals, dtype=float), np.asarray(sizes, dtype=float)
    if x.ndim != 1 or x.shape != size.shape or x.size < 2:
        raise ValueError(f"a ratio needs at least 2 totals and as many sizes, got {x.shape} and {size.shape}")
    ratio = x.sum() / size.sum()
    error = np.sqrt(x.size / (x.size - 1) * np.square(x - ratio * size).sum()) / size.sum()
    half = special.stdtrit(x.size - 1, 1.0 - _tail(confidence)) * error
    return float(ratio - half), float(ratio + half)


def clustered_error(values: ArrayLike, clusters: ArrayLike) -> float:
    """Standard error of a mean whose values hang together within clusters.

        sqrt(G / (G - 1) sum_g (sum in g of (value - mean))^2) / n

    Liang and Zeger 1986; with one value in each cluster it is the usual one.

    Args:
        values: (n,) any units.
        clusters: (n,) a label per value.

    Raises: ValueError if there are fewer than 2 clusters, or the lengths differ.
    """
    x, labels = _clustered(values, clusters)
    sums = np.bincount(labels, x - x.mean())
    if sums.size < 2:
        raise ValueError(f"an error needs at least 2 independent clusters, got {sums.size}")
    return float(np.sqrt(sums.size / (sums.size - 1) * np.square(sums).sum()) / x.size)


def bootstrap_interval(
    values: ArrayLike, *, confidence: float, resamples: int, seed: int, clusters: ArrayLike | None = None
) -> tuple[float, float]:
    """Percentile bootstrap interval for a mean; whole clusters are drawn where values hang together.

    Efron 1979; clusters, Davison and Hinkley 1997, section 3.8. For a paired comparison pass the differences, one per
    prompt. With fewer than about 30 clusters it is somewhat too narrow.

    Args:
        values: (n,) any units.
        confidence: in (0, 1).
        resamples: how often to draw anew; 1000 at least for a 95 % interval that stays put.
        seed: the same seed gives the same interval.
        clusters: (n,) a label per value, such as its prompt or its annotator; None if all values are independent.

    Returns: (low, high) in the units of values.
    Raises: ValueError if there are fewer than 2 clusters (or values), or if the lengths differ.
    """
    x = np.asarray(values, dtype=float)
    x, labels = _clustered(x, np.arange(x.size) if clusters is None else clusters)
    sums, sizes = np.bincount(labels, weights=x), np.bincount(labels)
    if sums.size < 2:
        raise ValueError(f"a bootstrap needs at least 2 independent clusters, got {sums.size}")
    rng = np.random.default_rng(seed)
    at_once = max(1, _RESAMPLED_AT_ONCE // sums.size)
    means = []
    for start in range(0, resamples, at_once):
        drawn = rng.integers(sums.size, size=(min(at_once, resamples - start), sums.size))
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    low, high = middle(np.concatenate(means), confidence=confidence)
    return float(low), float(high)


def middle(draws: ArrayLike, *, confidence: float, method: Literal["linear", "inverted_cdf"] = "linear") -> Array:
    """(2, ...) the quantiles between which that share of the draws lies, along the first axis."""
    tail = _tail(confidence)
    return np.quantile(np.asarray(draws, dtype=float), [tail, 1.0 - tail], axis=0, method=method)


def holm(p_values: ArrayLike) -> Array:
    """P-values adjusted so that rejecting all below alpha errs anywhere with probability at most alpha.

        adjusted of the i-th smallest of m = max over j <= i of (m - j + 1) p_(j), at most 1

    Holm 1979; whatever the tests have to do with each other.

    Args:
        p_values: (m,) in [0, 1].

    Returns: (m,) in the order given.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _clustered(values: ArrayLike, clusters: ArrayLike) -> tuple[Array, Ints]:
    """The values and (n,) their clusters, numbered from 0."""
    x = np.asarray(values, dtype=float)
    labels = np.unique(np.asarray(clusters), return_inverse=True)[1].ravel()
    if x.ndim != 1 or labels.shape != x.shape:
        raise ValueError(f"values and clusters need one row of the same length, got {x.shape} and {labels.shape}")
    return x, labels


def _tail(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")
    return (1.0 - confidence) / 2.0


def _normal_quantile(confidence: float) -> float:
    return -float(special.ndtri(_tail(confidence)))


def _score_interval(rate: float, n: float, tied: float, z: float) -> tuple[float, float]:
    """The p on either side of rate where (rate - p)^2 = z^2 (p (1 - p) - tied / 4) / n."""
    slack = z * z / n
    centre = (rate + slack / 2.0) / (1.0 + slack)
    inside = slack * (slack * (1.0 - tied) + 4.0 * rate * (1.0 - rate) - tied)
    half = np.sqrt(max(inside, 0.0)) / (2.0 * (1.0 + slack))
    high = 1.0 if rate == 1.0 else centre + half  # which rounding may leave just short of 1
    return float(max(0.0, centre - half)), float(min(1.0, high))
