"""The project's settings, and their page."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from prefloop.config import section
from prefloop.web.config import ProjectConfig
from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.pages.project_words import HELP_ZH
from prefloop.web.review import dashboard
from prefloop.web.routes.parameters import Here, Lead, Reader, read
from prefloop.web.security.accounts import User
from prefloop.web.store import settings
from prefloop.web.work import intake, items
from prefloop.web.work.answers import SHAPES

router = APIRouter(tags=["lead"])
GROUPS = (
    ("set.project", ("name", "language")),
    ("set.asked", ("kinds", "pairs_per_prompt", "axes", "strength")),
    ("set.overlap", ("overlap.judgements", "overlap.adaptive")),
    ("set.checks", ("checks.gold_first", "checks.gold_every", "checks.repeat_every", "checks.calibration_pass")),
    ("set.pace", ("lease_minutes", "enough")),
)
"""Heading -> settings under it."""
FOR_NEW = ("pairs_per_prompt",)
"""Settings that hold for comparisons that come in later."""
NOT_WHOLE = ("kinds", "axes", "language", "name", "lease_minutes", "checks.calibration_pass")
"""Settings that are no whole number."""


@router.get("/api/v1/settings")
def read_settings(user: Reader, site: Here) -> dict[str, Any]:
    """The project's settings."""
    return read(site, settings.project).model_dump(mode="json")


@router.put("/api/v1/settings")
def change_settings(user: Lead, site: Here, body: dict[str, Any]) -> dict[str, Any]:
    """Changes settings; what is left out stays. A new overlap holds for the items that are there, too.

    Other kinds hold at once for what nobody has begun: `work` tells how many items were withdrawn and made, and how
    many comparisons are kept as they are, because something was answered.
    """

    def change(connection: Connection) -> tuple[dict[str, Any], bool]:
        before = settings.project(connection)
        after = settings.change(connection, settings.checked_keys(body), actor=user.name, at=site.clock())
        if after.overlap != before.overlap:
            items.want(connection, after.overlap.judgements)
        return after.model_dump(mode="json"), after.kinds != before.kinds

    settled, kinds = site.database.write(change)
    return {**settled, "work": intake.ask_kinds(site, actor=user.name)} if kinds else settled


def help_of(path: str, language: str) -> str:
    """What a setting means: its docstring, or the same in Chinese."""
    if language == "zh":
        return HELP_ZH[path]
    outer, _, inner = path.partition(".")
    owner = section(ProjectConfig.model_fields[outer].annotation) if inner else None
    return " ".join(((owner or ProjectConfig).model_fields[inner or outer].description or "").split())


def _fields(values: dict[str, Any], paths: tuple[str, ...], words: LeadWords) -> Iterator[dict[str, Any]]:
    for path in paths:
        outer, _, inner = path.partition(".")
        value = values[outer][inner] if inner else values[outer]
        yield {
            "path": path, "label": words(f"setting.{path}"), "help": help_of(path, words.language), "value": value,
            "flag": isinstance(value, bool), "mode": "decimal" if path in NOT_WHOLE else "numeric",
            "new_only": path in FOR_NEW,
        }  # fmt: skip


@router.get("/lead/settings", include_in_schema=False)
def settings_page(request: Request, site: Here) -> Response:
    """The project's settings."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        config, asked = read(site, lambda c: (settings.project(c), dashboard.by_kind(c)))
        values = config.model_dump(mode="json")
        now = words("set.here_joined").join(f"{words(f'kind.{kind}')} {number}" for kind, number in asked.items())
        groups = [(words(heading), list(_fields(values, paths, words))) for heading, paths in GROUPS]
        languages = (("en", "English"), ("zh", "中文"))
        return {"lead": words("set.says"), "groups": groups, "kinds": tuple(SHAPES), "languages": languages, "now": now}

    return lead_pages.page(request, "settings.html", "desk.settings", gather)
