"""What was judged, as the arithmetic of `people` wants it: the newest revision of each judgement, and how much there was to read.

Reads: judgements, presentations, items, users; lengths of texts. At most `MOST` judgements, the newest ones.
"""

import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, select

from prefloop.stats.text import words_to_read
from prefloop.web import answers
from prefloop.web.site import Site
from prefloop.web.tables import chain, comparisons, items, judgements, presentations, responses, users

T = TypeVar("T")
Unit = tuple[str, str, tuple[int, ...]]
"""What was decided upon: comparison, kind, responses."""
MOST = 50_000
"""Judgements that quality is reckoned from, the newest ones."""
PART = 500
"""Names in one query."""
WAS_SHOWN = presentations.c.leased_until > presentations.c.leased_at
"""Of a presentation that was somebody's to judge; one that was brought in has a lease of no length."""


@dataclass(frozen=True)
class Fact:
    """One judgement in its newest revision, with what it was about."""

    id: str
    user: int
    name: str
    item: int
    comparison: str
    kind: str
    purpose: str
    responses: tuple[int, ...]
    order: tuple[int, ...]
    answer: dict[str, Any]
    """in slots as shown"""
    meaning: dict[str, Any]
    """in terms of response indices"""
    expected: dict[str, Any] | None
    """what a gold item expects, in the same terms"""
    repeat: bool
    counted: bool
    right: bool | None
    seconds: float
    at: float
    was_shown: bool = True
    """False for what was brought in: nobody saw it here, so that which side a response stood on is not known"""
    comment: str = ""

    @property
    def unit(self) -> Unit:
        """What was decided upon, whoever was asked for whatever purpose."""
        return self.comparison, self.kind, self.responses

    @property
    def best(self) -> int | None:
        """The response preferred in a pair; None for ties and other kinds."""
        return self.meaning.get("best")

    def share(self, index: int) -> float:
        """What a pair's judgement gives a response: 1 preferred, 0 not, 1/2 where neither is."""
        return 0.5 if self.best is None else float(self.best == index)


Votes = Mapping[Unit, Sequence[Fact]]
"""What was said of each unit."""


@dataclass(frozen=True)
class Reading:
    """How much a comparison is to read."""

    prompt_words: float
    letters: dict[int, int]
    """of each response"""
    words: dict[int, float]
    """of each response"""

    def of(self, indices: Iterable[int]) -> float:
        """Words of the prompt and these responses."""
        return self.prompt_words + sum(self.words.get(index, 0.0) for index in indices)


def is_newest() -> Any:
    """The condition that no later revision replaces a judgement."""
    later = judgements.alias("later")
    return ~select(later.c.id).where(later.c.replaces == judgements.c.id).exists()


def load(connection: Connection, *where: Any, limit: int = MOST) -> list[Fact]:
    """The newest judgements that meet conditions, in the order they were made."""
    return [fact(row) for row in reversed(connection.execute(_query(*where).limit(limit)).all())]


def _query(*where: Any) -> Any:
    return (
        select(
            judgements.c.id, judgements.c.user, users.c.name, judgements.c.item, items.c.comparison, items.c.kind, items.c.purpose,
            items.c.responses, presentations.c.order, judgements.c.answer, items.c.expected, presentations.c.repeat, judgements.c.counted,
            judgements.c.right, judgements.c.active_seconds, judgements.c.at, WAS_SHOWN.label("was_shown"), judgements.c.comment,
        )
        .join(presentations, presentations.c.id == judgements.c.presentation)
        .join(items, items.c.id == judgements.c.item)
        .join(users, users.c.id == judgements.c.user)
        .where(is_newest(), *where)
        .order_by(judgements.c.at.desc(), judgements.c.id.desc())
    )  # fmt: skip


def fact(row: Any) -> Fact:
    """A row as a fact."""
    expected = row.expected.get("answer") if row.expected else None
    return Fact(
        row.id, row.user, row.name, row.item, row.comparison, row.kind, row.purpose, tuple(row.responses), tuple(row.order), row.answer,
        answers.meaning(row.kind, row.answer, row.order), expected, row.repeat > 0 and row.purpose != "calibration", row.counted, row.right,
        row.active_seconds, row.at, bool(row.was_shown), row.comment,
    )  # fmt: skip


