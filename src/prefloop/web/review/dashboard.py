"""The state of the work in numbers: progress, speed, cost, tags, forecast. Polled all the time: no scan of the items.

Counts come from covering indexes (items by purpose, open items) and from the judgements, of which there are far fewer.
One answer is kept for two seconds, so that many open pages cost as much as one.
"""

from typing import Any

from pydantic import Field
from sqlalchemy import Connection, Integer, case, cast, func, literal_column, select

from prefloop.stats.agreement import equal_couples
from prefloop.stats.choosing import TagCoverage
from prefloop.web.body import Body, finite
from prefloop.web.errors import refuse_unless
from prefloop.web.review.cached import Cached
from prefloop.web.store import chain
from prefloop.web.store.settings import keep_value, project, value_of
from prefloop.web.store.site import Site
from prefloop.web.store.tables import EVERY, item_tags, items, judgements, presentations, users
from prefloop.web.work.items import QUEUED
from prefloop.web.work.votes import units_of, votes_where

HOUR, DAY = 3600.0, 86400.0
EXACT = 20_000
"""Open items up to which what is left is summed; above that it is reckoned from the overlap."""
HOURS = 48
"""Of throughput shown."""
RECENT = 2_000
"""Judgements that the median of seconds is taken from."""
KEY = "desk"
"""Of the row of settings that leads keep here."""
NEEDED, LEASED = literal_column("items.needed > 0"), literal_column("items.leased > 0")


class Targets(Body):
    """What a lead tells the dashboard."""

    cost_per_hour: float = 0.0
    """What an hour of an annotator's attention costs; 0 if nobody asks."""
    currency: str = ""
    """Its unit, as shown."""
    floors: dict[str, int] = Field(default_factory=dict)
    """Tag -> comparisons that must be judged; the red-team tags at least."""


def targets(connection: Connection) -> Targets:
    """What leads want to reach."""
    return Targets.model_validate(value_of(connection, KEY) or {})


def change_targets(connection: Connection, body: Targets, *, actor: str, at: float) -> Targets:
    """Keeps what leads want to reach. Raises: Refusal (422)."""
    refuse_unless(0 <= body.cost_per_hour <= 1e6, "An hour costs between 0 and a million.")
    is_short = len(body.currency) <= 10 and len(body.floors) <= 200
    refuse_unless(is_short, "A currency has at most 10 letters, and there are at most 200 floors.")
    are_floors = all(0 <= floor <= 10**7 and 0 < len(tag) <= 200 for tag, floor in body.floors.items())
    refuse_unless(are_floors, "A floor is between 0 and ten million.")
    value = body.model_dump(mode="json")
    keep_value(connection, KEY, value)
    chain.record(connection, "desk", actor, at, value)
    return body


def is_new(connection: Connection) -> bool:
    """True as long as nothing was judged."""
    return connection.execute(select(judgements.c.id).limit(1)).first() is None


def _number(connection: Connection, table: Any, *where: Any) -> int:
    return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def _sum(connection: Connection, column: Any, *where: Any) -> int:
    return connection.execute(select(func.sum(column)).where(*where)).scalar() or 0


def of_work(connection: Connection) -> dict[str, int]:
    """Items of work, and what they want, have and are out for, summed over all of them."""
    work, names = items.c.purpose == "work", ("wanted", "done", "leased")
    sums = select(func.count(), *[func.sum(items.c[name]) for name in names]).where(work)
    numbers = zip(("items", *names), connection.execute(sums).one(), strict=True)
    return {**{name: number or 0 for name, number in numbers}, "open": _number(connection, items, work, NEEDED)}


def progress(connection: Connection) -> dict[str, Any]:
    """Items and judgements: in all, done, open, out with somebody."""
    overlap, work = project(connection).overlap.judgements, items.c.purpose == "work"
    by_purpose = select(items.c.purpose, func.count()).where(literal_column(f"items.{EVERY}")).group_by(items.c.purpose)
    counted = {row[0]: row[1] for row in connection.execute(by_purpose)}
    of_items = {purpose: counted.get(purpose, 0) for purpose in (*QUEUED, "gold", "calibration")}
    waiting = _number(connection, items, work, NEEDED)
    leased = _sum(connection, items.c.leased, work, LEASED)
    left = _sum(connection, items.c.needed, work, NEEDED) if waiting <= EXACT else waiting * overlap
    left += leased  # somebody has them, and has not answered yet
    of_judgements = (
        select(items.c.purpose, func.count(), func.sum(cast(judgements.c.counted, Integer)))
        .join(items, items.c.id == judgements.c.item)
        .where(judgements.c.revision == 1)
        .group_by(items.c.purpose)
    )
    made = {row[0]: (row[1], int(row[2] or 0)) for row in connection.execute(of_judgements)}
    done = made.get("work", (0, 0))[1]
    held = _number(connection, items, literal_column("items.strategy = 'held'"), ~items.c.retired)
    return {
        "items": of_items, "open": waiting, "leased": leased, "done": done, "left": left,
        "judgements": {purpose: count for purpose, (count, _) in made.items()}, "left_exact": waiting <= EXACT,
        "share": finite(done / (done + left)) if done + left else None, "overlap": overlap, "held": held,
    }  # fmt: skip


