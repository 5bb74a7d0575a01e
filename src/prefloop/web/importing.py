"""Bringing in: tickets and exports of other tools from .jsonl, .json or .csv, and responses for the arena.

A file is looked at whole before any of it is kept. A bad row is `file:line: sentence`, and nothing is kept unless the rest is
asked for (`on_bad=skip`). Judgements are kept as those of users who cannot sign in, named after whom they came from.
"""

import csv
import io
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select

from prefloop.errors import UserError
from prefloop.files.tables import each_row
from prefloop.records import Comparison
from prefloop.web import accounts, answers, arena, chain, ingest, items
from prefloop.web.foreign_judgements import Imported, Said, Source, imported
from prefloop.web.settings import project
from prefloop.web.site import Site
from prefloop.web.tables import items as item_table
from prefloop.web.tables import judgements, presentations, users

OnBad = Literal["stop", "skip"]
SHOWN = 100
"""Problems told."""
LONGEST_FIELD = 1_000_000


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """(line, row or what is wrong) of a file; the first line of a .csv names its columns."""
    if path.suffix.lower() != ".csv":
        try:
            yield from each_row(path)
        except RecursionError:
            raise UserError(f"{path.name}: this is nested too deeply; give one plain object per row.") from None
        return
    csv.field_size_limit(LONGEST_FIELD)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UserError(f"{path.name}: this is not UTF-8 text (byte {problem.start}); save the file as UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield reader.line_num, UserError(f"{path.name}:{reader.line_num}: this is not a row of CSV ({problem}); mend its quotes.")
            return
        if None in row or None in row.values():
            yield reader.line_num, UserError(f"{path.name}:{reader.line_num}: the row has not as many cells as the first line; mend it.")
        else:
            yield reader.line_num, {key.strip(): value for key, value in row.items()}


def _each(path: Path, on_bad: OnBad, problems: list[str], parse: Callable[[dict[str, Any], str], Any]) -> Iterator[Any]:
    """What each row parses to; what is wrong is raised, or goes to `problems`."""
    for number, row in rows(path):
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UserError):
                raise UserError(str(row).replace(f"{path}:", f"{path.name}:"))
            answers.check_storable(row)
            yield parse(row, place)
        except UserError as problem:
            if on_bad == "stop":
                raise
            problems.append(str(problem))
        except ValueError as problem:  # of a record, or a text that cannot be kept
            sentence = f"{place}: {str(problem).splitlines()[-1].strip()[:200]}"
            if on_bad == "stop":
                raise UserError(sentence) from None
            problems.append(sentence)


def from_file(site: Site, path: Path, *, source: Source, on_bad: OnBad, actor: str) -> dict[str, Any]:
    """Takes in a file. Returns: counts and problems. Raises: UserError with file:line, and nothing is kept, unless on_bad is skip."""
    problems: list[str] = []
    found: list[Imported] = list(_each(path, on_bad, problems, lambda row, place: imported(row, source, place)))
    if not found and not problems:
        raise UserError(f"{path.name}: the file has no rows.")

    def keep(connection: Connection) -> dict[str, int]:
        added = _comparisons(connection, site, found, actor)
        said = sum(_said(connection, site, one, answer) for one in found for answer in one.said)
        if said:
            chain.record(connection, "import", actor, site.clock(), {"file": path.name, "source": source, "judgements": said})
        return {"comparisons": added, "judgements": said}

    return {**site.database.write(keep), "left_out": len(problems), "problems": problems[:SHOWN]}


def _comparisons(connection: Connection, site: Site, found: Sequence[Imported], actor: str) -> int:
    """Keeps comparisons; those without responses ask for a demonstration, and nothing else."""
    added = 0
    for start in range(0, len(found), ingest.BATCH):
        part = found[start : start + ingest.BATCH]
        added += ingest.take_in(connection, site, [one.comparison for one in part], actor=actor)
        prompts = [one.comparison for one in part if one.is_prompt]
        if prompts:
            arena.no_work(connection, [one.id for one in prompts])
            wanted = project(connection).overlap.judgements
            made = [items.new_item(one.id, "demonstration", (), wanted=wanted, at=site.clock()) for one in prompts]
            items.add(connection, site.database, made, {one.id: one.tags for one in prompts})
    return added


