"""Adjudication: what leads decide."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.review import adjudication
from prefloop.web.routes.parameters import Here, Lead, Number, Reader, read
from prefloop.web.security.accounts import User
from prefloop.web.work import queue

router = APIRouter(tags=["lead"])


@router.get("/api/v1/lead/adjudication")
def in_adjudication(user: Reader, site: Here, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> dict[str, Any]:
    """Items in adjudication, those still open first."""
    return {"items": read(site, lambda c: adjudication.listed(c, limit))}


@router.post("/api/v1/lead/adjudication")
def send(user: Lead, site: Here, body: adjudication.Wanted) -> dict[str, Any]:
    """Sends to adjudication what people, or a reward model and people, disagree about."""
    rows, made = read(site, lambda c: adjudication.fresh(c, site, body))  # mostly there is nothing to write
    return site.database.write(lambda c: adjudication.send(c, site, body, actor=user.name)) if rows else made


@router.post("/api/v1/lead/adjudication/{item}")
def open_item(user: Lead, site: Here, item: Number) -> dict[str, Any]:
    """Puts one item in front of the lead who asks, before all others that are to be decided."""
    return {"presentation": site.database.write(lambda c: queue.take(c, site, user, item, purpose="adjudication"))}


@router.get("/lead/adjudication", include_in_schema=False)
def adjudication_page(request: Request, site: Here) -> Response:
    """What leads decide."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        return {"lead": words("adjudication.says"), "items": read(site, adjudication.listed)}

    return lead_pages.page(request, "adjudication.html", "desk.adjudication", gather)
