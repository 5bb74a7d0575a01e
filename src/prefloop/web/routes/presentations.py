"""The API of an annotator: work, drafts, judgements, history. docs/decisions/004-web.md tells the shapes."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import Field
from sqlalchemy import select, update

from prefloop.web.errors import Refusal, missing, refuse_unless
from prefloop.web.security.accounts import User, needs
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import users
from prefloop.web.work import judging, presenting, queue
from prefloop.web.work.answers import Body
from prefloop.web.work.judging import Identity, Judged

router = APIRouter(prefix="/api/v1", tags=["annotator"])
Reader = Annotated[User, Depends(needs("annotator", "read", "judge"))]
Judge = Annotated[User, Depends(needs("annotator", "judge"))]
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=64, pattern=r"^[\x21-\x7e]*$")]
LONGEST_DRAFT = 200_000


class Preferences(Body):
    """How somebody wants the page."""

    language: Literal["en", "zh"] | None = None
    """Language of the page."""
    theme: Literal["auto", "light", "dark"] | None = None
    """Colours."""
    keys: (
        Annotated[
            dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=40)]], Field(max_length=60)
        ]
        | None
    ) = None
    """Action -> key."""


class Wanted(Body):
    """How much work."""

    count: Annotated[int, Field(ge=1, le=queue.MOST)] = 1
    """Presentations, those still open included; near the end of the queue there are fewer."""
    purpose: Literal["work", "arena", "adjudication", "chat"] = "work"
    """Which queue; adjudication is for leads, and a chat brings one's own."""


class Draft(Body):
    """What was begun."""

    draft: dict[str, Any]
    """Whatever the page wants to keep."""


class Skip(Body):
    """Why not."""

    reason: Annotated[str, Field(min_length=1, max_length=80)]
    """A word."""
    comment: Annotated[str, Field(max_length=judging.LONGEST_COMMENT)] = ""
    """More words."""


class Flag(Body):
    """What is wrong."""

    presentation: Identity
    """With which."""
    comment: Annotated[str, Field(min_length=1, max_length=judging.LONGEST_COMMENT)]
    """What."""


def site_of(request: Request) -> Site:
    """The site that answers."""
    return request.app.state.site


@router.get("/me")
def me(request: Request, user: Reader) -> dict[str, Any]:
    """Who asks, and how far they are."""
    site = site_of(request)
    with site.database.glancing() as connection:
        config = project(connection)
        row = connection.execute(select(users).where(users.c.id == user.id)).one()
        calibrated = not queue.must_calibrate(connection, user)
        return {
            "id": user.id, "name": user.name, "role": user.role, "tags": list(user.tags), "project": site.called(config.name),
            "language": user.preferences.get("language", config.language), "keys": user.preferences.get("keys", {}),
            "theme": user.preferences.get("theme", "auto"), "calibrated": calibrated,
            "calibration": None if calibrated else judging.calibration(connection, user.id, row.attempt),
            "progress": presenting.progress_of(connection, user, site.clock()), "guideline": judging.guideline(connection)["version"],
        }  # fmt: skip


@router.put("/me")
def change_me(request: Request, user: Judge, body: Preferences) -> dict[str, Any]:
    """Keeps preferences; what is left out stays."""
    changed = {**user.preferences, **body.model_dump(exclude_none=True)}
    site_of(request).database.write(
        lambda c: c.execute(update(users).where(users.c.id == user.id).values(preferences=changed))
    )
    return changed


@router.post("/leases")
def lease(request: Request, user: Judge, body: Wanted) -> dict[str, Any]:
    """Presentations to work on: those still open first, then new ones."""
    site = site_of(request)
    if body.purpose == "adjudication" and not user.is_at_least("lead"):
        raise Refusal(403, "wrong_role", "Adjudication is for leads.")
    served = queue.lease(site, user, body.count, purpose=body.purpose)
    with site.database.glancing() as connection:
        return {
            "presentations": presenting.sent(connection, user, served.presentations, site.clock()),
            "empty": served.empty,
        }


@router.get("/presentations/{presentation}")
def presented(request: Request, user: Reader, presentation: Id) -> dict[str, Any]:
    """One of one's own presentations, as it was shown."""
    site = site_of(request)
    with site.database.glancing() as connection:
        found = presenting.sent(connection, user, [presentation], site.clock())
    if not found:
        raise missing("presentation")
    return found[0]


@router.put("/presentations/{presentation}/draft")
def draft(request: Request, user: Judge, presentation: Id, body: Draft) -> dict[str, Any]:
    """Keeps a draft, and begins the lease anew."""
    site = site_of(request)
    size = len(json.dumps(body.draft))
    refuse_unless(size <= LONGEST_DRAFT, f"A draft has at most {LONGEST_DRAFT} letters; this one has {size}.")
    return site.database.write(lambda c: judging.keep_draft(c, site, user, presentation, body.draft))


@router.post("/presentations/{presentation}/skip")
def skip(request: Request, user: Judge, presentation: Id, body: Skip) -> dict[str, Any]:
    """Gives an item back to others."""
    site = site_of(request)
    return site.database.write(lambda c: judging.skip(c, site, user, presentation, body.reason, body.comment))


@router.post("/judgements")
def judge(request: Request, user: Judge, body: Judged) -> dict[str, Any]:
    """Keeps a judgement; the same id twice is one."""
    site = site_of(request)
    return site.database.write(lambda c: judging.submit(c, site, user, body))


@router.post("/judgements/{judgement}/revise")
def revise(request: Request, user: Judge, judgement: Id, body: Judged) -> dict[str, Any]:
    """Keeps a change of mind."""
    site = site_of(request)
    return site.database.write(lambda c: judging.revise(c, site, user, judgement, body))


@router.get("/history")
def history(request: Request, user: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 20) -> dict[str, Any]:
    """Own judgements, newest first."""
    site = site_of(request)
    with site.database.glancing() as connection:
        return {"judgements": presenting.history(connection, user, limit, site.clock())}


@router.post("/flags")
def flag(request: Request, user: Judge, body: Flag, key: Key = None) -> dict[str, Any]:
    """Tells the lead that something is wrong with an item."""
    site = site_of(request)
    return site.database.write(lambda c: judging.flag(c, site, user, body.presentation, body.comment, key=key))


@router.post("/calibration/retake")
def retake(request: Request, user: Judge) -> dict[str, Any]:
    """Begins another round of calibration, after one that was not passed."""
    site = site_of(request)
    site.database.write(lambda c: judging.retake(c, site, user))
    return {"calibrated": False}


@router.get("/guideline")
def guideline(request: Request, user: Reader) -> dict[str, Any]:
    """The newest guideline."""
    with site_of(request).database.glancing() as connection:
        return {**judging.guideline(connection), "note": judging.guideline_note(connection)}
