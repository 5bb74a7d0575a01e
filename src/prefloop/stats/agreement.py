"""How far people agree: percent, kappas, Krippendorff's alpha, Kendall's W, intransitivity.

Follows Cohen 1960, Fleiss 1971, Krippendorff 2011 and Kendall 1939 to 1940. Leaves out Gwet's AC1 and AC2.
A corpus in which everybody always said the same has no chance to compare with: its coefficient is None, with a reason.
Shape letters: n units (what is judged), A annotators, C categories, K players.
"""

import itertools
import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from prefloop.stats.arrays import Array, square
from prefloop.stats.intervals import middle

Level = Literal["nominal", "ordinal", "interval", "ratio"]


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of agreement, or why there is none."""

    value: float | None
    """1 is perfect, 0 is chance, below 0 is worse than chance; None if it is undefined"""
    reason: str = ""
    """why it is undefined; empty if it is not"""


def equal_couples(units: Iterable[Iterable[tuple[Hashable, Hashable]]]) -> tuple[int, int]:
    """Couples of judgements of one unit by two annotators: (those that are equal, all).

    Args:
        units: of each unit, who said what. Judgements by the same annotator are no couple.
    """
    couples = [(a[1], b[1]) for said in units for a, b in itertools.combinations(said, 2) if a[0] != b[0]]
    return sum(first == second for first, second in couples), len(couples)


def percent_agreement(ratings: ArrayLike) -> Coefficient:
    """Share of couples of judgements of one unit that are equal.

    Args:
        ratings: (n, A) numbers that stand for categories, nan where an annotator did not judge.

    Returns: value in [0, 1], not corrected for chance; None if no unit was judged twice.
    Raises: ValueError if ratings are not a table.
    """
    table = _table(ratings)
    equal, couples = equal_couples(
        [(a, said) for a, said in enumerate(row) if not math.isnan(said)] for row in table.tolist()
    )
    return Coefficient(equal / couples) if couples else Coefficient(None, "no unit was judged twice")


def cohen_kappa(table: ArrayLike) -> Coefficient:
    """Agreement of two annotators beyond what their habits would give by chance.

        kappa = (P - P_e) / (1 - P_e)        P = sum_i share_ii, P_e = sum_i row_i column_i

    Cohen 1960.

    Args:
        table: (C, C) counts; row, what the first annotator said, column, what the second said.

    Returns: value at most 1; None if both always said one and the same thing.
    Raises: ValueError if the table is not square, empty or negative.
    """
    counts = square(table)
    if not counts.sum() > 0 or counts.min() < 0:
        raise ValueError(f"kappa needs counts of at least 0, and some, got {counts.tolist()}")
    shares = counts / counts.sum()
    return _beyond_chance(float(np.trace(shares)), float(shares.sum(1) @ shares.sum(0)))


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
    return _beyond_chance(observed, float(np.square(n_uc.sum(0) / n_uc.sum()).sum()))


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
    counts, values = _unit_counts(ratings, level)
    counts = counts[counts.sum(1) >= 2]
    if not len(counts):
        return None
    rng, n = np.random.default_rng(seed), len(counts)
    times = (rng.multinomial(n, np.full(n, 1.0 / n)).astype(float) for _ in range(resamples))
    alphas = [a for time in times if (a := _alpha(counts, values, time, level).value) is not None]
    if 2 * len(alphas) < resamples or _alpha(counts, values, np.ones(n), level).value is None:
        return None
    low, high = middle(alphas, confidence=confidence)
    return float(low), float(high)


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


def intransitivity(wins: ArrayLike) -> tuple[int, int]:
    """Triads of players that go round, a beats b, b beats c and c beats a, and all triads; the majority decides a pair.

        cycles = trace(B^3) / 3        triads = trace((B + B')^3) / 6        B_ij = [wins_ij > wins_ji]

    Kendall and Babington Smith 1940. A pair that is even, or was never compared, belongs to no triad.

    Args:
        wins: (K, K) how often the row was preferred over the column.

    Returns: (cycles, triads). No cycle is a perfect order, a quarter is coin tosses; with many of them no single score
        can describe these preferences.
    Raises: ValueError if wins are not square.
    """
    table = square(wins)
    beats = (table > table.T).astype(float)
    decided = beats + beats.T
    cubed, met = beats @ beats @ beats, decided @ decided @ decided
    return round(float(np.trace(cubed)) / 3), round(float(np.trace(met)) / 6)


def _beyond_chance(observed: float, by_chance: float) -> Coefficient:
    if by_chance >= 1.0 - 1e-12:
        return Coefficient(
            None, "only one category was ever used, so that there is no chance agreement to compare with"
        )
    return Coefficient((observed - by_chance) / (1.0 - by_chance))


def _table(ratings: ArrayLike) -> Array:
    table = np.asarray(ratings, dtype=float)
    if table.ndim != 2:
        raise ValueError(f"ratings need a table, a row per unit and a column per annotator, got shape {table.shape}")
    return table


def _unit_counts(ratings: ArrayLike, level: Level) -> tuple[Array, Array]:
    """(n, C) judgements of each unit in each category, and the (C,) values of the categories in order."""
    table = _table(ratings)
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
