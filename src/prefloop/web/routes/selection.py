"""Choosing what to ask next, and the reward models that are asked about it."""

from typing import Any

from fastapi import APIRouter

from prefloop.web.review import reward_scores, selection
from prefloop.web.review.selection import Choice
from prefloop.web.routes.parameters import Here, Lead, Reader
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


def known(site: Site) -> dict[str, Any]:
    """Reward models with scores here, and how often people agree with them."""
    with site.database.reading() as connection:
        return {"models": reward_scores.models(connection), "accuracy": reward_scores.accuracy(connection)}


@router.get("/api/v1/lead/models")
def models(user: Reader, site: Here) -> dict[str, Any]:
    """Reward models whose scores are here, and how often people agree with them."""
    return known(site)
