"""Bringing in: tickets and exports of other tools from .jsonl, .json or .csv, and responses for the arena.

A file is looked at whole before any of it is kept: what is good waits in a temporary file. A bad row is `file:line: sentence`,
and nothing is kept unless the rest is asked for (`on_bad=skip`). Then it is rendered and written in parts, so that nobody who
judges waits; who is stopped between two parts brings in the same file again, and what is there already is left as it is.
Judgements are those of people of their own, who cannot sign in and are named after whom they came from.
"""

import csv
import itertools
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, func, insert, literal_column, select

from prefloop.errors import UserError
from prefloop.files.tables import each_row
from prefloop.records import Comparison
from prefloop.web.exchange.foreign_judgements import Imported, Said, Source, as_before, imported
from prefloop.web.exchange.spool import Row, Spool
from prefloop.web.review import arena
from prefloop.web.security import accounts
from prefloop.web.store import chain
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items as item_table
from prefloop.web.store.tables import judgements, presentations, users
from prefloop.web.work import answers, items
from prefloop.web.work import intake as ingest
from prefloop.web.work import votes as facts

OnBad = Literal["stop", "skip"]
SHOWN = 100
"""Problems told."""
LONGEST_FIELD = 1_000_000
_IMPORTED = TypeAdapter(Imported)
_ROW = TypeAdapter(dict[str, Any])
_OF_ARENA = ("prompt", "messages", "response", "id", "prompt_id", "tags")


@dataclass
class LeftOut:
    """Rows that are wrong."""

    on_bad: OnBad
    number: int = 0
    problems: list[str] = field(default_factory=list)
    """the first sentences"""

    def leave(self, problem: str) -> None:
        """Leaves a row out. Raises: UserError with the sentence if the whole file is to be refused."""
        if self.on_bad == "stop":
            raise UserError(problem)
        self.number += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)

    def told(self) -> dict[str, Any]:
        """For the answer."""
        return {"left_out": self.number, "problems": self.problems}


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """(line, row or what is wrong) of a file; the first line of a .csv names its columns."""
    if path.suffix.lower() != ".csv":
        yield from each_row(path)
        return
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError:
                raise UserError(
                    f"{path.name}: this is not UTF-8 text (soon after line {reader.line_num}); save the file as UTF-8."
                ) from None
            except csv.Error as problem:
                yield (
                    reader.line_num,
                    UserError(f"{path.name}:{reader.line_num}: this is not a row of CSV ({problem}); mend its quotes."),
                )
                return
            if None in row or None in row.values():
                yield (
                    reader.line_num,
                    UserError(
                        f"{path.name}:{reader.line_num}: the row has not as many cells as the first line; mend it."
                    ),
                )
            else:
                yield reader.line_num, {key.strip(): value for key, value in row.items()}


def _look(path: Path, bad: LeftOut, look: Callable[[dict[str, Any], str], None]) -> None:
    """Looks at every row; what is wrong is raised, or left out."""
    for number, row in rows(path):
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UserError):
                raise UserError(str(row).replace(f"{path}:", f"{path.name}:"))
            answers.check_storable(row)
            look(row, place)
        except UserError as problem:
            bad.leave(str(problem))
        except ValidationError as problem:  # of a record
            bad.leave(f"{place}: {_first_of(problem)}")
        except ValueError as problem:  # of a text that cannot be kept
            bad.leave(f"{place}: {problem}")


def _first_of(problem: ValidationError) -> str:
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where and f'`{where}`: '}{first['msg'].removeprefix('Value error, ')}"[:200]


def from_file(site: Site, path: Path, *, source: Source, on_bad: OnBad, actor: str) -> dict[str, Any]:
    """Takes in a file. Returns: counts and problems. Raises: UserError with file:line, and nothing is kept, unless on_bad is skip."""
    bad = LeftOut(on_bad)
    with site.database.reading() as connection:
        axes = project(connection).axes
    counts, about = {"comparisons": 0, "judgements": 0}, {"file": path.name, "source": source}
    with Spool() as spool:

        def look(row: dict[str, Any], place: str) -> None:
            one = imported(row, source, place)
            for said in one.said:
                _checked(said, one, axes, place)
            found = Row(one.comparison.id, ingest.fingerprint(one.comparison), place, _IMPORTED.dump_json(one))
            before = spool.first(found.name)
            if before is not None and before.mark != found.mark:
                raise UserError(f"{place}: {ingest.another(found.name)} It is in {before.place}.")
            spool.add(found)

        _look(path, bad, look)
        if not len(spool) and not bad.number:
            raise UserError(f"{path.name}: the file has no rows.")
        _unlike_those_here(site, spool, bad)
        for each in _parts(spool):
            part = _as_kept(site, each)
            ready = ingest.ready(site, [one.comparison for one in part])
            made = site.database.write(lambda c, part=part, ready=ready: _keep(c, site, part, ready, about, actor))
            counts = {name: counts[name] + made[name] for name in counts}
    return {**counts, **bad.told()}


