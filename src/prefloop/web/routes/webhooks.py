"""Webhooks: admins say where to tell what."""

from typing import Any

from fastapi import APIRouter

from prefloop.web.body import Body
from prefloop.web.exchange import webhooks
from prefloop.web.exchange.webhooks import Hook
from prefloop.web.routes.parameters import Admin, Here, LongNumber, Number, read

router = APIRouter(prefix="/api/v1/webhooks", tags=["lead"], lifespan=webhooks.sending)


class Private(Body):
    """Whether addresses inside the network may be called."""

    allowed: bool
    """True lets webhooks call them."""


@router.get("")
def list_hooks(user: Admin, site: Here) -> dict[str, Any]:
    """All webhooks, and how their deliveries fare."""
    with site.database.reading() as connection:
        hooks, private = webhooks.listed(connection), webhooks.allows_private(connection)
    return {"webhooks": hooks, "private": private, "kinds": list(webhooks.KINDS)}


@router.post("")
def add_hook(user: Admin, site: Here, body: Hook) -> dict[str, Any]:
    """A new webhook; its secret is told once."""
    webhooks.checked(body, private=read(site, webhooks.allows_private))
    return site.database.write(lambda c: webhooks.add(c, site, body, by=user.id, actor=user.name))


@router.delete("/{number}")
def end_hook(user: Admin, site: Here, number: Number) -> dict[str, Any]:
    """A webhook hears nothing any more."""
    site.database.write(lambda c: webhooks.end(c, site, number, actor=user.name))
    return {"id": number, "active": False}


@router.delete("/{number}/events/{event}")
def skip_event(user: Admin, site: Here, number: Number, event: LongNumber) -> dict[str, Any]:
    """A webhook leaves out the event that it fails at, and goes on with the next."""
    site.database.write(lambda c: webhooks.skip(c, site, number, event, actor=user.name))
    return {"id": number, "skipped": event}


@router.put("/private")
def allow_private(user: Admin, site: Here, body: Private) -> dict[str, Any]:
    """Lets webhooks call addresses inside the network, or not any more."""
    site.database.write(lambda c: webhooks.allow_private(c, site, body.allowed, actor=user.name))
    return {"allowed": body.allowed}
