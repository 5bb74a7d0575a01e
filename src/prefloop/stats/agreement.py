"""How far people agree: percent, kappas, Krippendorff's alpha, Kendall's tau and W, intransitivity. numpy and scipy.

Follows Cohen 1960 and 1968, Fleiss 1971, Krippendorff 2011 and Kendall 1938 to 1948. Leaves out Gwet's AC1 and AC2.
A corpus in which everybody always said the same has no chance to compare with: its coefficient is None, with a reason.
Shape letters: n units (what is judged), A annotators, C categories, K players.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Weights = Literal["none", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval", "ratio"]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of agreement, or why there is none."""

    value: float | None
    """1 is perfect, 0 is chance, below 0 is worse than chance; None if it is undefined"""
    reason: str = ""
    """why it is undefined; empty if it is not"""


@dataclass(frozen=True)
class Cycles:
    """How often a beats b, b beats c, and c beats a."""

    cycles: int
    """triads that go round"""
    triads: int
    """triads of players in which every pair is decided"""

    @property
    def share(self) -> float | None:
        """cycles / triads: 0 for a perfect order, 1/4 for coin tosses; None if there is no triad."""
        return self.cycles / self.triads if self.triads else None


def percent_agreement(ratings: ArrayLike) -> Coefficient:
    """Share of couples of judgements of one unit that are equal.

        sum_u sum_c n_uc (n_uc - 1) / sum_u m_u (m_u - 1)        n_uc judgements c of unit u, m_u in all

    Args:
        ratings: (n, A) numbers that stand for categories, nan where an annotator did not judge.

    Returns: value in [0, 1], not corrected for chance; None if no unit was judged twice.
    Raises: ValueError if ratings are not a table.
    """
    counts, _ = _unit_counts(ratings)
    sizes = counts.sum(1)
    couples = (sizes * (sizes - 1)).sum()
    if couples == 0:
        return Coefficient(None, "no unit was judged twice")
    return Coefficient(float((counts * (counts - 1)).sum() / couples))


def cohen_kappa(table: ArrayLike, *, weights: Weights) -> Coefficient:
    """Agreement of two annotators beyond what their habits would give by chance.

        kappa = 1 - sum_ij w_ij observed_ij / sum_ij w_ij row_i column_j
        w_ij  = [i != j]   |i - j|   (i - j)^2        for none, linear, quadratic

    Cohen 1960; with weights, Cohen 1968.

    Args:
        table: (C, C) counts; row, what the first annotator said, column, what the second said.
        weights: how much worse a far miss is than a near one; anything but "none" needs categories in order.

    Returns: value at most 1; None if both always said one and the same thing.
    Raises: ValueError if the table is not square, empty or negative.
    """
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.sum() > 0 or counts.min() < 0:
        raise ValueError(f"kappa needs a square table of counts, not empty, got shape {counts.shape}")
    distance = np.abs(np.subtract.outer(np.arange(len(counts)), np.arange(len(counts)))).astype(float)
    penalty = {"none": (distance > 0).astype(float), "linear": distance, "quadratic": distance**2}[weights]
    shares = counts / counts.sum()
    return _beyond_chance(float((penalty * shares).sum()), float(shares.sum(1) @ penalty @ shares.sum(0)))


def fleiss_kappa(counts: ArrayLike) -> Coefficient:
    """Agreement of many annotators beyond chance, every unit judged equally often.

        P = mean_u sum_c n_uc (n_uc - 1) / (m (m - 1))        P_e = sum_c share_c^2
        kappa = (P - P_e) / (1 - P_e)

    Fleiss 1971. Where units are judged unequally often, use `krippendorff_alpha`.

    Args:
        counts: (n, C) how many of the m annotators put unit u into category c.

    Returns: value at most 1; None if there is only one category in use.
    Raises: ValueError if the units were not all judged the same number of times, at least 2.
    """
    n_uc = np.asarray(counts, dtype=float)
    sizes = n_uc.sum(1) if n_uc.ndim == 2 and len(n_uc) else np.zeros(1)
    if np.ptp(sizes) > 0 or sizes[0] < 2:
        raise ValueError(
            "Fleiss' kappa needs every unit judged equally often, at least twice; else use Krippendorff's alpha"
        )
    observed = float((n_uc * (n_uc - 1)).sum() / (sizes * (sizes - 1)).sum())
    return _beyond_chance(1.0 - observed, 1.0 - float(np.square(n_uc.sum(0) / n_uc.sum()).sum()))


