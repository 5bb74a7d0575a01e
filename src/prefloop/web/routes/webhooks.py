"""Webhooks: admins say where to tell what."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from prefloop.web.exchange import webhooks
from prefloop.web.exchange.webhooks import Hook
from prefloop.web.pages.lead_pages import site_of
from prefloop.web.security.accounts import User, needs
from prefloop.web.work.answers import Body

router = APIRouter(prefix="/api/v1", tags=["lead"])
Admin = Annotated[User, Depends(needs("admin", "admin"))]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Private(Body):
    """Whether addresses inside the network may be called."""

    allowed: bool
    """True lets webhooks call them."""


@router.get("/webhooks")
def list_hooks(request: Request, user: Admin) -> dict[str, Any]:
    """All webhooks, and how their deliveries fare."""
    with site_of(request).database.reading() as connection:
        return {
            "webhooks": webhooks.listed(connection),
            "private": webhooks.allows_private(connection),
            "kinds": list(webhooks.KINDS),
        }


@router.post("/webhooks")
def add_hook(request: Request, user: Admin, body: Hook) -> dict[str, Any]:
    """A new webhook; its secret is told once."""
    site = site_of(request)
    with site.database.reading() as connection:
        private = webhooks.allows_private(connection)
    webhooks.checked(body, private=private)
    return site.database.write(lambda c: webhooks.add(c, site, body, by=user.id, actor=user.name))


@router.delete("/webhooks/{number}")
def end_hook(request: Request, user: Admin, number: Number) -> dict[str, Any]:
    """A webhook hears nothing any more."""
    site = site_of(request)
    site.database.write(lambda c: webhooks.end(c, site, number, actor=user.name))
    return {"id": number, "active": False}


@router.delete("/webhooks/{number}/events/{event}")
def skip_event(
    request: Request, user: Admin, number: Number, event: Annotated[int, Path(ge=1, le=2**62)]
) -> dict[str, Any]:
    """A webhook leaves out the event that it fails at, and goes on with the next."""
    site = site_of(request)
    site.database.write(lambda c: webhooks.skip(c, site, number, event, actor=user.name))
    return {"id": number, "skipped": event}


@router.put("/webhooks/private")
def allow_private(request: Request, user: Admin, body: Private) -> dict[str, Any]:
    """Lets webhooks call addresses inside the network, or not any more."""
    site = site_of(request)
    site.database.write(lambda c: webhooks.allow_private(c, site, body.allowed, actor=user.name))
    return {"allowed": body.allowed}
