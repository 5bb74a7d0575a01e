"""Judgements: what an annotator decides about a presentation. Immutable, sent as often as one likes, never lost.

The same id twice is one judgement. A change of mind is a revision. An answer that comes too late, when its place has
been taken, is kept and not counted.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from prefloop.web.body import Body
from prefloop.web.config import ProjectConfig
from prefloop.web.errors import Refusal, missing, refuse_unless
from prefloop.web.security.accounts import User
from prefloop.web.store.chain import payload_of, record
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, items, judgements, presentations, users
from prefloop.web.work import answers
from prefloop.web.work.answers import Answer
from prefloop.web.work.items import QUEUED, checks, locked, recount
from prefloop.web.work.queue import give_back, must_calibrate
from prefloop.web.work.votes import is_newest

Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
DAY = 86400.0
LONGEST_COMMENT = 4000


_WRITER = select(users.c.id).where(users.c.id == bindparam("who")).with_for_update()
"""One write of a user at a time."""
_BY_ID = select(judgements).where(judgements.c.id == bindparam("which"))
_OWN = (
    select(presentations)
    .where(presentations.c.id == bindparam("which"), presentations.c.user == bindparam("who"))
    .with_for_update()
)
_ANSWERED = update(presentations).where(presentations.c.id == bindparam("which"))


class Judged(Body):
    """A judgement, as it is sent."""

    id: Identity
    """Made by the client, once for each decision."""
    presentation: Identity
    """The presentation that is answered."""
    answer: Answer
    """What was decided, in slots as shown."""
    active_seconds: Annotated[float, Field(ge=0, le=DAY)]
    """Seconds of attention: the page was visible and somebody was there."""
    first_key_seconds: Annotated[float, Field(ge=0, le=7 * DAY)] | None = None
    """Seconds until the first key or click."""
    seen: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the text that was scrolled into view."""
    comment: Annotated[str, Field(max_length=LONGEST_COMMENT)] = ""
    """What else there is to say."""


def submit(connection: Connection, site: Site, user: User, judged: Judged) -> dict[str, Any]:
    """Keeps a judgement. Returns: the reply. Raises: Refusal (404, 409, 422)."""
    connection.execute(_WRITER, {"who": user.id})
    before = _known(connection, user, judged)
    if before is not None:
        return before
    shown = _own(connection, user, judged.presentation, waits=True)
    item = locked(connection, shown.item)
    config = project(connection)
    answer = answers.checked(item.kind, judged.answer, slots=len(shown.order), axes=config.axes)
    connection.execute(_ANSWERED, {"which": shown.id, "state": "answered", "draft": None})
    counted, late = _count(connection, item, shown)
    row = _row(site, user, judged, shown, item, answer)
    row |= {"revision": 1, "replaces": None, "counted": counted, "late": late}
    keep_judgement(connection, row, item, shown.order, actor=user.name, kind="judgement")
    _want_one_more(connection, item.id, config)
    _conclude(connection, site, user, item, shown.repeat)
    return _reply(row, _feedback(connection, user.id, item, shown, row))


def revise(connection: Connection, site: Site, user: User, old: str, judged: Judged) -> dict[str, Any]:
    """Keeps a change of mind. Returns: the reply. Raises: Refusal (404, 409 revised, 422)."""
    connection.execute(_WRITER, {"who": user.id})
    before = _known(connection, user, judged)
    if before is not None:
        return before
    mine = select(judgements).where(judgements.c.id == old, judgements.c.user == user.id)
    replaced = connection.execute(mine).mappings().first()
    if replaced is None or replaced["presentation"] != judged.presentation:
        raise missing("judgement")
    if connection.execute(select(judgements.c.id).where(judgements.c.replaces == old)).first():
        says = "This judgement was already revised. Revise the newest one; it is in your history."
        raise Refusal(409, "revised", says)
    shown = _own(connection, user, judged.presentation)
    item = locked(connection, shown.item)
    if item.purpose == "calibration":
        raise Refusal(409, "calibration", "A calibration item is answered once; you saw the explanation.")
    config = project(connection)
    answer = answers.checked(item.kind, judged.answer, slots=len(shown.order), axes=config.axes)
    row = _row(site, user, judged, shown, item, answer)
    row |= {"revision": replaced["revision"] + 1, "replaces": old}
    row |= {name: replaced[name] for name in ("counted", "late")}
    keep_judgement(connection, row, item, shown.order, actor=user.name, kind="revision")
    _want_one_more(connection, item.id, config)
    return _reply(row, None)


