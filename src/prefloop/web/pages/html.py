"""The HTML pages: templates, the reader's language and theme, and nothing that a script could not also ask of the API."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from prefloop.web.errors import Refusal
from prefloop.web.pages.words import LANGUAGES, Words
from prefloop.web.security import accounts
from prefloop.web.security.accounts import User, current_user
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.work.chat import may_chat

router = APIRouter(include_in_schema=False)
HERE = Path(__file__).parent
TAGS = {"en": "en", "zh": "zh-Hans"}
"""Language -> its tag in HTML."""
COOKIE = "prefloop_language"
"""The last language that somebody read here; not a secret. Error pages and sign-in have nothing else to go by."""
YEAR = 365 * 86400
THEMES = ("auto", "light", "dark")
NAV = (
    ("/", "nav.judge"),
    ("/guideline", "nav.guideline"),
    ("/history", "nav.history"),
    ("/help", "nav.help"),
    ("/preferences", "nav.preferences"),
)
MODULES = sorted(
    path.name
    for path in (HERE / "static").glob("*.js")
    if path.stem not in ("types", "help", "history", "preferences", "guideline-page")
)
"""What the judging page loads, all named at once so that one does not wait for another."""
GENERAL = (
    "not_found",
    "forbidden",
    "wrong_role",
    "wrong_scope",
    "wrong_method",
    "bad_request",
    "invalid",
    "refused",
    "broken",
)
"""Codes that say no more than their status does."""
Language = Annotated[str | None, Query(alias="lang", max_length=10)]
Error = Annotated[str, Query(max_length=40)]

environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def language_of(request: Request, user: User | None, standard: str = "en") -> str:
    """The reader's language: asked for, chosen, read last, preferred by the browser, or the project's."""
    chosen = user.preferences.get("language") if user else None
    browser = [part.split(";")[0].strip().lower()[:2] for part in request.headers.get("accept-language", "").split(",")]
    wanted = [chosen, request.query_params.get("lang"), request.cookies.get(COOKIE), *browser, standard]
    return next((language for language in wanted if language in LANGUAGES), "en")


def rendered(
    request: Request, template: str, user: User | None, /, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A template as a page, for whoever asks. `values` may hold anything the template names."""
    site: Site = request.app.state.site
    with site.database.reading() as connection:
        config = project(connection)
    words = Words(language_of(request, user, config.language))
    return _page(request, template, words, user, status=status, project=site.called(config.name), **values)


def _page(
    request: Request, template: str, words: Words, user: User | None, /, *, status: int, **values: Any
) -> HTMLResponse:
    preferences: Mapping[str, Any] = user.preferences if user else {}
    theme = preferences.get("theme", "auto")
    chats = (("/chat", "nav.chat"),) if user and request.app.state.partner and may_chat(user) else ()
    leads = (("/lead", "nav.lead"),) if user and user.is_at_least("lead") else ()
    context = {
        "t": words,
        "lang": TAGS[words.language],
        "theme": theme if theme in THEMES else "auto",
        "user": user,
        "nav": (*NAV[:1], *chats, *NAV[1:], *leads),
        "here": request.url.path,
        "static": lambda file: f"/static/{request.app.state.static_version}/{file}",
        "scripted": False,
        "keys": json.dumps(preferences.get("keys", {})),
        "words": words.for_scripts(),
        "carried": "",
        "status": status,
        **values,
    }
    response = HTMLResponse(environment.get_template(template).render(context), status_code=status)
    if request.cookies.get(COOKIE) != words.language:
        response.set_cookie(COOKIE, words.language, max_age=YEAR, path="/", httponly=True, samesite="lax")
    return response


def _own(request: Request, template: str, /, **values: Any) -> Response:
    """A page for somebody who is signed in; others are asked to sign in first."""
    user = current_user(request)
    if user is None:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/login" if here == "/" else "/login?" + urlencode({"next": here}), status_code=303)
    return rendered(request, template, user, scripted=True, **values)


@router.get("/")
def judge(request: Request, queue: Literal["work", "arena", "adjudication"] = "work") -> Response:
    """Where people judge; `?queue=arena` or `?queue=adjudication` judges those."""
    here = {} if queue == "work" else {"here": "/lead"}
    return _own(request, "judge.html", modules=MODULES, purpose=queue, **here)


@router.get("/chat")
def chat(request: Request) -> Response:
    """Where people talk to the policy under test, and judge its responses."""
    user = current_user(request)
    if request.app.state.partner is None or (user is not None and not may_chat(user)):
        raise Refusal(404, "no_chat", "There is no chat here for you.")
    return _own(request, "judge.html", modules=MODULES, purpose="chat")


@router.get("/guideline")
def guideline(request: Request) -> Response:
    """What to judge by."""
    return _own(request, "guideline.html")


@router.get("/history")
def history(request: Request) -> Response:
    """One's own judgements."""
    return _own(request, "history.html")


@router.get("/help")
def help_page(request: Request) -> Response:
    """How it works, and the keys."""
    return _own(request, "help.html")


@router.get("/preferences")
def preferences(request: Request) -> Response:
    """Language, theme, keys."""
    return _own(request, "preferences.html")


@router.get("/login")
def login(
    request: Request, error: Error = "", next: Annotated[str, Query(max_length=2000)] = "", lang: Language = None
) -> Response:
    """Signing in; the form is taken by routes/session.py, which comes back here with `error` if it fails."""
    return rendered(
        request,
        "login.html",
        None,
        next=next,
        name="",
        error=_problem(request, error),
        carried="&" + urlencode({"next": next}) if next else "",
    )


@router.get("/join/{token}")
def join(request: Request, token: str, error: Error = "", lang: Language = None) -> Response:
    """Joining by an invitation."""
    role = accounts.invited(request.app.state.site, token)
    limits = {"shortest": accounts.SHORTEST, "longest": accounts.LONGEST}
    return rendered(
        request,
        "join.html",
        None,
        status=200 if role else 404,
        token=token,
        role=role,
        name="",
        error=_problem(request, error),
        **limits,
    )


@router.get("/signed-in")
def signed_in(request: Request) -> Response:
    """The end of signing in again in a second tab."""
    return rendered(request, "signed_in.html", None)


def _problem(request: Request, code: str) -> str:
    """The sentence of a code that a form came back with."""
    if not code:
        return ""
    site: Site = request.app.state.site
    with site.database.reading() as connection:
        words = Words(language_of(request, None, project(connection).language))
    keys = (f"problem.{code}", f"refusal.{code}", "problem.other")
    return words.plain(
        next(key for key in keys if words.has(key)),
        shortest=accounts.SHORTEST,
        longest=accounts.LONGEST,
        why="",
        status="",
    )


def error_page(request: Request, status: int, code: str = "", message: str = "") -> HTMLResponse:
    """A page for an error, made without the database: that may be what is broken. It tells what its code means, or else its status."""
    words = Words(language_of(request, None))
    kind = status if words.has(f"error.{status}.title") else 500 if status >= 500 else 400
    key = f"refusal.{code}" if code not in GENERAL and words.has(f"refusal.{code}") else f"error.{kind}.says"
    heading, says = words.plain(f"error.{kind}.title"), words.plain(key, why=message)
    return _page(request, "error.html", words, None, status=status, project="prefloop", heading=heading, says=says)
