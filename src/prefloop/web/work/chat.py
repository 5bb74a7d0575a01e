"""Conversations with the policy under test: each message makes an ordinary comparison with a pair for its author alone.

A turn is prepared (what has been said so far), the model is asked while no transaction is open, and all is kept in one:
comparison, item, the order in which the pair will be shown, turn. What the conversation goes on with follows from the
judgement; of a tie, two bad ones and a skip it is the left one. So it can be read from the tables at any time.
"""

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from prefloop.records import Comparison, Message, Response
from prefloop.web.errors import Refusal
from prefloop.web.security.accounts import CHAT, User
from prefloop.web.store.chain import record
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, conversations, judgements, presentations, responses, turns, users
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import answers, intake, items, presenting, queue
from prefloop.web.work.partner import Heard, too_long
from prefloop.web.work.votes import is_newest

LONGEST = 8000
"""Letters of a message."""
MOST_LETTERS = 200_000
"""Of a conversation."""
OPEN = ("leased", "expired")
"""States of a presentation that waits for its judgement."""


@dataclass(frozen=True)
class Standing:
    """How far an annotator's conversation is."""

    conversation: str | None
    """None before its first message"""
    num_turns: int
    messages: tuple[dict[str, str], ...]
    """what has been said, the response that it goes on with included"""
    trees: tuple[Any, ...]
    presentation: str | None
    """the pair that waits for its judgement"""
    goes_on: str | None
    """why with this response: chosen, tie, both_bad, skipped, same, empty"""
    key: str | None
    """of the last message"""


def standing(connection: Connection, user: int) -> Standing:
    """The newest conversation of an annotator that was not ended."""
    newest = (
        select(conversations.c.id)
        .where(conversations.c.user == user, conversations.c.ended.is_(None))
        .order_by(conversations.c.begun.desc(), conversations.c.id)
        .limit(1)
    )
    last = (
        select(turns, comparisons.c.messages, comparisons.c.trees)
        .join(comparisons, comparisons.c.id == turns.c.comparison)
        .where(turns.c.conversation == newest.scalar_subquery())
        .order_by(turns.c.number.desc())
        .limit(1)
    )
    row = connection.execute(last).first()
    if row is None:
        return Standing(None, 0, (), (), None, None, None)
    pair = (
        select(presentations)
        .join(item_table, item_table.c.id == presentations.c.item)
        .where(item_table.c.comparison == row.comparison, item_table.c.purpose == CHAT)
        .where(presentations.c.user == user, presentations.c.repeat == 0)
    )
    shown = connection.execute(pair).first()
    key, messages, trees = row.key.partition(":")[2], tuple(row.messages), tuple(row.trees)
    if shown is not None and shown.state in OPEN:
        return Standing(row.conversation, row.number, messages, trees, shown.id, None, key)
    reply, why = _reply(connection, row, shown)
    messages = (*messages, {"role": "assistant", "content": reply.text})
    return Standing(row.conversation, row.number, messages, (*trees, reply.tree), None, why, key)


def _reply(connection: Connection, turn: Row[Any], shown: Row[Any] | None) -> tuple[Any, str]:
    """(the response that the conversation goes on with, why)."""
    order, why = (list(turn.shown), "same") if shown is None else (list(shown.order), "skipped")
    first = order[0]
    if shown is not None and shown.state == "answered":
        query = select(judgements.c.answer).where(judgements.c.presentation == shown.id, is_newest())
        meaning = answers.meaning("pair", connection.execute(query).scalar_one(), order)
        first, why = meaning.get("best", first), meaning.get("choice", "chosen")
    query = select(responses.c.index.label("number"), responses.c.text, responses.c.tree)
    rows = connection.execute(query.where(responses.c.comparison == turn.comparison))
    texts: dict[int, Any] = {row.number: row for row in rows}
    ordered = [texts[index] for index in (first, *order, *sorted(texts))]
    reply = next(row for row in ordered if row.text.strip())  # one says something, or the turn would not be here
    return reply, why if reply.text == texts[first].text else "empty"


# -- a message --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Begun:
    """A message with what was said before it."""

    conversation: str
    number: int
    is_new: bool
    messages: tuple[dict[str, str], ...]