def pace(connection: Connection, now: float, cost_per_hour: float) -> dict[str, Any]:
    """Judgements for each of the last hours, how long one takes, and what it costs."""
    start, first = (now // HOUR - HOURS + 1) * HOUR, judgements.c.revision == 1
    hour = cast(func.floor((judgements.c.at - start) / HOUR), Integer)
    query = select(hour.label("hour"), func.count(), func.count(func.distinct(judgements.c.user)))
    recent = query.where(judgements.c.at >= start, judgements.c.at <= now, first).group_by(hour)
    made = {int(row[0]): (row[1], row[2]) for row in connection.execute(recent)}
    hours = [
        {"hour": start + HOUR * n, "judgements": number, "people": people}
        for n in range(HOURS)
        for number, people in [made.get(n, (0, 0))]
    ]
    busy = [(entry["judgements"], entry["people"]) for entry in hours if entry["judgements"]]
    number, people = sum(n for n, _ in busy), sum(n for _, n in busy)
    newest = select(judgements.c.active_seconds).order_by(judgements.c.at.desc()).limit(RECENT)
    seconds = sorted(connection.execute(newest).scalars())
    count, whole = _number(connection, judgements, first), float(_sum(connection, judgements.c.active_seconds, first))
    mean = whole / count if count else None
    costs = bool(count and cost_per_hour)
    return {
        "hours": hours,
        "per_hour": finite(number / len(busy), 1) if busy else None,
        "per_person_hour": finite(number / people, 1) if busy else None,
        "today": _number(connection, judgements, judgements.c.at >= now - now % DAY, first),
        "median_seconds": finite(seconds[len(seconds) // 2] if seconds else None, 2),
        "mean_seconds": finite(mean, 2),
        "cost_per_judgement": finite((mean or 0) * cost_per_hour / HOUR, 4) if costs else None,
        "cost": finite(whole * cost_per_hour / HOUR, 2) if costs else None,
    }


def coverage(connection: Connection, floors: dict[str, int]) -> list[dict[str, Any]]:
    """Judged items of each tag; a tag with a floor is here even if nothing has it, and says so."""
    counted = judgements.c.counted, judgements.c.revision == 1, items.c.purpose.in_(QUEUED)
    of_judged = select(items.c.id, items.c.comparison).join(judgements, judgements.c.item == items.c.id)
    judged = of_judged.where(*counted).distinct().subquery()
    by_tag = select(item_tags.c.tag, func.count(func.distinct(judged.c.comparison)))
    joined = by_tag.join(judged, judged.c.id == item_tags.c.item).group_by(item_tags.c.tag)
    chosen: dict[str, int] = {row[0]: row[1] for row in connection.execute(joined)}
    is_waiting = item_tags.c.purpose == "work", literal_column("item_tags.open")
    waiting = select(item_tags.c.tag, func.count()).where(*is_waiting).group_by(item_tags.c.tag)
    still: dict[str, int] = {row[0]: row[1] for row in connection.execute(waiting)}
    rows = []
    for tag in sorted({*chosen, *still, *floors}):
        judged_, open_ = chosen.get(tag, 0), still.get(tag, 0)
        of_tag = TagCoverage(tag, judged_ + open_, judged_, floors.get(tag, 0))
        rows.append({
            "tag": tag, "judged": judged_, "open": open_, "floor": of_tag.floor, "missing": of_tag.missing,
            "sentence": of_tag.sentence, "out_of_reach": of_tag.missing > open_,
        })  # fmt: skip
    return rows


def agreed(connection: Connection) -> dict[str, Any]:
    """How often two people say the same, over the newest judgements."""
    recent = votes_where(connection, items.c.purpose == "work", items.c.kind == "pair", limit=RECENT)
    units = units_of([vote for vote in recent if not vote.repeat and vote.best is not None]).values()
    same, couples = equal_couples([(vote.user, vote.best) for vote in unit] for unit in units)
    return {"rate": finite(same / couples) if couples else None, "couples": couples}


def active(connection: Connection, now: float) -> list[dict[str, Any]]:
    """Who worked since yesterday, the last one first."""
    last, in_hour = func.max(judgements.c.at), func.sum(case((judgements.c.at >= now - HOUR, 1), else_=0))
    query = (
        select(users.c.id, users.c.name, func.count(), last, in_hour)
        .join(users, users.c.id == judgements.c.user)
        .where(judgements.c.at >= now - DAY, judgements.c.revision == 1)
        .group_by(users.c.id, users.c.name)
        .order_by(last.desc())
        .limit(50)
    )
    names = ("id", "name", "today", "last", "hour")
    return [dict(zip(names, (*row[:4], int(row[4])), strict=True)) for row in connection.execute(query)]


def _whole(site: Site, connection: Connection) -> dict[str, Any]:
    now, wanted = site.clock(), targets(connection)
    done, speed = progress(connection), pace(connection, now, wanted.cost_per_hour)
    per_hour, each, left = speed["per_hour"], speed["cost_per_judgement"], done["left"]
    return {
        "at": now, "progress": done, "pace": speed, "agreement": agreed(connection),
        "tags": coverage(connection, wanted.floors), "people": active(connection, now),
        "hours_left": finite(left / per_hour, 1) if per_hour else None,
        "open_leases": _number(connection, presentations, literal_column("presentations.state = 'leased'")),
        "currency": wanted.currency, "cost_left": None if each is None else finite(left * each, 2),
    }  # fmt: skip


numbers = Cached(_whole, seconds=2.0)
"""`numbers.of(site)`: everything that the dashboard shows."""


def by_kind(connection: Connection) -> dict[str, int]:
    """Kind -> items of work that are asked."""
    asked = items.c.purpose == "work", ~items.c.retired
    query = select(items.c.kind, func.count()).where(*asked).group_by(items.c.kind).order_by(items.c.kind)
    return {row.kind: row[1] for row in connection.execute(query)}
