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
from prefloop.web import facts
from prefloop.web.facts import Fact, Kept, finite
from prefloop.web.site import Site
from prefloop.web.tables import items

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


def choice(one: Fact) -> float:
    """A pair's class: the place of the preferred response, 2 for a tie, another for both bad."""
    if one.best is not None:
        return float(one.responses.index(one.best))
    return 2.0 if one.answer.get("choice") == "tie" else BOTH_BAD


def graded(one: Fact) -> float:
    """A pair on a line: -3 the first much better, 0 a tie, 3 the second much better; 1 where no strength was asked."""
    if one.best is None:
        return 0.0
    return float(one.answer.get("strength") or 1) * (1.0 if one.responses.index(one.best) else -1.0)


def table(units: Sequence[Sequence[float]]) -> Array:
    """(n, most judgements of a unit), nan where there are fewer; who said what does not matter to alpha."""
    width = max((len(unit) for unit in units), default=1)
    return np.array([[*unit, *[np.nan] * (width - len(unit))] for unit in units], dtype=float).reshape(
        len(units), width
    )


def told(coefficient: Coefficient) -> dict[str, Any]:
    """A coefficient for JSON."""
    return {"value": finite(coefficient.value), "reason": coefficient.reason}


def _alpha(ratings: Array, level: Level) -> dict[str, Any]:
    interval = agreement.krippendorff_interval(ratings, level=level, confidence=CONFIDENCE, resamples=RESAMPLES, seed=0)
    low, high = interval or (None, None)
    return {**told(agreement.krippendorff_alpha(ratings, level=level)), "low": finite(low), "high": finite(high)}


def _fleiss(units: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Fleiss' kappa of the units that were judged as often as most of those judged twice or more."""
    sizes = Counter(len(unit) for unit in units if len(unit) >= 2)
    if not sizes:
        return {"value": None, "reason": "no unit was judged twice", "n": 0, "judgements": 0}
    size = sizes.most_common(1)[0][0]
    whole = [unit for unit in units if len(unit) == size]
    classes = sorted({value for unit in whole for value in unit})
    counts = [[list(unit).count(value) for value in classes] for unit in whole]
    return {**told(agreement.fleiss_kappa(counts)), "n": len(whole), "judgements": size}


def _cohen(units: Sequence[Sequence[Fact]]) -> list[dict[str, Any]]:
    """Cohen's kappa of the couples with most in common."""
    shared: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    names: dict[int, str] = {}
    for unit in units:
        said = {one.user: choice(one) for one in unit}
        names |= {one.user: one.name for one in unit}
        for a, b in itertools.combinations(sorted(said), 2):
            shared[a, b].append((said[a], said[b]))
    found = []
    for (a, b), both in sorted(shared.items(), key=lambda couple: -len(couple[1]))[:COUPLES]:
        if len(both) < TOGETHER:
            continue
        classes = sorted({value for couple in both for value in couple})
        counts = np.zeros((len(classes), len(classes)))
        for first, second in both:
            counts[classes.index(first), classes.index(second)] += 1
        kappa = agreement.cohen_kappa(counts)
        same = float(np.trace(counts) / counts.sum())
        found.append({"first": names[a], "second": names[b], "n": len(both), "percent": round(same, 4), **told(kappa)})
    return found


def pairs(judged: Sequence[Fact]) -> dict[str, Any]:
    """Agreement about pairs."""
    units = list(facts.by([one for one in judged if one.kind == "pair"], lambda one: one.unit).values())
    classes, grades = (
        [[choice(one) for one in unit] for unit in units],
        [[graded(one) for one in unit] for unit in units],
    )
    sided = [[value for value in unit if value < 2] for unit in classes]
    percent = agreement.percent_agreement(table(sided))
    q = percent.value
    single = aggregate.single_accuracy(q) if q is not None and q >= 0.5 else None
    return {
        "units": len(units),
        "judged_twice": sum(len(unit) >= 2 for unit in units),
        "percent": told(agreement.percent_agreement(table(classes))),
        "percent_of_sides": told(percent),
        "single_accuracy": finite(single),
        "majority_of_3": finite(aggregate.majority_accuracy(single, 3)) if single else None,
        "fleiss": _fleiss(classes),
        "krippendorff": {level: _alpha(table(classes if level == "nominal" else grades), level) for level in LEVELS},
        "cohen": _cohen(units),
        "ties": finite(float(np.mean([value >= 2 for unit in classes for value in unit]))) if units else None,
    }


def rankings(judged: Sequence[Fact]) -> dict[str, Any]:
    """Kendall's W of each comparison that at least two people ranked, and its mean."""
    units = facts.by([one for one in judged if one.kind == "ranking"], lambda one: one.unit).values()
    found = [
        agreement.kendall_w(np.array([one.meaning["ranks"] for one in unit], dtype=float).T).value
        for unit in units
        if len(unit) >= 2
    ]
    known = [value for value in found if value is not None]
    return {
        "units": len(units),
        "judged_twice": len(found),
        "kendall_w": finite(float(np.mean(known))) if known else None,
    }


def ratings(judged: Sequence[Fact]) -> dict[str, Any]:
    """Krippendorff's alpha for each axis; every response is a unit."""
    units: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in judged:
        for axis, marks in one.meaning.get("ratings", {}).items():
            for index, mark in zip(sorted(one.order), marks, strict=True):
                units[axis][one.comparison, index].append(float(mark))
    found = {}
    for axis, said in units.items():
        grid = table(list(said.values()))
        found[axis] = {"units": len(said), **{level: _alpha(grid, level) for level in LEVELS}}
    return found


def thumbs(judged: Sequence[Fact]) -> dict[str, Any]:
    """Agreement about thumbs; every response is a unit."""
    units: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in judged:
        for index, good in zip(sorted(one.order), one.meaning.get("thumbs", []), strict=False):
            units[one.comparison, index].append(float(good))
    grid = table(list(units.values()))
    return (
        {"units": len(units), "percent": told(agreement.percent_agreement(grid)), "nominal": _alpha(grid, "nominal")}
        if units
        else {"units": 0}
    )


def cycles(judged: Sequence[Fact]) -> dict[str, Any]:
    """How often the majorities about three responses of one comparison go round."""
    wins: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for one in judged:
        if one.best is not None:
            wins[one.comparison][one.best, next(index for index in one.responses if index != one.best)] += 1
        ranks = list(zip(sorted(one.order), one.meaning.get("ranks", []), strict=False))
        for (i, first), (j, second) in itertools.permutations(ranks, 2):
            wins[one.comparison][i, j] += first < second
    round_, triads = 0, 0
    for won in wins.values():
        size = 1 + max(index for couple in won for index in couple)
        grid = np.zeros((size, size))
        for (i, j), number in won.items():
            grid[i, j] = number
        cyclic, all_triads = agreement.intransitivity(grid)
        round_, triads = round_ + cyclic, triads + all_triads
    return {"cycles": round_, "triads": triads, "share": finite(round_ / triads) if triads else None}


def of_work(judged: Sequence[Fact]) -> dict[str, Any]:
    """Everything that is said of a project's agreement."""
    return {
        "num_judgements": len(judged), "pairs": pairs(judged), "rankings": rankings(judged), "ratings": ratings(judged), "thumbs": thumbs(judged),
        "cycles": cycles(judged),
    }  # fmt: skip


def _project(site: Site, connection: Connection) -> dict[str, Any]:
    return of_work([one for one in facts.load(connection, items.c.purpose == "work") if not one.repeat])


project = Kept(_project, seconds=20.0)
"""`project.of(site)`: the agreement of the whole project."""
