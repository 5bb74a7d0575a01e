"""What was judged, as records on disk: the newest counted revisions as judgements.jsonl, and the comparisons.

The file for the collect stage is written whole, when every item is done or `enough` judgements are in; after that
again when judgements were added or changed, but at most every half minute. It tells of the folder's own comparisons
only: what a lead brought in is in the exports. Edits and demonstrations are exported apart and do not count. What was
judged in the arena is in a file of its own, which `prefloop gate` reads.
"""

import functools
import math
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, literal_column, select

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files import outputs
from prefloop.files.atomic import write_bytes
from prefloop.files.tables import each_row
from prefloop.records import Comparison, Judgement
from prefloop.web.store.chain import JUDGEMENT
from prefloop.web.store.comparisons import as_brought
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, events, items, judgements, presentations, users
from prefloop.web.work.answers import MARKED
from prefloop.web.work.items import ARENA, HELD
from prefloop.web.work.votes import WAS_SHOWN, is_newest, ruled

ELSEWHERE = "Give another DIR to `prefloop web`."
AGAIN = 30.0
"""Seconds between two writings of judgements.jsonl, once it is there."""
PART = 1000
"""Rows fetched together."""
OF_THE_FILE = ("work", "adjudication")
"""Purposes of judgements about comparisons that somebody brought; only they count towards enough."""
EVERYTHING = (*OF_THE_FILE, "chat")
"""Those, and about what was said in the page's chat."""
BY = users.c.name, users.c.kind.label("by"), WAS_SHOWN.label("was_shown")
"""Who judged, and whether the sides are known."""


def judged(connection: Connection, purposes: Sequence[str] = OF_THE_FILE) -> Iterator[Judgement]:
    """The newest counted judgements, oldest first; where a lead has ruled, the ruling alone."""
    overruled = ruled(connection)
    of_item = items.c.kind, items.c.comparison, items.c.responses, items.c.purpose
    query = (
        select(judgements, presentations.c.order, *of_item, *BY)
        .join(presentations, presentations.c.id == judgements.c.presentation)
        .join(items, items.c.id == judgements.c.item)
        .join(users, users.c.id == judgements.c.user)
        .where(judgements.c.counted, items.c.kind.in_(MARKED), items.c.purpose.in_(purposes), is_newest())
        .order_by(judgements.c.at, judgements.c.id)
    )
    with connection.execute(query.execution_options(yield_per=PART)) as rows:
        for row in rows:
            if row.purpose == "adjudication" or (row.comparison, row.kind, tuple(row.responses)) not in overruled:
                yield as_record(row)