def _known(connection: Connection, user: User, judged: Judged) -> dict[str, Any] | None:
    """The reply to a judgement that came before. Raises: Refusal (409) if its id now says something else."""
    row = connection.execute(_BY_ID, {"which": judged.id}).mappings().first()
    if row is None:
        return None
    said = user.id, judged.presentation, judged.answer.model_dump(mode="json")
    if (row["user"], row["presentation"], row["answer"]) != said:
        raise Refusal(409, "id_taken", "This id was used for another answer, which is kept. To change it, revise it.")
    shown = connection.execute(select(presentations).where(presentations.c.id == row["presentation"])).one()
    item = connection.execute(select(items).where(items.c.id == row["item"])).one()
    return _reply(row, _feedback(connection, user.id, item, shown, row))


def _own(connection: Connection, user: User, presentation: str, *, waits: bool = False) -> Row[Any]:
    """A presentation of the annotator. Raises: Refusal (404; 409 if it `waits` for its answer no more)."""
    row = connection.execute(_OWN, {"which": presentation, "who": user.id}).first()
    if row is None:
        raise missing("presentation")
    if waits and row.state == "answered":
        raise Refusal(409, "answered", "This was already judged. To change it, revise your judgement.")
    return row


def _count(connection: Connection, item: Row[Any], shown: Row[Any]) -> tuple[bool, bool]:
    """Moves the item's counts. Returns: (counted, too late)."""
    if item.purpose not in QUEUED or shown.repeat > 0:
        return False, False
    if shown.state == "leased":
        recount(connection, item, leased=-1, done=1)
        return True, False
    if item.needed > 0:  # the lease ran out or was given back, but nobody took the place
        recount(connection, item, done=1)
        return True, False
    return False, True


def _row(
    site: Site, user: User, judged: Judged, shown: Row[Any], item: Row[Any], answer: dict[str, Any]
) -> dict[str, Any]:
    right = None
    if item.expected and item.purpose in ("gold", "calibration"):
        right = answers.agrees(item.kind, answers.meaning(item.kind, answer, shown.order), item.expected["answer"])
    said = judged.model_dump(include={"active_seconds", "first_key_seconds", "seen", "comment"})
    who = {"id": judged.id, "presentation": shown.id, "item": item.id, "user": user.id, "guideline": shown.guideline}
    return {**who, **said, "answer": answer, "at": site.clock(), "right": right}


def keep_judgement(
    connection: Connection, row: dict[str, Any], item: Row[Any], order: Sequence[int], *, actor: str, kind: str
) -> None:
    """Keeps the row of a judgement, and tells the log of it."""
    connection.execute(insert(judgements), row)
    about = {"comparison": item.comparison, "kind": item.kind, "purpose": item.purpose, "order": list(order)}
    record(connection, kind, actor, row["at"], {"judgement": payload_of(row), **about}, key=f"judgement:{row['id']}")


def _reply(row: Any, feedback: dict[str, Any] | None) -> dict[str, Any]:
    """What the annotator is told; gold and repeats look like all else: `counted` says only that it was not too late."""
    return {"judgement": row["id"], "counted": not row["late"], "revision": row["revision"], "feedback": feedback}


def newest(connection: Connection, item: int) -> Sequence[Row[Any]]:
    """The newest counted judgements of an item, each with its order."""
    query = (
        select(judgements, presentations.c.order)
        .join(presentations, presentations.c.id == judgements.c.presentation)
        .where(judgements.c.item == item, judgements.c.counted, is_newest())
    )
    return connection.execute(query.order_by(judgements.c.at, judgements.c.id)).all()


