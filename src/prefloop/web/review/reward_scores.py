"""Scores of reward models that were brought in: what they say, and how often people agree with them.

Annotators never see any of it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from prefloop.stats import choosing
from prefloop.web.body import finite
from prefloop.web.store.comparisons import parts
from prefloop.web.store.tables import items, scores
from prefloop.web.work.votes import Vote, units_of, votes_where

Scores = dict[tuple[str, int], float]
"""(comparison, index of the response) -> score"""


def models(connection: Connection) -> list[dict[str, Any]]:
    """The models whose scores are here."""
    counts = func.count().label("scores"), func.count(scores.c.embedding).label("embeddings")
    rows = connection.execute(select(scores.c.model, *counts).group_by(scores.c.model).order_by(scores.c.model))
    return [dict(row) for row in rows.mappings()]


def embeddings(
    connection: Connection, needed: Sequence[str], more: Sequence[str]
) -> tuple[str, dict[str, NDArray[np.float64]]] | None:
    """Where a reward model sees comparisons: the mean of the embeddings of their responses.

    Args:
        needed: comparisons that must all have some.
        more: others, of which those without are left out.

    Returns: the first model, by name, that knows all that is needed, and comparison -> (D,); None if there is none.
    """
    for model in models(connection):
        if model["embeddings"] < len(set(needed)):
            continue
        places: dict[str, list[NDArray[np.float32]]] = {}
        of_model = scores.c.model == model["model"], scores.c.embedding.is_not(None)
        query = select(scores.c.comparison, scores.c.embedding).where(*of_model)
        for part in parts([*needed, *more]):
            mine = query.where(scores.c.comparison.in_(part)).order_by(scores.c.comparison, scores.c.index)
            for row in connection.execute(mine):
                places.setdefault(row.comparison, []).append(np.frombuffer(row.embedding, dtype="<f4"))
        lengths = {len(place) for of_comparison in places.values() for place in of_comparison}
        if len(lengths) == 1 and all(name in places for name in needed):
            return model["model"], {name: np.array(each, dtype=np.float64).mean(0) for name, each in places.items()}
    return None


def scores_of(connection: Connection, names: Iterable[str]) -> dict[str, Scores]:
    """Model -> its scores, of some comparisons."""
    query = select(scores.c.model, scores.c.comparison, scores.c.index.label("number"), scores.c.score)
    by_model: dict[str, Scores] = {}
    for part in parts(names):
        for row in connection.execute(query.where(scores.c.comparison.in_(part))):
            by_model.setdefault(row.model, {})[row.comparison, row.number] = row.score
    return by_model


def margin(scores: Scores, comparison: str, pair: Sequence[int]) -> float | None:
    """Score of the first of a pair less that of the second; None if one is not known."""
    first, second = scores.get((comparison, pair[0])), scores.get((comparison, pair[1]))
    return None if first is None or second is None else first - second


def majority(unit: Sequence[Vote]) -> int | None:
    """The response that more people prefer than any other answer; None if there is none."""
    said = [vote.best for vote in unit]
    best = max(set(said), key=lambda index: (said.count(index), index is None))
    return best if best is not None and 2 * said.count(best) > len(said) else None


def accuracy(connection: Connection) -> list[dict[str, Any]]:
    """How often each model prefers what the majority does, weighted to hold for all comparisons, chosen or not."""
    votes = votes_where(connection, items.c.purpose == "work", items.c.kind == "pair")
    units = units_of([vote for vote in votes if not vote.repeat])
    chance = _probabilities(connection, {unit[0].item for unit in units.values()})
    rows = []
    for model, of_model in sorted(scores_of(connection, {comparison for comparison, _, _ in units}).items()):
        right, inclusion = [], []
        for (comparison, _, pair), unit in units.items():
            gap, best = margin(of_model, comparison, pair), majority(unit)
            if gap is not None and best is not None:
                right.append(0.5 if gap == 0 else float((gap > 0) == (best == pair[0])))
                inclusion.append(chance[unit[0].item])
        if len(right) >= 2:
            weighted = choosing.hajek(right, inclusion)
            rows.append({
                "model": model, "pairs": len(right), "accuracy": finite(sum(right) / len(right)),
                "weighted": finite(weighted.mean), "standard_error": finite(weighted.standard_error),
            })  # fmt: skip
    return rows


def _probabilities(connection: Connection, numbers: set[int]) -> dict[int, float]:
    query = select(items.c.id, items.c.probability)
    rows = (row for part in parts(numbers) for row in connection.execute(query.where(items.c.id.in_(part))))
    return {row.id: min(max(row.probability, 1e-9), 1.0) for row in rows}
