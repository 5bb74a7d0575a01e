"""The guideline: what is in force, for annotators; its versions and its page, for leads."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from prefloop.web.body import Body
from prefloop.web.pages import lead_pages, rendering
from prefloop.web.pages.lead_words import LeadWords, on
from prefloop.web.routes.parameters import Annotator, Here, Lead, Reader, read
from prefloop.web.security.accounts import User
from prefloop.web.work import guidelines
from prefloop.web.work.guidelines import Guideline

router = APIRouter()
VERSIONS = 50
"""Versions of the guideline that the page lists."""


class Draft(Body):
    """A text to look at."""

    text: Annotated[str, Field(max_length=100_000)]
    """Markdown."""


@router.get("/api/v1/guideline", tags=["annotator"])
def guideline(user: Annotator, site: Here) -> dict[str, Any]:
    """The newest guideline."""
    with site.database.glancing() as connection:
        return guidelines.newest(connection)


@router.get("/api/v1/guidelines", tags=["lead"])
def list_guidelines(user: Reader, site: Here, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
    """The guideline's versions, newest first."""
    return {"guidelines": read(site, lambda c: guidelines.versions(c, limit))}


@router.post("/api/v1/guidelines", tags=["lead"])
def add_guideline(user: Lead, site: Here, body: Guideline) -> dict[str, Any]:
    """A new version of the guideline."""
    tree = rendering.tree(body.text)
    return {"version": site.database.write(lambda c: guidelines.add(c, site, body, tree, by=user)), "tree": tree}


@router.post("/api/v1/guidelines/preview", tags=["lead"])
def preview(user: Lead, body: Draft) -> dict[str, Any]:
    """The tree of a text that is not kept."""
    return {"tree": rendering.tree(body.text)}


@router.get("/lead/guideline", include_in_schema=False)
def guideline_page(request: Request, site: Here) -> Response:
    """The guideline in force, an editor, and the older versions."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        with site.database.reading() as connection:
            rows, notes = guidelines.versions(connection, VERSIONS), guidelines.notes(connection, VERSIONS)
        versions = [
            {**row, "tree": json.dumps(row["tree"], ensure_ascii=False), "by": row["by"] or "–", "at": on(row["at"]),
             "note": notes.get(row["version"], "")}
            for row in rows
        ]  # fmt: skip
        newest = rows[0]["version"] if rows else 0
        return {"lead": words("guide.says"), "versions": versions, "version": newest}

    return lead_pages.page(request, "guideline.html", "desk.guideline", gather)
