"""How sure we may be: intervals, calibration, agreement, diversity. numpy and scipy, never torch.

An interval is (low, high). Its confidence is the share of repetitions in which it would hold the truth, e.g. 0.95.
Shape letters: n observations, C categories, M bins.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

_RESAMPLED_AT_ONCE = 4_000_000  # draws held in memory by bootstrap_interval


def wilson_interval(successes: float, n: int, *, confidence: float) -> tuple[float, float]:
    """Interval for a proportion, sensible at 0, at n and for small n.

        low and high solve (successes / n - p)^2 = z^2 p (1 - p) / n for p, z the normal quantile

    Wilson 1927.

    Args:
        successes: in [0, n].
        n: trials, at least 1; independent of each other.
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
    several games share a prompt they are not independent: use `bootstrap_interval` with clusters.

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


def mean_interval(values: ArrayLike, *, confidence: float) -> tuple[float, float]:
    """Student's t interval for a mean; right for any n if the values are normal, for large n in any case.

        mean +- t sqrt(var / n), var divided by n - 1, t the quantile with n - 1 degrees of freedom

    Student 1908.

    Args:
        values: (n,) any units, n at least 2; differences, for a paired comparison.
        confidence: in (0, 1).

    Returns: (low, high) in the units of values.
    Raises: ValueError if there are fewer than 2 values.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or x.size < 2:
        raise ValueError(f"an interval for a mean needs at least 2 values in one row, got shape {x.shape}")
    half = special.stdtrit(x.size - 1, _upper_tail(confidence)) * x.std(ddof=1) / np.sqrt(x.size)
    return float(x.mean() - half), float(x.mean() + half)


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
    labels = np.arange(x.size) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1].ravel()
    if x.ndim != 1 or labels.shape != x.shape:
        raise ValueError(f"values and clusters need one row of the same length, got {x.shape} and {labels.shape}")
    sums, sizes = np.bincount(labels, weights=x), np.bincount(labels)
    if sums.size < 2:
        raise ValueError(f"a bootstrap needs at least 2 independent clusters, got {sums.size}")
    rng, tail = np.random.default_rng(seed), 1.0 - _upper_tail(confidence)
    at_once = max(1, _RESAMPLED_AT_ONCE // sums.size)
    means = []
    for start in range(0, resamples, at_once):
        drawn = rng.integers(sums.size, size=(min(at_once, resamples - start), sums.size))
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return float(low), float(high)


class Reliability(NamedTuple):
    """A reliability diagram: for each of M bins of confidence, how sure and how right."""

    edges: NDArray[np.float64]  # (M + 1,) from 1/2 to 1
    counts: NDArray[np.int64]  # (M,)
    confidence: NDArray[np.float64]  # (M,) mean in the bin, nan where it is empty
    accuracy: NDArray[np.float64]  # (M,) mean in the bin, nan where it is empty


def reliability(probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int) -> Reliability:
    """Confidence against accuracy of pair predictions, in equal-width bins of confidence over [1/2, 1].

        confidence = max(p, 1 - p)        accuracy = outcome if p >= 1/2 else 1 - outcome

    A pair has no first and second of its own, so that p and 1 - p are one prediction. Exactly 1/2 predicts the first.

    Args:
        probabilities: (n,) that the first response is preferred, in [0, 1].
        outcomes: (n,) 1 if it was, 0 if not; a share between if several people judged.
        bins: M, at least 1.

    Returns: Reliability, with (M,) per field.
    Raises: ValueError if the lengths differ, nothing is given, or a number is outside [0, 1].
    """
    p, o = _predictions(probabilities, outcomes)
    confidence, accuracy = np.maximum(p, 1 - p), np.where(p >= 0.5, o, 1 - o)
    edges = np.linspace(0.5, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(place, weights=confidence, minlength=bins) / counts
        mean_accuracy = np.bincount(place, weights=accuracy, minlength=bins) / counts
    return Reliability(edges, counts, mean_confidence, mean_accuracy)


def expected_calibration_error(probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int) -> float:
    """How far confidence is from accuracy, on average over predictions.

        ECE = sum_m counts[m] / n * |accuracy[m] - confidence[m]|        over the bins of `reliability`

    Naeini et al. 2015; Guo et al. 2017 (arXiv:1706.04599). Chance alone gives a perfect model about 0.3 sqrt(M / n):
    0.02 with 10 bins and n = 2000.

    Args:
        probabilities: (n,) that the first response is preferred, in [0, 1].
        outcomes: (n,) in [0, 1], see `reliability`.
        bins: M, at least 1; equal width over confidence [1/2, 1].

    Returns: a probability in [0, 1]; 0 is perfect.
    Raises: ValueError if the lengths differ, nothing is given, or a number is outside [0, 1].
    """
    table = reliability(probabilities, outcomes, bins=bins)
    gaps = np.where(table.counts > 0, np.abs(table.accuracy - table.confidence), 0.0)
    return float((table.counts * gaps).sum() / table.counts.sum())


def brier(probabilities: ArrayLike, outcomes: ArrayLike) -> float:
    """Mean squared error of a probability.

        mean of (p - outcome)^2

    Brier 1950. 1/4 for a coin; unlike ECE it also rewards telling pairs apart.

    Args:
        probabilities: (n,) in [0, 1].
        outcomes: (n,) in [0, 1].

    Returns: in [0, 1]; 0 is perfect.
    Raises: ValueError if the lengths differ, nothing is given, or a number is outside [0, 1].
    """
    p, o = _predictions(probabilities, outcomes)
    return float(np.square(p - o).mean())


def fitted_temperature(margins: ArrayLike, outcomes: ArrayLike) -> float:
    """The temperature that makes sigmoid(margin / temperature) most likely; above 1 means the model was too sure.

        minimise over T:  mean of softplus(margin / T) - outcome * margin / T

    Guo et al. 2017 (arXiv:1706.04599), for pairs. It moves no order, hence no accuracy.

    Args:
        margins: (n,) score of the first response less that of the second; not all 0.
        outcomes: (n,) 1 if the first was preferred, 0 if not, or a share between.

    Returns: T in score units, within a factor 1000 of the mean |margin|: the lower end if the margins are never wrong,
        the upper end if they are no better than chance.
    Raises: ValueError if the lengths differ, nothing is given, or every margin is 0.
    """
    x, o = np.asarray(margins, dtype=float), np.asarray(outcomes, dtype=float)
    if x.ndim != 1 or x.shape != o.shape or not np.abs(x).sum() > 0:
        raise ValueError(f"a temperature needs one outcome per margin, not all 0; got shapes {x.shape} and {o.shape}")
    scale = np.abs(x).mean()
    x = x / scale

    def surprise(log_temperature: float) -> float:
        scaled = x / np.exp(log_temperature)
        return float((np.logaddexp(0.0, scaled) - o * scaled).mean())

    widest = np.log(1000.0)
    found = optimize.minimize_scalar(surprise, bounds=(-widest, widest), method="bounded", options={"xatol": 1e-9})
    return float(scale * np.exp(found.x))


def explained_variance(values: ArrayLike, returns: ArrayLike) -> float:
    """How much of the returns the critic foresees.

        1 - var(returns - values) / var(returns)

    Args:
        values: (n,) reward units, real tokens only.
        returns: (n,) reward units.

    Returns: at most 1; 0 for a constant guess, negative for worse; nan if the returns are all alike.
    Raises: ValueError if the shapes differ or nothing is given.
    """
    v, r = np.asarray(values, dtype=float), np.asarray(returns, dtype=float)
    if v.shape != r.shape or v.size == 0:
        raise ValueError(f"values and returns need one shape and something in it, got {v.shape} and {r.shape}")
    spread = r.var()
    return float(1.0 - (r - v).var() / spread) if spread > 0 else float("nan")


def distinct_n(texts: Sequence[Sequence[Hashable]], n: int) -> float:
    """Diversity: distinct n-grams over all n-grams of a set of texts.

    Li et al. 2016 (arXiv:1510.03055). It falls with the amount of text, so compare sets of equal size.

    Args:
        texts: lists of words or of tokens; an n-gram never crosses from one to the next.
        n: length of an n-gram, at least 1.

    Returns: in [0, 1]; 1 if nothing is said twice, 0 if no text is n long.
    Raises: ValueError if n is below 1.
    """
    if n < 1:
        raise ValueError(f"an n-gram has at least one word, got n = {n}")
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _upper_tail(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")
    return 0.5 + confidence / 2.0


def _normal_quantile(confidence: float) -> float:
    return float(special.ndtri(_upper_tail(confidence)))


def _score_interval(rate: float, n: int, tied: float, z: float) -> tuple[float, float]:
    """The p on either side of rate where (rate - p)^2 = z^2 (p (1 - p) - tied / 4) / n."""
    slack = z * z / n
    centre = (rate + slack / 2.0) / (1.0 + slack)
    inside = slack * (slack * (1.0 - tied) + 4.0 * rate * (1.0 - rate) - tied)
    half = np.sqrt(max(inside, 0.0)) / (2.0 * (1.0 + slack))
    high = 1.0 if rate == 1.0 else centre + half  # which rounding may leave just short of 1
    return float(max(0.0, centre - half)), float(min(1.0, high))


def _predictions(probabilities: ArrayLike, outcomes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, o = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=float)
    if p.ndim != 1 or p.shape != o.shape or p.size == 0:
        raise ValueError(f"predictions need one outcome each, got shapes {p.shape} and {o.shape}")
    if not (np.all((p >= 0) & (p <= 1)) and np.all((o >= 0) & (o <= 1))):
        raise ValueError("probabilities and outcomes must lie in [0, 1]; of a score margin take the sigmoid first")
    return p, o
