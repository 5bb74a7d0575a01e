"""What a lead decides: where annotators differ, and where a reward model is sure that they are wrong.

Both become items with the purpose `adjudication`, which only leads are given; their decision is the one that is exported.
The reward model is asked after the vote and shown to nobody before it. An item is made once.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection, select

from prefloop.web.review import reward_scores
from prefloop.web.store.chain import record
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import answers, items
from prefloop.web.work import votes as facts
from prefloop.web.work.answers import Body
from prefloop.web.work.items import new_item
from prefloop.web.work.votes import Fact

KINDS = ("pair", "ranking", "rating", "thumb")


class Wanted(Body):
    """What goes to adjudication."""

    disagreements: bool = True
    """Items whose answers contradict each other without a majority."""
    reward_models: bool = True
    """Pairs whose majority a reward model contradicts."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    """Probability, by the score's margin, from which on a model is sure."""
    most: Annotated[int, Field(ge=1, le=5000)] = 200
    """New items at most, the clearest first."""


def undecided(unit: Sequence[Fact]) -> bool:
    """Two or more people judged, and no answer has a majority that the others do not contradict."""
    if len(unit) < 2:
        return False
    most = max(sum(answers.agrees(one.kind, one.meaning, other.meaning) for other in unit) for one in unit)
    return 2 * most <= len(unit)


def sure(margin: float) -> float:
    """How probable a model holds the response that it prefers to be the better one: sigmoid(|margin|)."""
    return 1.0 / (1.0 + math.exp(-min(abs(margin), 700.0)))


def found(connection: Connection, wanted: Wanted) -> list[tuple[float, str, Sequence[Fact]]]:
    """(how clear, why, the judgements) of what deserves a lead's look once everybody asked has judged it, the clearest first."""
    asked = (
        item_table.c.purpose == "work",
        item_table.c.kind.in_(KINDS),
        ~item_table.c.retired,
    )  # of the others the answer is known
    judged = [one for one in facts.load(connection, *asked) if not one.repeat]
    units = facts.by(judged, lambda one: one.unit)
    doubtful = [(1.0, "disagreement", unit) for unit in units.values() if wanted.disagreements and undecided(unit)]
    if wanted.reward_models:
        told = reward_scores.of(connection, {comparison for comparison, kind, _ in units if kind == "pair"})
        for (comparison, kind, pair), unit in units.items():
            best = reward_scores.majority(unit) if kind == "pair" else None
            if best is None:
                continue
            gaps = [
                gap for known in told.values() if (gap := reward_scores.margin(known, comparison, pair)) is not None
            ]
            against = [sure(gap) for gap in gaps if gap and (gap > 0) != (best == pair[0])]
            if against and max(against) >= wanted.confidence:
                doubtful.append((max(against), "reward_model", unit))
    waiting: set[int] = set()  # their vote is not over
    for part in facts.parts(one.item for _, _, unit in doubtful for one in unit):
        is_open = (item_table.c.needed > 0) | (item_table.c.leased > 0)
        waiting |= set(connection.execute(select(item_table.c.id).where(item_table.c.id.in_(part), is_open)).scalars())
    over = [(clear, why, unit) for clear, why, unit in doubtful if not any(one.item in waiting for one in unit)]
    return sorted(over, key=lambda one: -one[0])


def fresh(connection: Connection, site: Site, wanted: Wanted) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """(items that are not there yet, how many of them by reason)."""
    known = set(connection.execute(select(item_table.c.key).where(item_table.c.purpose == "adjudication")).scalars())
    made: dict[str, int] = {"disagreement": 0, "reward_model": 0}
    rows = []
    for _, why, unit in found(connection, wanted):
        row = new_item(
            unit[0].comparison, unit[0].kind, unit[0].responses, purpose="adjudication", at=site.clock(), strategy=why
        )
        if row["key"] not in known and len(rows) < wanted.most:
            known.add(row["key"])
            rows.append(row)
            made[why] += 1
    return rows, made


def send(connection: Connection, site: Site, wanted: Wanted, *, actor: str) -> dict[str, int]:
    """Makes the items. Returns: how many new ones, by reason."""
    rows, made = fresh(connection, site, wanted)
    if rows:
        items.add(connection, site.database, rows, facts.tags_of(connection, {row["comparison"] for row in rows}))
        record(connection, "adjudication", actor, site.clock(), made)
    return made


def listed(connection: Connection, limit: int = 200) -> list[dict[str, Any]]:
    """Items in adjudication, those still open first, with what annotators said and what leads decided."""
    query = (
        select(item_table, comparisons.c.messages, comparisons.c.tags).join(comparisons, comparisons.c.id == item_table.c.comparison)
        .where(item_table.c.purpose == "adjudication").order_by((item_table.c.done > 0), item_table.c.id.desc()).limit(limit)
    )  # fmt: skip
    rows = connection.execute(query).all()
    names = {row.comparison for row in rows}
    said = [
        one for part in facts.parts(names)
        for one in facts.load(connection, item_table.c.comparison.in_(part), item_table.c.purpose.in_(("work", "adjudication")))
        if not one.repeat
    ]  # fmt: skip
    units, told = facts.by(said, lambda one: one.unit), reward_scores.of(connection, names)
    return [
        {
            "item": row.id, "comparison": row.comparison, "kind": row.kind, "why": row.strategy, "open": row.done == 0, "tags": row.tags,
            "prompt": row.messages[-1]["content"],
            "said": [_told(one) for one in units.get((row.comparison, row.kind, tuple(row.responses)), ()) if one.purpose == "work"],
            "decided": [_told(one) for one in units.get((row.comparison, row.kind, tuple(row.responses)), ()) if one.purpose == "adjudication"],
            "margins": {model: gap for model, known in told.items() if row.done and row.kind == "pair"
                        and (gap := reward_scores.margin(known, row.comparison, row.responses)) is not None},
        }
        for row in rows
    ]  # fmt: skip


def _told(one: Fact) -> dict[str, Any]:
    return {"name": one.name, "meaning": one.meaning, "strength": one.answer.get("strength"), "comment": one.comment}
