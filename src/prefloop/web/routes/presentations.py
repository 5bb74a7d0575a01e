"""What is in front of an annotator: leases, drafts, skips. docs/decisions/004-web.md tells the shapes."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from prefloop.web.body import Body
from prefloop.web.errors import Refusal, missing, refuse_unless
from prefloop.web.routes.parameters import Annotator, Here, Id, Judge
from prefloop.web.work import judging, presenting, queue

router = APIRouter(prefix="/api/v1", tags=["annotator"])
LONGEST_DRAFT = 200_000


class Wanted(Body):
    """How much work."""

    count: Annotated[int, Field(ge=1, le=queue.MOST)] = 1
    """Presentations, those still open included; near the end of the queue there are fewer."""
    purpose: Literal["work", "arena", "adjudication", "chat"] = "work"
    """Which queue; adjudication is for leads, and a chat brings one's own."""


class Draft(Body):
    """An answer that is not finished."""

    draft: dict[str, Any]
    """Whatever the page wants to keep."""


class Skip(Body):
    """Why an item is given back."""

    reason: Annotated[str, Field(min_length=1, max_length=80)]
    """A word for it."""
    comment: Annotated[str, Field(max_length=judging.LONGEST_COMMENT)] = ""
    """What else there is to say."""


@router.post("/leases")
def lease(user: Judge, site: Here, body: Wanted) -> dict[str, Any]:
    """Presentations to work on: those still open first, then new ones."""
    if body.purpose == "adjudication" and not user.is_at_least("lead"):
        raise Refusal(403, "wrong_role", "Adjudication is for leads.")
    served = queue.lease(site, user, body.count, purpose=body.purpose)
    with site.database.glancing() as connection:
        shown = presenting.sent(connection, user, served.presentations, site.clock())
    return {"presentations": shown, "empty": served.empty}


@router.get("/presentations/{presentation}")
def presented(user: Annotator, site: Here, presentation: Id) -> dict[str, Any]:
    """One of one's own presentations, as it was shown."""
    with site.database.glancing() as connection:
        shown = presenting.sent(connection, user, [presentation], site.clock())
    if not shown:
        raise missing("presentation")
    return shown[0]


@router.put("/presentations/{presentation}/draft")
def draft(user: Judge, site: Here, presentation: Id, body: Draft) -> dict[str, Any]:
    """Keeps a draft, and begins the lease anew."""
    size = len(json.dumps(body.draft))
    refuse_unless(size <= LONGEST_DRAFT, f"A draft has at most {LONGEST_DRAFT} letters; this one has {size}.")
    return site.database.write(lambda c: judging.keep_draft(c, site, user, presentation, body.draft))


@router.post("/presentations/{presentation}/skip")
def skip(user: Judge, site: Here, presentation: Id, body: Skip) -> dict[str, Any]:
    """Gives an item back to others."""
    return site.database.write(lambda c: judging.skip(c, site, user, presentation, body.reason, body.comment))
