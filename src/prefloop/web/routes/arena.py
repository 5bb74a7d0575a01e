"""The arena: blind checkpoint against checkpoint."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords, percent
from prefloop.web.review import arena
from prefloop.web.routes.parameters import Here, Reader, read
from prefloop.web.security.accounts import User

router = APIRouter(tags=["lead"])
Alpha = Annotated[float, Query(gt=0.0001, lt=0.5)]
Worthwhile = Annotated[float, Query(ge=0.5, lt=0.95)]


@router.get("/api/v1/lead/arena")
def standings(user: Reader, site: Here, alpha: Alpha = arena.ALPHA, worthwhile: Worthwhile = 0.5) -> dict[str, Any]:
    """Who wins, how certain that is, and what is still to be judged."""
    return read(site, lambda c: arena.standings(c, alpha=alpha, worthwhile=worthwhile))


@router.get("/lead/arena", include_in_schema=False)
def arena_page(request: Request, site: Here) -> Response:
    """The arena."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        return {"lead": words("arena.says", alpha=percent(arena.ALPHA)), "standings": read(site, arena.standings)}

    return lead_pages.page(request, "arena.html", "desk.arena", gather)
