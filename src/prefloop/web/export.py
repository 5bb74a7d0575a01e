"""What was judged, as records on disk: the newest counted revisions as judgements.jsonl, the comparisons, the raw events.

The file for the collect stage is written whole, when every item is done or `enough` judgements are in; after that again
whenever something was added, so that it always tells the newest.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, literal_column, select

from prefloop.files.atomic import make_folder, write_bytes
from prefloop.records import Comparison, Judgement
from prefloop.web import facts, stored
from prefloop.web.settings import project
from prefloop.web.site import Site
from prefloop.web.tables import chain, comparisons, events, items, judgements, presentations, users

PART = 1000
"""Rows fetched together."""
RECORDED = ("pair", "ranking", "rating", "thumb")
"""Kinds that records.Judgement knows; texts are exported with the events."""


def judged(connection: Connection) -> Iterator[Judgement]:
    """The newest counted judgements, oldest first; where a lead has ruled, the ruling alone."""
    ruled = facts.ruled(connection)
    query = (
        select(judgements, presentations.c.order, items.c.kind, items.c.comparison, items.c.responses, items.c.purpose, users.c.name)
        .join(presentations, presentations.c.id == judgements.c.presentation)
        .join(items, items.c.id == judgements.c.item)
        .join(users, users.c.id == judgements.c.user)
        .where(judgements.c.counted, items.c.kind.in_(RECORDED), items.c.purpose.in_(("work", "adjudication")))
        .where(facts.is_newest())
        .order_by(judgements.c.at, judgements.c.id)
    )
    with connection.execute(query.execution_options(yield_per=PART)) as rows:
        for row in rows:
            if row.purpose == "adjudication" or (row.comparison, row.kind, tuple(row.responses)) not in ruled:
                yield as_record(row)


def as_record(row: Row[Any]) -> Judgement:
    """A judgement in the language on disk."""
    return Judgement.model_validate({
        "id": row.id, "comparison": row.comparison, "annotator": row.name, "annotator_kind": "person", "kind": row.kind, "order": row.order,
        **{key: value for key, value in row.answer.items() if value is not None},
        "seconds": row.active_seconds, "guideline": str(row.guideline) if row.guideline else "",
    })  # fmt: skip


def compared(connection: Connection) -> Iterator[Comparison]:
    """The comparisons as they came."""
    last = ""
    while True:
        query = select(comparisons.c.id).where(comparisons.c.id > last).order_by(comparisons.c.id).limit(PART)
        names = connection.execute(query).scalars().all()
        if not names:
            return
        last = names[-1]
        yield from map(Comparison.model_validate, stored.told(connection, names).values())


def raw(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every event, oldest first, with its place in the chain."""
    query = select(events).order_by(events.c.seq).execution_options(yield_per=PART)
    with connection.execute(query) as rows:
        for row in rows.mappings():
            yield {name: row[name] for name in ("seq", "at", "actor", "kind", "payload", "previous", "hash")}


def write_judgements(site: Site, path: Path) -> int:
    """Writes the newest counted judgements whole, or not at all. Returns: their number."""
    with site.database.snapshot() as connection:
        lines = [judgement.model_dump_json() + "\n" for judgement in judged(connection)]
    make_folder(path.parent)
    write_bytes(path, "".join(lines).encode("utf-8"))
    return len(lines)


def target(site: Site) -> Path:
    """The file that the collect stage waits for."""
    return site.folder / "judged" / "judgements.jsonl"


def is_over(connection: Connection) -> bool:
    """True if every item is done, or enough judgements are in."""
    enough = project(connection).enough
    if enough:
        delivered = (items.c.kind.in_(RECORDED)) & (items.c.purpose.in_(("work", "adjudication")))
        counted = (
            select(func.count())
            .select_from(judgements.join(items, items.c.id == judgements.c.item))
            .where(judgements.c.counted, judgements.c.revision == 1, delivered)
        )
        return connection.execute(counted).scalar_one() >= enough
    waiting = select(items.c.id).where(items.c.purpose == "work", literal_column("items.needed > 0")).limit(1)
    held = select(items.c.id).where(items.c.purpose == "work", literal_column("items.leased > 0")).limit(1)
    some = select(judgements.c.id).where(judgements.c.counted).limit(1)
    return connection.execute(some).first() is not None and not any(connection.execute(query).first() for query in (waiting, held))


class Delivery:
    """Writes the file once all is in, and again after every change."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._written = -1

    def look(self) -> bool:
        """Writes if there is reason to. Returns: True if it did."""
        with self.site.database.reading() as connection:
            head = connection.execute(select(chain.c.seq)).scalar_one()
            if head == self._written or not is_over(connection):
                return False
        write_judgements(self.site, target(self.site))
        self._written = head
        return True
