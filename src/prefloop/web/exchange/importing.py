"""Bringing in: tickets and exports of other tools, from .jsonl, .json, .csv or Parquet.

A file is looked at whole before any of it is kept: what is good waits in a temporary file. A bad row is a sentence with
file:line, and nothing is kept unless the rest is asked for (`on_bad=skip`). Then it is rendered and written in parts:
nobody who judges waits. Who is stopped between two parts brings in the same file again: what is there is left as it is.
Judgements are those of people of their own, who cannot sign in and are named after whom they came from.
"""

import itertools
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, func, insert, literal_column, select

from prefloop.errors import UserError
from prefloop.web.exchange.foreign_judgements import Imported, Said, Source, as_before, imported
from prefloop.web.exchange.rows import LeftOut, OnBad, look_at
from prefloop.web.exchange.spool import Row, Spool
from prefloop.web.security import accounts
from prefloop.web.store import chain
from prefloop.web.store.comparisons import parts
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items as item_table
from prefloop.web.store.tables import presentations, users
from prefloop.web.work import answers, intake, items
from prefloop.web.work.judging import keep_judgement
from prefloop.web.work.votes import WAS_SHOWN

_IMPORTED = TypeAdapter(Imported)


def from_file(site: Site, path: Path, *, source: Source, on_bad: OnBad, actor: str) -> dict[str, Any]:
    """Takes in a file. Returns: counts and problems. Raises: UserError with file:line, unless on_bad is skip."""
    bad = LeftOut(on_bad)
    with site.database.reading() as connection:
        axes = project(connection).axes
    counts, about = {"comparisons": 0, "judgements": 0}, {"file": path.name, "source": source}
    with Spool() as spool:

        def look(row: dict[str, Any], place: str) -> None:
            ticket = imported(row, source, place)
            for said in ticket.said:
                _checked(said, ticket, axes, place)
            name, mark = ticket.comparison.id, intake.fingerprint(ticket.comparison)
            before = spool.first(name)
            if before is not None and before.mark != mark:
                raise UserError(f"{place}: {intake.another(name)} It is in {before.place}.")
            spool.add(Row(name, mark, place, _IMPORTED.dump_json(ticket)))

        look_at(path, bad, look)
        if not len(spool) and not bad.number:
            raise UserError(f"{path.name}: the file has no rows.")
        _unlike_those_here(site, spool, bad)
        for each in _parts(spool):
            part = _as_kept(site, each)
            ready = intake.ready(site, [ticket.comparison for ticket in part])
            made = site.database.write(lambda c, part=part, ready=ready: _keep(c, site, part, ready, about, actor))
            counts = {name: counts[name] + made[name] for name in counts}
    return {**counts, **bad.counted()}


def _unlike_those_here(site: Site, spool: Spool, bad: LeftOut) -> None:
    """Leaves out what has the id of another comparison that is here already."""
    waiting = spool.each(values=False)
    while part := list(itertools.islice(waiting, intake.BATCH)):
        with site.database.reading() as connection:
            here = intake.prints(connection, {row.name for row in part})
        for row in part:
            if here.get(row.name, row.mark) != row.mark and not _is_older(spool, row, here[row.name]):
                bad.leave(f"{row.place}: {intake.another(row.name)}")
                spool.drop(row.name)


def _is_older(spool: Spool, row: Row, fingerprint: str) -> bool:
    """True if what is here is the same row, as an older prefloop brought it in."""
    first = spool.first(row.name)
    assert first is not None  # it waits
    before = as_before(_IMPORTED.validate_json(first.value).comparison)
    return before is not None and intake.fingerprint(before) == fingerprint


def _as_kept(site: Site, part: Sequence[Imported]) -> list[Imported]:
    """The part, with what is here already as it was brought in."""
    with site.database.reading() as connection:
        here = intake.prints(connection, {ticket.comparison.id for ticket in part})
    kept = []
    for ticket in part:
        name = ticket.comparison.id
        before = as_before(ticket.comparison) if name in here else None
        is_older = before is not None and intake.fingerprint(before) == here[name]
        kept.append(replace(ticket, comparison=before) if is_older else ticket)
    return kept


def _parts(spool: Spool) -> Iterator[list[Imported]]:
    """What one transaction writes: rows until they and their judgements are a batch."""
    part: list[Imported] = []
    weight = 0
    for row in spool.each():
        part.append(_IMPORTED.validate_json(row.value))
        weight += 1 + len(part[-1].said)
        if weight >= intake.BATCH:
            yield part
            part, weight = [], 0
    if part:
        yield part