def _unlike_those_here(site: Site, spool: Spool, bad: LeftOut) -> None:
    """Leaves out what has the id of another comparison that is here already."""
    waiting = spool.each(values=False)
    while part := list(itertools.islice(waiting, ingest.BATCH)):
        with site.database.reading() as connection:
            known = ingest.prints(connection, {row.name for row in part})
        for row in part:
            if known.get(row.name, row.mark) != row.mark and not _is_older(spool, row, known[row.name]):
                bad.leave(f"{row.place}: {ingest.another(row.name)}")
                spool.drop(row.name)


def _is_older(spool: Spool, row: Row, known: str) -> bool:
    """True if what is here is the same row, as an older prefloop brought it in."""
    found = spool.first(row.name)
    assert found is not None  # it waits
    before = as_before(_IMPORTED.validate_json(found.value).comparison)
    return before is not None and ingest.fingerprint(before) == known


def _as_kept(site: Site, part: Sequence[Imported]) -> list[Imported]:
    """The part, with what is here already as it was brought in."""
    with site.database.reading() as connection:
        known = ingest.prints(connection, {one.comparison.id for one in part})
    found = []
    for one in part:
        before = as_before(one.comparison) if one.comparison.id in known else None
        is_older = before is not None and ingest.fingerprint(before) == known[one.comparison.id]
        found.append(replace(one, comparison=before) if is_older else one)
    return found


def _parts(spool: Spool) -> Iterator[list[Imported]]:
    """What one transaction writes: rows until they and their judgements are a batch."""
    part: list[Imported] = []
    weight = 0
    for row in spool.each():
        one = _IMPORTED.validate_json(row.value)
        part.append(one)
        weight += 1 + len(one.said)
        if weight >= ingest.BATCH:
            yield part
            part, weight = [], 0
    if part:
        yield part


def _keep(
    connection: Connection,
    site: Site,
    part: Sequence[Imported],
    ready: Sequence[ingest.Ready],
    about: dict[str, str],
    actor: str,
) -> dict[str, int]:
    """Keeps a part, and all that was said of it. Returns: what is new."""
    prompts = {one.comparison.id: one.comparison.tags for one in part if one.is_prompt}
    added = ingest.keep(connection, site, [one for one in ready if one.comparison.id not in prompts], actor=actor)
    added += ingest.keep(
        connection, site, [one for one in ready if one.comparison.id in prompts], actor=actor, work=False
    )
    if prompts:  # there are no responses: they ask for a demonstration, and nothing else
        wanted = project(connection).overlap.judgements
        items.add(
            connection,
            site.database,
            [items.new_item(name, "demonstration", (), wanted=wanted, at=site.clock()) for name in prompts],
            prompts,
        )
    said = _said(connection, site, part, actor)
    if said:
        chain.record(connection, "import", actor, site.clock(), {**about, "judgements": said})
    return {"comparisons": added, "judgements": said}


def _checked(said: Said, one: Imported, axes: Sequence[str], place: str) -> dict[str, Any]:
    """The answer as it is kept. Raises: UserError with the place."""
    indices = _indices(one)
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
    """Keeps what people said elsewhere as counted judgements; the same person's on the same item is kept once. Returns: how many are new."""
    every = [(one, said) for one in part for said in one.said]
    if not every:
        return 0
    made = [items.new_item(one.comparison.id, said.kind, _indices(one), at=site.clock()) for one, said in every]
    items.add(connection, site.database, made, {one.comparison.id: one.comparison.tags for one, _ in every})
    keys = {row["key"] for row in made}
    asked = {
        row.key: row.id
        for row in connection.execute(select(item_table.c.key, item_table.c.id).where(item_table.c.key.in_(keys)))
    }
    here = _by_plain_name(connection, asked.values())
    new = [
        (one, said, asked[row["key"]])
        for (one, said), row in zip(every, made, strict=True)
        if (asked[row["key"]], _plain(said.name)) not in here
    ]
    people = {name: _person(connection, site, name, actor) for name in dict.fromkeys(said.name for _, said, _ in new)}
    axes = project(connection).axes
    return sum(_say(connection, site, one, said, item, people[said.name], axes, actor) for one, said, item in new)


def _plain(name: str) -> str:
    return accounts.known_as(name) or "imported"


def _by_plain_name(connection: Connection, asked: Collection[int]) -> set[tuple[int, str]]:
    """(item, name) of what was brought in: an older prefloop credited it to whoever has the plain name, also to somebody who joined."""
    query = select(presentations.c.item, users.c.name).join(users, users.c.id == presentations.c.user)
    brought = presentations.c.repeat == 0, ~facts.WAS_SHOWN
    parts = facts.parts(asked)
    return {
        (row.item, row.name)
        for part in parts
        for row in connection.execute(query.where(presentations.c.item.in_(part), *brought))
    }