def _want_one_more(connection: Connection, item_id: int, config: ProjectConfig) -> None:
    """With adaptive overlap: one more is wanted if the first judgements differ, and no more if they agree after all."""
    if not config.overlap.adaptive:
        return
    item = locked(connection, item_id)
    first = item.wanted - item.extended
    if item.purpose != "work" or item.retired or item.done < first or first < 2:
        return
    meanings = [answers.meaning(item.kind, row.answer, row.order) for row in newest(connection, item_id)[:first]]
    differ = not all(answers.agrees(item.kind, meanings[0], other) for other in meanings[1:])
    if differ and not item.extended:
        recount(connection, item, wanted=1, extended=True)
    elif not differ and item.extended and item.done == first and item.leased == 0:
        recount(connection, item, wanted=-1, extended=False)


# -- calibration ------------------------------------------------------------------------------------------------------


def _feedback(connection: Connection, user: int, item: Row[Any], shown: Row[Any], row: Any) -> dict[str, Any] | None:
    """In calibration: whether it was right and why, how far the round is, and after its last item if it was passed."""
    if item.purpose != "calibration" or not item.expected:
        return None
    progress = calibration(connection, user, shown.repeat)
    over = 0 < progress["num_items"] == progress["num_done"]
    passed = connection.execute(select(users.c.calibrated).where(users.c.id == user)).scalar_one() if over else None
    expected = answers.as_shown(item.kind, item.expected["answer"], shown.order)
    why = {"right": bool(row["right"]), "expected": expected, "explanation": item.expected.get("tree", [])}
    return {**why, **progress, "passed": passed}


def _conclude(connection: Connection, site: Site, user: User, item: Row[Any], attempt: int) -> None:
    """After the last item of the calibration round that an annotator is in: passed or not."""
    if item.purpose != "calibration":
        return
    row = connection.execute(select(users.c.attempt, users.c.calibrated).where(users.c.id == user.id)).one()
    progress = calibration(connection, user.id, attempt)
    if row.attempt == attempt and not row.calibrated and 0 < progress["num_items"] == progress["num_done"]:
        passed = progress["num_right"] >= project(connection).checks.calibration_pass * progress["num_items"]
        connection.execute(update(users).where(users.c.id == user.id).values(calibrated=passed))
        record(connection, "calibration", user.name, site.clock(), {"attempt": attempt, "passed": passed, **progress})


def conclude_rounds(connection: Connection, site: Site) -> None:
    """After an item was retired: whoever has answered enough of what is left has passed."""
    had = select(presentations.c.id).join(items, items.c.id == presentations.c.item)
    of_round = presentations.c.user == users.c.id, presentations.c.repeat == users.c.attempt
    begun = had.where(*of_round, items.c.purpose == "calibration").exists()
    waiting = select(users).where(users.c.role == "annotator", users.c.active, ~users.c.calibrated, begun)
    share = project(connection).checks.calibration_pass
    for row in connection.execute(waiting.order_by(users.c.id).with_for_update(of=users)).all():
        progress = calibration(connection, row.id, row.attempt)
        number = progress["num_items"]
        if 0 < number == progress["num_done"] and progress["num_right"] >= share * number:
            connection.execute(update(users).where(users.c.id == row.id).values(calibrated=True))
            outcome = {"attempt": row.attempt, "passed": True, **progress}
            record(connection, "calibration", row.name, site.clock(), outcome)


def calibration(connection: Connection, user: int, attempt: int) -> dict[str, int]:
    """A round's items: how many there are, were done (or skipped) and were right."""
    asked = checks("calibration") & ~items.c.retired
    of_round = (presentations.c.user == user) & (presentations.c.repeat == attempt) & asked
    joined = presentations.join(items, items.c.id == presentations.c.item)
    judged = joined.join(judgements, judgements.c.presentation == presentations.c.id)

    def number(table: Any, *where: Any) -> int:
        return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()

    done = number(joined, of_round, presentations.c.state.in_(("answered", "skipped")))
    return {
        "num_items": number(items, asked),
        "num_done": done,
        "num_right": number(judged, of_round, judgements.c.right),
    }


