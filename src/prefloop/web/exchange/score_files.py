"""Files of reward models' scores.

Reads rows {"id": "COMPARISON:INDEX", "score"} (records.Score of `prefloop score`), {"comparison", "index", "score"}, or
{"comparison", "margin"} for two responses (score of the first less that of the second). Rows of one response may have
an `embedding` (records.EmbeddedScore), a list of numbers, in a file all of one length. `members`, the scores of an
ensemble's members, are kept as those of models of their own (`NAME 0`, `NAME 1`, ...), which the selection looks at.
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
MOST_MEMBERS = 64
"""Members of an ensemble at most."""
Row = tuple[str, int, float, bytes | None]
"""Comparison, index of the response, score, embedding as float32."""
Given = dict[tuple[str, int], tuple[float, bytes | None]]
"""(comparison, index) -> score and embedding"""


def parsed(row: dict[str, Any], place: str) -> list[Row]:
    """What one row says. Raises: UserError with the place."""
    number: Any = row.get("margin", row.get("score"))
    if not _is_number(number):
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


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST  # nan is at most nothing


def _members(row: dict[str, Any], place: str) -> list[float]:
    """The scores of an ensemble's members, if the row has some. Raises: UserError with the place."""
    given = row.get("members")
    if given is None or "margin" in row:
        return []
    numbers: list[Any] = given if isinstance(given, list) and 0 < len(given) <= MOST_MEMBERS else [None]
    if not all(map(_is_number, numbers)):
        says = f"`members` should be a list of 1 to {MOST_MEMBERS} finite numbers, but is {shown(given)}."
        raise UserError(f"{place}: {says}")
    return [float(number) for number in numbers]


def _embedding(given: Any, place: str) -> bytes | None:
    if given is None:
        return None
    numbers: list[Any] = given if isinstance(given, list) and 0 < len(given) <= LONGEST else [None]
    if not all(map(_is_number, numbers)):
        says = f"`embedding` should be a list of 1 to {LONGEST} finite numbers, but is {shown(given)}."
        raise UserError(f"{place}: {says}")
    return np.array(given, dtype="<f4").tobytes()


def _read(path: Path, problems: list[str] | None, limits: ImportConfig, model: str) -> dict[str, Given]:
    """Model (and its members) -> what is given; what is wrong goes to `problems`, or is raised if that is None."""
    given: dict[str, Given] = {model: {}}
    length = None
    for number, row in rows(path, limits):
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UserError):
                raise row
            members = _members(row, place)
            for name, index, score, embedding in parsed(row, place):
                if embedding is not None and len(embedding) != (length := length or len(embedding)):
                    says = f"has {len(embedding) // 4} numbers, but those before have {length // 4}"
                    raise UserError(f"{place}: `embedding` {says}; write them with one model.")
                given[model][name, index] = score, embedding
                for i, member in enumerate(members):
                    given.setdefault(f"{model} {i}", {})[name, index] = member, None
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
    by_model = _read(path, problems if skip else None, site.config.imports, model)
    with site.database.reading() as connection:
        known = of_responses(connection, {name for name, _ in by_model[model]}, responses.c.index)
    lost = [key for key in by_model[model] if key not in known]
    if lost and not skip:
        more = f", nor {len(lost) - 1} others" if len(lost) > 1 else ""
        raise UserError(f"{path.name}: there is no response {lost[0][1]} of a comparison {lost[0][0]!r} here{more}.")
    problems.extend(f"{path.name}: no response {index} of a comparison {name!r} is here." for name, index in lost[:100])
    for name, given in by_model.items():
        _replace(site, name, [(*key, *given[key]) for key in sorted(given) if key in known], actor)
    added = sum(key in known for key in by_model[model])
    return {"model": model, "added": added, "left_out": len(problems), "problems": problems[:100]}


def _replace(site: Site, model: str, rows: Sequence[Row], actor: str) -> None:
    """Keeps the scores of one model, in parts, and then takes away those older ones that have no newer."""
    before = select(scores.c.comparison, scores.c.index.label("number")).where(scores.c.model == model)
    with site.database.reading() as connection:
        here = [(row.comparison, row.number) for row in connection.execute(before)]
    gone = sorted(set(here) - {row[:2] for row in rows}) if rows else []
    for write, whole in ((_keep, rows), (_forget, gone)):
        for start in range(0, len(whole), TOGETHER):
            part: Any = whole[start : start + TOGETHER]
            site.database.write(lambda c, write=write, part=part: write(c, site, model, part, actor))


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