def krippendorff_alpha(ratings: ArrayLike, *, level: Level) -> Coefficient:
    """Reliability for any number of annotators, with missing judgements, at any level of measurement.

        o_cd  = sum_u n_uc (n_ud - [c = d]) / (m_u - 1)       over units with m_u >= 2 judgements
        alpha = 1 - (N - 1) sum_cd o_cd d_cd / sum_cd n_c n_d d_cd        n_c = sum_d o_cd, N = sum_c n_c
        d_cd  = [c != d]    (n_c/2 + sum_between n_g + n_d/2)^2    (c - d)^2    ((c - d) / (c + d))^2
                nominal     ordinal                                interval     ratio

    Krippendorff 2011, Computing Krippendorff's alpha-reliability.

    Args:
        ratings: (n, A) numbers, nan where an annotator did not judge. At least 0 for the ratio level.
        level: what differences of the numbers mean.

    Returns: value at most 1; None if no unit was judged twice or nothing varies.
    Raises: ValueError if ratings are not a table, or negative at the ratio level.
    """
    counts, values = _unit_counts(ratings, level)
    return _alpha(counts, values, np.ones(len(counts)), level)


def krippendorff_interval(
    ratings: ArrayLike, *, level: Level, confidence: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    """Percentile bootstrap interval for `krippendorff_alpha`: units are drawn anew, with all that was said of them.

    Resamples in which nothing varies have no alpha and are left out.

    Args:
        ratings: (n, A) as in `krippendorff_alpha`.
        level: what differences of the numbers mean.
        confidence: in (0, 1).
        resamples: how often to draw anew.
        seed: the same seed gives the same interval.

    Returns: (low, high); None if alpha itself, or more than half of the resamples, are undefined.
    Raises: ValueError as in `krippendorff_alpha`, and if confidence is not in (0, 1).
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")
    counts, values = _unit_counts(ratings, level)
    counts = counts[counts.sum(1) >= 2]
    if not len(counts):
        return None
    rng, n = np.random.default_rng(seed), len(counts)
    times = (rng.multinomial(n, np.full(n, 1.0 / n)).astype(float) for _ in range(resamples))
    drawn = [_alpha(counts, values, time, level).value for time in times]
    found = np.array([value for value in drawn if value is not None])
    if 2 * len(found) < resamples or _alpha(counts, values, np.ones(n), level).value is None:
        return None
    low, high = np.quantile(found, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def kendall_tau_b(first: ArrayLike, second: ArrayLike) -> Coefficient:
    """Agreement of two orders, ties allowed.

        tau_b = (concordant - discordant) / sqrt((pairs - tied_first) (pairs - tied_second))

    Kendall 1945.

    Args:
        first, second: (n,) ranks or scores of the same things.

    Returns: value in [-1, 1]; None if one of them ties everything.
    Raises: ValueError if the lengths differ.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"two orders need one length, got shapes {a.shape} and {b.shape}")
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Coefficient(None, "an order that ties everything agrees with nothing and contradicts nothing")
    return Coefficient(float(np.asarray(stats.kendalltau(a, b))[0]))


