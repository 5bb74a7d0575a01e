"""The dashboard: its numbers, what leads want to reach, and its page."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from prefloop.web.exchange import export
from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.review import dashboard, learning_curve
from prefloop.web.review.dashboard import Targets
from prefloop.web.routes.parameters import Here, Lead, Reader, read
from prefloop.web.security.accounts import User
from prefloop.web.work.items import some_tags

router = APIRouter(tags=["lead"])


@router.get("/api/v1/progress")
def progress(user: Reader, site: Here) -> dict[str, Any]:
    """How far the work is."""
    with site.database.reading() as connection:
        over = export.is_over(connection, export.of_run(site))
        return {**dashboard.of_work(connection), "over": over}


@router.get("/api/v1/lead/dashboard")
def numbers(user: Reader, site: Here) -> dict[str, Any]:
    """Progress, pace, agreement, tags and forecast; at most two seconds old."""
    return dashboard.numbers.of(site)


@router.get("/api/v1/lead/curve")
def curve(user: Reader, site: Here) -> dict[str, Any]:
    """Reward accuracy against the number of labels; at most a minute old."""
    return learning_curve.numbers.of(site)


@router.get("/api/v1/lead/desk")
def read_targets(user: Reader, site: Here) -> dict[str, Any]:
    """Cost of an hour, and the floors of tags."""
    return read(site, dashboard.targets).model_dump(mode="json")


@router.put("/api/v1/lead/desk")
def change_targets(user: Lead, site: Here, body: Targets) -> dict[str, Any]:
    """Changes them, all at once."""
    site.database.write(lambda c: dashboard.change_targets(c, body, actor=user.name, at=site.clock()))
    return body.model_dump(mode="json")


@router.get("/lead", include_in_schema=False)
def dashboard_page(request: Request, site: Here) -> Response:
    """The dashboard."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        targets, is_new, tags = read(site, lambda c: (dashboard.targets(c), dashboard.is_new(c), some_tags(c)))
        floors = [*targets.floors.items(), *[("", "")] * 3]
        return {"lead": words("dashboard.says"), "targets": targets, "floors": floors, "tags": tags, "is_new": is_new}

    return lead_pages.page(request, "dashboard.html", "desk.dashboard", gather)
