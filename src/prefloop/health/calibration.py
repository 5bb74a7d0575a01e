"""Is the judge as right as it is sure: of single votes with a side."""

import math

import numpy as np
from scipy.special import expit

from prefloop.health.held_out import HeldOut, interval
from prefloop.records.cards import Calibration
from prefloop.records.evaluations import Bin, Interval
from prefloop.stats.arrays import Array
from prefloop.stats.calibration import (
    cross_fitted,
    expected_calibration_error,
    fitted_temperature,
    reliability,
    sided_log_odds,
    surprises,
)

BINS, FOLDS = 10, 5
ENOUGH = 20
"""Pairs from which a temperature is fitted."""


def calibration(held_out: HeldOut, *, tie_edge: float) -> Calibration | None:
    """Before and after a temperature; None if no pair has a vote with a side."""
    voted = [(i, outcome) for i, row in enumerate(held_out.rows) if (outcome := row.outcome) is not None]
    if not voted:
        return None
    rows, outcomes = [i for i, _ in voted], np.array([outcome for _, outcome in voted])
    log_odds, prompts = sided_log_odds(held_out.margins[rows], tie_edge), held_out.clusters(rows)
    tempered = cross_fitted(log_odds, outcomes, prompts, folds=FOLDS) if len(voted) >= ENOUGH else None

    def nll(odds: Array) -> Interval:
        return interval(surprises(odds, outcomes), prompts)

    bins = diagram(log_odds, outcomes)
    return Calibration(
        num=len(voted),
        nll=nll(log_odds),
        ece=_error(log_odds, outcomes),
        ece_chance=0.3 * math.sqrt(len(bins) / len(voted)),
        tie_edge=tie_edge,
        temperature=None if tempered is None else fitted_temperature(log_odds, outcomes),
        ece_after=None if tempered is None else _error(tempered, outcomes),
        nll_after=None if tempered is None else nll(tempered),
        bins=bins,
    )


def _error(log_odds: Array, outcomes: Array) -> float:
    return expected_calibration_error(expit(log_odds), outcomes, bins=BINS)


def diagram(log_odds: Array, outcomes: Array) -> tuple[Bin, ...]:
    """A reliability diagram of (n,) votes with a side, without its empty bins; of none if there are none."""
    if not len(log_odds):
        return ()
    table = reliability(expit(log_odds), outcomes, bins=BINS)
    return tuple(
        Bin(
            low=float(table.edges[b]),
            high=float(table.edges[b + 1]),
            confidence=float(table.confidence[b]),
            accuracy=float(table.accuracy[b]),
            num=int(table.counts[b]),
        )
        for b in range(BINS)
        if table.counts[b]
    )
