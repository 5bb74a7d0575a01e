"""Is a probability as right as it is sure: reliability, calibration error, Brier's score, and the mending temperature.

A pair has no first and second of its own, so that p and 1 - p are one prediction.
Shape letters: n predictions of pairs, M bins.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize
from scipy.special import log_expit

from prefloop.stats.arrays import Array, Ints, columns


class Reliability(NamedTuple):
    """A reliability diagram: for each of M bins of confidence, how sure and how right."""

    edges: Array  # (M + 1,) from 1/2 to 1
    counts: Ints  # (M,)
    confidence: Array  # (M,) mean in the bin, nan where it is empty
    accuracy: Array  # (M,) mean in the bin, nan where it is empty


def reliability(probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int) -> Reliability:
    """Confidence against accuracy of pair predictions, in equal-width bins of confidence over [1/2, 1].

        confidence = max(p, 1 - p)        accuracy = outcome if p >= 1/2 else 1 - outcome

    Args:
        probabilities: (n,) that the first response is preferred, in [0, 1]. Exactly 1/2 predicts the first.
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
        means = (np.bincount(place, weights=x, minlength=bins) / counts for x in (confidence, accuracy))
        return Reliability(edges, counts, *means)


def expected_calibration_error(probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int) -> float:
    """How far confidence is from accuracy, on average over predictions.

        ECE = sum_m counts[m] / n * |accuracy[m] - confidence[m]|        over the bins of `reliability`

    Naeini et al. 2015; Guo et al. 2017 (arXiv:1706.04599). Chance alone gives a perfect model about 0.3 sqrt(M / n):
    0.02 with 10 bins and n = 2000.

    Args:
        probabilities, outcomes, bins: as in `reliability`.

    Returns: a probability in [0, 1]; 0 is perfect.
    Raises: ValueError as in `reliability`.
    """
    table = reliability(probabilities, outcomes, bins=bins)
    gaps = np.where(table.counts > 0, np.abs(table.accuracy - table.confidence), 0.0)
    return float((table.counts * gaps).sum() / table.counts.sum())


def brier(probabilities: ArrayLike, outcomes: ArrayLike) -> float:
    """Mean of (p - outcome)^2, Brier 1950: 1/4 for a coin; unlike ECE it also rewards telling pairs apart.

    Args:
        probabilities, outcomes: (n,) in [0, 1].

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
    x, o = columns(margins=margins, outcomes=outcomes)
    if not np.abs(x).sum() > 0:
        raise ValueError(f"a temperature needs margins that are not all 0, got {x.size}")
    scale = np.abs(x).mean()
    x = x / scale

    def surprise(log_temperature: float) -> float:
        scaled = x / np.exp(log_temperature)
        return float((np.logaddexp(0.0, scaled) - o * scaled).mean())

    widest = np.log(1000.0)
    best: Any = optimize.minimize_scalar(surprise, bounds=(-widest, widest), method="bounded", options={"xatol": 1e-9})
    return float(scale * np.exp(best.x))


def cross_fitted(margins: ArrayLike, outcomes: ArrayLike, clusters: ArrayLike, *, folds: int) -> Array | None:
    """(n,) margins, each divided by the temperature fitted where it was not looked at: on the clusters of other folds.

    Fitted and tried on the same pairs, a temperature looks better than it is. Stone 1974.

    Args:
        margins, outcomes: as in `fitted_temperature`.
        clusters: (n,) a label per pair, normally its prompt; a cluster lies in one fold.
        folds: at least 2.

    Returns: None if there are fewer clusters than folds, or if all margins outside a fold are 0.
    Raises: ValueError if the lengths differ.
    """
    x, o = columns(margins=margins, outcomes=outcomes)
    fold = np.unique(np.asarray(clusters), return_inverse=True)[1].ravel() % folds
    if fold.shape != x.shape:
        raise ValueError(f"margins and clusters need one length, got {x.shape} and {fold.shape}")
    tempered = np.zeros_like(x)
    for each in range(folds):
        inside = fold == each
        if not inside.any() or not np.abs(x[~inside]).sum() > 0:
            return None
        tempered[inside] = x[inside] / fitted_temperature(x[~inside], o[~inside])
    return tempered


def sided_log_odds(margins: ArrayLike, tie_edge: float) -> Array:
    """(n,) log-odds that a vote is for the first response, given that it is for one of the two.

        log sigmoid(margin - edge) - log sigmoid(-margin - edge)        edge = 0: the margin itself

    Args:
        margins: (n,) score of the first response less that of the second.
        tie_edge: log-odds where a tie ends; 0 where there are no ties.
    """
    m = np.asarray(margins, dtype=float)
    return log_expit(m - tie_edge) - log_expit(-m - tie_edge)


def surprises(log_odds: ArrayLike, outcomes: ArrayLike) -> Array:
    """(n,) - outcome log sigmoid(x) - (1 - outcome) log sigmoid(-x), in nats; log 2 for a coin.

    Args:
        log_odds: (n,) that the first response is preferred.
        outcomes: (n,) 1 if it was, 0 if not, or a share between.
    """
    x, o = columns(log_odds=log_odds, outcomes=outcomes)
    return -(o * log_expit(x) + (1 - o) * log_expit(-x))


def _predictions(probabilities: ArrayLike, outcomes: ArrayLike) -> tuple[Array, Array]:
    p, o = columns(probabilities=probabilities, outcomes=outcomes)
    if not p.size or not np.all((p >= 0) & (p <= 1) & (o >= 0) & (o <= 1)):
        raise ValueError(
            f"probabilities and outcomes must lie in [0, 1], got {p.size}; of a score margin take the sigmoid first"
        )
    return p, o
