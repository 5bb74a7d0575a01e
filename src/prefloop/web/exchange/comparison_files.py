"""Files of comparisons, row by row: what is wrong with one is a sentence with file:line."""

import collections
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prefloop.errors import UserError
from prefloop.files.tables import as_record, each_row, shown
from prefloop.records import Comparison
from prefloop.web.config import ImportConfig
from prefloop.web.exchange.rows import check_texts, rows
from prefloop.web.store.site import Site
from prefloop.web.work import intake

LONGEST_ID = 200
"""Letters of an id, a tag or a sampler."""
MOST_TOKENS = 2**31 - 1


def from_file(site: Site, path: Path, *, actor: str = "server", lenient: bool = False) -> tuple[int, list[str]]:
    """Takes in a file of comparisons.

    Args:
        path: .jsonl, .jsonl.gz, .json or .parquet.
        actor: who brings it, for the log.
        lenient: leave out rows that are wrong, instead of refusing the file.

    Returns: (number of new comparisons, a sentence for each row left out). Raises: UserError with file:line.
    """
    problems: list[str] = []
    name = str(path) if actor == "server" else path.name  # an upload's place on this machine is nobody's business
    limits = None if actor == "server" else site.config.imports
    if not lenient:  # all of it is looked at before any of it is kept
        collections.deque(_records(path, None, limits, name=name), maxlen=0)
    added = 0
    records = _records(path, problems if lenient else None, limits, name=name)
    while batch := list(itertools.islice(records, intake.BATCH)):
        made = intake.ready(site, batch)
        added += site.database.write(lambda connection, made=made: intake.keep(connection, site, made, actor=actor))
    return added, problems


def _records(path: Path, problems: list[str] | None, limits: ImportConfig | None, *, name: str) -> Iterator[Comparison]:
    """The rows of a file called `name`; what is wrong goes to `problems`, or is raised if that is None.

    Args:
        limits: how large an upload's rows may be; None for a file of this machine.
    """
    for number, row in each_row(path) if limits is None else rows(path, limits):
        try:
            if isinstance(row, UserError):
                raise row
            if limits is not None:
                check_texts(row, limits, f"{name}:{number}")
            yield _storable(as_record(row, Comparison, f"{name}:{number}"), f"{name}:{number}")
        except UserError as problem:
            sentence = str(problem).replace(str(path), name)
            if problems is None:
                raise UserError(sentence) from None
            problems.append(sentence)


def _storable(comparison: Comparison, place: str) -> Comparison:
    if len(comparison.id) > LONGEST_ID or len(comparison.prompt_id) > LONGEST_ID:
        raise UserError(f"{place}: an id has more than {LONGEST_ID} letters; give a shorter one.")
    check_tags(comparison.tags, place)
    for response in comparison.responses:
        if len(response.sampler) > LONGEST_ID:
            raise UserError(
                f"{place}: the sampler {response.sampler[:40]!r}... has more than {LONGEST_ID} letters; "
                "give a shorter one."
            )
        if not 0 <= response.num_tokens <= MOST_TOKENS:
            raise UserError(f"{place}: `num_tokens` goes from 0 to {MOST_TOKENS}, but is {shown(response.num_tokens)}.")
    try:
        text = comparison.model_dump_json()
    except ValueError:
        raise UserError(f"{place}: a text holds half a character (a lone surrogate); remove it.") from None
    if "\\u0000" in text:
        raise UserError(f"{place}: a text holds the character NUL, which cannot be kept; remove it.")
    return comparison


def check_tags(tags: Iterable[Any], place: str) -> None:
    """Raises: UserError with the place if a tag is too long to be kept."""
    long = next((tag for tag in tags if isinstance(tag, str) and len(tag) > LONGEST_ID), None)
    if long is not None:
        raise UserError(f"{place}: the tag {long[:40]!r}... has more than {LONGEST_ID} letters; give a shorter one.")
