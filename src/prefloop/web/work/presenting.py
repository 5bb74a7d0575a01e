"""Presentations as they are sent: texts, trees and order; never a model's name, a score, a sampler or what is gold."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from prefloop.web.body import is_deep
from prefloop.web.config import ProjectConfig
from prefloop.web.security.accounts import User
from prefloop.web.store.settings import project
from prefloop.web.store.tables import comparisons, items, judgements, presentations, responses
from prefloop.web.work import queue
from prefloop.web.work.items import QUEUED, checks
from prefloop.web.work.votes import is_newest

MOST_LEFT = 1000
"""What is left is counted up to here."""
DAY = 86400


def sent(connection: Connection, user: User, ids: Sequence[str], now: float) -> list[dict[str, Any]]:
    """Own presentations in the order of `ids`."""
    if not ids:
        return []
    rows = _rows(connection, user, ids)
    texts = _responses(connection, {row.comparison for row in rows.values()})
    others = {row.purpose for row in rows.values()} & {"arena", "adjudication"}  # a lease is of one queue
    config, progress = project(connection), progress_of(connection, user, now, *sorted(others)[:1])
    presented = [_presented(rows[identity], texts, config, progress) for identity in ids if identity in rows]
    practised = [shown for shown in presented if shown["purpose"] == "calibration"]
    places = _practice(connection) if practised else []
    for shown in practised:
        number = bisect_right(places, rows[shown["id"]].place)
        shown["practice"] = {"number": max(1, number), "of": max(1, len(places))}
    return presented


def _practice(connection: Connection) -> list[int]:
    """Places of the items of a calibration round, in the order in which everybody meets them."""
    query = select(items.c.place).where(checks("calibration"), ~items.c.retired)
    return sorted(connection.execute(query).scalars())


def _rows(connection: Connection, user: User, ids: Sequence[str]) -> dict[str, Row[Any]]:
    of_item = items.c.kind, items.c.purpose, items.c.place, items.c.comparison
    query = (
        select(presentations, *of_item, comparisons.c.messages, comparisons.c.trees)
        .join(items, items.c.id == presentations.c.item)
        .join(comparisons, comparisons.c.id == items.c.comparison)
        .where(presentations.c.id.in_(ids), presentations.c.user == user.id)
    )
    return {row.id: row for row in connection.execute(query)}


def _responses(connection: Connection, names: set[str]) -> dict[tuple[str, int], Any]:
    query = select(responses.c.comparison, responses.c.index.label("number"), responses.c.text, responses.c.tree)
    rows = connection.execute(query.where(responses.c.comparison.in_(names)))
    return {(row.comparison, row.number): row for row in rows}


def _presented(
    row: Row[Any], texts: dict[tuple[str, int], Any], config: ProjectConfig, progress: dict[str, Any]
) -> dict[str, Any]:
    said = zip(row.messages, row.trees, strict=True)
    shown = [texts[row.comparison, index] for index in row.order]
    return {
        "id": row.id, "kind": row.kind, "purpose": "calibration" if row.purpose == "calibration" else "work",
        "guideline": row.guideline, "expires": row.leased_until, "state": row.state,
        "draft": None if is_deep(row.draft) else row.draft,  # kept by an older prefloop
        "messages": [{"role": message["role"], "tree": tree} for message, tree in said],
        "responses": [{"slot": slot, "tree": text.tree, "text": text.text} for slot, text in enumerate(shown)],
        "axes": list(config.axes), "strength": config.strength, "progress": progress,
    }  # fmt: skip


def progress_of(connection: Connection, user: User, now: float, purpose: str = "work") -> dict[str, Any]:
    """Judgements since midnight (UTC), and how many items of a queue are left.

    Of work in tens, and never less than ten: an exact number falls with every answer but those to gold and repeats,
    which are in no queue, and so tells which items they are.
    """
    mine = judgements.c.user == user.id, judgements.c.at >= now - now % DAY, judgements.c.revision == 1
    today = connection.execute(select(func.count()).select_from(judgements).where(*mine)).scalar_one()
    left = queue.num_left(connection, user, purpose=purpose, most=MOST_LEFT)
    return {"today": today, "left": min(MOST_LEFT, max(10, -(-left // 10) * 10)) if purpose == "work" else left}


def history(connection: Connection, user: User, limit: int, now: float) -> list[dict[str, Any]]:
    """Own judgements, newest first, each with what was shown; only the newest revision of each."""
    query = (
        select(judgements)
        .join(items, items.c.id == judgements.c.item)
        .where(judgements.c.user == user.id, is_newest(), items.c.purpose.in_((*QUEUED, "gold")))
        .order_by(judgements.c.at.desc(), judgements.c.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    presented = {shown["id"]: shown for shown in sent(connection, user, [row.presentation for row in rows], now)}
    return [
        {
            "id": row.id, "presentation": presented[row.presentation], "answer": row.answer, "comment": row.comment,
            "at": row.at, "revision": row.revision, "counted": not row.late,
        }
        for row in rows
    ]  # fmt: skip
