"""Choosing what to ask next, and the reward models that are asked about it."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.review import dashboard, reward_scores, selection
from prefloop.web.review.selection import Choice
from prefloop.web.routes.parameters import Here, Lead, Reader
from prefloop.web.security.accounts import User
from prefloop.web.store.site import Site

router = APIRouter(tags=["lead"])


@router.post("/api/v1/lead/selection")
def choose(user: Lead, site: Here, body: Choice) -> dict[str, Any]:
    """Chooses what to ask next, with known probabilities, and holds the rest back."""
    return selection.choose(site, body, actor=user.name)


@router.delete("/api/v1/lead/selection")
def release(user: Lead, site: Here) -> dict[str, Any]:
    """Everything that was held back is work again."""
    return {"released": site.database.write(lambda c: selection.release(c, site, actor=user.name))}


def _models(site: Site) -> dict[str, Any]:
    with site.database.reading() as connection:
        return {"models": reward_scores.models(connection), "accuracy": reward_scores.accuracy(connection)}


@router.get("/api/v1/lead/models")
def models(user: Reader, site: Here) -> dict[str, Any]:
    """Reward models whose scores are here, and how often people agree with them."""
    return _models(site)


@router.get("/lead/selection", include_in_schema=False)
def selection_page(request: Request, site: Here) -> Response:
    """What to ask next."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        with site.database.reading() as connection:
            tags = dashboard.coverage(connection, dashboard.targets(connection).floors)
        strategies = ("random", *selection.STRATEGIES)
        return {"lead": words("selection.says"), "tags": tags, "strategies": strategies, **_models(site)}

    return lead_pages.page(request, "selection.html", "desk.selection", gather)
