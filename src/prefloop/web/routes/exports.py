"""Exports for training: one kind at a time, all at once, or only the manifest."""

import hashlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from prefloop.web.exchange import outcome_files, outcomes
from prefloop.web.exchange.outcome_files import Form, Format, What
from prefloop.web.exchange.outcomes import Way
from prefloop.web.pages.lead_pages import Reader, site_of

router = APIRouter(prefix="/api/v1/export", tags=["lead"])
TYPES = {"jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}


@router.get("/manifest")
def manifest(
    request: Request, user: Reader, aggregate: Way = "majority", form: Form = "prefloop", format: Format = "jsonl"
) -> dict[str, Any]:
    """What an export would hold: rows, hashes, the moment of the log, and what is believed of the annotators."""
    return outcome_files.bundle(site_of(request), way=aggregate, form=form, format=format)[0]


@router.get("/bundle")
def bundle(
    request: Request, user: Reader, aggregate: Way = "majority", form: Form = "prefloop", format: Format = "jsonl"
) -> Response:
    """Everything with its manifest, as a ZIP."""
    told, files = outcome_files.bundle(site_of(request), way=aggregate, form=form, format=format)
    headers = {"Content-Disposition": f'attachment; filename="prefloop-{told["content_hash"][:12]}.zip"'}
    return Response(outcome_files.zipped(told, files), media_type="application/zip", headers=headers)


@router.get("/{what}")
def export(
    request: Request,
    user: Reader,
    what: What,
    aggregate: Way = "majority",
    form: Form = "prefloop",
    format: Format = "jsonl",
) -> Response:
    """One kind of outcome, as records or in TRL's form."""
    judged, _ = outcome_files.judged_at(site_of(request))
    data = outcome_files.encoded(outcome_files.rows(outcomes.outcomes(judged, aggregate), what, form), format)
    headers = {
        "Content-Disposition": f'attachment; filename="{what}.{format}"',
        "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
    }
    return Response(data, media_type=TYPES[format], headers=headers)
