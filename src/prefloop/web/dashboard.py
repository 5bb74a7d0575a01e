"""The state of the work in numbers: progress, speed, cost, tags, forecast. Polled every few seconds, so nothing here scans the items.

Counts come from covering indexes (items by purpose, open items) and from the judgements, of which there are far fewer. One
answer is kept for two seconds, so that many open pages cost as much as one.
"""

from typing import Any

from pydantic import Field
from sqlalchemy import Connection, Integer, case, cast, func, insert, literal_column, select
from sqlalchemy import delete as delete_rows

from prefloop.stats.agreement import equal_couples
from prefloop.stats.choosing import TagCoverage
from prefloop.web import chain, facts
from prefloop.web.answers import Body
from prefloop.web.facts import Kept, finite
from prefloop.web.items import QUEUED
from prefloop.web.lead_tables import EVERY
from prefloop.web.settings import project
from prefloop.web.site import Site
from prefloop.web.tables import item_tags, items, judgements, presentations, settings, users

HOUR, DAY = 3600.0, 86400.0
EXACT = 20_000
"""Open items up to which what is left is summed; above that it is reckoned from the overlap."""
HOURS = 48
"""Of throughput shown."""
RECENT = 2_000
"""Judgements that the median of seconds is taken from."""
KEY = "desk"
"""Of the row of settings that leads keep here."""


class Desk(Body):
    """What a lead tells the dashboard."""

    cost_per_hour: float = 0.0
    """What an hour of an annotator's attention costs; 0 if nobody asks."""
    currency: str = ""
    """Its unit, as shown."""
    floors: dict[str, int] = Field(default_factory=dict)
    """Tag -> comparisons that must be judged; the red-team tags at least."""


def desk(connection: Connection) -> Desk:
    """What leads told."""
    value = connection.execute(select(settings.c.value).where(settings.c.key == KEY)).scalar()
    return Desk.model_validate(value or {})


def change_desk(connection: Connection, body: Desk, *, actor: str, at: float) -> Desk:
    """Keeps it."""
    value = body.model_dump(mode="json")
    connection.execute(delete_rows(settings).where(settings.c.key == KEY))
    connection.execute(insert(settings).values(key=KEY, value=value))
    chain.record(connection, "desk", actor, at, value)
    return body


def _count(connection: Connection, *where: Any) -> int:
    return connection.execute(select(func.count()).select_from(items).where(*where)).scalar_one()


def progress(connection: Connection) -> dict[str, Any]:
    """Items and judgements: in all, done, open, out with somebody."""
    config = project(connection)
    is_open, is_leased = literal_column("items.needed > 0"), literal_column("items.leased > 0")
    by_purpose = select(items.c.purpose, func.count()).where(literal_column(f"items.{EVERY}")).group_by(items.c.purpose)
    counted = {row[0]: row[1] for row in connection.execute(by_purpose)}
    of_items = {purpose: counted.get(purpose, 0) for purpose in (*QUEUED, "gold", "calibration")}
    waiting = _count(connection, items.c.purpose == "work", is_open)
    leased = (
        connection.execute(select(func.sum(items.c.leased)).where(items.c.purpose == "work", is_leased)).scalar() or 0
    )
    if waiting <= EXACT:
        left = (
            connection.execute(select(func.sum(items.c.needed)).where(items.c.purpose == "work", is_open)).scalar() or 0
        )
    else:
        left = waiting * config.overlap.judgements
    left += leased  # somebody has them, and has not answered yet
    of_judgements = (
        select(items.c.purpose, func.count(), func.sum(cast(judgements.c.counted, Integer)))
        .join(items, items.c.id == judgements.c.item)
        .where(judgements.c.revision == 1)
        .group_by(items.c.purpose)
    )
    made = {row[0]: (row[1], int(row[2] or 0)) for row in connection.execute(of_judgements)}
    done = made.get("work", (0, 0))[1]
    return {
        "items": of_items, "open": waiting, "leased": leased, "judgements": {purpose: count for purpose, (count, _) in made.items()},
        "done": done, "left": left, "left_exact": waiting <= EXACT, "share": finite(done / (done + left)) if done + left else None,
        "overlap": config.overlap.judgements, "held": _count(connection, literal_column("items.strategy = 'held'"), ~items.c.retired),
    }  # fmt: skip


