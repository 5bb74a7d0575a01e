"""Files of reward models' scores.

Reads rows {"id": "COMPARISON:INDEX", "score"} (records.Score of `prefloop score`), {"comparison", "index", "score"}, or
{"comparison", "margin"} for two responses (score of the first less that of the second). Rows of one response may have
an `embedding` (records.EmbeddedScore), a list of numbers, in a file all of one length.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, select, tuple_

from prefloop.errors import UserError
from prefloop.files.tables import shown
from prefloop.web.config import ImportConfig
from prefloop.web.exchange.rows import rows
from prefloop.web.store.chain import record
from prefloop.web.store.comparisons import of_responses, parts
from prefloop.web.store.site import Site
from prefloop.web.store.tables import responses, scores

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
    if isinstance(number, bool) or not isinstance(number, int | float) or not -LARGEST <= number <= LARGEST:
        raise UserError(f"{place}: `score` (or `margin`) should be a finite number, but is {shown(number)}.")
    if "margin" in row and isinstance(row.get("comparison"), str):
        return [(row["comparison"], 0, number / 2, None), (row["comparison"], 1, -number / 2, None)]
    place_of = _embedding(row.get("embedding"), place)
    if isinstance(row.get("comparison"), str) and type(row.get("index")) is int:
        return [(row["comparison"], row["index"], float(number), place_of)]
    name, colon, index = str(row.get("id", "")).rpartition(":")
    if not colon or not index.isascii() or not index.isdigit() or len(index) > 4:
        says = "a score needs `id` as COMPARISON:INDEX, or `comparison` and `index`, or `comparison` and `margin`."
        raise UserError(f"{place}: {says}")
    return [(name, int(index), float(number), place_of)]


def _embedding(given: Any, place: str) -> bytes | None:
    if given is None:
        return None
    numbers: list[Any] = given if isinstance(given, list) and 0 < len(given) <= LONGEST else [None]
    if not all(type(number) in (int, float) and abs(number) <= LARGEST for number in numbers):  # nan is at most nothing
        says = f"`embedding` should be a list of 1 to {LONGEST} finite numbers, but is {shown(given)}."
        raise UserError(f"{place}: {says}")
    return np.array(given, dtype="<f4").tobytes()


def _read(
    path: Path, problems: list[str] | None, limits: ImportConfig
) -> dict[tuple[str, int], tuple[float, bytes | None]]:
    """(comparison, index) -> (score, embedding); what is wrong goes to `problems`, or is raised if that is None."""
    given: dict[tuple[str, int], tuple[float, bytes | None]] = {}
    length = None
    for number, row in rows(path, limits):
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UserError):
                raise row
            for name, index, score, embedding in parsed(row, place):
                if embedding is not None and len(embedding) != (length := length or len(embedding)):
                    says = f"has {len(embedding) // 4} numbers, but those before have {length // 4}"
                    raise UserError(f"{place}: `embedding` {says}; write them with one model.")
                given[name, index] = score, embedding
        except UserError as problem:
            if problems is None:
                raise
            problems.append(str(problem))
    return given


def from_file(site: Site, path: Path, *, model: str, actor: str, skip: bool) -> dict[str, Any]:
    """Takes in a file of scores; those of the same model are replaced, in parts, so that nobody who judges waits.

    Who is stopped between two parts has some of the new scores and the rest of the old, and brings in the file again.
    Raises: UserError with file:line unless `skip`, and nothing is kept.
    """
    problems: list[str] = []
    given = _read(path, problems if skip else None, site.config.imports)
    before = select(scores.c.comparison, scores.c.index.label("number")).where(scores.c.model == model)
    with site.database.reading() as connection:
        known = of_responses(connection, {name for name, _ in given}, responses.c.index)
        here = [(row.comparison, row.number) for row in connection.execute(before)]
    lost = [key for key in given if key not in known]
    if lost and not skip:
        more = f", nor {len(lost) - 1} others" if len(lost) > 1 else ""
        raise UserError(f"{path.name}: there is no response {lost[0][1]} of a comparison {lost[0][0]!r} here{more}.")
    problems.extend(f"{path.name}: no response {index} of a comparison {name!r} is here." for name, index in lost[:100])
    rows = [(*key, *given[key]) for key in sorted(given) if key in known]
    gone = sorted(set(here) - {row[:2] for row in rows}) if rows else []
    for write, whole in ((_keep, rows), (_forget, gone)):
        for start in range(0, len(whole), TOGETHER):
            part: Any = whole[start : start + TOGETHER]
            site.database.write(lambda c, write=write, part=part: write(c, site, model, part, actor))
    return {"model": model, "added": len(rows), "left_out": len(problems), "problems": problems[:100]}


def _keep(connection: Connection, site: Site, model: str, part: Sequence[Row], actor: str) -> None:
    """Keeps scores in the place of older ones."""
    new = site.database.insert(scores)
    values = {"score": new.excluded.score, "embedding": new.excluded.embedding}
    newer = new.on_conflict_do_update(index_elements=["model", "comparison", "index"], set_=values)
    names = ("model", "comparison", "index", "score", "embedding")
    connection.execute(newer, [dict(zip(names, (model, *row), strict=True)) for row in part])
    record(connection, "scores", actor, site.clock(), {"model": model, "rows": len(part)})


def _forget(connection: Connection, site: Site, model: str, part: Sequence[tuple[str, int]], actor: str) -> None:
    """Takes away older scores that have no newer ones."""
    for these in parts(part):
        mine = tuple_(scores.c.comparison, scores.c.index).in_(these)
        connection.execute(delete(scores).where(scores.c.model == model, mine))
    record(connection, "scores", actor, site.clock(), {"model": model, "rows": 0, "removed": len(part)})