def prepared(
    connection: Connection, user: User, text: str, *, conversation: str | None, num_turns: int, key: str
) -> Begun | None:
    """What the model is to answer; None if this message was answered before.

    Args:
        conversation: that the message goes on with; None begins one.
        num_turns: that it had when the message was written, so that nothing is said twice from two places.

    Raises: Refusal (409, 422).
    """
    if connection.execute(select(turns.c.number).where(turns.c.key == _key(user, key))).first():
        return None
    if queue.must_calibrate(connection, user):
        raise Refusal(409, "chat_calibration", "Pass the calibration round first; it comes when you judge.")
    here = standing(connection, user.id)
    if (here.conversation, here.num_turns) != (conversation, num_turns):
        says = "This conversation went on in another place meanwhile. Look at it as it is now."
        raise Refusal(409, "chat_moved", says)
    _check_judged(here)
    messages = (*here.messages, {"role": "user", "content": text})
    if sum(len(message["content"]) for message in messages) > MOST_LETTERS:
        raise too_long()
    return Begun(conversation or str(uuid.uuid4()), num_turns + 1, conversation is None, messages)


def _check_judged(here: Standing) -> None:
    if here.presentation is not None:
        raise Refusal(409, "not_judged", "Judge the two responses first; the conversation goes on with the better one.")


def compared(begun: Begun, heard: Heard) -> Comparison:
    """The turn as a comparison."""
    name = f"{CHAT}-{begun.conversation}-{begun.number}"
    messages = tuple(
        Message(role="user" if m["role"] == "user" else "assistant", content=m["content"]) for m in begun.messages
    )
    return Comparison(
        id=name,
        prompt_id=f"{CHAT}-{begun.conversation}",
        messages=messages,
        responses=heard.responses,
        sampling=heard.sampling,
        tags=(CHAT,),
    )


def different(answers: Sequence[Response]) -> tuple[int, ...]:
    """The first two responses that differ; one if all are the same but for case, spaces and a full stop at the end."""
    plain = [_plain(response.text) for response in answers]
    other = next((index for index, text in enumerate(plain) if text != plain[0]), None)
    return (0,) if other is None else (0, other)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" .!。！")


def keep(connection: Connection, site: Site, user: User, begun: Begun, ready: intake.Ready, *, key: str) -> None:
    """Keeps a turn, and what will be shown of it; the same message twice is kept once. Raises: Refusal (409)."""
    connection.execute(select(users.c.id).where(users.c.id == user.id).with_for_update())
    text, before = begun.messages[-1]["content"], None if begun.is_new else begun.conversation
    if prepared(connection, user, text, conversation=before, num_turns=begun.number - 1, key=key) is None:
        return
    comparison, now = ready.comparison, site.clock()
    if begun.is_new:
        connection.execute(insert(conversations).values(id=begun.conversation, user=user.id, begun=now, ended=None))
    intake.keep(connection, site, [ready], actor=user.name, work=False)
    shown = different(comparison.responses)
    turn = {"conversation": begun.conversation, "number": begun.number, "comparison": comparison.id}
    turn["shown"] = list(shown)
    connection.execute(insert(turns).values(**turn, key=_key(user, key)))
    samplers = sorted({response.sampler for response in comparison.responses})
    sampling = comparison.sampling.model_dump(mode="json")
    record(connection, "chat", user.name, now, {**turn, "samplers": samplers, "sampling": sampling})
    if len(shown) == 2:
        row = items.new_item(comparison.id, "pair", shown, purpose=CHAT, at=now, strategy=CHAT)
        items.add(connection, site.database, [row], {comparison.id: ()})
        queue.hand(connection, site, user, items.number_of(connection, row["key"]))


def _key(user: User, key: str) -> str:
    return f"{user.id}:{key}"


def end(connection: Connection, site: Site, user: User, conversation: str) -> None:
    """Ends a conversation; twice is once. Raises: Refusal (404, 409 not_judged)."""
    mine = (conversations.c.id == conversation) & (conversations.c.user == user.id)
    row = connection.execute(select(conversations).where(mine).with_for_update()).first()
    if row is None:
        raise Refusal(404, "not_found", "There is no such conversation among yours.")
    if row.ended is not None:
        return
    here = standing(connection, user.id)
    if here.conversation == conversation:
        _check_judged(here)
    now = site.clock()
    connection.execute(update(conversations).where(mine).values(ended=now))
    record(connection, "chat_end", user.name, now, {"conversation": conversation, "turns": here.num_turns})


def sent(connection: Connection, site: Site, user: User) -> dict[str, Any]:
    """The conversation as the page shows it; never who answers."""
    here = standing(connection, user.id)
    shown = presenting.sent(connection, user, [here.presentation] if here.presentation else [], site.clock())
    turned = [{"role": message["role"], "tree": tree} for message, tree in zip(here.messages, here.trees, strict=True)]
    return {
        "conversation": here.conversation, "turns": here.num_turns, "messages": turned,
        "presentation": shown[0] if shown else None, "goes_on": here.goes_on, "key": here.key,
        "seconds": site.config.chat.seconds, "longest": LONGEST,
    }  # fmt: skip
