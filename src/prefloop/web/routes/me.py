"""Whoever asks: how far they are, how they want the page, their calibration."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from prefloop.web.body import Body
from prefloop.web.routes.parameters import Annotator, Here, Judge
from prefloop.web.security import accounts
from prefloop.web.store.settings import project
from prefloop.web.work import guidelines, judging, presenting

router = APIRouter(prefix="/api/v1", tags=["annotator"])
Short = Annotated[str, Field(max_length=40)]


class Preferences(Body):
    """How somebody wants the page."""

    language: Literal["en", "zh"] | None = None
    """Language of the page."""
    theme: Literal["auto", "light", "dark"] | None = None
    """Colours."""
    keys: Annotated[dict[Short, Short], Field(max_length=60)] | None = None
    """Action -> key."""


@router.get("/me")
def me(user: Annotator, site: Here) -> dict[str, Any]:
    """Who asks, and how far they are."""
    with site.database.glancing() as connection:
        config, wants = project(connection), user.preferences
        calibration = judging.own_calibration(connection, user)
        return {
            "id": user.id, "name": user.name, "role": user.role, "tags": list(user.tags),
            "project": site.called(config.name), "language": wants.get("language", config.language),
            "keys": wants.get("keys", {}), "theme": wants.get("theme", "auto"), "calibrated": calibration is None,
            "calibration": calibration, "progress": presenting.progress_of(connection, user, site.clock()),
            "guideline": guidelines.newest(connection)["version"],
        }  # fmt: skip


@router.put("/me")
def change_me(user: Judge, site: Here, body: Preferences) -> dict[str, Any]:
    """Keeps preferences; what is left out stays."""
    wants = body.model_dump(exclude_none=True)
    return site.database.write(lambda c: accounts.change_preferences(c, user, wants))


@router.post("/calibration/retake")
def retake(user: Judge, site: Here) -> dict[str, Any]:
    """Begins another round of calibration, after one that was not passed."""
    site.database.write(lambda c: judging.retake(c, site, user))
    return {"calibrated": False}
