"""Items: the units of work. What makes them, and how their counts and their place in the queue change together.

`place` orders the queue. New items stand GAP apart. An annotator's cursor says: everything up to here was shown to
them, or was not to be had. So an item that comes back (a lease ran out, it was skipped, one more judgement is wanted)
is put behind every cursor, where each annotator meets it once, and nobody ever looks again at what they have done.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, case, func, insert, select, text, update

from prefloop.web.store.database import Database
from prefloop.web.store.tables import cursors, item_tags, items

GAP = 1 << 20
"""Between the places of two new items; room for what comes back."""
LONGEST_KEY = 320
"""Letters by which an item is known; one with a longer name is known by its hash."""
HELD = "held"
"""Strategy of items that the selection holds back: they want nothing until it lets them go."""
NOBODY = 0
"""Whose cursor remembers the last place given to an item that came back."""
ARENA = "arena"
"""Purpose, and tag, of what is compared blind between samplers."""
ANSWERED = ("gold", "calibration")
"""Purposes of items whose answer is known."""
QUEUED = ("work", "adjudication", "arena", "chat")
"""Purposes of items that are counted; gold and calibration are shown to everybody."""


def new_item(
    comparison: str, kind: str, responses: Sequence[int], *, purpose: str = "work", wanted: int = 1, at: float = 0.0,
    strategy: str = "all", probability: float = 1.0, expected: dict[str, Any] | None = None, retired: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """An item's row, all but its place; the same question has the same key."""
    wanted = wanted if purpose in QUEUED and not retired else 0
    asked = {"comparison": comparison, "kind": kind, "responses": list(responses), "purpose": purpose}
    key = json.dumps(list(asked.values()), ensure_ascii=False)
    key = key if len(key) <= LONGEST_KEY else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    counts = {"wanted": wanted, "done": 0, "leased": 0, "needed": wanted, "extended": False}
    chosen = {"strategy": strategy, "probability": probability, "expected": expected, "added": at, "retired": retired}
    return {"key": key, **asked, **counts, **chosen}


