"""The dashboard: its numbers, what leads tell it, and its page."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import select

from prefloop.web.errors import refuse_unless
from prefloop.web.pages import lead_pages as desk
from prefloop.web.pages.lead_pages import Lead, Reader, site_of
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.review import dashboard
from prefloop.web.review import learning_curve as learning
from prefloop.web.review.dashboard import Desk
from prefloop.web.store.tables import judgements
from prefloop.web.work.answers import check_storable

router = APIRouter(tags=["lead"])


@router.get("/api/v1/lead/dashboard")
def numbers(request: Request, user: Reader) -> dict[str, Any]:
    """Progress, pace, agreement, tags and forecast; at most two seconds old."""
    return dashboard.numbers.of(site_of(request))


@router.get("/api/v1/lead/curve")
def curve(request: Request, user: Reader) -> dict[str, Any]:
    """Reward accuracy against the number of labels; at most a minute old."""
    return learning.numbers.of(site_of(request))


@router.get("/api/v1/lead/desk")
def read_desk(request: Request, user: Reader) -> dict[str, Any]:
    """Cost of an hour, and the floors of tags."""
    with site_of(request).database.reading() as connection:
        return dashboard.desk(connection).model_dump(mode="json")


@router.put("/api/v1/lead/desk")
def change_desk(request: Request, user: Lead, body: Desk) -> dict[str, Any]:
    """Changes them, all at once."""
    refuse_unless(0 <= body.cost_per_hour <= 1e6, "An hour costs between 0 and a million.")
    refuse_unless(
        len(body.currency) <= 10 and len(body.floors) <= 200,
        "A currency has at most 10 letters, and there are at most 200 floors.",
    )
    refuse_unless(
        all(0 <= floor <= 10**7 and 0 < len(tag) <= 200 for tag, floor in body.floors.items()),
        "A floor is between 0 and ten million.",
    )
    check_storable(body.model_dump())
    site = site_of(request)
    kept = site.database.write(lambda c: dashboard.change_desk(c, body, actor=user.name, at=site.clock()))
    return kept.model_dump(mode="json")


@router.get("/lead", include_in_schema=False)
def dashboard_page(request: Request) -> Response:
    """The dashboard."""

    def gather(words: LeadWords) -> dict[str, Any]:
        site = site_of(request)
        with site.database.reading() as connection:
            told, is_new = (
                dashboard.desk(connection),
                connection.execute(select(judgements.c.id).limit(1)).first() is None,
            )
        floors = "\n".join(f"{tag} = {floor}" for tag, floor in told.floors.items())
        return {"lead": words("dashboard.says"), "told": told, "floors": floors, "is_new": is_new}

    return desk.page(request, "dashboard.html", "desk.dashboard", gather)
