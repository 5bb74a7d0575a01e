"""What annotators wrote: comments beside their judgements, flags, and why they skipped something."""

import json
from typing import Any

from sqlalchemy import Connection, select

from prefloop.web.store.tables import comparisons, events, items, judgements, users
from prefloop.web.work.votes import is_newest

MOST = 100
"""Comments, and again flags and skips, that are told of."""
FLAGS = select(events).where(events.c.kind.in_(("flag", "skip"))).order_by(events.c.seq.desc())
ABOUT = (items.c.comparison, items.c.kind, comparisons.c.messages)


def comments(connection: Connection, *where: Any, limit: int = MOST) -> list[dict[str, Any]]:
    """Comments on judgements as they now stand, newest first: who, when, what, and the item."""
    query = (
        select(judgements.c.item, judgements.c.at, judgements.c.comment, users.c.name, *ABOUT)
        .join(items, items.c.id == judgements.c.item)
        .join(comparisons, comparisons.c.id == items.c.comparison)
        .join(users, users.c.id == judgements.c.user)
        .where(judgements.c.comment != "", is_newest(), *where)
        .order_by(judgements.c.at.desc(), judgements.c.id)
        .limit(limit)
    )
    return [
        {"kind": "comment", "by": row.name, "at": row.at, "reason": "", "comment": row.comment, **_about(row.item, row)}
        for row in connection.execute(query)
    ]


def flags(connection: Connection) -> list[dict[str, Any]]:
    """The newest flags and skips, with the item that each is about; its number is 0 if nobody knows."""
    said = [(row, json.loads(row.payload)) for row in connection.execute(FLAGS.limit(MOST))]
    query = select(items.c.id, *ABOUT).join(comparisons, comparisons.c.id == items.c.comparison)
    rows = connection.execute(query.where(items.c.id.in_({payload.get("item", 0) for _, payload in said})))
    about = {row.id: _about(row.id, row) for row in rows}
    nothing = {"item": 0, "comparison": "", "asked": "", "prompt": ""}
    return [
        {"kind": row.kind, "by": row.actor, "at": row.at, "reason": payload.get("reason") or "",
         "comment": payload.get("comment") or "", **about.get(payload.get("item", 0), nothing)}
        for row, payload in said
    ]  # fmt: skip


def as_logged(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest flags and skips, as the log tells them."""
    rows = connection.execute(FLAGS.limit(limit))
    return [
        {"seq": row.seq, "at": row.at, "by": row.actor, "kind": row.kind, **json.loads(row.payload)} for row in rows
    ]


def everything(connection: Connection) -> list[dict[str, Any]]:
    """Flags, skips and comments together, newest first."""
    return sorted([*flags(connection), *comments(connection)], key=lambda said: -said["at"])


def _about(number: int, row: Any) -> dict[str, Any]:
    return {"item": number, "comparison": row.comparison, "asked": row.kind, "prompt": row.messages[-1]["content"]}
