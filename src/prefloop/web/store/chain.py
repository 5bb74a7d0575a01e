"""The log of everything that was done, each event bound to the one before by a hash: a changed or removed one is noticed."""

import hashlib
import json
import math
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.records import Comparison
from prefloop.web.store import comparisons as stored
from prefloop.web.store.tables import chain, comparisons, events, items, judgements, presentations

START = "0" * 64
TOGETHER = 200
"""Comparisons fetched together."""
JUDGEMENT = ("judgement", "revision")
"""Kinds of the events that hold a whole judgement."""


_HEAD = select(chain.c.seq, chain.c.hash).where(chain.c.id == 1).with_for_update()
_ADVANCE = update(chain).where(chain.c.id == 1)


class Broken(UserError):
    """The log does not fit together: somebody changed what was written."""


def canonical(value: Any) -> str:
    """One JSON text for one value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def digest(previous: str, *, kind: str, actor: str, at: float, payload: str) -> str:
    """An event's hash."""
    text = canonical([previous, kind, actor, at, payload])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def record(
    connection: Connection, kind: str, actor: str, at: float, payload: dict[str, Any], *, key: str | None = None
) -> int:
    """Appends an event in the transaction of what it tells. Returns: its number."""
    head = connection.execute(_HEAD).one()
    text = canonical(payload)
    found = digest(head.hash, kind=kind, actor=actor, at=at, payload=text)
    row = {"seq": head.seq + 1, "at": at, "actor": actor, "kind": kind, "key": key, "payload": text}
    connection.execute(insert(events), {**row, "previous": head.hash, "hash": found})
    connection.execute(_ADVANCE, {"seq": head.seq + 1, "hash": found})
    return head.seq + 1


def verify(connection: Connection) -> int:
    """Walks the whole chain, and compares every judgement and every comparison with the event that tells it.

    Args:
        connection: one that sees one moment (`database.snapshot`), or what is written meanwhile looks like damage.

    Returns: the number of events. Raises: Broken, which names the first event that does not fit.
    """
    previous, number, told, compared = START, 0, 0, 0
    with connection.execute(select(events).order_by(events.c.seq).execution_options(yield_per=2000)) as rows:
        for row in rows:
            number += 1
            if row.seq != number:
                raise Broken(f"the log is broken: event {number} is missing. Somebody removed it; restore a backup.")
            if row.previous != previous or row.hash != digest(
                previous, kind=row.kind, actor=row.actor, at=row.at, payload=row.payload
            ):
                raise Broken(
                    f"the log is broken: event {number} ({row.kind}) was changed after it was written; restore a backup."
                )
            previous = row.hash
            if row.kind in JUDGEMENT:
                told += 1
                _same_judgement(connection, number, json.loads(row.payload))
            elif row.kind == "comparisons":
                compared += _same_comparisons(connection, number, json.loads(row.payload))
    head = connection.execute(select(chain).where(chain.c.id == 1)).one()
    if (head.seq, head.hash) != (number, previous):
        raise Broken(f"the log is broken: it ends with event {number}, but {head.seq} were written; restore a backup.")
    kept = connection.execute(select(judgements.c.id)).all()
    if len(kept) != told:
        raise Broken(f"the log tells of {told} judgements, but the database holds {len(kept)}; restore a backup.")
    held = connection.execute(select(func.count()).select_from(comparisons)).scalar_one()
    if held != compared:
        raise Broken(f"the log tells of {compared} comparisons, but the database holds {held}; restore a backup.")
    return number


def _same_comparisons(connection: Connection, number: int, payload: dict[str, Any]) -> int:
    """Compares what came in together, prompts and responses, as texts and as they are shown, with what its event tells. Returns: how many."""
    prints: dict[str, str] = payload["fingerprints"]
    trees: dict[str, str] = payload.get("trees", {})  # an older prefloop told of none
    names = list(prints)
    for start in range(0, len(names), TOGETHER):
        part = names[start : start + TOGETHER]
        found = stored.told(connection, part)
        for name in part:
            if name not in found:
                raise Broken(
                    f"the log is broken: the comparison {name!r} of event {number} is gone from the database; restore a backup."
                )
            try:
                mine = Comparison.model_validate(found[name])
            except ValueError:
                mine = None
            if mine is None or fingerprints.of_value(mine.model_dump(mode="json")) != prints[name]:
                raise Broken(
                    f"the comparison {name!r} of event {number} was changed after it was written; restore a backup."
                )
        shown = stored.prints_of_trees(connection, part) if trees else {}
        other = next((name for name in part if shown.get(name) != trees.get(name)), None)
        if other is not None:
            raise Broken(
                f"what is shown of the comparison {other!r} of event {number} was changed after it was written; restore a backup."
            )
    return len(prints)


def told(row: Any) -> dict[str, Any]:
    """A judgement's row, as its event tells it."""
    return {column.name: row[column.name] for column in judgements.columns}


def _same_judgement(connection: Connection, number: int, payload: dict[str, Any]) -> None:
    row = connection.execute(select(judgements).where(judgements.c.id == payload["judgement"]["id"])).mappings().first()
    if row is None:
        raise Broken(f"the log is broken: the judgement of event {number} is gone from the database; restore a backup.")
    about = (
        select(presentations.c.order, items.c.comparison, items.c.kind, items.c.purpose)
        .join(items, items.c.id == presentations.c.item)
        .where(presentations.c.id == row["presentation"])
    )
    shown = connection.execute(about).mappings().one()
    for name, value in shown.items():
        if value != payload[name]:
            raise Broken(
                f"what the judgement of event {number} is about was changed after it was written (`{name}`); restore a backup."
            )
    for name, value in told(row).items():
        before = payload["judgement"][name]
        close = isinstance(value, float) and isinstance(before, float) and math.isclose(value, before)
        if value != before and not close:
            raise Broken(
                f"the judgement of event {number} was changed after it was written (`{name}`); restore a backup."
            )
