"""All that leads see and do, as one router for the application; its lifespan sends webhooks."""

from fastapi import APIRouter

from prefloop.web.exchange import webhooks
from prefloop.web.routes import annotators as lead_quality
from prefloop.web.routes import dashboard as lead_dashboard
from prefloop.web.routes import exports as lead_export
from prefloop.web.routes import gold as lead_gold
from prefloop.web.routes import imports as lead_import
from prefloop.web.routes import selection as lead_choice
from prefloop.web.routes import settings as lead_project
from prefloop.web.routes import webhooks as lead_hooks

router = APIRouter(lifespan=webhooks.sending)
for routes in (
    lead_choice,
    lead_dashboard,
    lead_export,
    lead_gold,
    lead_hooks,
    lead_import,
    lead_project,
    lead_quality,
):
    router.include_router(routes.router)