def _keep(
    connection: Connection, site: Site, part: Sequence[Imported], ready: Sequence[intake.Ready], about: dict[str, str],
    actor: str,
) -> dict[str, int]:  # fmt: skip
    """Keeps a part, and all that was said of it. Returns: what is new."""
    prompts = {ticket.comparison.id: ticket.comparison.tags for ticket in part if ticket.is_prompt}
    added = 0
    for work in (True, False):  # with a prompt alone there is nothing to compare
        some = [each for each in ready if (each.comparison.id not in prompts) == work]
        added += intake.keep(connection, site, some, actor=actor, work=work)
    if prompts:  # they ask for a demonstration, and nothing else
        wanted = project(connection).overlap.judgements
        made = [items.new_item(name, "demonstration", (), wanted=wanted, at=site.clock()) for name in prompts]
        items.add(connection, site.database, made, prompts)
    said = _said(connection, site, part, actor)
    if said:
        chain.record(connection, "import", actor, site.clock(), {**about, "judgements": said})
    return {"comparisons": added, "judgements": said}


def _checked(said: Said, ticket: Imported, axes: Sequence[str], place: str) -> dict[str, Any]:
    """The answer as it is kept. Raises: UserError with the place."""
    indices = _indices(ticket)
    body = answers.SHAPES[said.kind].model_validate(answers.as_shown(said.kind, said.answer, indices))
    try:
        return answers.checked(said.kind, body, slots=len(indices), axes=axes)
    except UserError as problem:
        raise UserError(f"{place}: {problem}") from None


@dataclass
class _Person:
    """Somebody who said something elsewhere."""

    id: int
    number: int
    """of their judgements so far"""


def _said(connection: Connection, site: Site, part: Sequence[Imported], actor: str) -> int:
    """Keeps what people said elsewhere as counted judgements, one for each person and item. Returns: the new ones."""
    every = [(ticket, said) for ticket in part for said in ticket.said]
    if not every:
        return 0
    made = [
        items.new_item(ticket.comparison.id, said.kind, _indices(ticket), at=site.clock()) for ticket, said in every
    ]
    items.add(connection, site.database, made, {ticket.comparison.id: ticket.comparison.tags for ticket, _ in every})
    query = select(item_table.c.key, item_table.c.id).where(item_table.c.key.in_({row["key"] for row in made}))
    asked = {row.key: row.id for row in connection.execute(query)}
    here = _by_plain_name(connection, asked.values())
    numbered = [(ticket, said, asked[row["key"]]) for (ticket, said), row in zip(every, made, strict=True)]
    new = [(ticket, said, item) for ticket, said, item in numbered if (item, _plain(said.name)) not in here]
    people = {name: _person(connection, site, name, actor) for name in dict.fromkeys(said.name for _, said, _ in new)}
    axes = project(connection).axes
    return sum(_say(connection, site, ticket, said, item, people[said.name], axes, actor) for ticket, said, item in new)


def _plain(name: str) -> str:
    return accounts.known_as(name) or "imported"


def _by_plain_name(connection: Connection, asked: Collection[int]) -> set[tuple[int, str]]:
    """(item, name) of what was brought in: an older prefloop credited it to whoever has the plain name."""
    query = select(presentations.c.item, users.c.name).join(users, users.c.id == presentations.c.user)
    brought = query.where(presentations.c.repeat == 0, ~WAS_SHOWN)
    rows = (row for part in parts(asked) for row in connection.execute(brought.where(presentations.c.item.in_(part))))
    return {(row.item, row.name) for row in rows}


def _indices(ticket: Imported) -> list[int]:
    return list(range(len(ticket.comparison.responses)))


def _person(connection: Connection, site: Site, name: str, actor: str) -> _Person:
    user = accounts.imported(connection, site, name, by=actor)
    answered = literal_column("presentations.state = 'answered' AND presentations.repeat = 0")  # there is an index
    query = select(func.max(presentations.c.number)).where(presentations.c.user == user, answered)
    return _Person(user, connection.execute(query).scalar() or 0)


def _say(
    connection: Connection,
    site: Site,
    ticket: Imported,
    said: Said,
    item: int,
    who: _Person,
    axes: Sequence[str],
    actor: str,
) -> bool:
    """Keeps one judgement. Returns: whether it is new."""
    same = presentations.c.item == item, presentations.c.user == who.id, presentations.c.repeat == 0
    if connection.execute(select(presentations.c.id).where(*same)).first():
        return False
    row = items.locked(connection, item)
    now, shown, order = site.clock(), str(uuid.uuid4()), _indices(ticket)
    who.number += 1
    what = {"id": shown, "item": item, "user": who.id, "repeat": 0, "order": order, "guideline": 0}
    when = {"state": "answered", "leased_at": now, "leased_until": now, "created": now}
    connection.execute(insert(presentations).values(**what, **when, number=who.number))
    items.recount(connection, row, done=1, wanted=1 if row.needed == 0 else 0)
    judgement = {
        "id": str(uuid.uuid4()), "presentation": shown, "item": item, "user": who.id, "revision": 1, "replaces": None,
        "answer": _checked(said, ticket, axes, ticket.comparison.id), "counted": True, "late": False, "right": None,
        "active_seconds": said.seconds, "first_key_seconds": None, "seen": None, "comment": said.comment,
        "guideline": 0, "at": now,
    }  # fmt: skip
    keep_judgement(connection, judgement, row, order, actor=actor, kind="judgement")
    return True