def kendall_w(scores: ArrayLike) -> Coefficient:
    """Concordance of many orders of the same things, ties allowed.

        W = 12 S / (A^2 (n^3 - n) - A sum_j sum_ties (t^3 - t))        S = sum_u (R_u - mean R)^2, R_u sum of ranks

    Kendall and Babington Smith 1939, with the correction for ties; W = chi2 of Friedman / (A (n - 1)).

    Args:
        scores: (n, A) ranks or scores that each annotator gave to each of n things, none missing.

    Returns: value in [0, 1]; None if every annotator ties everything.
    Raises: ValueError if there are fewer than 2 things or annotators, or a score is missing.
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or min(table.shape) < 2 or np.isnan(table).any():
        raise ValueError(f"W needs at least 2 things and 2 annotators and no gap, got shape {table.shape}")
    n, annotators = table.shape
    ranks = stats.rankdata(table, axis=0)
    tied = sum(float((times**3 - times).sum()) for times in (np.unique(c, return_counts=True)[1] for c in ranks.T))
    most = annotators**2 * (n**3 - n) - annotators * tied
    if most <= 0:
        return Coefficient(None, "every annotator ties everything")
    totals = ranks.sum(1)
    return Coefficient(float(12.0 * np.square(totals - totals.mean()).sum() / most))


def intransitivity(wins: ArrayLike) -> Cycles:
    """Share of triads that are cycles, where the majority decides each pair.

        cycles = trace(B^3) / 3        triads = trace((B + B')^3) / 6        B_ij = [wins_ij > wins_ji]

    Kendall and Babington Smith 1940. A pair that is even, or was never compared, belongs to no triad.

    Args:
        wins: (K, K) how often the row was preferred over the column.

    Returns: Cycles; many of them mean that no single score can describe these preferences.
    Raises: ValueError if wins are not square.
    """
    table = np.asarray(wins, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise ValueError(f"wins of row over column need a square table, got shape {table.shape}")
    beats = (table > table.T).astype(float)
    decided = beats + beats.T
    cubed, met = beats @ beats @ beats, decided @ decided @ decided
    return Cycles(round(float(np.trace(cubed)) / 3), round(float(np.trace(met)) / 6))


def _beyond_chance(disagreement: float, by_chance: float) -> Coefficient:
    if by_chance <= 1e-12:
        return Coefficient(
            None, "only one category was ever used, so that there is no chance agreement to compare with"
        )
    return Coefficient(1.0 - disagreement / by_chance)


def _unit_counts(ratings: ArrayLike, level: Level = "nominal") -> tuple[Array, Array]:
    """(n, C) judgements of each unit in each category, and the (C,) values of the categories in order."""
    table = np.asarray(ratings, dtype=float)
    if table.ndim != 2:
        raise ValueError(f"ratings need a table, a row per unit and a column per annotator, got shape {table.shape}")
    values, place = np.unique(table, return_inverse=True)
    given = ~np.isnan(table)
    values = values[~np.isnan(values)]
    if level == "ratio" and values.size and values[0] < 0:
        raise ValueError(f"the ratio level needs numbers of at least 0, got {values[0]:g}")
    counts = np.zeros((len(table), len(values)))
    np.add.at(counts, (np.nonzero(given)[0], place.reshape(table.shape)[given]), 1.0)
    return counts, values


def _alpha(counts: Array, values: Array, times: Array, level: Level) -> Coefficient:
    """Alpha where unit u counts times[u] times."""
    sizes = counts.sum(1)
    judged_twice = sizes >= 2
    if not (times[judged_twice] > 0).any():
        return Coefficient(None, "no unit was judged twice")
    counts, weight = counts[judged_twice], times[judged_twice] / (sizes[judged_twice] - 1)
    together = (counts.T * weight) @ counts - np.diag(weight @ counts)
    totals = together.sum(1)
    distance = _distance(values, totals, level)
    expected = totals @ distance @ totals / (totals.sum() - 1)
    if np.count_nonzero(totals > 0) < 2 or expected <= 0:
        return Coefficient(None, "everybody always said the same: without variation reliability is undefined")
    return Coefficient(1.0 - float((together * distance).sum() / expected))


def _distance(values: Array, totals: Array, level: Level) -> Array:
    """(C, C) squared difference of two categories."""
    gap = np.subtract.outer(values, values)
    if level == "nominal":
        return (gap != 0).astype(float)
    if level == "interval":
        return gap**2
    if level == "ordinal":
        middles = np.cumsum(totals) - totals / 2.0
        return np.square(np.subtract.outer(middles, middles))
    sums = np.add.outer(values, values)
    return np.square(np.divide(gap, sums, out=np.zeros_like(gap), where=sums > 0))
