"""Bringing in: tickets and exports of other tools, from .jsonl, .json, .csv or Parquet.

A file is looked at whole before any of it is kept: what is good waits in a temporary file. A bad row is a sentence with
file:line, and nothing is kept unless the rest is asked for (`on_bad=skip`). Then it is rendered and written in parts:
nobody who judges waits. Who is stopped between two parts brings in the same file again: what is there is left as it is.
Judgements are those of people of their own, who cannot sign in and are named after whom they came from.
"""

import itertools
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, func, insert, literal_column, select

from prefloop.errors import UserError
from prefloop.records import AnnotatorKind
from prefloop.web.exchange.foreign_judgements import Imported, Looked, Source, looked, read
from prefloop.web.exchange.questions import Asked, Said, Survey
from prefloop.web.exchange.rows import LeftOut, OnBad, first_of, look_at
from prefloop.web.exchange.spool import Row, Spool
from prefloop.web.exchange.tickets import NO_PROMPT, as_before
from prefloop.web.security import accounts
from prefloop.web.store import chain
from prefloop.web.store.comparisons import parts
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items as item_table
from prefloop.web.store.tables import presentations, users
from prefloop.web.work import answers, intake, items
from prefloop.web.work.answers import SHAPES
from prefloop.web.work.judging import keep_judgement
from prefloop.web.work.votes import WAS_SHOWN

_LOOKED, _IMPORTED = TypeAdapter(Looked), TypeAdapter(Imported)


def from_file(
    site: Site, path: Path, *, source: Source, on_bad: OnBad, actor: str, asked: Asked | None = None
) -> dict[str, Any]:
    """Takes in a file. Returns: counts and problems. Raises: UserError with file:line, unless on_bad is skip."""
    bad, asked = LeftOut(on_bad), asked or Asked()
    with site.database.reading() as connection:
        axes = project(connection).axes
    made: Counter[str] = Counter()
    about, columns, survey = {"file": path.name, "source": source}, Counter[str](), Survey(asked, axes)
    with Spool() as waiting, Spool() as spool:

        def look(row: dict[str, Any], place: str) -> None:
            one = looked(row, source, place, asked)
            name, mark = one.ticket.comparison.id, intake.fingerprint(one.ticket.comparison)
            before = waiting.first(name)
            if before is not None and before.mark != mark:
                raise UserError(f"{place}: {intake.another(name)} It is in {before.place}.")
            survey.look(one.ticket, one.answers)
            columns.update(column for column in one.columns if column in columns or len(columns) < 100)
            waiting.add(Row(name, mark, place, _LOOKED.dump_json(one)))

        look_at(path, bad, look, site.config.imports)
        survey.check()
        for row in waiting.each():
            try:
                ticket = read(_LOOKED.validate_json(row.value), survey, row.place)
                for said in ticket.said:
                    _checked(said, ticket, axes, row.place)
                spool.add(row._replace(value=_IMPORTED.dump_json(ticket)))
                made["without a prompt"] += ticket.comparison.messages[0].content == NO_PROMPT
            except UserError as problem:
                bad.leave(str(problem))
            except ValidationError as problem:
                bad.leave(f"{row.place}: {first_of(problem)}")
        _unlike_those_here(site, spool, bad)
        for each in _parts(spool):
            part = _as_kept(site, each)
            ready = intake.ready(site, [ticket.comparison for ticket in part])
            made += site.database.write(lambda c, part=part, ready=ready: _keep(c, site, part, ready, about, actor))
    kinds = {name: made[name] for name in SHAPES if made[name]}
    counts = {"comparisons": made["comparisons"], "judgements": sum(kinds.values()), "kinds": kinds}
    more = {"here": made["here"], "not_read": dict(survey.unread), "columns": dict(columns)}
    return {**counts, **more, "without_prompt": made["without a prompt"], **bad.counted()}


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
    ticket = _IMPORTED.validate_json(first.value)
    forms = as_before(ticket.comparison, ticket.plain)
    return any(form.id == row.name and intake.fingerprint(form) == fingerprint for form in forms)


