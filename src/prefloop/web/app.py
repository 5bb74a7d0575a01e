"""The application: guard, routes, static files, and every error as a sentence."""

import contextlib
import errno
import logging
import mimetypes
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import prefloop
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.web.errors import Refusal
from prefloop.web.exchange.export import ArenaDelivery, Delivery
from prefloop.web.pages.error_words import TYPES as CAUSE_OF
from prefloop.web.pages.html import HERE, error_page
from prefloop.web.routes import (
    access,
    adjudication,
    advanced,
    annotators,
    arena,
    chat,
    dashboard,
    exports,
    flags,
    gold,
    guidelines,
    imports,
    items,
    judgements,
    me,
    pages,
    people,
    presentations,
    selection,
    session,
    settings,
    webhooks,
)
from prefloop.web.security.guard import HEADERS, Guard, believed, log_refusal
from prefloop.web.store.site import Site
from prefloop.web.work import queue
from prefloop.web.work.partner import Partner

ROUTES = (
    presentations, judgements, flags, me, chat, session, guidelines, people, access, settings, items, gold, dashboard,
    annotators, selection, adjudication, arena, imports, exports, webhooks, advanced,
)  # fmt: skip
STATIC = HERE / "static"
EVERY = 2.0
"""Seconds between two looks at leases that ran out and at whether enough is judged."""
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".json": "application/json",
}
CODES = {
    400: "bad_request", 401: "signed_out", 403: "forbidden", 404: "not_found", 405: "wrong_method", 413: "too_large",
    415: "not_json",
}  # fmt: skip
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a full disk, or a share of it, is called."""
PROBLEMS = (UserError, OSError, ValueError, SQLAlchemyError)
"""What ends one look of the housekeeping, not the housekeeping."""
log = logging.getLogger("prefloop.web")


def create_app(site: Site) -> FastAPI:
    """The page of a site, as an ASGI application."""
    for suffix, kind in TYPES.items():
        mimetypes.add_type(kind, suffix)
    urls = {"openapi_url": "/api/v1/openapi.json", "docs_url": None, "redoc_url": None}
    app = FastAPI(title="prefloop web", version=prefloop.__version__, lifespan=_lifespan, **urls)
    app.state.site = site
    app.state.static_version = fingerprints.of_path(STATIC) if STATIC.is_dir() else "none"
    app.state.partner = Partner(site.config) if site.config.model_server else None
    for routes in ROUTES:
        app.include_router(routes.router)
    app.mount(f"/static/{app.state.static_version}", Files(directory=STATIC, check_dir=False, forever=True))
    app.mount("/static", Files(directory=STATIC, check_dir=False, forever=False))
    app.include_router(pages.router)
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _full)
    app.add_exception_handler(sqlite3.Error, _full)
    app.add_exception_handler(500, _broken)
    app.add_middleware(Guard, config=site.config, answer=sentence)
    if site.config.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=believed(site.config.proxies))
    return app


class Files(StaticFiles):
    """Files of the package; under a path with their fingerprint they never change."""

    def __init__(self, *, directory: Path, check_dir: bool, forever: bool) -> None:
        super().__init__(directory=directory, check_dir=check_dir)
        self.forever = forever

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, and how long it may be kept."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if self.forever else "no-cache"
        return response


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """While the server runs, a thread ends leases and writes judgements.jsonl when enough is in."""
    stop, site = threading.Event(), app.state.site
    deliveries = (Delivery(site), ArenaDelivery(site))

    def expire() -> None:
        while queue.expire(site) >= queue.SWEEP:
            pass

    def keep_house() -> None:
        while not stop.wait(EVERY):
            for work in (expire, *(delivery.look for delivery in deliveries)):
                try:
                    work()
                except PROBLEMS as problem:
                    log.warning("housekeeping: %s", problem)
        for delivery in deliveries:
            with contextlib.suppress(*PROBLEMS):  # what is kept back is kept in the database
                delivery.look(last=True)

    thread = threading.Thread(target=keep_house, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(timeout=10)
    site.database.close()


def sentence(
    request: Request,
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
    *,
    why: dict[str, Any] | None = None,
) -> Response:
    """An error: JSON for the API, with what is wrong with which field if that is known, or a page for people."""
    message = message.encode("utf-8", "replace").decode("utf-8")[:1000]
    if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
        says = {"code": code, "message": message} | ({"why": why} if why else {})
        return JSONResponse({"error": says}, status_code=status, headers=headers)
    page = error_page(request, status, code, message)
    page.headers.update(headers or {})
    return page


def _user_error(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Refusal):
        return sentence(request, 422, "invalid", str(problem))
    if problem.status >= 400:
        log_refusal(request.scope, problem)
    if str(problem) != problem.message:
        log.warning("%s", problem)
    again = {"Retry-After": "900" if problem.status == 429 else "2"} if problem.status in (429, 503) else None
    return sentence(request, problem.status, problem.code, problem.message, again)


def _invalid(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, RequestValidationError)
    error: dict[str, Any] = dict(problem.errors()[0])
    place = ".".join(str(part) for part in error.get("loc", ()) if part not in ("body", "query", "path"))
    message = str(error.get("msg", "not valid")).removeprefix("Value error, ")
    text = f"`{place}`: {message}." if place else f"{message}."
    cause, limit = CAUSE_OF.get(str(error.get("type")), ("", ""))
    why = {"field": place[:200], "cause": cause, "limit": error.get("ctx", {}).get(limit, "")}
    return sentence(request, 422, "invalid", text, why=why if cause and place else None)


def _http(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    code = CODES.get(problem.status_code, "refused")
    log_refusal(request.scope, Refusal(problem.status_code, code, ""))
    return sentence(request, problem.status_code, code, str(problem.detail), dict(problem.headers or {}))


def _full(request: Request, problem: Exception) -> Response:
    """A disk that is full is said so; another fault of the machine is a fault of the server."""
    number = problem.errno if isinstance(problem, OSError) else None
    if number in FULL or (isinstance(problem, sqlite3.Error) and "full" in str(problem)):
        log.warning("disk_full: %s %s: %s", request.method, request.url.path, problem)
        says = "The server's disk is full. Nothing that was acknowledged is lost; tell the lead to free some space."
        return sentence(request, 507, "disk_full", says)
    return _broken(request, problem)


def _broken(request: Request, problem: Exception) -> Response:
    log.error("broken: %s %s", request.method, request.url.path, exc_info=problem)
    headers = {**HEADERS, "Cache-Control": "no-store"}  # this answer is made outside of the guard
    says = "Something is broken on the server; the log tells what. Nothing that was acknowledged is lost."
    return sentence(request, 500, "broken", says, headers)