def _said(connection: Connection, site: Site, one: Imported, said: Said) -> bool:
    """Keeps what somebody said elsewhere as a counted judgement; the same person's on the same item is kept once."""
    indices = list(range(len(one.comparison.responses)))
    user, item = _user(connection, site, said.name), _item(connection, site, one, said, indices)
    before = select(presentations.c.id).where(presentations.c.item == item, presentations.c.user == user, presentations.c.repeat == 0)
    if connection.execute(before).first():
        return False
    row = items.locked(connection, item)
    answer = answers.checked(said.kind, _body(said, indices), slots=len(indices), axes=project(connection).axes)
    now, shown = site.clock(), str(uuid.uuid4())
    number = (connection.execute(select(func.max(presentations.c.number)).where(presentations.c.user == user)).scalar() or 0) + 1
    when = {"state": "answered", "leased_at": now, "leased_until": now, "created": now}
    connection.execute(insert(presentations).values(id=shown, item=item, user=user, repeat=0, order=indices, guideline=0, number=number, **when))
    items.recount(connection, row, done=1, wanted=1 if row.needed == 0 else 0)
    told = {
        "id": str(uuid.uuid4()), "presentation": shown, "item": item, "user": user, "revision": 1, "replaces": None, "answer": answer, "counted": True,
        "late": False, "right": None, "active_seconds": said.seconds, "first_key_seconds": None, "seen": None, "comment": said.comment, "guideline": 0,
        "at": now,
    }  # fmt: skip
    connection.execute(insert(judgements).values(told))
    payload = {"judgement": chain.told(told), "comparison": one.comparison.id, "kind": said.kind, "purpose": "work", "order": indices}
    chain.record(connection, "judgement", said.name, now, payload, key=f"judgement:{told['id']}")
    return True


def _body(said: Said, indices: Sequence[int]) -> Any:
    return answers.SHAPES[said.kind].model_validate(answers.as_shown(said.kind, said.answer, indices))


def _user(connection: Connection, site: Site, name: str) -> int:
    """Somebody by this name; a new one cannot sign in."""
    kept = accounts.known_as(name) or "imported"
    found = connection.execute(select(users.c.id).where(users.c.name == kept)).scalar()
    return found if found is not None else accounts.add_user(connection, site, kept, "imported", role="annotator")


def _item(connection: Connection, site: Site, one: Imported, said: Said, indices: Sequence[int]) -> int:
    row = items.new_item(one.comparison.id, said.kind, indices, at=site.clock())
    items.add(connection, site.database, [row], {one.comparison.id: one.comparison.tags})
    return connection.execute(select(item_table.c.id).where(item_table.c.key == row["key"])).scalar_one()


def for_arena(site: Site, path: Path, *, wanted: int, on_bad: OnBad, actor: str) -> dict[str, Any]:
    """Takes in responses of several samplers to the same prompts: rows of {prompt, response, sampler}. Raises: UserError."""
    problems: list[str] = []
    files: dict[str, list[tuple[str, dict[str, Any]]]] = {}

    def sampled(row: dict[str, Any], place: str) -> None:
        sampler = row.get("sampler") or row.get("model")
        if not isinstance(sampler, str) or not 0 < len(sampler) <= 200:
            raise UserError(f"{place}: a row needs `sampler` (or `model`): the name of what wrote the response.")
        arena.conversation(row, place)
        files.setdefault(sampler, []).append((place, row))

    for _ in _each(path, on_bad, problems, sampled):
        pass
    batch: list[Comparison] = arena.matched(files)

    def keep(connection: Connection) -> int:
        parts = (batch[start : start + ingest.BATCH] for start in range(0, len(batch), ingest.BATCH))
        return sum(arena.take_in(connection, site, part, wanted=wanted, actor=actor) for part in parts)

    added = site.database.write(keep)
    return {"prompts": len(batch), "items": added, "samplers": len(files), "left_out": len(problems), "problems": problems[:SHOWN]}
