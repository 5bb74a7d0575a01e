"""How far the annotators of a project agree: percent, Cohen, Fleiss, Krippendorff with intervals, Kendall's W, cycles.

Counts work only: gold is easier than work, and what went to adjudication was chosen because people differed.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from prefloop.stats import aggregate, agreement
from prefloop.stats.agreement import Coefficient, Level
from prefloop.web.body import finite
from prefloop.web.review.cached import Cached
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items
from prefloop.web.work.votes import Vote, units_of, votes_where

Array = NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 300
TOGETHER = 10
"""Units that two annotators must share to be compared."""
COUPLES = 30
"""Couples of annotators shown, those with most in common."""
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
BOTH_BAD = 99.0
"""A class of its own among the choices of a pair."""


def choice(vote: Vote) -> float:
    """A pair's class: the place of the preferred response, 2 for a tie, another for both bad."""
    if vote.best is not None:
        return float(vote.responses.index(vote.best))
    return 2.0 if vote.answer.get("choice") == "tie" else BOTH_BAD


def graded(vote: Vote) -> float:
    """A pair on a line: -3 the first much better, 0 a tie, 3 the second much better; 1 where no strength was asked."""
    if vote.best is None:
        return 0.0
    return float(vote.answer.get("strength") or 1) * (1.0 if vote.responses.index(vote.best) else -1.0)


def table(units: Sequence[Sequence[float]]) -> Array:
    """(n, most judgements of a unit), nan where there are fewer; who said what does not matter to alpha."""
    width = max((len(unit) for unit in units), default=1)
    rows = [[*unit, *[np.nan] * (width - len(unit))] for unit in units]
    return np.array(rows, dtype=float).reshape(len(units), width)


def as_json(coefficient: Coefficient) -> dict[str, Any]:
    """A coefficient for JSON."""
    return {"value": finite(coefficient.value), "reason": coefficient.reason}


def _alpha(ratings: Array, level: Level) -> dict[str, Any]:
    interval = agreement.krippendorff_interval(ratings, level=level, confidence=CONFIDENCE, resamples=RESAMPLES, seed=0)
    low, high = interval or (None, None)
    return {**as_json(agreement.krippendorff_alpha(ratings, level=level)), "low": finite(low), "high": finite(high)}


