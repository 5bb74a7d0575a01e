"""All that leads see and do, as one router for the application; its lifespan sends webhooks."""

from fastapi import APIRouter

from prefloop.web import webhooks
from prefloop.web.routes import (
    lead_choice,
    lead_dashboard,
    lead_export,
    lead_gold,
    lead_hooks,
    lead_import,
    lead_project,
    lead_quality,
)

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
