"""Is the judge as right as it is sure: of single votes with a side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from prefloop.health.held_out import HeldOut
from prefloop.records.cards import Calibration
from prefloop.records.evaluations import Bin
from prefloop.stats.arrays import Array
from prefloop.stats.calibration import (
    cross_fitted,
    expected_calibration_error,
    fitted_temperature,
    reliability,
    sided_log_odds,
    surprise,
)

BINS, FOLDS = 10, 5
ENOUGH = 20
"""Pairs from which a temperature is fitted."""


def tie_edge_of(result: Mapping[str, Any]) -> float:
    """Log-odds where a tie ends, of what the reward stage reported; of several columns the first one's. 0 without."""
    told: Any = result.get("vote_edges") or result.get("tie_edge") or 0.0
    if isinstance(told, dict):  # name of a column -> its own
        told = next(filter(None, told.values()), 0.0)
    return told[0] if isinstance(told, list | tuple) else told


def calibration(held_out: HeldOut, *, tie_edge: float, nll_bayes: float | None) -> Calibration | None:
    """Before and after a temperature; None if no pair has a vote with a side."""
    voted = [(i, outcome) for i, row in enumerate(held_out.rows) if (outcome := row.outcome) is not None]
    if not voted:
        return None
    rows, outcomes = [i for i, _ in voted], np.array([outcome for _, outcome in voted])
    log_odds = sided_log_odds(held_out.margins[rows], tie_edge)
    tempered = None
    if len(voted) >= ENOUGH and np.abs(log_odds).sum() > 0:
        tempered = cross_fitted(log_odds, outcomes, held_out.clusters(rows), folds=FOLDS)
    return Calibration(
        num=len(voted),
        nll=surprise(log_odds, outcomes),
        nll_bayes=nll_bayes,
        ece=_error(log_odds, outcomes),
        temperature=None if tempered is None else fitted_temperature(log_odds, outcomes),
        ece_after=None if tempered is None else _error(tempered, outcomes),
        nll_after=None if tempered is None else surprise(tempered, outcomes),
        bins=_bins(log_odds, outcomes),
    )


def _error(log_odds: Array, outcomes: Array) -> float:
    return expected_calibration_error(expit(log_odds), outcomes, bins=BINS)


def _bins(log_odds: Array, outcomes: Array) -> tuple[Bin, ...]:
    """A reliability diagram, without its empty bins."""
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
