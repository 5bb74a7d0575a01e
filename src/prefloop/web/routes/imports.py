"""Bringing in files: bodies are files as they are, of one of the types in `guard.FILE_TYPES`."""

import tempfile
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from prefloop import layout
from prefloop.records import AnnotatorKind
from prefloop.web.exchange import arena_files, comparison_files, gold_files, importing, score_files
from prefloop.web.exchange.foreign_judgements import Source
from prefloop.web.exchange.questions import Asked, labels_of
from prefloop.web.exchange.rows import OnBad
from prefloop.web.security.accounts import User, needs
from prefloop.web.security.guard import FILE_BODY
from prefloop.web.store.site import Site, site_of

router = APIRouter(prefix="/api/v1/import", tags=["lead"])
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".gz")
Told = Annotated[str, Query(max_length=200)]
FileName = Annotated[str, Query(max_length=200)]
Model = Annotated[str, Query(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]


def safe_name(name: str, content_type: str) -> str:
    """What a lead's file is called in sentences: as they call it, but never written where they say."""
    if content_type.lower().startswith("text/csv") and not name.lower().endswith(".csv"):
        name = f"{PurePath(name).stem}.csv"
    last = PurePath(name.replace("\\", "/")).name
    plain = "".join(letter for letter in last if letter.isprintable() and letter not in "/\0").lstrip(".")
    shown = (plain or "import.jsonl")[-80:]
    shown = shown if shown.lower().endswith(SUFFIXES) else f"{shown}.jsonl"
    return shown.encode("utf-8", "replace").decode("utf-8")


async def _with_file(request: Request, name: str, work: Callable[[Site, Path, User], dict[str, Any]]) -> dict[str, Any]:
    """Keeps the body in a file while `work` reads it."""
    user = await run_in_threadpool(needs("lead", "write", "admin"), request)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / safe_name(name, request.headers.get("content-type", ""))
        with path.open("wb") as file:
            async for part in request.stream():
                file.write(part)
        return await run_in_threadpool(work, site_of(request), path, user)


@router.post("/comparisons", openapi_extra=FILE_BODY)
async def import_comparisons(request: Request, lenient: bool = False) -> dict[str, Any]:
    """Takes in comparisons, one per line; with `lenient` wrong rows are left out and told."""

    def work(site: Site, path: Path, user: User) -> dict[str, Any]:
        added, problems = comparison_files.from_file(site, path, actor=user.name, lenient=lenient)
        return {"added": added, "left_out": len(problems), "problems": problems[:100]}

    return await _with_file(request, "import.jsonl", work)


@router.post("/rows", openapi_extra=FILE_BODY)
async def import_rows(
    request: Request, source: Source = "tickets", on_bad: OnBad = "stop", file: FileName = "import.jsonl",
    question: Told = "", labels: Annotated[str, Query(max_length=4000)] = "", axis: Told = "", prompt: Told = "",
    judges: AnnotatorKind | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Tickets, or an export of another tool: comparisons, and judgements if there are any, each read as what it is.

    `question` is the comparison where several choose between two; `labels` says what labels mean (`Pink = a; Dunno =`);
    `axis`, what ratings are about; `prompt`, what was answered, where rows do not say; `judges`, who judged.
    """

    def work(site: Site, path: Path, user: User) -> dict[str, Any]:
        said = {"question": question, "labels": labels_of(labels), "axis": axis, "prompt": prompt.replace("\0", "")}
        asked = Asked(**said, judges=judges)
        return importing.from_file(site, path, source=source, on_bad=on_bad, actor=user.name, asked=asked)

    return await _with_file(request, file, work)


@router.post("/scores", openapi_extra=FILE_BODY)
async def import_scores(
    request: Request, model: Model, on_bad: OnBad = "stop", file: FileName = "scores.jsonl"
) -> dict[str, Any]:
    """Scores of a reward model; those of the same model are replaced."""

    def work(site: Site, path: Path, user: User) -> dict[str, Any]:
        return score_files.from_file(site, path, model=model, actor=user.name, skip=on_bad == "skip")

    return await _with_file(request, file, work)


@router.post("/gold", openapi_extra=FILE_BODY)
async def import_gold(request: Request, on_bad: OnBad = "stop", file: FileName = "gold.jsonl") -> dict[str, Any]:
    """Items whose answer is known: `item` or `comparison`, and `expected` or `choice`; an item alone keeps its own."""

    def work(site: Site, path: Path, user: User) -> dict[str, Any]:
        return gold_files.from_file(site, path, on_bad=on_bad, actor=user.name)

    return await _with_file(request, file, work)


@router.post("/arena", openapi_extra=FILE_BODY)
async def import_arena(
    request: Request, wanted: Annotated[int, Query(ge=1, le=50)] = 1, on_bad: OnBad = "stop",
    file: FileName = layout.ARENA,
) -> dict[str, Any]:  # fmt: skip
    """Responses of several samplers to the same prompts, to be judged blind."""

    def work(site: Site, path: Path, user: User) -> dict[str, Any]:
        return arena_files.from_file(site, path, wanted=wanted, on_bad=on_bad, actor=user.name)

    return await _with_file(request, file, work)
