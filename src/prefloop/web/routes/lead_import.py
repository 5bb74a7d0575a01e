"""Bringing in files, and the arena: bodies are files as they are, of one of the types in `security.FILE_TYPES`."""

import tempfile
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from prefloop import layout
from prefloop.web import arena, desk, importing, outcome_files, reward_scores
from prefloop.web.accounts import User, needs
from prefloop.web.desk import Reader, site_of
from prefloop.web.foreign_judgements import SOURCES, Source
from prefloop.web.importing import OnBad
from prefloop.web.lead_words import LeadWords, percent
from prefloop.web.security import FILE_BODY
from prefloop.web.site import Site

router = APIRouter(tags=["lead"])
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".gz")
FileName = Annotated[str, Query(max_length=200)]
Model = Annotated[str, Query(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
Alpha = Annotated[float, Query(gt=0.0001, lt=0.5)]
Worthwhile = Annotated[float, Query(ge=0.5, lt=0.95)]


async def _with_file(request: Request, name: str, work: Callable[[Site, Path, User], dict[str, Any]]) -> dict[str, Any]:
    """Keeps the body in a file while `work` reads it; it is called as the lead calls theirs, but never written where they say."""
    user = await run_in_threadpool(needs("lead", "write", "admin"), request)
    if request.headers.get("content-type", "").lower().startswith("text/csv") and not name.lower().endswith(".csv"):
        name = f"{PurePath(name).stem}.csv"
    shown = (
        "".join(
            letter for letter in PurePath(name.replace("\\", "/")).name if letter.isprintable() and letter not in "/\0"
        ).lstrip(".")
        or "import.jsonl"
    )
    shown = shown[-80:] if shown.lower().endswith(SUFFIXES) else f"{shown[-80:]}.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / shown.encode("utf-8", "replace").decode("utf-8")
        with path.open("wb") as file:
            async for part in request.stream():
                file.write(part)
        return await run_in_threadpool(work, site_of(request), path, user)


@router.post("/api/v1/import/rows", openapi_extra=FILE_BODY)
async def import_rows(
    request: Request, source: Source = "tickets", on_bad: OnBad = "stop", file: FileName = "import.jsonl"
) -> dict[str, Any]:
    """Tickets, or an export of Label Studio, Argilla or Potato: comparisons, and judgements if there are any."""
    return await _with_file(
        request,
        file,
        lambda site, path, user: importing.from_file(site, path, source=source, on_bad=on_bad, actor=user.name),
    )


@router.post("/api/v1/import/scores", openapi_extra=FILE_BODY)
async def import_scores(
    request: Request, model: Model, on_bad: OnBad = "stop", file: FileName = "scores.jsonl"
) -> dict[str, Any]:
    """Scores of a reward model; those of the same model are replaced."""
    return await _with_file(
        request,
        file,
        lambda site, path, user: reward_scores.from_file(
            site, path, model=model, actor=user.name, skip=on_bad == "skip"
        ),
    )


@router.post("/api/v1/import/arena", openapi_extra=FILE_BODY)
async def import_arena(
    request: Request,
    wanted: Annotated[int, Query(ge=1, le=50)] = 1,
    on_bad: OnBad = "stop",
    file: FileName = layout.ARENA,
) -> dict[str, Any]:
    """Responses of several samplers to the same prompts, to be judged blind."""
    return await _with_file(
        request,
        file,
        lambda site, path, user: importing.for_arena(site, path, wanted=wanted, on_bad=on_bad, actor=user.name),
    )


@router.get("/api/v1/lead/arena")
def standings(
    request: Request, user: Reader, alpha: Alpha = arena.ALPHA, worthwhile: Worthwhile = 0.5
) -> dict[str, Any]:
    """Who wins, how certain that is, and what is still to be judged."""
    with site_of(request).database.reading() as connection:
        return arena.standings(connection, alpha=alpha, worthwhile=worthwhile)


@router.get("/lead/arena", include_in_schema=False)
def arena_page(request: Request) -> Response:
    """The arena."""

    def gather(words: LeadWords) -> dict[str, Any]:
        with site_of(request).database.reading() as connection:
            found = arena.standings(connection)
        return {"lead": words("arena.says", alpha=percent(arena.ALPHA)), "found": found}

    return desk.page(request, "arena.html", "desk.arena", gather)


@router.get("/lead/data", include_in_schema=False)
def data_page(request: Request) -> Response:
    """Data in and out."""

    def gather(words: LeadWords) -> dict[str, Any]:
        return {"lead": words("data.says"), "sources": SOURCES, "whats": outcome_files.WHATS}

    return desk.page(request, "data.html", "desk.data", gather)