def _as_kept(site: Site, part: Sequence[Imported]) -> list[Imported]:
    """The part, with what is here already as it was brought in."""
    forms = [as_before(ticket.comparison, ticket.plain) for ticket in part]
    names = {form.id for each in forms for form in each} | {ticket.comparison.id for ticket in part}
    with site.database.reading() as connection:
        here = intake.prints(connection, names)
    kept = []
    for ticket, older in zip(part, forms, strict=True):
        same = None
        if here.get(ticket.comparison.id) != intake.fingerprint(ticket.comparison):
            same = next((form for form in older if here.get(form.id) == intake.fingerprint(form)), None)
        kept.append(ticket if same is None else replace(ticket, comparison=same))
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
) -> Counter[str]:  # fmt: skip
    """Keeps a part, and all that was said of it. Returns: what is new: comparisons, and judgements by kind."""
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
    number = sum(said.values())
    if number:
        chain.record(connection, "import", actor, site.clock(), {**about, "judgements": number})
    here = sum(len(ticket.said) for ticket in part) - number
    return Counter({"comparisons": added, "here": here, **said})


def _checked(said: Said, ticket: Imported, axes: Sequence[str], place: str) -> dict[str, Any]:
    """The answer as it is kept. Raises: UserError with the place."""
    indices = _indices(ticket, said)
    strength = {"strength": said.answer["strength"]} if "strength" in said.answer else {}
    shown = answers.as_shown(said.kind, said.answer, indices) | strength
    body = answers.SHAPES[said.kind].model_validate(shown)
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


def _said(connection: Connection, site: Site, part: Sequence[Imported], actor: str) -> Counter[str]:
    """Keeps what people said elsewhere as counted judgements, one for each person and item.

    Returns: the number of new ones by kind.
    """
    every = [(ticket, said) for ticket in part for said in ticket.said]
    if not every:
        return Counter()
    made = [
        items.new_item(ticket.comparison.id, said.kind, _indices(ticket, said), at=site.clock())
        for ticket, said in every
    ]
    items.add(connection, site.database, made, {ticket.comparison.id: ticket.comparison.tags for ticket, _ in every})
    query = select(item_table.c.key, item_table.c.id).where(item_table.c.key.in_({row["key"] for row in made}))
    asked = {row.key: row.id for row in connection.execute(query)}
    here = _by_plain_name(connection, asked.values())
    numbered = [(ticket, said, asked[row["key"]]) for (ticket, said), row in zip(every, made, strict=True)]
    new = [(ticket, said, item) for ticket, said, item in numbered if (item, _plain(said.name)) not in here]
    who: dict[tuple[str, AnnotatorKind], None] = dict.fromkeys((said.name, said.by) for _, said, _ in new)
    people = {(name, by): _person(connection, site, name, by, actor) for name, by in who}
    axes, kept = project(connection).axes, Counter[str]()
    for ticket, said, item in new:
        kept[said.kind] += _say(connection, site, ticket, said, item, people[said.name, said.by], axes, actor)
    return kept


def _plain(name: str) -> str:
    return accounts.known_as(name) or "imported"


def _by_plain_name(connection: Connection, asked: Collection[int]) -> set[tuple[int, str]]:
    """(item, name) of what was brought in: an older prefloop credited it to whoever has the plain name."""
    query = select(presentations.c.item, users.c.name).join(users, users.c.id == presentations.c.user)
    brought = query.where(presentations.c.repeat == 0, ~WAS_SHOWN)
    rows = (row for part in parts(asked) for row in connection.execute(brought.where(presentations.c.item.in_(part))))
    return {(row.item, row.name) for row in rows}


def _indices(ticket: Imported, said: Said) -> list[int]:
    return list(said.of or range(len(ticket.comparison.responses)))


def _person(connection: Connection, site: Site, name: str, by: AnnotatorKind, actor: str) -> _Person:
    user = accounts.imported(connection, site, name, by=actor, kind=by)
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
    now, shown, order = site.clock(), str(uuid.uuid4()), _indices(ticket, said)
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
