"""Choosing what to ask next, adjudication, and the scores of reward models."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from prefloop.web.pages import lead_pages as desk
from prefloop.web.pages.lead_pages import Lead, Reader, site_of
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.review import adjudication, dashboard, reward_scores
from prefloop.web.review import selection as selecting
from prefloop.web.review.selection import Choice
from prefloop.web.work import queue

router = APIRouter(tags=["lead"])


@router.post("/api/v1/lead/selection")
def choose(request: Request, user: Lead, body: Choice) -> dict[str, Any]:
    """Chooses what to ask next, with known probabilities, and holds the rest back."""
    return selecting.choose(site_of(request), body, actor=user.name)


@router.delete("/api/v1/lead/selection")
def release(request: Request, user: Lead) -> dict[str, Any]:
    """Everything that was held back is work again."""
    site = site_of(request)
    return {"released": site.database.write(lambda c: selecting.release(c, site, actor=user.name))}


@router.get("/api/v1/lead/models")
def models(request: Request, user: Reader) -> dict[str, Any]:
    """Reward models whose scores are here, and how often people agree with them."""
    with site_of(request).database.reading() as connection:
        return {"models": reward_scores.models(connection), "accuracy": reward_scores.accuracy(connection)}


@router.get("/api/v1/lead/adjudication")
def in_adjudication(
    request: Request, user: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> dict[str, Any]:
    """Items in adjudication, those still open first."""
    with site_of(request).database.reading() as connection:
        return {"items": adjudication.listed(connection, limit)}


@router.post("/api/v1/lead/adjudication")
def send(request: Request, user: Lead, body: adjudication.Wanted) -> dict[str, Any]:
    """Sends to adjudication what people, or a reward model and people, disagree about."""
    site = site_of(request)
    with (
        site.database.reading() as connection
    ):  # the page looks whenever it is opened: mostly there is nothing to write
        rows, made = adjudication.fresh(connection, site, body)
    return site.database.write(lambda c: adjudication.send(c, site, body, actor=user.name)) if rows else made


@router.post("/api/v1/lead/adjudication/{item}")
def open_one(request: Request, user: Lead, item: Annotated[int, Path(ge=1, le=2**31 - 1)]) -> dict[str, Any]:
    """Puts one item in front of the lead who asks, before all others that are to be decided."""
    site = site_of(request)
    return {"presentation": site.database.write(lambda c: queue.take(c, site, user, item, purpose="adjudication"))}


@router.get("/lead/selection", include_in_schema=False)
def selection_page(request: Request) -> Response:
    """What to ask next."""

    def gather(words: LeadWords) -> dict[str, Any]:
        with site_of(request).database.reading() as connection:
            tags = dashboard.coverage(connection, dashboard.desk(connection).floors)
            known, accuracy = reward_scores.models(connection), reward_scores.accuracy(connection)
        strategies = ("random", *selecting.STRATEGIES)
        return {
            "lead": words("selection.says"),
            "tags": tags,
            "models": known,
            "accuracy": accuracy,
            "strategies": strategies,
        }

    return desk.page(request, "selection.html", "desk.selection", gather)


@router.get("/lead/adjudication", include_in_schema=False)
def adjudication_page(request: Request) -> Response:
    """What leads decide."""

    def gather(words: LeadWords) -> dict[str, Any]:
        with site_of(request).database.reading() as connection:
            return {"lead": words("adjudication.says"), "items": adjudication.listed(connection)}

    return desk.page(request, "adjudication.html", "desk.adjudication", gather)