def as_record(row: Row[Any]) -> Judgement:
    """A judgement in the language on disk."""
    return Judgement.model_validate({
        "id": row.id, "comparison": row.comparison, "annotator": row.name, "annotator_kind": row.by,
        "kind": row.kind, "order": row.order, **{key: value for key, value in row.answer.items() if value is not None},
        "sides_known": bool(row.was_shown), "seconds": row.active_seconds,
        "guideline": str(row.guideline) if row.guideline else "", "ruling": row.purpose == "adjudication",
        "comment": row.comment,
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
        yield from map(Comparison.model_validate, as_brought(connection, names).values())


def write_judgements(site: Site, path: Path, *, among: Collection[str] | None = None) -> int:
    """Writes the newest counted judgements whole, or not at all. Returns: their number.

    Args:
        among: only those of these comparisons; None for all.

    Raises: UserError if something is there that prefloop did not write.
    """
    lines = _lines(site, among)
    _write(path, lines)
    return len(lines)


def _lines(site: Site, among: Collection[str] | None) -> list[str]:
    with site.database.snapshot() as connection:
        mine = (row for row in judged(connection) if among is None or row.comparison in among)
        return [row.model_dump_json() + "\n" for row in mine]


def _write(path: Path, lines: Sequence[str]) -> bool:
    """Returns: whether the file changed. Raises: UserError as in `write_judgements`."""
    data = "".join(lines).encode("utf-8")
    changed = not path.is_file() or path.read_bytes() != data
    if changed:
        with outputs.output(path, otherwise=ELSEWHERE) as new:
            write_bytes(new, data)
    elif not outputs.was_written(path):
        outputs.note_written(path)
    return changed


def refuse_foreign(site: Site) -> None:
    """Takes judgements.jsonl for what older versions wrote if it is as it would be now.

    Raises: UserError if it is there, and is neither that nor as it was written.
    """
    path = target(site)
    if os.path.lexists(path) and not outputs.was_written(path):
        if path.is_file() and path.read_bytes() == "".join(_lines(site, of_run(site))).encode("utf-8"):
            outputs.note_written(path)
        else:
            outputs.check_output(path, otherwise=ELSEWHERE)


def target(site: Site) -> Path:
    """The file that the collect stage waits for."""
    return layout.judged(site.folder)


def of_run(site: Site) -> frozenset[str] | None:
    """Comparisons of the folder's own comparisons.jsonl, which alone the collect stage knows; None if there is none."""
    path = site.folder / layout.COMPARISONS
    try:
        file = path.stat()
    except FileNotFoundError:
        return None
    return _named_in(path, file.st_mtime_ns, file.st_size)


@functools.lru_cache(maxsize=4)
def _named_in(path: Path, changed: int, size: int) -> frozenset[str]:
    rows = (row for _, row in each_row(path) if not isinstance(row, UserError))
    return frozenset(row["id"] for row in rows if isinstance(row.get("id"), str))


def is_over(connection: Connection, among: Collection[str] | None = None) -> bool:
    """True if enough judgements are in, or there is nothing left to judge.

    Args:
        among: what counts towards enough are judgements of these comparisons; None for all.
    """
    enough = project(connection).enough
    if enough and _is_enough(connection, enough, among):
        return True
    work, held_back = items.c.purpose == "work", (items.c.strategy == HELD) & ~items.c.retired
    waiting = [literal_column("items.needed > 0"), literal_column("items.leased > 0"), *([held_back] if enough else [])]
    some = select(judgements.c.id).where(judgements.c.counted).limit(1)
    still = (connection.execute(select(items.c.id).where(work, which).limit(1)).first() for which in waiting)
    return connection.execute(some).first() is not None and not any(still)


def _is_enough(connection: Connection, enough: int, among: Collection[str] | None) -> bool:
    """Counted judgements count once, whether they were revised or overruled; texts that were written do not."""
    joined = judgements.join(items, items.c.id == judgements.c.item)
    delivered = items.c.kind.in_(MARKED), items.c.purpose.in_(OF_THE_FILE)
    counted = (
        select(func.count()).select_from(joined).where(judgements.c.counted, judgements.c.revision == 1, *delivered)
    )
    if connection.execute(counted).scalar_one() < enough:
        return False
    if among is None:
        return True
    each = connection.execute(counted.add_columns(items.c.comparison).group_by(items.c.comparison))
    return sum(number for number, name in each if name in among) >= enough


class ArenaDelivery:
    """Writes what was judged in the arena, for `prefloop gate`, when there is news, at most every `AGAIN` seconds."""

    def __init__(self, site: Site) -> None:
        self.site, self._written, self._at = site, 0, -math.inf

    def look(self, *, last: bool = False) -> bool:
        """Writes if there is reason to. Args: last: the server ends, so what is new is not kept back. Returns: whether
        the file changed."""
        now, path = self.site.clock(), layout.arena_judged(self.site.folder)
        with self.site.database.reading() as connection:
            newest = newest_judgement(connection)
        if newest == self._written or (not last and 0 <= now - self._at < AGAIN):
            return False
        with self.site.database.snapshot() as connection:
            lines = [row.model_dump_json() + "\n" for row in judged(connection, (ARENA,))]
        self._at = now
        changed = (bool(lines) or path.is_file()) and _write(path, lines)
        self._written = newest
        return changed


def newest_judgement(connection: Connection) -> int:
    """The place in the log of the last judgement, or the last change of one; 0 before there is any."""
    return max(
        (connection.execute(select(func.max(events.c.seq)).where(events.c.kind == kind)).scalar() or 0)
        for kind in JUDGEMENT
    )


class Delivery:
    """Writes the file once enough is in, and again when judgements came or changed, at most every `AGAIN` seconds."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._over = False
        self._written: tuple[int, frozenset[str] | None] | None = None
        """the last judgement in the file, and the comparisons that it may be about"""
        self._at: float | None = None
        """when the file was written, or could not be"""

    def look(self, *, last: bool = False) -> bool:
        """Writes if there is reason to.

        Args:
            last: the server ends, so what is new is not kept back.

        Returns: True if the file changed.
        """
        among, now = of_run(self.site), self.site.clock()
        with self.site.database.reading() as connection:
            newest = newest_judgement(connection)
            waits = self._at is not None and not last and 0 <= now - self._at < AGAIN
            if self._written == (newest, among) or waits:
                return False
            self._over = self._over or is_over(connection, among)
        if not self._over:
            return False
        self._at = now
        changed = _write(target(self.site), _lines(self.site, among))
        self._written = (newest, among)
        return changed
