"""Leases: which item an annotator sees next. What is shown is written down before, and nothing is over-collected.

A lease takes one of an item's `needed`; an answer turns it into `done`; a skip or its end gives it back. A clock that
jumps back prolongs no lease by more than its length. Gold items, repeats and calibration look like all else.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, func, insert, literal_column, select, update

from prefloop.web.config import ProjectConfig
from prefloop.web.errors import Refusal, missing
from prefloop.web.security.accounts import User
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import cursors, guidelines, item_tags, items, presentations, users
from prefloop.web.work.answers import MARKED
from prefloop.web.work.items import QUEUED, checks, locked, recount

SWEEP = 200
"""Leases that one call ends at most."""
CANDIDATES = 8
"""Items looked at together, for those that another transaction holds."""
SCAN_EVERY = 15.0
"""Seconds after which an annotator who finds nothing looks from the front again."""
FIRST = 100
"""Items of an annotator's beginning, where gold is more frequent."""
MOST = 10
"""Presentations that an annotator may hold while much is left: what can be judged while the network is away."""
NEAR = 3
"""The same near the end of the queue, and in calibration."""
SHARE = 10
"""More than NEAR are held only up to one in so many of what waits: who walks away keeps little from others."""
REPEAT_AFTER = 20
"""Answers before the first silent repeat."""


@dataclass(frozen=True)
class Served:
    """What a lease brings."""

    presentations: tuple[str, ...]
    """Ids, oldest first."""
    empty: str | None
    """Why there is not as much as was asked for: done, waiting, calibration_failed."""


@dataclass(frozen=True)
class _Turn:
    """One annotator's call, with what it needs at hand."""

    connection: Connection
    site: Site
    user: Row[Any]
    config: ProjectConfig
    purpose: str
    now: float
    guideline: int

    @property
    def until(self) -> float:
        """When what is leased now comes back."""
        return self.now + self.config.lease_minutes * 60


_TO_CALIBRATE = select(items.c.id).where(checks("calibration"), ~items.c.retired)
_VERSION = select(func.max(guidelines.c.version)).scalar_subquery().label("version")
_WHO = (
    select(users, _VERSION, _TO_CALIBRATE.exists().label("calibrates"))
    .where(users.c.id == bindparam("who"))
    .with_for_update(of=users)
)
"""One annotator, the newest guideline, and whether there is anything to calibrate on; one write of theirs at a time."""
_OPEN = (
    select(presentations.c.id)
    .join(items, items.c.id == presentations.c.item)
    .where(presentations.c.user == bindparam("who"), literal_column("presentations.state = 'leased'"))
    .where(items.c.purpose.in_(bindparam("purposes", expanding=True)), items.c.purpose.in_(QUEUED) | ~items.c.retired)
    .order_by(presentations.c.number)
    .limit(bindparam("count", type_=Integer))
    .with_for_update(of=presentations)  # the server's housekeeping may be ending them
)
"""What somebody holds, oldest first."""
_HAD = select(presentations.c.id).where(
    presentations.c.item == items.c.id,
    presentations.c.user == bindparam("who"),
    literal_column("presentations.state <> 'expired'"),
)
"""They have this item, or had it and it did not just run out."""
_BY_PLACE = (
    select(items.c.id, items.c.place)
    .where(items.c.purpose == bindparam("purpose"), literal_column("items.needed > 0"))
    .where(items.c.place > bindparam("after"), ~_HAD.exists())
    .order_by(items.c.place)
    .limit(bindparam("most", type_=Integer))
)
_BY_TAG = (
    select(items.c.id, item_tags.c.place)
    .join(items, items.c.id == item_tags.c.item)
    .where(item_tags.c.purpose == bindparam("purpose"), item_tags.c.tag == bindparam("tag"))
    .where(literal_column("item_tags.open"), item_tags.c.place > bindparam("after"), ~_HAD.exists())
    .order_by(item_tags.c.place)
    .limit(bindparam("most", type_=Integer))
)
"""Items behind a place that somebody may take, in order: all, or those with a tag."""
_NUM_BY_PLACE, _NUM_BY_TAG = (select(func.count()).select_from(query.subquery()) for query in (_BY_PLACE, _BY_TAG))
_NEEDED = select(items).where(items.c.id == bindparam("which"), literal_column("items.needed > 0"))
_TAKE = _NEEDED.with_for_update(skip_locked=True)
_WITH_OTHERS = select(items.c.id).where(literal_column("items.leased > 0"), items.c.purpose == bindparam("purpose"))
_HELD = _WITH_OTHERS.where(~_HAD.exists()).limit(1)
"""An item that is with others and may come back."""
_MINE = cursors.c.user == bindparam("who"), cursors.c.purpose == bindparam("of")
_CURSOR, _MOVE = select(cursors).where(*_MINE), update(cursors).where(*_MINE)
_BEFORE = select(presentations.c.id).where(
    presentations.c.item == bindparam("which"),
    presentations.c.user == bindparam("who"),
    presentations.c.repeat == bindparam("times"),
)