def add(
    connection: Connection, database: Database, rows: Iterable[dict[str, Any]], tags: Mapping[str, Sequence[str]]
) -> int:
    """Puts new items at the end of the queue; one that is there already is left as it is.

    Args:
        rows: from `new_item`.
        tags: of each comparison.

    Returns: the number of new ones.
    """
    last = connection.execute(select(func.max(items.c.place))).scalar() or 0
    place = (last // GAP + 1) * GAP
    added = 0
    for row in rows:
        new = database.insert(items).values(**row, place=place).on_conflict_do_nothing(index_elements=["key"])
        made = connection.execute(new.returning(items.c.id)).scalar()
        if made is None:
            continue
        added, place = added + 1, place + GAP
        mine = [
            {"item": made, "tag": tag, "purpose": row["purpose"], "place": place - GAP, "open": row["needed"] > 0}
            for tag in set(tags[row["comparison"]])
        ]
        if mine and row["purpose"] in QUEUED:
            connection.execute(insert(item_tags), mine)
    return added


def checks(purpose: Literal["gold", "calibration"]) -> ColumnElement[bool]:
    """Items of this purpose, by the index of gold and calibration: SQLite takes it only if its own words are asked."""
    return and_(text("items.purpose IN ('gold', 'calibration')"), items.c.purpose == purpose)


_LOCKED = select(items).where(items.c.id == bindparam("which")).with_for_update()
_RECOUNT = update(items).where(items.c.id == bindparam("which"))


def locked(connection: Connection, item: int) -> Row[Any]:
    """An item, kept from others until the transaction ends."""
    return connection.execute(_LOCKED, {"which": item}).one()


def recount(
    connection: Connection,
    item: Row[Any],
    *,
    done: int = 0,
    leased: int = 0,
    wanted: int = 0,
    extended: bool | None = None,
) -> None:
    """Changes counts by these steps, and with them what is needed; what is needed again goes behind every cursor.

    An item that a lead took away wants no more than it has.
    """
    after = {"wanted": item.wanted + wanted, "done": item.done + done, "leased": item.leased + leased}
    if item.retired:
        after["wanted"] = min(after["wanted"], after["done"] + after["leased"])
    needed = max(0, after["wanted"] - after["done"] - after["leased"])
    values: dict[str, Any] = {**after, "needed": needed}
    if extended is not None:
        values["extended"] = extended
    if needed > item.needed:
        values["place"] = _place_behind_all(connection, item.purpose)
    connection.execute(_RECOUNT, {"which": item.id, **values})
    if (needed > 0) != (item.needed > 0) or "place" in values:
        queue = {"open": needed > 0} | ({"place": values["place"]} if "place" in values else {})
        connection.execute(update(item_tags).where(item_tags.c.item == item.id).values(queue))


def _place_behind_all(connection: Connection, purpose: str) -> int:
    """A place that no cursor has reached and no returned item holds; one writer at a time gets one."""
    of_nobody = (cursors.c.user == NOBODY) & (cursors.c.purpose == purpose)
    connection.execute(select(cursors.c.place).where(of_nobody).with_for_update()).one()
    place = connection.execute(select(func.max(cursors.c.place)).where(cursors.c.purpose == purpose)).scalar_one() + 1
    connection.execute(update(cursors).where(of_nobody).values(place=place))
    return place


def requeue(connection: Connection, order: Iterable[tuple[int, str, float]], *, purpose: str = "work") -> None:
    """Puts items in a new order, and everybody begins at the front again.

    Args:
        order: (item, strategy, probability with which it was chosen), first first; items left out keep their place.
        purpose: of all of them.
    """
    for number, (item, strategy, probability) in zip(itertools.count(1), order, strict=False):
        values = {"place": number * GAP, "strategy": strategy, "probability": probability}
        mine = items.c.id == item, items.c.purpose == purpose, ~items.c.retired
        connection.execute(update(items).where(*mine).values(values))
        connection.execute(update(item_tags).where(item_tags.c.item == item).values(place=number * GAP))
    connection.execute(update(cursors).where(cursors.c.purpose == purpose).values(place=0))


def want(connection: Connection, judgements: int) -> None:
    """Every item of work wants this many judgements, and one more where the first differed; all begin at the front."""
    wanted = judgements + case((items.c.extended, 1), else_=0)
    open_now = wanted - items.c.done - items.c.leased
    values = {"wanted": wanted, "needed": case((open_now > 0, open_now), else_=0)}
    asked = (items.c.purpose == "work") & (items.c.strategy != HELD) & ~items.c.retired
    connection.execute(update(items).where(asked).values(values))
    needed = select(items.c.needed > 0).where(items.c.id == item_tags.c.item).scalar_subquery()
    connection.execute(update(item_tags).where(item_tags.c.purpose == "work").values(open=needed))
    connection.execute(update(cursors).where(cursors.c.purpose == "work", cursors.c.user != NOBODY).values(place=0))


def retire(connection: Connection, item: int) -> None:
    """An item is asked of nobody any more, whatever happens later; what was judged, or is being judged, is kept."""
    row = locked(connection, item)
    ended = {"retired": True, "wanted": row.done + row.leased, "needed": 0}
    connection.execute(update(items).where(items.c.id == item).values(ended))
    connection.execute(update(item_tags).where(item_tags.c.item == item).values(open=False))


def revive(connection: Connection, row: dict[str, Any]) -> bool:
    """A work item that was taken away is asked again, unless its answer is known. Returns: whether it is.

    Args:
        row: as `new_item` makes it.
    """
    item = connection.execute(select(items).where(items.c.key == row["key"]).with_for_update()).one()
    known = [new_item(item.comparison, item.kind, item.responses, purpose=name)["key"] for name in ANSWERED]
    gold = select(items.c.id).where(items.c.key.in_(known)).limit(1)
    if not item.retired or connection.execute(gold).first() is not None:
        return False
    connection.execute(update(items).where(items.c.id == item.id).values(retired=False))
    recount(connection, locked(connection, item.id), wanted=max(0, row["wanted"] - item.wanted))
    return True


def withdraw(connection: Connection, comparison: str, kind: str, responses: Sequence[int]) -> None:
    """The same question is not asked as work any more: its answer is known. What was judged is kept."""
    key = new_item(comparison, kind, responses)["key"]
    number = connection.execute(select(items.c.id).where(items.c.key == key)).scalar()
    if number is not None:
        retire(connection, number)


def number_of(connection: Connection, key: str) -> int:
    """The item with a key."""
    return connection.execute(select(items.c.id).where(items.c.key == key)).scalar_one()


def some_tags(connection: Connection) -> list[str]:
    """Tags of items, at most 40 of them."""
    return list(connection.execute(select(item_tags.c.tag).distinct().order_by(item_tags.c.tag).limit(40)).scalars())