def pace(connection: Connection, now: float, cost_per_hour: float) -> dict[str, Any]:
    """Judgements for each of the last hours, how long one takes, and what it costs."""
    start = (now // HOUR - HOURS + 1) * HOUR
    hour = cast(func.floor((judgements.c.at - start) / HOUR), Integer)
    query = select(
        hour.label("hour"),
        func.count(),
        func.sum(judgements.c.active_seconds),
        func.count(func.distinct(judgements.c.user)),
    )
    rows = connection.execute(
        query.where(judgements.c.at >= start, judgements.c.at <= now, judgements.c.revision == 1).group_by(hour)
    ).all()
    known = {int(row[0]): (row[1], float(row[2] or 0), row[3]) for row in rows}
    hours = [
        {"hour": start + HOUR * n, "judgements": known.get(n, (0, 0.0, 0))[0], "people": known.get(n, (0, 0.0, 0))[2]}
        for n in range(HOURS)
    ]
    busy = [entry for entry in hours if entry["judgements"]]
    seconds = sorted(
        connection.execute(select(judgements.c.active_seconds).order_by(judgements.c.at.desc()).limit(RECENT)).scalars()
    )
    median = seconds[len(seconds) // 2] if seconds else None
    all_seconds, count = connection.execute(
        select(func.sum(judgements.c.active_seconds), func.count()).where(judgements.c.revision == 1)
    ).one()
    mean = float(all_seconds) / count if count else None
    today = judgements.c.at >= now - now % DAY, judgements.c.revision == 1
    return {
        "hours": hours,
        "per_hour": finite(sum(entry["judgements"] for entry in busy) / len(busy), 1) if busy else None,
        "per_person_hour": finite(sum(e["judgements"] for e in busy) / sum(e["people"] for e in busy), 1) if busy else None,
        "today": connection.execute(select(func.count()).select_from(judgements).where(*today)).scalar_one(),
        "median_seconds": finite(median, 2), "mean_seconds": finite(mean, 2),
        "cost_per_judgement": finite(mean * cost_per_hour / HOUR, 4) if mean is not None and cost_per_hour else None,
        "cost": finite(float(all_seconds) * cost_per_hour / HOUR, 2) if count and cost_per_hour else None,
    }  # fmt: skip


def coverage(connection: Connection, floors: dict[str, int]) -> list[dict[str, Any]]:
    """Judged items of each tag; a tag with a floor is here even if nothing has it, and says so."""
    judged = (
        select(items.c.id, items.c.comparison).join(judgements, judgements.c.item == items.c.id)
        .where(judgements.c.counted, judgements.c.revision == 1, items.c.purpose.in_(QUEUED)).distinct().subquery()
    )  # fmt: skip
    counted = select(item_tags.c.tag, func.count(func.distinct(judged.c.comparison))).join(
        judged, judged.c.id == item_tags.c.item
    )
    chosen: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted.group_by(item_tags.c.tag))}
    waiting = select(item_tags.c.tag, func.count()).where(
        item_tags.c.purpose == "work", literal_column("item_tags.open")
    )
    still: dict[str, int] = {row[0]: row[1] for row in connection.execute(waiting.group_by(item_tags.c.tag))}
    names = sorted({*chosen, *still, *floors})
    table = [
        TagCoverage(tag, chosen.get(tag, 0) + still.get(tag, 0), chosen.get(tag, 0), floors.get(tag, 0))
        for tag in names
    ]
    return [
        {
            "tag": one.tag, "judged": one.chosen, "open": still.get(one.tag, 0), "floor": one.floor, "missing": one.missing,
            "sentence": one.sentence, "out_of_reach": one.missing > still.get(one.tag, 0),
        }
        for one in table
    ]  # fmt: skip


def agreed(connection: Connection) -> dict[str, Any]:
    """How often two people say the same, over the newest judgements."""
    recent = facts.load(connection, items.c.purpose == "work", items.c.kind == "pair", limit=RECENT)
    units = facts.by([one for one in recent if not one.repeat and one.best is not None], lambda one: one.unit).values()
    same, couples = equal_couples([(one.user, one.best) for one in unit] for unit in units)
    return {"rate": finite(same / couples) if couples else None, "couples": couples}


def active(connection: Connection, now: float) -> list[dict[str, Any]]:
    """Who worked in the last hour."""
    query = (
        select(
            users.c.id,
            users.c.name,
            func.count(),
            func.max(judgements.c.at),
            func.sum(case((judgements.c.at >= now - HOUR, 1), else_=0)),
        )
        .join(users, users.c.id == judgements.c.user)
        .where(judgements.c.at >= now - DAY, judgements.c.revision == 1)
        .group_by(users.c.id, users.c.name)
        .order_by(func.max(judgements.c.at).desc())
        .limit(50)
    )
    return [
        {"id": row[0], "name": row[1], "today": row[2], "last": row[3], "hour": int(row[4])}
        for row in connection.execute(query)
    ]


def forecast(left: int, per_hour: float | None) -> float | None:
    """Hours of work, at the pace of the hours in which anybody worked, until nothing is left."""
    return finite(left / per_hour, 1) if per_hour else None


def _whole(site: Site, connection: Connection) -> dict[str, Any]:
    now, told = site.clock(), desk(connection)
    done, speed = progress(connection), pace(connection, now, told.cost_per_hour)
    open_leases = connection.execute(
        select(func.count()).select_from(presentations).where(literal_column("presentations.state = 'leased'"))
    ).scalar_one()
    return {
        "at": now, "progress": done, "pace": speed, "agreement": agreed(connection), "tags": coverage(connection, told.floors),
        "people": active(connection, now), "hours_left": forecast(done["left"], speed["per_hour"]), "open_leases": open_leases,
        "currency": told.currency, "cost_left": _cost_left(done["left"], speed),
    }  # fmt: skip


def _cost_left(left: int, speed: dict[str, Any]) -> float | None:
    each = speed["cost_per_judgement"]
    return None if each is None else finite(left * each, 2)


numbers = Kept(_whole, seconds=2.0)
"""`numbers.of(site)`: everything that the dashboard shows."""