def own_calibration(connection: Connection, user: User) -> dict[str, int] | None:
    """How far the round is that an annotator must pass before they may work; None if there is none to pass."""
    if not must_calibrate(connection, user):
        return None
    attempt = connection.execute(select(users.c.attempt).where(users.c.id == user.id)).scalar_one()
    return calibration(connection, user.id, attempt)


def retake(connection: Connection, site: Site, user: User) -> None:
    """Begins another round of calibration. Raises: Refusal (409) if the last one is not over, or was passed."""
    row = connection.execute(select(users).where(users.c.id == user.id).with_for_update()).one()
    progress = calibration(connection, user.id, row.attempt)
    if row.calibrated or not progress["num_items"] or progress["num_done"] < progress["num_items"]:
        raise Refusal(409, "calibration", "There is no finished calibration round to take again.")
    connection.execute(update(users).where(users.c.id == user.id).values(attempt=row.attempt + 1))
    record(connection, "retake", user.name, site.clock(), {"attempt": row.attempt + 1})


# -- drafts, skips, flags ---------------------------------------------------------------------------------------------


def keep_draft(
    connection: Connection, site: Site, user: User, presentation: str, draft: dict[str, Any]
) -> dict[str, Any]:
    """Keeps a draft and begins the lease anew. Raises: Refusal (404, 409 answered)."""
    shown = _own(connection, user, presentation, waits=True)
    values: dict[str, Any] = {"draft": draft}
    if shown.state == "leased":
        now = site.clock()
        values |= {"leased_at": now, "leased_until": now + project(connection).lease_minutes * 60}
    connection.execute(update(presentations).where(presentations.c.id == presentation).values(values))
    expires = values.get("leased_until", shown.leased_until)
    return {"presentation": presentation, "expires": expires, "state": shown.state}


def skip(
    connection: Connection, site: Site, user: User, presentation: str, reason: str, comment: str
) -> dict[str, Any]:
    """Gives an item back to others; twice is once. Raises: Refusal (404, 409 answered)."""
    connection.execute(_WRITER, {"who": user.id})
    shown = _own(connection, user, presentation)
    if shown.state == "answered":
        says = "This was already judged, so it cannot be skipped. To change it, revise your judgement."
        raise Refusal(409, "answered", says)
    if shown.state == "skipped":
        return {"presentation": presentation, "state": "skipped"}
    connection.execute(update(presentations).where(presentations.c.id == presentation).values(state="skipped"))
    if shown.state == "leased" and shown.repeat == 0:
        give_back(connection, shown.item)
    payload = {"presentation": presentation, "item": shown.item, "reason": reason, "comment": comment}
    record(connection, "skip", user.name, site.clock(), payload)
    item = connection.execute(select(items).where(items.c.id == shown.item)).one()
    _conclude(connection, site, user, item, shown.repeat)
    return {"presentation": presentation, "state": "skipped"}


def flag(
    connection: Connection, site: Site, user: User, presentation: str, comment: str, *, key: str | None
) -> dict[str, Any]:
    """Tells the lead that something is wrong with an item; a key twice is one flag. Raises: Refusal (404, 422)."""
    shown = _own(connection, user, presentation)
    key = f"flag:{user.id}:{key}" if key else None
    before = connection.execute(select(events.c.seq).where(events.c.key == key)).scalar() if key else None
    if before is not None:
        return {"flag": before}
    refuse_unless(bool(comment.strip()), "Say what is wrong with it.")
    item = connection.execute(select(items).where(items.c.id == shown.item)).one()
    payload = {"presentation": presentation, "item": item.id, "comparison": item.comparison, "comment": comment}
    return {"flag": record(connection, "flag", user.name, site.clock(), payload, key=key)}
