"""Scores of reward models, brought in as files: what they say of each comparison, and how often people agree with them.

Reads rows {"id": "COMPARISON:INDEX", "score"} (records.Score of `prefloop score`), {"comparison", "index", "score"}, or
{"comparison", "margin"} for two responses (score of the first less that of the second). Rows of one response may have an
`embedding` (records.EmbeddedScore), a list of numbers, in a file all of one length. Annotators never see any of it.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, select, tuple_

from prefloop.errors import UserError
from prefloop.files.tables import each_row, shown
from prefloop.stats import choosing
from prefloop.web.store.chain import record
from prefloop.web.store.lead_tables import scores
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, responses
from prefloop.web.work import votes as facts
from prefloop.web.work.votes import Fact, finite

TOGETHER = 10_000
"""Scores of one transaction, and of one event."""
LONGEST = 1024
"""Numbers of an embedding at most."""
LARGEST = float(np.finfo(np.float32).max)
Row = tuple[str, int, float, bytes | None]
"""Comparison, index of the response, score, embedding as float32."""


def parsed(row: dict[str, Any], place: str) -> list[Row]:
    """What one row says. Raises: UserError with the place."""
    number = row.get("margin", row.get("score"))
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise UserError(f"{place}: `score` (or `margin`) should be a finite number, but is {shown(number)}.")
    if "margin" in row and isinstance(row.get("comparison"), str):
        return [(row["comparison"], 0, number / 2, None), (row["comparison"], 1, -number / 2, None)]
    place_of = _embedding(row.get("embedding"), place)
    if isinstance(row.get("comparison"), str) and type(row.get("index")) is int:
        return [(row["comparison"], row["index"], float(number), place_of)]
    name, colon, index = str(row.get("id", "")).rpartition(":")
    if not colon or not index.isascii() or not index.isdigit() or len(index) > 4:
        raise UserError(
            f"{place}: a score needs `id` as COMPARISON:INDEX, or `comparison` and `index`, or `comparison` and `margin`."
        )
    return [(name, int(index), float(number), place_of)]


def _embedding(given: Any, place: str) -> bytes | None:
    if given is None:
        return None
    numbers = isinstance(given, list) and 0 < len(given) <= LONGEST
    if not numbers or not all(
        type(one) in (int, float) and abs(one) <= LARGEST for one in given
    ):  # nan is at most nothing
        raise UserError(
            f"{place}: `embedding` should be a list of 1 to {LONGEST} finite numbers, but is {shown(given)}."
        )
    return np.array(given, dtype="<f4").tobytes()


def from_file(site: Site, path: Path, *, model: str, actor: str, skip: bool) -> dict[str, Any]:
    """Takes in a file of scores; those of the same model are replaced, in parts, so that nobody who judges waits.

    Who is stopped between two parts has some of the new scores and the rest of the old ones, and brings in the same file again.
    Raises: UserError with file:line unless `skip`, and nothing is kept.
    """
    problems: list[str] = []
    found: dict[tuple[str, int], tuple[float, bytes | None]] = {}
    length = None
    for number, row in each_row(path):
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UserError):
                raise row
            for name, index, score, embedding in parsed(row, place):
                if embedding is not None and len(embedding) != (length := length or len(embedding)):
                    raise UserError(
                        f"{place}: `embedding` has {len(embedding) // 4} numbers, but those before have {length // 4}; write them with one model."
                    )
                found[name, index] = score, embedding
        except UserError as problem:
            if not skip:
                raise
            problems.append(str(problem))

    with site.database.reading() as connection:
        known = _known(connection, {name for name, _ in found})
        here = connection.execute(
            select(scores.c.comparison, scores.c.index.label("number")).where(scores.c.model == model)
        ).all()
    lost = [key for key in found if key not in known]
    if lost and not skip:
        more = f", nor {len(lost) - 1} others" if len(lost) > 1 else ""
        raise UserError(f"{path.name}: there is no response {lost[0][1]} of a comparison {lost[0][0]!r} here{more}.")
    problems.extend(f"{path.name}: no response {index} of a comparison {name!r} is here." for name, index in lost[:100])
    rows = [(name, index, *found[name, index]) for name, index in sorted(found) if (name, index) in known]
    for start in range(0, len(rows), TOGETHER):
        site.database.write(lambda c, part=rows[start : start + TOGETHER]: _keep(c, site, model, part, actor))
    kept = {row[:2] for row in rows}
    gone = (
        sorted((row.comparison, row.number) for row in here if (row.comparison, row.number) not in kept) if rows else []
    )
    for start in range(0, len(gone), TOGETHER):
        site.database.write(lambda c, part=gone[start : start + TOGETHER]: _forget(c, site, model, part, actor))
    return {"model": model, "added": len(rows), "left_out": len(problems), "problems": problems[:100]}


def _keep(connection: Connection, site: Site, model: str, part: Sequence[Row], actor: str) -> None:
    """Keeps scores in the place of older ones."""
    new = site.database.insert(scores)
    values = {"score": new.excluded.score, "embedding": new.excluded.embedding}
    newer = new.on_conflict_do_update(index_elements=["model", "comparison", "index"], set_=values)
    connection.execute(
        newer,
        [dict(zip(("comparison", "index", "score", "embedding"), row, strict=True)) | {"model": model} for row in part],
    )
    record(connection, "scores", actor, site.clock(), {"model": model, "rows": len(part)})


def _forget(connection: Connection, site: Site, model: str, part: Sequence[tuple[str, int]], actor: str) -> None:
    """Takes away older scores that have no newer ones."""
    for start in range(0, len(part), facts.PART):
        these = tuple_(scores.c.comparison, scores.c.index).in_(part[start : start + facts.PART])
        connection.execute(delete(scores).where(scores.c.model == model, these))
    record(connection, "scores", actor, site.clock(), {"model": model, "rows": 0, "removed": len(part)})


def _known(connection: Connection, names: set[str]) -> set[tuple[str, int]]:
    query = select(responses.c.comparison, responses.c.index.label("number"))
    return {
        (row.comparison, row.number)
        for part in facts.parts(names)
        for row in connection.execute(query.where(responses.c.comparison.in_(part)))
    }


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
    for one in models(connection):
        if one["embeddings"] < len(set(needed)):
            continue
        told: dict[str, list[NDArray[np.float32]]] = {}
        for part in facts.parts([*needed, *more]):
            of_model = select(scores.c.comparison, scores.c.embedding).where(
                scores.c.model == one["model"], scores.c.comparison.in_(part)
            )
            for row in connection.execute(
                of_model.where(scores.c.embedding.is_not(None)).order_by(scores.c.comparison, scores.c.index)
            ):
                told.setdefault(row.comparison, []).append(np.frombuffer(row.embedding, dtype="<f4"))
        if (
            all(name in told for name in needed)
            and len({len(place) for places in told.values() for place in places}) == 1
        ):
            return one["model"], {name: np.array(places, dtype=np.float64).mean(0) for name, places in told.items()}
    return None


def of(connection: Connection, names: Iterable[str]) -> dict[str, dict[tuple[str, int], float]]:
    """Model -> (comparison, index) -> score, of some comparisons."""
    found: dict[str, dict[tuple[str, int], float]] = {}
    for part in facts.parts(names):
        for row in connection.execute(select(scores.c.model, scores.c.comparison, scores.c.index.label("number"), scores.c.score)
                                      .where(scores.c.comparison.in_(part))):  # fmt: skip
            found.setdefault(row.model, {})[row.comparison, row.number] = row.score
    return found


def margin(told: dict[tuple[str, int], float], comparison: str, pair: Sequence[int]) -> float | None:
    """Score of the first of a pair less that of the second; None if one is not known."""
    first, second = told.get((comparison, pair[0])), told.get((comparison, pair[1]))
    return None if first is None or second is None else first - second


def majority(unit: Sequence[Fact]) -> int | None:
    """The response that more people prefer than any other answer; None if there is none."""
    said = [one.best for one in unit]
    best = max(set(said), key=lambda index: (said.count(index), index is None))
    return best if best is not None and 2 * said.count(best) > len(said) else None


def accuracy(connection: Connection) -> list[dict[str, Any]]:
    """How often each model prefers what the majority prefers, weighted so that it holds for all comparisons, not only for those chosen."""
    judged = [
        one for one in facts.load(connection, items.c.purpose == "work", items.c.kind == "pair") if not one.repeat
    ]
    units = facts.by(judged, lambda one: one.unit)
    chance = _probabilities(connection, {unit[0].item for unit in units.values()})
    told = of(connection, {comparison for comparison, _, _ in units})
    found = []
    for model, known in sorted(told.items()):
        right, inclusion = [], []
        for (comparison, _, pair), unit in units.items():
            gap, best = margin(known, comparison, pair), majority(unit)
            if gap is not None and best is not None:
                right.append(0.5 if gap == 0 else float((gap > 0) == (best == pair[0])))
                inclusion.append(chance[unit[0].item])
        if len(right) >= 2:
            weighted = choosing.hajek(right, inclusion)
            found.append({
                "model": model, "pairs": len(right), "accuracy": finite(sum(right) / len(right)), "weighted": finite(weighted.mean),
                "standard_error": finite(weighted.standard_error),
            })  # fmt: skip
    return found


def _probabilities(connection: Connection, names: set[int]) -> dict[int, float]:
    query = select(items.c.id, items.c.probability)
    return {
        row.id: min(max(row.probability, 1e-9), 1.0)
        for part in facts.parts(names)
        for row in connection.execute(query.where(items.c.id.in_(part)))
    }
