"""Files of the arena: responses of several samplers to the same prompts, asked in pairs, blind."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection

from prefloop.errors import UserError
from prefloop.files.arenas import ARENA, arena_comparison
from prefloop.records import Comparison, Message
from prefloop.web.exchange.comparison_files import check_tags
from prefloop.web.exchange.rows import LeftOut, OnBad, look_at
from prefloop.web.exchange.spool import Row, Spool
from prefloop.web.store.site import Site
from prefloop.web.work import intake, items

_ROW = TypeAdapter(dict[str, Any])
_COLUMNS = ("prompt", "messages", "response", "id", "prompt_id", "tags")


def from_file(site: Site, path: Path, *, wanted: int, on_bad: OnBad, actor: str) -> dict[str, Any]:
    """Takes in rows of {prompt, response, sampler}; all samplers answer the same prompts. Raises: UserError."""
    bad = LeftOut(on_bad)
    with Spool() as spool:

        def look(row: dict[str, Any], place: str) -> None:
            sampler = row.get("sampler") or row.get("model")
            if not isinstance(sampler, str) or not 0 < len(sampler) <= 200:
                raise UserError(f"{place}: a row needs `sampler` (or `model`): the name of what wrote the response.")
            conversation(row, place)
            check_tags(row["tags"] if isinstance(row.get("tags"), list) else (), place)
            name = name_of(row, place)
            before = spool.first(name, sampler)
            if before is not None:
                says = f"the prompt {name[:40]!r} was already answered in {before.place}; give each prompt once."
                raise UserError(f"{place}: {says}")
            spool.add(Row(name, sampler, place, _ROW.dump_json({key: row[key] for key in _COLUMNS if key in row})))

        look_at(path, bad, look, site.config.imports)
        samplers = spool.marks()
        lacking = [_unanswered(rows, samplers, bad) for rows in spool.together()]
        for name in filter(None, lacking):
            spool.drop(name)
        number = sum(1 for _ in _matched(spool, samplers))  # all of it is looked at before any of it is kept
        waiting, added = _matched(spool, samplers), 0
        while part := list(itertools.islice(waiting, intake.BATCH)):
            ready = intake.ready(site, part)
            added += site.database.write(lambda c, ready=ready: keep(c, site, ready, wanted=wanted, actor=actor))
    return {"prompts": number, "items": added, "samplers": len(samplers), **bad.counted()}


def _unanswered(rows: Sequence[Row], samplers: Sequence[str], bad: LeftOut) -> str | None:
    """The prompt's name if a sampler has not answered it. Raises: UserError if the whole file is to be refused."""
    lacking = next((sampler for sampler in samplers if sampler not in {row.mark for row in rows}), None)
    if lacking is None:
        return None
    says = f"the prompt {rows[0].name[:40]!r} has no response of {lacking}; every sampler answers the same prompts."
    bad.leave(f"{rows[0].place}: {says}")
    return rows[0].name


def _matched(spool: Spool, samplers: Sequence[str]) -> Iterator[Comparison]:
    """Comparisons of all samplers' responses to the same prompts. Raises: UserError if there is only one sampler."""
    if len(samplers) < 2:
        raise UserError("an arena needs the responses of at least two samplers; give two files.")
    for rows in spool.together():
        mine = {row.mark: (row.place, _ROW.validate_json(row.value)) for row in rows}
        yield comparison_of(rows[0].name, {sampler: mine[sampler] for sampler in samplers})


def name_of(row: Mapping[str, Any], place: str) -> str:
    """What a prompt is called: by its id, else by its words. Raises: UserError with the place."""
    if not isinstance(row.get("response"), str):
        raise UserError(f"{place}: `response` should be text; rows have `prompt` (or `messages`) and `response`.")
    for key in ("id", "prompt_id"):
        if isinstance(row.get(key), str) and row[key]:
            return str(row[key])
    return " / ".join(message.content for message in conversation(row, place))


def conversation(row: Mapping[str, Any], place: str) -> tuple[Message, ...]:
    """The prompt of a row. Raises: UserError with the place."""
    prompt = row.get("prompt")
    raw = row.get("messages") or (prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}])
    try:
        return tuple(Message.model_validate(message) for message in raw)
    except (ValueError, TypeError):
        says = "`prompt` should be text, or `messages` a list of {role, content}; mend the row."
        raise UserError(f"{place}: {says}") from None


def comparison_of(name: str, answers: Mapping[str, tuple[str, dict[str, Any]]]) -> Comparison:
    """All samplers' responses to one prompt.

    Args:
        answers: sampler -> (place, row); a row is {"prompt" (text) or "messages", "response", maybe "id" and "tags"}.

    Raises: UserError with the place.
    """
    place, first = next(iter(answers.values()))
    messages = conversation(first, place)
    if any(conversation(row, where) != messages for where, row in answers.values()):
        says = f"the samplers answered different prompts called {name[:40]!r}; give equal prompts equal ids."
        raise UserError(f"{place}: {says}")
    given = first.get("tags")
    tags = [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
    texts = {sampler: row["response"] for sampler, (_, row) in answers.items()}
    try:
        return arena_comparison(name, messages, texts, tags=tags)
    except ValidationError as problem:
        raise UserError(f"{place}: {problem.errors()[0]['msg'][:200]}; mend the row.") from None


def keep(connection: Connection, site: Site, ready: Sequence[intake.Ready], *, wanted: int, actor: str) -> int:
    """Keeps comparisons and asks every pair of their samplers. Returns: the number of new items."""
    here = intake.prints(connection, [each.comparison.id for each in ready])
    new = [each for each in ready if each.comparison.id not in here]  # the same texts stay as they are, tags and all
    intake.keep(connection, site, new, actor=actor, work=False)
    rows = [
        items.new_item(comparison.id, "pair", pair, purpose=ARENA, wanted=wanted, at=site.clock())
        for comparison in (each.comparison for each in new)
        for pair in itertools.combinations(range(len(comparison.responses)), 2)
        if comparison.responses[pair[0]].text != comparison.responses[pair[1]].text
    ]
    return items.add(connection, site.database, rows, {each.comparison.id: each.comparison.tags for each in new})
