"""Signing in and out, and joining by invitation: as forms for the pages, as JSON for programs.

A form's failure goes back to its page with `?error=code`: wrong, throttled, no_invitation, name_taken, weak_password,
invalid. Every sign-in makes a new cookie and ends the one that came with it.
"""

from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from starlette.responses import JSONResponse, RedirectResponse, Response

from prefloop.web.body import Body
from prefloop.web.errors import Refusal
from prefloop.web.security import accounts
from prefloop.web.security.guard import log_refusal
from prefloop.web.store.site import Site, site_of

router = APIRouter(tags=["session"])
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,64}$")]


class Credentials(Body):
    """Who somebody is."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Their name."""
    password: Annotated[str, Field(min_length=1, max_length=accounts.LONGEST)]
    """Their password."""


async def form(request: Request) -> dict[str, str]:
    """A form's fields, the first of each name."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[0].replace("\0", "") for name, values in fields.items()}


Form = Annotated[dict[str, str], Depends(form)]


def inside(path: str) -> str:
    """The path if it stays on this site, else the front page: nobody is sent elsewhere after signing in."""
    plain = len(path) < 2000 and path.isprintable() and "\\" not in path
    return path if plain and path.startswith("/") and not path.startswith("//") else "/"


def _home(site: Site, cookie: str) -> str:
    """Where somebody begins who named no page: leads with their own, for the judging page would take items for them."""
    user = accounts.by_session(site, cookie)
    return "/lead" if user is not None and user.is_at_least("lead") else "/"


def _from(request: Request) -> dict[str, Any]:
    """Where a sign-in comes from, and the session that it ends."""
    return {"address": request.client.host[:64] if request.client else "-", "old": request.cookies.get(accounts.COOKIE)}


def _with_cookie(request: Request, response: Response, cookie: str) -> Response:
    config = site_of(request).config
    secure = config.https or request.url.scheme == "https"
    age = int(config.session_days * 86400)
    response.set_cookie(accounts.COOKIE, cookie, max_age=age, path="/", httponly=True, samesite="lax", secure=secure)
    return response


def _back(request: Request, path: str, problem: Refusal, **more: str) -> Response:
    log_refusal(request.scope, problem)
    return RedirectResponse(f"{path}?{urlencode({'error': problem.code, **more})}", status_code=303)


@router.post("/login", include_in_schema=False)
def login(request: Request, fields: Form) -> Response:
    """Signs in by form: name, password, next."""
    site, named = site_of(request), fields.get("next", "")
    name, password = fields.get("name", "")[:200], fields.get("password", "")[: accounts.LONGEST]
    try:
        cookie = accounts.sign_in(site, name, password, **_from(request))
    except Refusal as problem:
        return _back(request, "/login", problem, **({"next": inside(named)} if named else {}))
    then = inside(named) if named else _home(site, cookie)
    return _with_cookie(request, RedirectResponse(then, status_code=303), cookie)


@router.post("/join/{token}", include_in_schema=False)
def join(request: Request, token: Token, fields: Form) -> Response:
    """Joins by form: name, password."""
    site = site_of(request)
    try:
        more = {"old": request.cookies.get(accounts.COOKIE), "language": fields.get("lang", "")}
        cookie = accounts.join(site, token, fields.get("name", "")[:200], fields.get("password", ""), **more)
    except Refusal as problem:
        return _back(request, f"/join/{token}", problem)
    return _with_cookie(request, RedirectResponse(_home(site, cookie), status_code=303), cookie)


@router.post("/logout", include_in_schema=False)
async def logout(request: Request) -> Response:
    """Signs out."""
    cookie = request.cookies.get(accounts.COOKIE)
    if cookie:
        await run_in_threadpool(accounts.sign_out, site_of(request), cookie)
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(accounts.COOKIE, path="/")
    return response


@router.post("/api/v1/session")
def begin(request: Request, body: Credentials) -> Response:
    """Signs in; the cookie comes with the answer."""
    cookie = accounts.sign_in(site_of(request), body.name, body.password, **_from(request))
    return _with_cookie(request, JSONResponse({"name": accounts.known_as(body.name)}), cookie)


@router.delete("/api/v1/session")
def end(request: Request) -> Response:
    """Signs out."""
    cookie = request.cookies.get(accounts.COOKIE)
    if cookie:
        accounts.sign_out(site_of(request), cookie)
    response = JSONResponse({"signed_in": False})
    response.delete_cookie(accounts.COOKIE, path="/")
    return response


@router.post("/api/v1/join/{token}")
def join_by_json(request: Request, token: Token, body: Credentials) -> Response:
    """Joins; the cookie comes with the answer."""
    old = request.cookies.get(accounts.COOKIE)
    cookie = accounts.join(site_of(request), token, body.name, body.password, old=old)
    return _with_cookie(request, JSONResponse({"name": accounts.known_as(body.name)}), cookie)
