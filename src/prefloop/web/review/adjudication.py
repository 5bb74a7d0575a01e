"""What a lead decides: where annotators differ, and where a reward model is sure that they are wrong.

Both become items with the purpose `adjudication`, which only leads are given; their decision is what is exported.
The reward model is asked after the vote and shown to nobody before it. An item is made once.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection, Row, select

from prefloop.web.body import Body
from prefloop.web.review.reward_scores import majority, margin, scores_of
from prefloop.web.store.chain import record
from prefloop.web.store.comparisons import parts, tags_of
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, items
from prefloop.web.work import answers
from prefloop.web.work.answers import MARKED
from prefloop.web.work.items import add, new_item
from prefloop.web.work.votes import Vote, units_of, votes_where


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


def undecided(unit: Sequence[Vote]) -> bool:
    """Two or more people judged, and no answer has a majority that the others do not contradict."""
    if len(unit) < 2:
        return False
    most = max(sum(answers.agrees(vote.kind, vote.meaning, other.meaning) for other in unit) for vote in unit)
    return 2 * most <= len(unit)


def sure(margin: float) -> float:
    """How probable a model holds the response that it prefers to be the better one: sigmoid(|margin|)."""
    return 1.0 / (1.0 + math.exp(-min(abs(margin), 700.0)))


def doubtful(connection: Connection, wanted: Wanted) -> list[tuple[float, str, Sequence[Vote]]]:
    """(how clear, why, the votes) of what deserves a lead's look once all who were asked judged, the clearest first."""
    asked = items.c.purpose == "work", items.c.kind.in_(MARKED), ~items.c.retired  # of the others the answer is known
    units = units_of([vote for vote in votes_where(connection, *asked) if not vote.repeat])
    doubts = [(1.0, "disagreement", unit) for unit in units.values() if wanted.disagreements and undecided(unit)]
    if wanted.reward_models:
        models = scores_of(connection, {comparison for comparison, kind, _ in units if kind == "pair"}).values()
        for (comparison, kind, pair), unit in units.items():
            best = majority(unit) if kind == "pair" else None
            if best is None:
                continue
            gaps = [gap for scores in models if (gap := margin(scores, comparison, pair)) is not None]
            against = [sure(gap) for gap in gaps if gap and (gap > 0) != (best == pair[0])]
            if against and max(against) >= wanted.confidence:
                doubts.append((max(against), "reward_model", unit))
    is_open = (items.c.needed > 0) | (items.c.leased > 0)
    waiting: set[int] = set()  # their vote is not over
    for part in parts(vote.item for _, _, unit in doubts for vote in unit):
        waiting |= set(connection.execute(select(items.c.id).where(items.c.id.in_(part), is_open)).scalars())
    over = [(clear, why, unit) for clear, why, unit in doubts if not any(vote.item in waiting for vote in unit)]
    return sorted(over, key=lambda doubt: -doubt[0])


def fresh(connection: Connection, site: Site, wanted: Wanted) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """(items that are not there yet, how many of them by reason)."""
    keys = set(connection.execute(select(items.c.key).where(items.c.purpose == "adjudication")).scalars())
    made: dict[str, int] = {"disagreement": 0, "reward_model": 0}
    rows = []
    for _, why, (vote, *_rest) in doubtful(connection, wanted):
        how = {"purpose": "adjudication", "at": site.clock(), "strategy": why}
        row = new_item(vote.comparison, vote.kind, vote.responses, **how)
        if row["key"] not in keys and len(rows) < wanted.most:
            keys.add(row["key"])
            rows.append(row)
            made[why] += 1
    return rows, made


def send(connection: Connection, site: Site, wanted: Wanted, *, actor: str) -> dict[str, int]:
    """Makes the items. Returns: how many new ones, by reason."""
    rows, made = fresh(connection, site, wanted)
    if rows:
        add(connection, site.database, rows, tags_of(connection, {row["comparison"] for row in rows}))
        record(connection, "adjudication", actor, site.clock(), made)
    return made


def listed(connection: Connection, limit: int = 200) -> list[dict[str, Any]]:
    """Items in adjudication, those still open first, with what annotators said and what leads decided."""
    query = (
        select(items, comparisons.c.messages, comparisons.c.tags)
        .join(comparisons, comparisons.c.id == items.c.comparison)
        .where(items.c.purpose == "adjudication")
        .order_by((items.c.done > 0), items.c.id.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    names = {row.comparison for row in rows}
    purposes = items.c.purpose.in_(("work", "adjudication"))
    votes = [v for part in parts(names) for v in votes_where(connection, items.c.comparison.in_(part), purposes)]
    units, models = units_of([vote for vote in votes if not vote.repeat]), scores_of(connection, names)

    def said(row: Row[Any], purpose: str) -> list[dict[str, Any]]:
        unit = units.get((row.comparison, row.kind, tuple(row.responses)), ())
        return [
            {"name": v.name, "meaning": v.meaning, "strength": v.answer.get("strength"), "comment": v.comment}
            for v in unit
            if v.purpose == purpose
        ]

    def margins(row: Row[Any]) -> dict[str, float]:
        gaps = {model: margin(scores, row.comparison, row.responses) for model, scores in models.items()}
        return {model: gap for model, gap in gaps.items() if gap is not None}

    return [
        {
            "item": row.id, "comparison": row.comparison, "kind": row.kind, "why": row.strategy, "open": row.done == 0,
            "tags": row.tags, "prompt": row.messages[-1]["content"], "said": said(row, "work"),
            "decided": said(row, "adjudication"), "margins": margins(row) if row.done and row.kind == "pair" else {},
        }
        for row in rows
    ]  # fmt: skip