def _fleiss(units: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Fleiss' kappa of the units that were judged as often as most of those judged twice or more."""
    sizes = Counter(len(unit) for unit in units if len(unit) >= 2)
    if not sizes:
        return {"value": None, "reason": "no unit was judged twice", "n": 0, "judgements": 0}
    size = sizes.most_common(1)[0][0]
    whole = [unit for unit in units if len(unit) == size]
    classes = sorted({value for unit in whole for value in unit})
    counts = [[list(unit).count(value) for value in classes] for unit in whole]
    return {**as_json(agreement.fleiss_kappa(counts)), "n": len(whole), "judgements": size}


def _cohen(units: Sequence[Sequence[Vote]]) -> list[dict[str, Any]]:
    """Cohen's kappa of the couples with most in common."""
    shared: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    names = {vote.user: vote.name for unit in units for vote in unit}
    for unit in units:
        said = {vote.user: choice(vote) for vote in unit}
        for a, b in itertools.combinations(sorted(said), 2):
            shared[a, b].append((said[a], said[b]))
    couples = []
    for (a, b), both in sorted(shared.items(), key=lambda couple: -len(couple[1]))[:COUPLES]:
        if len(both) < TOGETHER:
            continue
        classes = sorted({value for couple in both for value in couple})
        counts = np.zeros((len(classes), len(classes)))
        for first, second in both:
            counts[classes.index(first), classes.index(second)] += 1
        kappa, same = agreement.cohen_kappa(counts), float(np.trace(counts) / counts.sum())
        who = {"first": names[a], "second": names[b]}
        couples.append({**who, "n": len(both), "percent": round(same, 4), **as_json(kappa)})
    return couples


def pairs(judged: Sequence[Vote]) -> dict[str, Any]:
    """Agreement about pairs."""
    units = list(units_of(judged, "pair").values())
    classes, grades = ([[of(vote) for vote in unit] for unit in units] for of in (choice, graded))
    sided = agreement.percent_agreement(table([[value for value in unit if value < 2] for unit in classes]))
    single = aggregate.single_accuracy(sided.value) if sided.value is not None and sided.value >= 0.5 else None
    ties = [value >= 2 for unit in classes for value in unit]
    return {
        "units": len(units),
        "judged_twice": sum(len(unit) >= 2 for unit in units),
        "percent": as_json(agreement.percent_agreement(table(classes))),
        "percent_of_sides": as_json(sided),
        "single_accuracy": finite(single),
        "majority_of_3": finite(aggregate.majority_accuracy(single, 3)) if single else None,
        "fleiss": _fleiss(classes),
        "krippendorff": {level: _alpha(table(classes if level == "nominal" else grades), level) for level in LEVELS},
        "cohen": _cohen(units),
        "ties": finite(float(np.mean(ties))) if units else None,
    }


def rankings(judged: Sequence[Vote]) -> dict[str, Any]:
    """Kendall's W of each comparison that at least two people ranked, and its mean."""
    units = units_of(judged, "ranking").values()
    several = [[vote.meaning["ranks"] for vote in unit] for unit in units if len(unit) >= 2]
    values = [agreement.kendall_w(np.array(ranks, dtype=float).T).value for ranks in several]
    defined = [value for value in values if value is not None]
    mean = finite(float(np.mean(defined))) if defined else None
    return {"units": len(units), "judged_twice": len(several), "kendall_w": mean}


def ratings(judged: Sequence[Vote]) -> dict[str, Any]:
    """Krippendorff's alpha for each axis; every response is a unit."""
    units: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for vote in judged:
        for axis, marks in vote.meaning.get("ratings", {}).items():
            for index, mark in zip(sorted(vote.order), marks, strict=True):
                units[axis][vote.comparison, index].append(float(mark))
    grids = {axis: table(list(said.values())) for axis, said in units.items()}
    return {
        axis: {"units": len(grid), **{level: _alpha(grid, level) for level in LEVELS}} for axis, grid in grids.items()
    }


def thumbs(judged: Sequence[Vote]) -> dict[str, Any]:
    """Agreement about thumbs; every response is a unit."""
    units: dict[tuple[str, int], list[float]] = defaultdict(list)
    for vote in judged:
        for index, good in zip(sorted(vote.order), vote.meaning.get("thumbs", []), strict=False):
            units[vote.comparison, index].append(float(good))
    if not units:
        return {"units": 0}
    grid = table(list(units.values()))
    percent = as_json(agreement.percent_agreement(grid))
    return {"units": len(units), "percent": percent, "nominal": _alpha(grid, "nominal")}


def cycles(judged: Sequence[Vote]) -> dict[str, Any]:
    """How often the majorities about three responses of one comparison go round."""
    wins: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for vote in judged:
        if vote.best is not None:
            wins[vote.comparison][vote.best, next(index for index in vote.responses if index != vote.best)] += 1
        ranks = list(zip(sorted(vote.order), vote.meaning.get("ranks", []), strict=False))
        for (i, first), (j, second) in itertools.permutations(ranks, 2):
            wins[vote.comparison][i, j] += first < second
    round_, triads = 0, 0
    for won in wins.values():
        size = 1 + max(index for couple in won for index in couple)
        grid = np.zeros((size, size))
        for couple, number in won.items():
            grid[couple] = number
        cyclic, all_triads = agreement.intransitivity(grid)
        round_, triads = round_ + cyclic, triads + all_triads
    return {"cycles": round_, "triads": triads, "share": finite(round_ / triads) if triads else None}


def of_work(judged: Sequence[Vote]) -> dict[str, Any]:
    """Everything that is said of a project's agreement."""
    return {
        "num_judgements": len(judged), "pairs": pairs(judged), "rankings": rankings(judged), "ratings": ratings(judged),
        "thumbs": thumbs(judged), "cycles": cycles(judged),
    }  # fmt: skip


def _project(site: Site, connection: Connection) -> dict[str, Any]:
    return of_work([vote for vote in votes_where(connection, items.c.purpose == "work") if not vote.repeat])


project = Cached(_project, seconds=20.0)
"""`project.of(site)`: the agreement of the whole project."""
