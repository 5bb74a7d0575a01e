"""Items found: by what their texts say, by number, by comparison, by kind and by how far they are, a page at a time.

A search by words reads texts, so that one call looks at `LOOKED` items at most and says where the next one goes on:
nobody walks over a million rows unnoticed.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy
from sqlalchemy import Connection, RowMapping, Text, func, literal_column, or_, select

from prefloop.web.store.comparisons import of_responses
from prefloop.web.store.tables import EVERY, comparisons, items, responses
from prefloop.web.work.items import HELD

State = Literal["waiting", "judged", "unjudged", "held", "retired"]
LOOKED = 20_000
"""Items whose texts one call looks at, at most."""
TOGETHER = 1_000
"""Items whose texts one question looks at."""
BEGINNING = 300
"""Letters that are told of each response."""
_NAMES = (
    "id", "comparison", "kind", "responses", "purpose", "wanted", "done", "leased", "needed", "strategy",
    "probability", "expected", "retired",
)  # fmt: skip
_IN_STATE = {
    "waiting": items.c.needed > 0, "judged": items.c.done > 0, "unjudged": items.c.done == 0,
    "held": items.c.strategy == HELD, "retired": items.c.retired,
}  # fmt: skip
_ITEM = select(items, comparisons.c.messages, comparisons.c.tags).join(
    comparisons, comparisons.c.id == items.c.comparison
)


@dataclass(frozen=True)
class Sought:
    """Which items."""

    purpose: str = "work"
    words: str = ""
    """in a message of the prompt, in a response, or in the comparison's id, small letters as capital ones"""
    comparison: str = ""
    """of this comparison alone"""
    number: int | None = None
    """this one alone"""
    kind: str | None = None
    state: State | None = None


@dataclass(frozen=True)
class Found:
    """A page of items."""

    items: list[dict[str, Any]]
    next: int | None
    """the number after which the next page begins; None after the last one"""
    looked: int
    """items that were looked at for it"""


def found(connection: Connection, sought: Sought, *, after: int, limit: int) -> Found:
    """Items by number, from the one after `after` on."""
    if sought.number is not None or sought.comparison:
        only = items.c.id == sought.number if sought.number is not None else items.c.comparison == sought.comparison
        rows = connection.execute(_ITEM.where(only, items.c.id > after).order_by(items.c.id).limit(limit + 1))
        return _page(connection, rows.mappings().all(), limit, len)
    where = [literal_column(f"items.{EVERY}"), items.c.purpose == sought.purpose]
    where += [items.c.kind == sought.kind] if sought.kind else []
    words = sought.words.strip()
    hits: list[RowMapping] = []
    looked, last, is_over = 0, after, False
    while len(hits) <= limit and looked < LOOKED and not is_over:
        part = select(items.c.id).where(*where, items.c.id > last).order_by(items.c.id).limit(TOGETHER)
        numbers = connection.execute(part).scalars().all()
        if numbers:
            query = _ITEM.where(items.c.id.in_(numbers), *([_IN_STATE[sought.state]] if sought.state else []))
            query = query.where(_may_say(words)) if words else query
            rows = connection.execute(query.order_by(items.c.id)).mappings().all()
            saying = (row for row in rows if not words or _says(connection, row, words))
            hits += itertools.islice(saying, limit + 1 - len(hits))
            looked, last = looked + len(numbers), numbers[-1]
        is_over = len(numbers) < TOGETHER
    if len(hits) > limit or is_over:
        return _page(connection, hits, limit, lambda _: looked)
    return Found(_told(connection, hits), last, looked)


def _page(connection: Connection, rows: Sequence[RowMapping], limit: int, looked: Any) -> Found:
    more = len(rows) > limit
    return Found(_told(connection, rows[:limit]), rows[limit - 1]["id"] if more else None, looked(rows))


def _like(words: str) -> str:
    return "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _may_say(words: str) -> Any:
    """True of every item that says it, and of some whose prompt has it elsewhere than in its content."""
    as_json = _like(json.dumps(words)[1:-1])  # messages are kept as JSON
    answered = select(responses.c.index).where(
        responses.c.comparison == items.c.comparison, responses.c.text.ilike(_like(words), escape="\\")
    )
    return or_(
        items.c.comparison.ilike(_like(words), escape="\\"),
        sqlalchemy.cast(comparisons.c.messages, Text).ilike(as_json, escape="\\"),
        answered.exists(),
    )


def _says(connection: Connection, row: RowMapping, words: str) -> bool:
    """True if it is said in a text, and not only in how the texts are kept."""
    word = words.casefold()
    if any(word in text.casefold() for text in (row["comparison"], *(turn["content"] for turn in row["messages"]))):
        return True
    texts = of_responses(connection, [row["comparison"]], responses.c.text)
    return any(word in text.casefold() for text in texts.values())


def _told(connection: Connection, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Items as they are listed: with the last message, how each response begins, and the tags."""
    beginning = func.substr(responses.c.text, 1, BEGINNING)
    texts = of_responses(connection, {row["comparison"] for row in rows}, beginning)
    return [
        {
            **{name: row[name] for name in _NAMES},
            "prompt": row["messages"][-1]["content"],
            "texts": [texts.get((row["comparison"], index), "") for index in row["responses"]],
            "tags": row["tags"],
        }
        for row in rows
    ]