def lease(site: Site, user: User, count: int, *, purpose: str = "work") -> Served:
    """Up to `count` presentations for an annotator: those still open first, then new ones.

    Who finds nothing ends the leases whose time is over, and looks again; else the server's housekeeping ends them.
    """
    served = site.database.write(lambda connection: _lease(connection, site, user, count, purpose))
    if served.presentations or not expire(site):
        return served
    return site.database.write(lambda connection: _lease(connection, site, user, count, purpose))


def _lease(connection: Connection, site: Site, user: User, count: int, purpose: str) -> Served:
    turn = _turn(connection, site, user, purpose)
    row = turn.user
    calibrating = row.calibrates and not row.calibrated and row.role == "annotator"
    purposes = ("calibration",) if calibrating else ("gold", "work") if purpose == "work" else (purpose,)
    held = list(connection.execute(_OPEN, {"who": user.id, "purposes": purposes, "count": count}).scalars())
    if held:
        anew = update(presentations).where(presentations.c.id.in_(held))
        connection.execute(anew.values(leased_at=turn.now, leased_until=turn.until))
    served = row.served
    shy = calibrating or purpose == "chat"
    most = count if count <= NEAR else NEAR if shy else min(count, max(NEAR, _waiting(turn) // SHARE))
    following = _calibration if calibrating else _own if purpose == "chat" else _next
    while len(held) < most and (new := following(turn, served)) is not None:
        held.append(new)
        served += 1
    if served != row.served:
        connection.execute(update(users).where(users.c.id == user.id).values(served=served))
    if held:
        return Served(tuple(held), None)
    return Served((), "calibration_failed" if calibrating else _why_empty(turn))


def _turn(connection: Connection, site: Site, user: User, purpose: str) -> _Turn:
    row = connection.execute(_WHO, {"who": user.id}).one()
    return _Turn(connection, site, row, project(connection), purpose, site.clock(), row.version or 0)


def has_calibration(connection: Connection) -> bool:
    """True if there are calibration items."""
    return connection.execute(_TO_CALIBRATE.limit(1)).first() is not None


def must_calibrate(connection: Connection, user: Row[Any] | User) -> bool:
    """True if the user must still pass the calibration items before they may work."""
    return not user.calibrated and user.role == "annotator" and has_calibration(connection)


def hand(connection: Connection, site: Site, user: User, item: int) -> str:
    """Puts an item before exactly this annotator, beside the queue: gold and repeats keep their pace.

    Returns: the presentation.
    """
    turn = _turn(connection, site, user, "chat")
    return _give(turn, locked(connection, item), turn.user.served)


def take(connection: Connection, site: Site, user: User, number: int, *, purpose: str) -> str:
    """Puts one item of a queue in front of somebody; what else they held of that queue goes back, its drafts kept.

    Returns: the presentation. Raises: Refusal (404, 409 taken if it is answered, or with somebody else).
    """
    turn = _turn(connection, site, user, purpose)
    held = (
        select(presentations)
        .join(items, items.c.id == presentations.c.item)
        .where(presentations.c.user == user.id, items.c.purpose == purpose)
        .where(literal_column("presentations.state = 'leased'") | (presentations.c.item == number))
    )
    mine = {row.item: row for row in connection.execute(held.with_for_update(of=presentations))}
    wanted = sorted({number, *mine})
    rows = connection.execute(select(items).where(items.c.id.in_(wanted)).order_by(items.c.id).with_for_update()).all()
    item = next((row for row in rows if row.id == number and row.purpose == purpose and not row.retired), None)
    if item is None:
        raise missing("item")
    state = mine[number].state if number in mine else None
    if state == "answered" or (item.needed <= 0 and state != "leased"):
        says = (
            "This item is answered already, or somebody else has it open. Load the page anew to see what was decided."
        )
        raise Refusal(409, "taken", says)
    for other in sorted(mine.keys() - {number}):
        ended = update(presentations).where(presentations.c.id == mine[other].id)
        connection.execute(ended.values(state="expired"))
        give_back(connection, other)
    shown = _show(turn, item, turn.user.served) if state == "leased" else _give(turn, item, turn.user.served)
    had = select(func.min(presentations.c.number)).join(items, items.c.id == presentations.c.item)
    lowest = connection.execute(had.where(presentations.c.user == user.id, items.c.purpose == purpose)).scalar_one()
    first = update(presentations).where(presentations.c.id == shown)
    connection.execute(first.values(number=lowest - 1))  # before all that they ever had there
    return shown


def _own(turn: _Turn, served: int) -> str | None:
    """A turn of the annotator's own chat whose lease ran out: it is nobody else's to judge."""
    query = (
        select(items.c.id)
        .join(presentations, presentations.c.item == items.c.id)
        .where(items.c.purpose == "chat", presentations.c.user == turn.user.id)
        .where(literal_column("presentations.state = 'expired'"))
        .order_by(presentations.c.created)
        .limit(1)
    )
    item = turn.connection.execute(query).scalar()
    return None if item is None else _give(turn, locked(turn.connection, item), served)


def _calibration(turn: _Turn, served: int) -> str | None:
    """The next calibration item of the attempt."""
    shown = _HAD.where(presentations.c.repeat == turn.user.attempt)
    query = select(items).where(checks("calibration"), ~items.c.retired, ~shown.exists())
    item = turn.connection.execute(query.order_by(items.c.place).limit(1), {"who": turn.user.id}).first()
    return None if item is None else _show(turn, item, served, repeat=turn.user.attempt)


def _next(turn: _Turn, served: int) -> str | None:
    """A gold item or a repeat if one is due, else work."""
    if turn.purpose == "work":
        checks = turn.config.checks
        every = FIRST // checks.gold_first if served < FIRST and checks.gold_first else checks.gold_every
        if due(turn.user.id, "gold", served, every) and (gold := _gold(turn, served)):
            return gold
        repeats = served >= REPEAT_AFTER and due(turn.user.id, "repeat", served, checks.repeat_every)
        if repeats and (again := _repeat(turn, served)):
            return again
    return _work(turn, served)


def due(user: int, what: str, number: int, every: int) -> bool:
    """True for one number in each block of `every`, a different one for each user and block."""
    if every <= 0:
        return False
    block, place = divmod(number, every)
    digest = hashlib.sha256(f"{what} {user} {block}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % every == place


def _gold(turn: _Turn, served: int) -> str | None:
    """The next gold item that the annotator has not had, nor met as work or in calibration: that would tell."""
    other = items.alias("other")
    met = (
        select(presentations.c.id)
        .join(other, other.c.id == presentations.c.item)
        .where(presentations.c.user == turn.user.id, other.c.comparison == items.c.comparison)
        .where(other.c.purpose != "gold")
    )
    query = select(items).where(checks("gold"), ~items.c.retired, ~_HAD.exists(), ~met.exists())
    item = turn.connection.execute(query.order_by(items.c.place).limit(1), {"who": turn.user.id}).first()
    return None if item is None else _show(turn, item, served)


def _repeat(turn: _Turn, served: int) -> str | None:
    """An item that the annotator answered some time ago, with its sides swapped."""
    again = presentations.alias("again")
    mine = again.c.item == presentations.c.item, again.c.user == turn.user.id, again.c.repeat == 1
    seen = select(again.c.id).where(*mine)
    query = (
        select(presentations.c.item, presentations.c.order)
        .join(items, items.c.id == presentations.c.item)
        .where(presentations.c.user == turn.user.id)
        .where(literal_column("presentations.state = 'answered' AND presentations.repeat = 0"))
        .where(items.c.purpose == "work", items.c.kind.in_(MARKED), ~items.c.retired, ~seen.exists())
        .order_by(presentations.c.number.desc())
        .offset(REPEAT_AFTER // 2)
        .limit(1)
    )
    before = turn.connection.execute(query).first()
    if before is None:
        return None
    item = turn.connection.execute(select(items).where(items.c.id == before.item)).one()
    return _present(turn, item, served, repeat=1, order=list(before.order)[::-1])


def _work(turn: _Turn, served: int) -> str | None:
    """The next item that needs a judgement and that this annotator has not had."""
    cursor = _cursor(turn)
    rows = _candidates(turn, cursor.place)
    if not rows and cursor.place > 0 and not 0 <= turn.now - cursor.scanned < SCAN_EVERY:
        _move(turn, 0, scanned=turn.now)
        rows = _candidates(turn, 0)
    for position, row in enumerate(rows):
        if row.item is not None:  # else another transaction holds it: leave the cursor before it
            _move(turn, row.place if position == 0 else rows[0].place - 1)
            return _give(turn, row.item, served)
    return None


def _waiting(turn: _Turn) -> int:
    """About how many items this annotator may still be given, as far as that matters."""
    return num_left(turn.connection, turn.user, purpose=turn.purpose, most=MOST * SHARE)


def num_left(connection: Connection, user: Row[Any] | User, *, purpose: str, most: int) -> int:
    """Items of a queue that somebody may still be given, up to `most`; what has two of their tags counts twice."""
    cursor = connection.execute(_CURSOR, {"who": user.id, "of": purpose}).first()
    asked = {"who": user.id, "purpose": purpose, "after": cursor.place if cursor else 0, "most": most}
    if not user.tags:
        return connection.execute(_NUM_BY_PLACE, asked).scalar_one()
    return sum(connection.execute(_NUM_BY_TAG, {**asked, "tag": tag}).scalar_one() for tag in user.tags)


@dataclass(frozen=True)
class _Candidate:
    place: int
    item: Row[Any] | None
    """Locked; None if somebody else holds it just now."""


def _candidates(turn: _Turn, after: int) -> list[_Candidate]:
    """The first items behind a place that the annotator may take, in order."""
    few = 1 if turn.site.database.is_sqlite else CANDIDATES
    asked = {"who": turn.user.id, "purpose": turn.purpose, "after": after, "most": few}
    queries = [(_BY_TAG, {**asked, "tag": tag}) for tag in turn.user.tags] or [(_BY_PLACE, asked)]
    rows = {(row.place, row.id) for query, values in queries for row in turn.connection.execute(query, values)}
    first = sorted(rows)[:few]
    held = _first_lock(turn, [item for _, item in first])
    return [_Candidate(place, held.get(item)) for place, item in first]


def _first_lock(turn: _Turn, ids: list[int]) -> dict[int, Row[Any]]:
    """Locks the first of the items that nobody holds."""
    for item in ids:
        row = turn.connection.execute(_TAKE, {"which": item}).first()
        if row is not None:
            return {item: row}
    return {}


def _cursor(turn: _Turn) -> Row[Any]:
    mine = {"who": turn.user.id, "of": turn.purpose}
    row = turn.connection.execute(_CURSOR, mine).first()
    if row is None:
        turn.connection.execute(insert(cursors).values(user=turn.user.id, purpose=turn.purpose, place=0, scanned=0.0))
        row = turn.connection.execute(_CURSOR, mine).one()
    return row


def _move(turn: _Turn, place: int, **more: float) -> None:
    turn.connection.execute(_MOVE, {"who": turn.user.id, "of": turn.purpose, "place": place, **more})


def _give(turn: _Turn, item: Row[Any], served: int) -> str:
    """One lease of a locked item. Returns: the presentation."""
    recount(turn.connection, item, leased=1)
    return _show(turn, item, served)


def _show(turn: _Turn, item: Row[Any], served: int, *, repeat: int = 0) -> str:
    """An item in front of the annotator; if its lease ran out before, it comes again as it was, with its draft."""
    before = turn.connection.execute(_BEFORE, {"which": item.id, "who": turn.user.id, "times": repeat}).scalar()
    if before is None:
        order = list(item.responses)
        turn.site.rng.shuffle(order)
        return _present(turn, item, served, repeat=repeat, order=order)
    values = {"state": "leased", "leased_at": turn.now, "leased_until": turn.until, "guideline": turn.guideline}
    turn.connection.execute(update(presentations).where(presentations.c.id == before).values(values))
    return before


def _present(turn: _Turn, item: Row[Any], served: int, *, repeat: int, order: list[int]) -> str:
    """Writes down what will be shown."""
    identity = str(uuid.uuid4())
    when = {"leased_at": turn.now, "leased_until": turn.until, "created": turn.now, "state": "leased"}
    what = {"id": identity, "item": item.id, "repeat": repeat, "order": order, "guideline": turn.guideline}
    turn.connection.execute(insert(presentations), {**what, **when, "user": turn.user.id, "number": served + 1})
    return identity


def _why_empty(turn: _Turn) -> str:
    """`waiting` if others hold items that may come back, else `done`."""
    held = turn.connection.execute(_HELD, {"who": turn.user.id, "purpose": turn.purpose}).first()
    return "waiting" if held else "done"


# -- coming back ------------------------------------------------------------------------------------------------------


def expire(site: Site) -> int:
    """Ends the leases whose time is over. Returns: how many."""
    now = site.clock()
    with site.database.glancing() as connection:
        length = project(connection).lease_minutes * 60
        late = literal_column("presentations.state = 'leased'"), _over(now, length)
        if connection.execute(select(presentations.c.id).where(*late).limit(1)).first() is None:
            return 0
    return site.database.write(lambda connection: _expire(connection, now, length))


def _over(now: float, length: float) -> Any:
    return (presentations.c.leased_until <= now) | (presentations.c.leased_until > now + length)


def _expire(connection: Connection, now: float, length: float) -> int:
    query = select(presentations).where(literal_column("presentations.state = 'leased'"), _over(now, length))
    rows = connection.execute(query.limit(SWEEP).with_for_update(skip_locked=True)).all()
    jumped = [row.id for row in rows if row.leased_until > now + length]  # a clock set back, or shorter leases
    if jumped:
        anew = update(presentations).where(presentations.c.id.in_(jumped))
        connection.execute(anew.values(leased_at=now, leased_until=now + length))
    ended = [row for row in rows if row.leased_until <= now]
    if ended:
        these = presentations.c.id.in_([row.id for row in ended])
        connection.execute(update(presentations).where(these).values(state="expired"))
    back = sorted(row.item for row in ended if row.repeat == 0)
    all_of_them = select(items.c.id).where(items.c.id.in_(back)).order_by(items.c.id)
    connection.execute(all_of_them.with_for_update()).all()  # before the cursor
    for item in back:
        give_back(connection, item)
    return len(ended)


def give_back(connection: Connection, item: int) -> None:
    """One lease of an item ends without an answer."""
    row = locked(connection, item)
    if row.purpose in QUEUED:
        recount(connection, row, leased=-1)