def ruled(connection: Connection) -> set[Unit]:
    """What leads have ruled upon: there the annotators' judgements speak no more."""
    query = select(items.c.comparison, items.c.kind, items.c.responses).where(
        items.c.purpose == "adjudication", items.c.done > 0
    )
    return {(row.comparison, row.kind, tuple(row.responses)) for row in connection.execute(query)}


def heard(facts: Sequence[Fact]) -> list[Fact]:
    """Facts without the annotators' judgements of what a lead has ruled upon: the ruling alone speaks."""
    overruled = {one.unit for one in facts if one.purpose == "adjudication"}
    return [one for one in facts if one.purpose == "adjudication" or one.unit not in overruled]


def parts(names: Iterable[Any]) -> Iterator[list[Any]]:
    """Names in lists that fit into one query."""
    whole = sorted(set(names))
    for start in range(0, len(whole), PART):
        yield whole[start : start + PART]


def readings(connection: Connection, names: Iterable[str]) -> dict[str, Reading]:
    """How much each of these comparisons is to read."""
    found: dict[str, Reading] = {}
    for some in parts(names):
        for row in connection.execute(
            select(comparisons.c.id, comparisons.c.messages).where(comparisons.c.id.in_(some))
        ):
            found[row.id] = Reading(sum(words_to_read(message["content"]) for message in row.messages), {}, {})
        texts = select(responses.c.comparison, responses.c.index.label("number"), responses.c.text).where(
            responses.c.comparison.in_(some)
        )
        for row in connection.execute(texts):
            reading = found[row.comparison]
            reading.letters[row.number], reading.words[row.number] = len(row.text), words_to_read(row.text)
    return found


def prompts_of(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """What was said before the responses of each of these comparisons, all turns joined by newlines."""
    found: dict[str, str] = {}
    for some in parts(names):
        rows = connection.execute(select(comparisons.c.id, comparisons.c.messages).where(comparisons.c.id.in_(some)))
        found |= {row.id: "\n".join(message["content"] for message in row.messages) for row in rows}
    return found


def of_responses(connection: Connection, names: Iterable[str], column: Any) -> dict[tuple[str, int], Any]:
    """(comparison, index) -> a column of its response, of all responses of these comparisons."""
    query = select(responses.c.comparison, responses.c.index.label("number"), column.label("value"))
    return {
        (row.comparison, row.number): row.value
        for part in parts(names)
        for row in connection.execute(query.where(responses.c.comparison.in_(part)))
    }


def tags_of(connection: Connection, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The tags of each of these comparisons."""
    found: dict[str, tuple[str, ...]] = {}
    for some in parts(names):
        rows = connection.execute(select(comparisons.c.id, comparisons.c.tags).where(comparisons.c.id.in_(some)))
        found |= {row.id: tuple(row.tags) for row in rows}
    return found


def by(facts: Sequence[Fact], key: Callable[[Fact], T]) -> dict[T, list[Fact]]:
    """Facts by a key, each list in their order."""
    found: dict[T, list[Fact]] = {}
    for one in facts:
        found.setdefault(key(one), []).append(one)
    return found


def finite(value: float | None, digits: int = 6) -> float | None:
    """A number that JSON can hold; None for what is not one."""
    return None if value is None or not math.isfinite(value) else round(float(value), digits)


class Kept(Generic[T]):
    """Something dear to reckon, kept for each site until the log has grown and some seconds are over."""

    def __init__(self, reckon: Callable[[Site, Connection], T], *, seconds: float) -> None:
        self._reckon, self._seconds = reckon, seconds
        self._kept: weakref.WeakKeyDictionary[Site, tuple[int, float, T]] = weakref.WeakKeyDictionary()

    def of(self, site: Site) -> T:
        """The newest, or one a few seconds old."""
        now = site.clock()
        with site.database.reading() as connection:
            seq = connection.execute(select(chain.c.seq)).scalar_one()
            before = self._kept.get(site)
            if before is not None and (before[0] == seq or 0 <= now - before[1] < self._seconds):
                return before[2]
            value = self._reckon(site, connection)
        self._kept[site] = (seq, now, value)
        return value
