"""The chat with the policy under test, where a model server is configured; shapes: docs/decisions/004-web.md."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from prefloop.web.body import Body
from prefloop.web.errors import Refusal, refuse_unless
from prefloop.web.routes.parameters import Annotator, Here, Judge, Key, read
from prefloop.web.security.accounts import User
from prefloop.web.store.site import Site
from prefloop.web.work import chat, intake
from prefloop.web.work.partner import Partner

router = APIRouter(prefix="/api/v1/chat", tags=["annotator"])
Conversation = Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]


class Said(Body):
    """A message to the policy."""

    text: Annotated[str, Field(min_length=1, max_length=chat.LONGEST)]
    """What is said."""
    conversation: Conversation | None = None
    """That it goes on with; none begins one."""
    turns: Annotated[int, Field(ge=0, le=10_000)] = 0
    """That the conversation had when this was written."""


class Ended(Body):
    """The end of a conversation."""

    conversation: Conversation
    """That ends."""


def partner_of(request: Request, user: User) -> Partner:
    """The model server. Raises: Refusal (403, 404) if there is none, or not for this annotator."""
    partner: Partner | None = request.app.state.partner
    if partner is None:
        raise Refusal(404, "no_chat", "There is no chat here: no model server is configured.")
    if not user.may_chat:
        says = "The chat is not among the tags that you may judge. Ask the lead if it should be."
        raise Refusal(403, "no_chat", says)
    return partner


def _sent(site: Site, user: User) -> dict[str, Any]:
    return read(site, lambda c: chat.sent(c, site, user))


@router.get("")
def conversation(request: Request, user: Annotator, site: Here) -> dict[str, Any]:
    """The conversation that is under way."""
    partner_of(request, user)
    return _sent(site, user)


@router.post("/messages")
def say(request: Request, user: Judge, site: Here, body: Said, key: Key = None) -> dict[str, Any]:
    """Says something, and brings the responses; the same `Idempotency-Key` twice is one message."""
    partner, key = partner_of(request, user), key or str(uuid.uuid4())
    refuse_unless(bool(body.text.strip()), "The message is empty.")
    with partner.place(user.id):
        before: dict[str, Any] = {"conversation": body.conversation, "num_turns": body.turns, "key": key}
        begun = read(site, lambda c: chat.prepared(c, user, body.text, **before))
        if begun is not None:
            (ready,) = intake.ready(site, [chat.compared(begun, partner.ask(begun.messages))])
            site.database.write(lambda c: chat.keep(c, site, user, begun, ready, key=key))
    return _sent(site, user)


@router.post("/end")
def end(request: Request, user: Judge, site: Here, body: Ended) -> dict[str, Any]:
    """Ends the conversation; the next message begins another."""
    partner_of(request, user)
    site.database.write(lambda c: chat.end(c, site, user, body.conversation))
    return _sent(site, user)
