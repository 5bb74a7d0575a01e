"""Exports: everything of a kind as it is, and what training reads, one kind at a time or all at once."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from prefloop.web.exchange import export, outcome_files
from prefloop.web.exchange.foreign_judgements import SOURCES
from prefloop.web.exchange.outcome_files import WHATS, Form, Format, What
from prefloop.web.exchange.outcomes import Way, aggregated
from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.routes.parameters import Here, Reader
from prefloop.web.security.accounts import User
from prefloop.web.store import chain
from prefloop.web.store.site import Site

router = APIRouter(tags=["lead"])
TYPES = {"jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}


def _as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@router.get("/api/v1/export/{what}.jsonl")
def export_lines(user: Reader, site: Here, what: Literal["judgements", "comparisons", "events"]) -> StreamingResponse:
    """Everything of a kind, one record per line, streamed."""
    return StreamingResponse(_lines(site, what), media_type=TYPES["jsonl"], headers=_as(f"{what}.jsonl"))


def _lines(site: Site, what: str) -> Iterator[bytes]:
    with site.database.snapshot() as connection:
        if what == "events":
            for event in chain.raw(connection):
                yield json.dumps(event, ensure_ascii=False).encode("utf-8") + b"\n"
            return
        judged = what == "judgements"
        for record in export.judged(connection, export.EVERYTHING) if judged else export.compared(connection):
            yield record.model_dump_json().encode("utf-8") + b"\n"


@router.get("/api/v1/export/manifest")
def manifest(
    user: Reader, site: Here, aggregate: Way = "majority", form: Form = "prefloop", format: Format = "jsonl"
) -> dict[str, Any]:
    """What an export would hold: rows, hashes, the moment of the log, and what is believed of the annotators."""
    return outcome_files.bundle(site, way=aggregate, form=form, format=format)[0]


@router.get("/api/v1/export/bundle")
def bundle(
    user: Reader, site: Here, aggregate: Way = "majority", form: Form = "prefloop", format: Format = "jsonl"
) -> Response:
    """Everything with its manifest, as a ZIP."""
    made, files = outcome_files.bundle(site, way=aggregate, form=form, format=format)
    name = f"prefloop-{made['content_hash'][:12]}.zip"
    return Response(outcome_files.zipped(made, files), media_type="application/zip", headers=_as(name))


@router.get("/api/v1/export/{what}")
def export_outcomes(
    user: Reader, site: Here, what: What, aggregate: Way = "majority", form: Form = "prefloop", format: Format = "jsonl"
) -> Response:
    """One kind of outcome, as records or in TRL's form."""
    judged, _ = outcome_files.judged_at(site)
    data = outcome_files.encoded(outcome_files.rows(aggregated(judged, aggregate), what, form), format)
    headers = {**_as(f"{what}.{format}"), "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
    return Response(data, media_type=TYPES[format], headers=headers)


@router.get("/lead/data", include_in_schema=False)
def data_page(request: Request) -> Response:
    """Data in and out."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        return {"lead": words("data.says"), "sources": SOURCES, "whats": WHATS}

    return lead_pages.page(request, "data.html", "desk.data", gather)