def _indices(one: Imported) -> list[int]:
    return list(range(len(one.comparison.responses)))


def _person(connection: Connection, site: Site, name: str, actor: str) -> _Person:
    user = accounts.imported(connection, site, name, by=actor)
    answered = literal_column(
        "presentations.state = 'answered' AND presentations.repeat = 0"
    )  # all of theirs are; there is an index
    number = connection.execute(
        select(func.max(presentations.c.number)).where(presentations.c.user == user, answered)
    ).scalar()
    return _Person(user, number or 0)


def _say(
    connection: Connection, site: Site, one: Imported, said: Said, item: int, who: _Person, axes: Sequence[str], actor: str
) -> bool:  # fmt: skip
    """Keeps one judgement. Returns: whether it is new."""
    before = select(presentations.c.id).where(
        presentations.c.item == item, presentations.c.user == who.id, presentations.c.repeat == 0
    )
    if connection.execute(before).first():
        return False
    row = items.locked(connection, item)
    now, shown, order = site.clock(), str(uuid.uuid4()), _indices(one)
    who.number += 1
    when = {"state": "answered", "leased_at": now, "leased_until": now, "created": now}
    connection.execute(
        insert(presentations).values(
            id=shown, item=item, user=who.id, repeat=0, order=order, guideline=0, number=who.number, **when
        )
    )
    items.recount(connection, row, done=1, wanted=1 if row.needed == 0 else 0)
    told = {
        "id": str(uuid.uuid4()), "presentation": shown, "item": item, "user": who.id, "revision": 1, "replaces": None,
        "answer": _checked(said, one, axes, one.comparison.id), "counted": True, "late": False, "right": None, "active_seconds": said.seconds,
        "first_key_seconds": None, "seen": None, "comment": said.comment, "guideline": 0, "at": now,
    }  # fmt: skip
    connection.execute(insert(judgements).values(told))
    payload = {
        "judgement": chain.told(told),
        "comparison": one.comparison.id,
        "kind": said.kind,
        "purpose": "work",
        "order": order,
    }
    chain.record(connection, "judgement", actor, now, payload, key=f"judgement:{told['id']}")
    return True


def for_arena(site: Site, path: Path, *, wanted: int, on_bad: OnBad, actor: str) -> dict[str, Any]:
    """Takes in responses of several samplers to the same prompts: rows of {prompt, response, sampler}. Raises: UserError."""
    bad = LeftOut(on_bad)
    with Spool() as spool:

        def look(row: dict[str, Any], place: str) -> None:
            sampler = row.get("sampler") or row.get("model")
            if not isinstance(sampler, str) or not 0 < len(sampler) <= 200:
                raise UserError(f"{place}: a row needs `sampler` (or `model`): the name of what wrote the response.")
            arena.conversation(row, place)
            ingest.check_tags(row["tags"] if isinstance(row.get("tags"), list) else (), place)
            name = arena.name_of(row, place)
            before = spool.first(name, sampler)
            if before is not None:
                raise UserError(
                    f"{place}: the prompt {name[:40]!r} was already answered in {before.place}; give each prompt once."
                )
            spool.add(Row(name, sampler, place, _ROW.dump_json({key: row[key] for key in _OF_ARENA if key in row})))

        _look(path, bad, look)
        samplers = spool.marks()
        lacking = [row for found in spool.together() if (row := _unanswered(found, samplers, bad)) is not None]
        for name in lacking:
            spool.drop(name)
        number = sum(1 for _ in _matched(spool, samplers))  # all of it is looked at before any of it is kept
        waiting, added = _matched(spool, samplers), 0
        while part := list(itertools.islice(waiting, ingest.BATCH)):
            ready = ingest.ready(site, part)
            added += site.database.write(lambda c, ready=ready: arena.keep(c, site, ready, wanted=wanted, actor=actor))
    return {"prompts": number, "items": added, "samplers": len(samplers), **bad.told()}


def _unanswered(found: Sequence[Row], samplers: Sequence[str], bad: LeftOut) -> str | None:
    """The prompt's name if a sampler has not answered it, which is told. Raises: UserError if the whole file is to be refused."""
    lacking = next((sampler for sampler in samplers if sampler not in {row.mark for row in found}), None)
    if lacking is None:
        return None
    name = found[0].name
    bad.leave(
        f"{found[0].place}: the prompt {name[:40]!r} has no response of {lacking}; every sampler answers the same prompts."
    )
    return name


def _matched(spool: Spool, samplers: Sequence[str]) -> Iterator[Comparison]:
    """Comparisons of all samplers' responses to the same prompts. Raises: UserError if there is only one sampler."""
    if len(samplers) < 2:
        raise UserError("an arena needs the responses of at least two samplers; give two files.")
    for found in spool.together():
        mine = {row.mark: (row.place, _ROW.validate_json(row.value)) for row in found}
        yield arena.comparison_of(found[0].name, {sampler: mine[sampler] for sampler in samplers})
