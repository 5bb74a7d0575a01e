"""The chat's API, where a model server is configured. docs/decisions/004-web.md tells the shapes."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from prefloop.web.errors import Refusal, refuse_unless
from prefloop.web.routes.presentations import Key, site_of
from prefloop.web.security.accounts import User, needs
from prefloop.web.work import chat as chatting
from prefloop.web.work import intake as ingest
from prefloop.web.work.answers import Body
from prefloop.web.work.partner import Partner

router = APIRouter(prefix="/api/v1/chat", tags=["annotator"])
Conversation = Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
Reader = Annotated[User, Depends(needs("annotator", "read", "judge"))]
Judge = Annotated[User, Depends(needs("annotator", "judge"))]


class Said(Body):
    """A message to the policy."""

    text: Annotated[str, Field(min_length=1, max_length=chatting.LONGEST)]
    """What is said."""
    conversation: Conversation | None = None
    """That it goes on with; none begins one."""
    turns: Annotated[int, Field(ge=0, le=10_000)] = 0
    """That the conversation had when this was written."""


class Ended(Body):
    """The end of a conversation."""

    conversation: Conversation
    """Which."""


def partner_of(request: Request, user: User) -> Partner:
    """The model server. Raises: Refusal (403, 404) if there is none, or not for this annotator."""
    partner: Partner | None = request.app.state.partner
    if partner is None:
        raise Refusal(404, "no_chat", "There is no chat here: no model server is configured.")
    if not chatting.may_chat(user):
        raise Refusal(
            403, "no_chat", "The chat is not among the tags that you may judge. Ask the lead if it should be."
        )
    return partner


@router.get("")
def conversation(request: Request, user: Reader) -> dict[str, Any]:
    """The conversation that is under way."""
    partner_of(request, user)
    site = site_of(request)
    with site.database.reading() as connection:
        return chatting.sent(connection, site, user)


@router.post("/messages")
def say(request: Request, user: Judge, body: Said, key: Key = None) -> dict[str, Any]:
    """Says something, and brings the responses; the same `Idempotency-Key` twice is one message."""
    partner, site, key = partner_of(request, user), site_of(request), key or str(uuid.uuid4())
    refuse_unless(bool(body.text.strip()), "The message is empty.")
    with partner.place(user.id):
        with site.database.reading() as connection:
            before = {"conversation": body.conversation, "num_turns": body.turns}
            begun = chatting.prepared(connection, user, body.text, **before, key=key)
        if begun is not None:
            comparison = chatting.compared(begun, partner.ask(begun.messages))
            (ready,) = ingest.ready(site, [comparison])
            site.database.write(lambda c: chatting.keep(c, site, user, begun, ready, key=key))
    with site.database.reading() as connection:
        return chatting.sent(connection, site, user)


@router.post("/end")
def end(request: Request, user: Judge, body: Ended) -> dict[str, Any]:
    """Ends the conversation; the next message begins another."""
    partner_of(request, user)
    site = site_of(request)
    site.database.write(lambda c: chatting.end(c, site, user, body.conversation))
    with site.database.reading() as connection:
        return chatting.sent(connection, site, user)
