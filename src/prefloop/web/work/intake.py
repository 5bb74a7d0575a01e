"""Comparisons come in: rendered once, kept once, made into items as the project's settings say.

Reads: records.Comparison. The same comparison twice is once; another one under the same id is refused. Writes nothing of a
batch if one of its rows is wrong.
"""

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import as_record, each_row
from prefloop.files.tables import shown as told
from prefloop.records import Comparison
from prefloop.web.config import ProjectConfig
from prefloop.web.pages import rendering
from prefloop.web.store import comparisons as stored
from prefloop.web.store.chain import record
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, responses
from prefloop.web.work import items

BATCH = 200
"""Comparisons of one transaction."""
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
    if not lenient:  # all of it is looked at before any of it is kept
        for _ in _records(path, None, shown=name):
            pass
    added = 0
    for batch in _batches(_records(path, problems if lenient else None, shown=name)):
        made = ready(site, batch)
        added += site.database.write(lambda connection, made=made: keep(connection, site, made, actor=actor))
    return added, problems


def _records(path: Path, problems: list[str] | None, *, shown: str) -> Iterator[Comparison]:
    """The rows of a file, which is told by the name `shown`; what is wrong goes to `problems`, or is raised if that is None."""
    for number, row in each_row(path):
        try:
            if isinstance(row, UserError):
                raise row
            yield _storable(as_record(row, Comparison, f"{shown}:{number}"), f"{shown}:{number}")
        except UserError as problem:
            sentence = str(problem).replace(str(path), shown)
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
                f"{place}: the sampler {response.sampler[:40]!r}... has more than {LONGEST_ID} letters; give a shorter one."
            )
        if not 0 <= response.num_tokens <= MOST_TOKENS:
            raise UserError(f"{place}: `num_tokens` goes from 0 to {MOST_TOKENS}, but is {told(response.num_tokens)}.")
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


def _batches(records: Iterable[Comparison]) -> Iterator[list[Comparison]]:
    waiting = iter(records)
    while batch := list(itertools.islice(waiting, BATCH)):
        yield batch


@dataclass(frozen=True)
class Ready:
    """A comparison as its rows: made before the transaction, because rendering takes its time and others want to write."""

    comparison: Comparison
    fingerprint: str
    row: dict[str, Any] | None
    """None if it was there already"""
    responses: tuple[dict[str, Any], ...]

    @property
    def trees(self) -> str:
        """The fingerprint of what is shown."""
        return stored.print_of_trees((self.row or {})["trees"], [response["tree"] for response in self.responses])


def fingerprint(comparison: Comparison) -> str:
    """By which a comparison is known to be the same."""
    return fingerprints.of_value(comparison.model_dump(mode="json"))


def prints(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """Fingerprints of those of these comparisons that are there."""
    known = select(comparisons.c.id, comparisons.c.fingerprint).where(comparisons.c.id.in_(list(names)))
    return {row.id: row.fingerprint for row in connection.execute(known)}


def ready(site: Site, batch: Sequence[Comparison]) -> list[Ready]:
    """Comparisons as their rows, rendered unless they are there already."""
    with site.database.reading() as connection:
        known = prints(connection, [one.id for one in batch])
    return [_ready(one, is_new=one.id not in known) for one in batch]


def _ready(comparison: Comparison, *, is_new: bool) -> Ready:
    if not is_new:
        return Ready(comparison, fingerprint(comparison), None, ())
    return Ready(comparison, fingerprint(comparison), _comparison_row(comparison), tuple(_response_rows(comparison)))


def take_in(connection: Connection, site: Site, batch: Sequence[Comparison], *, actor: str) -> int:
    """Renders and keeps comparisons, see `keep`."""
    return keep(connection, site, [_ready(one, is_new=True) for one in batch], actor=actor)


def another(identity: str) -> str:
    """What is wrong with an id that is in use."""
    return f"there is another comparison called {identity!r}, with other content; give this one an id of its own."


def keep(connection: Connection, site: Site, batch: Sequence[Ready], *, actor: str, work: bool = True) -> int:
    """Keeps comparisons and makes their items.

    Args:
        work: make the items that the settings ask for; else none.

    Returns: the number of new comparisons. Raises: UserError if an id is used twice.
    """
    config, now = project(connection), site.clock()
    there = prints(connection, [one.comparison.id for one in batch])
    new: dict[str, Ready] = {}
    for one in batch:
        name = one.comparison.id
        before = there.get(name) or (new[name].fingerprint if name in new else one.fingerprint)
        if before != one.fingerprint:
            raise UserError(another(name))
        new.setdefault(name, one)
    fresh = [one for name, one in new.items() if name not in there]
    if fresh:
        name = f"{int(now)}-{fingerprints.of_value([one.comparison.id for one in fresh])}"
        when = {"batch": name, "added": now}
        connection.execute(
            insert(comparisons), [{**(one.row or {}), "fingerprint": one.fingerprint, **when} for one in fresh]
        )
        connection.execute(insert(responses), [row for one in fresh for row in one.responses])
        marks = {
            "fingerprints": {one.comparison.id: one.fingerprint for one in fresh},
            "trees": {one.comparison.id: one.trees for one in fresh},
        }
        record(connection, "comparisons", actor, now, {"batch": name, **marks})
    if work:
        rows = [row for one in new.values() for row in asked(one.comparison, config, seed=site.config.seed, at=now)]
        items.add(connection, site.database, rows, {name: one.comparison.tags for name, one in new.items()})
    return len(fresh)


def asked(comparison: Comparison, config: ProjectConfig, *, seed: int, at: float) -> list[dict[str, Any]]:
    """The items that the settings make of a comparison; which pairs is decided by the seed and the comparison's id."""
    everything = range(len(comparison.responses))
    wanted = config.overlap.judgements
    made: list[dict[str, Any]] = []
    for kind in config.kinds:
        if kind == "pair":
            pairs = list(itertools.combinations(everything, 2))
            number = min(len(pairs), config.pairs_per_prompt)
            chosen = sorted(random.Random(f"{seed} {comparison.id}").sample(pairs, number))
            share = number / len(pairs)
            made += [
                items.new_item(
                    comparison.id,
                    kind,
                    pair,
                    wanted=wanted,
                    at=at,
                    strategy="random" if share < 1 else "all",
                    probability=share,
                )
                for pair in chosen
            ]
        else:
            which = () if kind == "demonstration" else everything
            made.append(items.new_item(comparison.id, kind, which, wanted=wanted, at=at))
    return made


def _comparison_row(comparison: Comparison) -> dict[str, Any]:
    messages = [message.model_dump(mode="json") for message in comparison.messages]
    return {
        "id": comparison.id, "prompt_id": comparison.prompt_id, "messages": messages,
        "trees": [rendering.tree(message["content"]) for message in messages], "tags": list(comparison.tags),
        "sampling": comparison.sampling.model_dump(mode="json"), "renderer": rendering.RENDERER,
    }  # fmt: skip


def _response_rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            **response.model_dump(mode="json"),
            "comparison": comparison.id,
            "index": index,
            "tree": rendering.tree(response.text),
        }
        for index, response in enumerate(comparison.responses)
    ]
