"""Votes: what was judged, as arithmetic wants it: the newest revision of each judgement with what it was about.

Reads: judgements, presentations, items, users. At most `MOST` of them, the newest ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from prefloop.records import AnnotatorKind
from prefloop.web.store.tables import items, judgements, presentations, users
from prefloop.web.work import answers

T = TypeVar("T")
Unit = tuple[str, str, tuple[int, ...]]
"""What was decided upon: comparison, kind, responses."""
MOST = 50_000
"""Judgements that quality is reckoned from, the newest ones."""
WAS_SHOWN = presentations.c.leased_until > presentations.c.leased_at
"""Of a presentation that was somebody's to judge; one that was brought in has a lease of no length."""


@dataclass(frozen=True)
class Vote:
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
    by: AnnotatorKind = "person"

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


COLUMNS = (
    judgements.c.id, judgements.c.user, users.c.name, users.c.kind.label("by"), judgements.c.item, items.c.comparison,
    items.c.kind,
    items.c.purpose, items.c.responses, presentations.c.order, judgements.c.answer, items.c.expected,
    presentations.c.repeat, judgements.c.counted, judgements.c.right, judgements.c.active_seconds.label("seconds"),
    judgements.c.at, WAS_SHOWN.label("was_shown"), judgements.c.comment,
)  # fmt: skip
"""What a vote is made of."""
Votes = Mapping[Unit, Sequence[Vote]]
"""What was said of each unit."""


def is_newest() -> Any:
    """The condition that no later revision replaces a judgement."""
    later = judgements.alias("later")
    return ~select(later.c.id).where(later.c.replaces == judgements.c.id).exists()


def votes_where(connection: Connection, *where: Any, limit: int = MOST) -> list[Vote]:
    """The newest judgements that meet conditions, in the order they were made."""
    query = (
        select(*COLUMNS)
        .join(presentations, presentations.c.id == judgements.c.presentation)
        .join(items, items.c.id == judgements.c.item)
        .join(users, users.c.id == judgements.c.user)
        .where(is_newest(), *where)
        .order_by(judgements.c.at.desc(), judgements.c.id.desc())
        .limit(limit)
    )
    return [_vote(row) for row in reversed(connection.execute(query).all())]


def _vote(row: Any) -> Vote:
    meaning = answers.meaning(row.kind, row.answer, row.order)
    expected = row.expected.get("answer") if row.expected else None
    is_repeat = row.repeat > 0 and row.purpose != "calibration"
    read = {"meaning": meaning, "expected": expected, "repeat": is_repeat, "was_shown": bool(row.was_shown)}
    return Vote(**{**row._asdict(), **read, "responses": tuple(row.responses), "order": tuple(row.order)})


def ruled(connection: Connection) -> set[Unit]:
    """What leads have ruled upon: there the annotators' judgements speak no more."""
    query = select(items.c.comparison, items.c.kind, items.c.responses)
    rows = connection.execute(query.where(items.c.purpose == "adjudication", items.c.done > 0))
    return {(row.comparison, row.kind, tuple(row.responses)) for row in rows}


def heard(votes: Sequence[Vote]) -> list[Vote]:
    """Votes without the annotators' of what a lead has ruled upon: the ruling alone speaks."""
    overruled = {vote.unit for vote in votes if vote.purpose == "adjudication"}
    return [vote for vote in votes if vote.purpose == "adjudication" or vote.unit not in overruled]


def grouped(votes: Sequence[Vote], key: Callable[[Vote], T]) -> dict[T, list[Vote]]:
    """Votes by a key, each list in their order."""
    groups: dict[T, list[Vote]] = {}
    for vote in votes:
        groups.setdefault(key(vote), []).append(vote)
    return groups


def units_of(votes: Sequence[Vote], *kinds: str) -> dict[Unit, list[Vote]]:
    """Votes of these kinds (none for all) by what they decide upon."""
    return grouped([vote for vote in votes if not kinds or vote.kind in kinds], lambda vote: vote.unit)
