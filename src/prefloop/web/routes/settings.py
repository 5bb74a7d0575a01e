"""The pages on which a lead runs a project: people, guideline, settings, access; and what of the API only they need."""

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, func, select

from prefloop.config import section
from prefloop.web.config import ProjectConfig
from prefloop.web.exchange import webhooks
from prefloop.web.pages import lead_pages as desk
from prefloop.web.pages import rendering
from prefloop.web.pages.lead_pages import Lead, Reader, site_of
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.pages.project_words import HELP_ZH
from prefloop.web.security.accounts import ROLES, SCOPES, User, current_user
from prefloop.web.store import settings
from prefloop.web.store.site import Site
from prefloop.web.store.tables import (
    events,
    guidelines,
    invitations,
    item_tags,
    items,
    judgements,
    sessions,
    tokens,
    users,
)
from prefloop.web.work.answers import Body
from prefloop.web.work.items import checks

router = APIRouter(tags=["lead"])
KINDS = ("pair", "ranking", "rating", "thumb", "edit", "demonstration")
VERSIONS = 50
"""Versions of the guideline that the page lists."""
GROUPS = (
    ("set.project", ("name", "language")),
    ("set.asked", ("kinds", "pairs_per_prompt", "axes")),
    ("set.overlap", ("overlap.judgements", "overlap.adaptive")),
    ("set.checks", ("checks.gold_first", "checks.gold_every", "checks.repeat_every", "checks.calibration_pass")),
    ("set.pace", ("lease_minutes", "enough")),
)
"""Heading -> settings under it."""
FOR_NEW = ("kinds", "pairs_per_prompt")
"""Settings that hold for comparisons that come in later."""


class Draft(Body):
    """A text to look at."""

    text: Annotated[str, Field(max_length=100_000)]
    """Markdown."""


def asks(request: Request) -> User:
    """Who asks, where `desk.page` has already let them in."""
    user = current_user(request)
    assert user is not None
    return user


def on(seconds: float | None) -> str:
    """A time as it is shown: UTC, to the minute."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def known_tags(connection: Connection) -> list[str]:
    """Tags of items, at most 40 of them."""
    return list(connection.execute(select(item_tags.c.tag).distinct().order_by(item_tags.c.tag).limit(40)).scalars())


# -- people -----------------------------------------------------------------------------------------------------------


@router.get("/api/v1/lead/people")
def list_people(request: Request, user: Reader) -> dict[str, Any]:
    """Everybody, with when they were here and when they last judged."""
    with site_of(request).database.reading() as connection:
        return {"people": people(connection)}


def people(connection: Connection) -> list[dict[str, Any]]:
    """Everybody, annotators last, each with when they were seen; None if they were not lately."""
    seen = select(func.max(sessions.c.seen)).where(sessions.c.user == users.c.id).scalar_subquery()
    last = select(func.max(judgements.c.at)).where(judgements.c.user == users.c.id).scalar_subquery()
    names = ("id", "name", "role", "tags", "active", "calibrated", "served", "created")
    query = select(*[users.c[name] for name in names], seen.label("seen"), last.label("last")).order_by(users.c.id)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    for row in rows:
        row["seen"] = max((at for at in (row["seen"], row["last"]) if at is not None), default=None)
    return sorted(rows, key=lambda row: (not row["active"], -ROLES.index(row["role"]), row["name"]))


@router.get("/lead/people", include_in_schema=False)
def people_page(request: Request) -> Response:
    """Who is there, and the way in for others."""

    def gather(words: LeadWords) -> dict[str, Any]:
        site, user = site_of(request), asks(request)
        good = (invitations.c.uses > 0) & (invitations.c.expires > site.clock())
        with site.database.reading() as connection:
            found: dict[str, Any] = {"people": people(connection), "tags": known_tags(connection)}
            asked = select(items.c.id).where(checks("calibration"), ~items.c.retired).limit(1)
            found["calibrates"] = connection.execute(asked).first() is not None
            found["invitations"] = (
                connection.execute(select(invitations).where(good).order_by(invitations.c.id.desc())).mappings().all()
            )
        is_admin = user.is_at_least("admin")
        return {
            "lead": words("people.says"),
            "on": on,
            "is_admin": is_admin,
            "roles": ROLES if is_admin else ROLES[:1],
            **found,
        }

    return desk.page(request, "people.html", "desk.people", gather)


# -- guideline ----------------------------------------------------------------------------------------------------------


@router.post("/api/v1/guidelines/preview")
def preview(request: Request, user: Lead, body: Draft) -> dict[str, Any]:
    """The tree of a text that is not kept."""
    return {"tree": rendering.tree(body.text)}


def notes(connection: Connection) -> dict[int, str]:
    """Version of the guideline -> what its author said was new, as the log has it."""
    rows = connection.execute(
        select(events.c.payload).where(events.c.kind == "guideline").order_by(events.c.seq.desc()).limit(VERSIONS)
    )
    told = [json.loads(row.payload) for row in rows]
    return {one["version"]: one.get("note", "") for one in told}


@router.get("/lead/guideline", include_in_schema=False)
def guideline_page(request: Request) -> Response:
    """The guideline in force, an editor, and the older versions."""

    def gather(words: LeadWords) -> dict[str, Any]:
        query = (
            select(guidelines, users.c.name)
            .outerjoin(users, users.c.id == guidelines.c.by)
            .order_by(guidelines.c.version.desc())
        )
        with site_of(request).database.reading() as connection:
            rows = connection.execute(query.limit(VERSIONS)).all()
            said = notes(connection)
        versions = [
            {"version": row.version, "text": row.text, "tree": json.dumps(row.tree, ensure_ascii=False), "by": row.name or "–", "at": on(row.at),
             "note": said.get(row.version, "")}
            for row in rows
        ]  # fmt: skip
        return {"lead": words("guide.says"), "versions": versions, "version": rows[0].version if rows else 0}

    return desk.page(request, "guideline.html", "desk.guideline", gather)


# -- settings -----------------------------------------------------------------------------------------------------------


def help_of(path: str, language: str) -> str:
    """What a setting means: its docstring, or the same in Chinese."""
    if language == "zh":
        return HELP_ZH[path]
    outer, _, inner = path.partition(".")
    field = ProjectConfig.model_fields[outer]
    owner = section(field.annotation) if inner else None
    return " ".join(((owner or ProjectConfig).model_fields[inner or outer].description or "").split())


def value_of(config: BaseModel, path: str) -> Any:
    """A setting's value."""
    value: Any = config.model_dump(mode="json")
    for name in path.split("."):
        value = value[name]
    return value


