"""People: users, invitations, and the page of both."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from prefloop.web.body import Body
from prefloop.web.errors import Refusal
from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords, on
from prefloop.web.routes.parameters import Here, Lead, Number, Reader, read
from prefloop.web.security import accounts
from prefloop.web.security.accounts import ROLES, User
from prefloop.web.work import items, queue

router = APIRouter(tags=["lead"])
Role = Literal["annotator", "lead", "admin"]
Tag = Annotated[str, Field(min_length=1, max_length=200)]
Tags = Annotated[list[Tag], Field(max_length=50)]


class Invitation(Body):
    """Who may join."""

    role: Role = "annotator"
    """What they may do."""
    tags: Tags = Field(default_factory=list)
    """What they may judge; empty for all."""
    uses: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many people."""
    days: Annotated[float, Field(gt=0, le=365)] = 7
    """Days until it ends."""


class UserChange(Body):
    """What changes about a user; what is left out stays."""

    role: Role | None = None
    """What they may do."""
    tags: Tags | None = None
    """What they may judge; empty for all."""
    active: bool | None = None
    """False shuts them out."""
    calibrated: bool | None = None
    """True lets them work without calibration."""


@router.get("/api/v1/users")
def list_users(user: Reader, site: Here) -> dict[str, Any]:
    """Everybody, with what they may do."""
    return {"users": read(site, accounts.everybody)}


@router.put("/api/v1/users/{number}")
def change_user(user: Lead, site: Here, number: Number, body: UserChange) -> dict[str, Any]:
    """Changes a user; leads change annotators, admins everybody."""
    changes = body.model_dump(exclude_none=True)
    if changes:
        site.database.write(lambda c: accounts.change_user(c, site, number, changes, by=user))
    return {"id": number, **changes}


@router.get("/api/v1/lead/people")
def list_people(user: Reader, site: Here) -> dict[str, Any]:
    """Everybody, with when they were here and when they last judged."""
    return {"people": read(site, accounts.people)}


@router.get("/api/v1/invitations")
def list_invitations(user: Reader, site: Here) -> dict[str, Any]:
    """Invitations that are still good; their links are never told again."""
    return {"invitations": read(site, lambda c: accounts.good_invitations(c, site))}


@router.post("/api/v1/invitations")
def invite(request: Request, user: Lead, site: Here, body: Invitation) -> dict[str, Any]:
    """A link by which somebody joins; told once."""
    if body.role != "annotator" and not user.may_administer:
        raise Refusal(403, "wrong_role", "Only an admin invites leads and admins.")
    token = site.database.write(lambda c: accounts.invite(c, site, by=user, **body.model_dump()))
    return {"link": f"{str(request.base_url).rstrip('/')}/join/{token}"}


@router.delete("/api/v1/invitations/{number}")
def end_invitation(user: Lead, site: Here, number: Number) -> dict[str, Any]:
    """An invitation is not good any more."""
    site.database.write(lambda c: accounts.end_invitation(c, site, number, by=user))
    return {"id": number, "uses": 0}


@router.get("/lead/people", include_in_schema=False)
def people_page(request: Request, site: Here) -> Response:
    """Who is there, and the way in for others."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        is_admin = user.is_at_least("admin")
        with site.database.reading() as connection:
            here = {
                "people": accounts.people(connection), "tags": items.some_tags(connection),
                "calibrates": queue.has_calibration(connection),
                "invitations": accounts.good_invitations(connection, site)[::-1],
            }  # fmt: skip
        roles = ROLES if is_admin else ROLES[:1]
        return {"lead": words("people.says"), "on": on, "is_admin": is_admin, "roles": roles, **here}

    return lead_pages.page(request, "people.html", "desk.people", gather)
