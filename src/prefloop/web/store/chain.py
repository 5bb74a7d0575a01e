"""The log of all that was done, each event bound to the one before by a hash: a changed or removed one is noticed."""

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.records import Comparison
from prefloop.web.store.comparisons import as_brought, prints_of_trees
from prefloop.web.store.tables import chain, comparisons, events, items, judgements, presentations

START = "0" * 64
TOGETHER = 200
"""Comparisons fetched together."""
PART = 1000
"""Events fetched together."""
JUDGEMENT = ("judgement", "revision")
"""Kinds of the events that hold a whole judgement."""

_HEAD = select(chain.c.seq, chain.c.hash).where(chain.c.id == 1).with_for_update()
_ADVANCE = update(chain).where(chain.c.id == 1)


class Broken(UserError):
    """The log does not fit together: somebody changed what was written."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; restore a backup.")


def canonical(value: Any) -> str:
    """One JSON text for one value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def digest(previous: str, *, kind: str, actor: str, at: float, payload: str) -> str:
    """An event's hash."""
    return hashlib.sha256(canonical([previous, kind, actor, at, payload]).encode("ascii")).hexdigest()


def record(
    connection: Connection, kind: str, actor: str, at: float, payload: dict[str, Any], *, key: str | None = None
) -> int:
    """Appends an event in the transaction of what it tells. Returns: its number."""
    head = connection.execute(_HEAD).one()
    text = canonical(payload)
    new = {"seq": head.seq + 1, "hash": digest(head.hash, kind=kind, actor=actor, at=at, payload=text)}
    row = {"at": at, "actor": actor, "kind": kind, "key": key, "payload": text, "previous": head.hash}
    connection.execute(insert(events), {**row, **new})
    connection.execute(_ADVANCE, new)
    return head.seq + 1


def raw(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every event, oldest first, with its place in the chain."""
    with connection.execute(select(events).order_by(events.c.seq).execution_options(yield_per=PART)) as rows:
        for row in rows.mappings():
            yield {name: row[name] for name in ("seq", "at", "actor", "kind", "payload", "previous", "hash")}


def verify(connection: Connection) -> int:
    """Walks the whole chain, and compares every judgement and every comparison with the event that tells it.

    Args:
        connection: one that sees one moment (`database.snapshot`), or what is written meanwhile looks like damage.

    Returns: the number of events. Raises: Broken, which names the first event that does not fit.
    """
    previous, number, num_judgements, num_comparisons = START, 0, 0, 0
    for event in raw(connection):
        number += 1
        if event["seq"] != number:
            raise Broken(f"the log is broken: event {number} is missing. Somebody removed it")
        content = {name: event[name] for name in ("kind", "actor", "at", "payload")}
        if event["previous"] != previous or event["hash"] != digest(previous, **content):
            raise Broken(f"the log is broken: event {number} ({event['kind']}) was changed after it was written")
        previous = event["hash"]
        if event["kind"] in JUDGEMENT:
            num_judgements += 1
            _same_judgement(connection, number, json.loads(event["payload"]))
        elif event["kind"] == "comparisons":
            num_comparisons += _same_comparisons(connection, number, json.loads(event["payload"]))
    head = connection.execute(select(chain).where(chain.c.id == 1)).one()
    if (head.seq, head.hash) != (number, previous):
        raise Broken(f"the log is broken: it ends with event {number}, but {head.seq} were written")
    for table, tells in ((judgements, num_judgements), (comparisons, num_comparisons)):
        holds = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if holds != tells:
            raise Broken(f"the log tells of {tells} {table.name}, but the database holds {holds}")
    return number


def _same_comparisons(connection: Connection, number: int, payload: dict[str, Any]) -> int:
    """Compares what came in together, as texts and as it is shown, with what its event tells. Returns: how many."""
    prints: dict[str, str] = payload["fingerprints"]
    trees: dict[str, str] = payload.get("trees", {})  # an older prefloop told of none
    names = list(prints)
    for start in range(0, len(names), TOGETHER):
        part = names[start : start + TOGETHER]
        records = as_brought(connection, part)
        for name in part:
            if name not in records:
                raise Broken(f"the log is broken: the comparison {name!r} of event {number} is gone from the database")
            if _print(records[name]) != prints[name]:
                raise Broken(f"the comparison {name!r} of event {number} was changed after it was written")
        shown = prints_of_trees(connection, part) if trees else {}
        other = next((name for name in part if shown.get(name) != trees.get(name)), None)
        if other is not None:
            raise Broken(
                f"what is shown of the comparison {other!r} of event {number} was changed after it was written"
            )
    return len(prints)


def _print(record: dict[str, Any]) -> str | None:
    """A comparison's fingerprint; None if it is no comparison any more."""
    try:
        return fingerprints.of_value(Comparison.model_validate(record).model_dump(mode="json"))
    except ValueError:
        return None


def payload_of(row: Any) -> dict[str, Any]:
    """A judgement's row, as its event tells it."""
    return {column.name: row[column.name] for column in judgements.columns}


def _same_judgement(connection: Connection, number: int, payload: dict[str, Any]) -> None:
    row = connection.execute(select(judgements).where(judgements.c.id == payload["judgement"]["id"])).mappings().first()
    if row is None:
        raise Broken(f"the log is broken: the judgement of event {number} is gone from the database")
    about = (
        select(presentations.c.order, items.c.comparison, items.c.kind, items.c.purpose)
        .join(items, items.c.id == presentations.c.item)
        .where(presentations.c.id == row["presentation"])
    )
    for name, value in connection.execute(about).mappings().one().items():
        if value != payload[name]:
            raise Broken(f"what the judgement of event {number} is about was changed after it was written (`{name}`)")
    for name, value in payload_of(row).items():
        before = payload["judgement"][name]
        is_close = isinstance(value, float) and isinstance(before, float) and math.isclose(value, before)
        if value != before and not is_close:
            raise Broken(f"the judgement of event {number} was changed after it was written (`{name}`)")