def _fields(config: ProjectConfig, paths: tuple[str, ...], words: LeadWords) -> Iterator[dict[str, Any]]:
    for path in paths:
        value = value_of(config, path)
        whole = path in ("kinds", "axes", "language", "name", "lease_minutes", "checks.calibration_pass")
        yield {
            "path": path, "label": words(f"setting.{path}"), "help": help_of(path, words.language), "value": value,
            "flag": isinstance(value, bool), "mode": "decimal" if whole else "numeric", "new_only": path in FOR_NEW,
        }  # fmt: skip


@router.get("/lead/settings", include_in_schema=False)
def settings_page(request: Request) -> Response:
    """The project's settings."""

    def gather(words: LeadWords) -> dict[str, Any]:
        with site_of(request).database.reading() as connection:
            config = settings.project(connection)
        groups = [(words(heading), list(_fields(config, paths, words))) for heading, paths in GROUPS]
        return {
            "lead": words("set.says"),
            "groups": groups,
            "kinds": KINDS,
            "languages": (("en", "English"), ("zh", "中文")),
        }

    return desk.page(request, "settings.html", "desk.settings", gather)


# -- access ---------------------------------------------------------------------------------------------------------------


def _access(site: Site) -> dict[str, Any]:
    with site.database.reading() as connection:
        made = (
            select(tokens, users.c.name.label("owner"))
            .join(users, users.c.id == tokens.c.user)
            .order_by(tokens.c.id.desc())
        )
        return {
            "tokens": connection.execute(made).mappings().all(),
            "hooks": webhooks.listed(connection),
            "private": webhooks.allows_private(connection),
        }


@router.get("/lead/access", include_in_schema=False)
def access_page(request: Request) -> Response:
    """Tokens, webhooks, the log."""

    def gather(words: LeadWords) -> dict[str, Any]:
        found = _access(site_of(request))
        return {
            "lead": words("access.says"),
            "on": on,
            "scopes": SCOPES,
            "hook_kinds": webhooks.KINDS,
            "has": words.has,
            **found,
        }

    return desk.page(request, "access.html", "desk.access", gather, role="admin")
