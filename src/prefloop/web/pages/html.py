"""Templates as pages, in the reader's language and theme; an error, too, is a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from prefloop.web.config import LANGUAGES
from prefloop.web.pages import marks
from prefloop.web.pages.words import Words
from prefloop.web.security.accounts import User, current_user
from prefloop.web.store.settings import project
from prefloop.web.store.site import site_of

HERE = Path(__file__).parent
TAGS = {"en": "en", "zh": "zh-Hans"}
"""Language -> its tag in HTML."""
COOKIE = "prefloop_language"
"""The last language that somebody read here; not a secret. Error pages and sign-in have nothing else to go by."""
YEAR = 365 * 86400
THEMES = ("auto", "light", "dark")
NAV = (
    ("/", "nav.judge"), ("/guideline", "nav.guideline"), ("/history", "nav.history"), ("/help", "nav.help"),
    ("/preferences", "nav.preferences"),
)  # fmt: skip
NOT_JUDGING = ("types", "help", "history", "preferences", "guideline-page")
MODULES = sorted(path.name for path in (HERE / "static").glob("*.js") if path.stem not in NOT_JUDGING)
"""What the judging page loads, all named at once so that one does not wait for another."""
GENERAL = (
    "not_found", "forbidden", "wrong_role", "wrong_scope", "wrong_method", "bad_request", "invalid", "refused", "broken"
)  # fmt: skip
"""Codes that say no more than their status does."""

environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=marks.in_templates,
)
environment.filters["exact"] = marks.Exact


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
    site = site_of(request)
    with site.database.reading() as connection:
        config = project(connection)
    words = Words(language_of(request, user, config.language))
    return _page(request, template, words, user, status=status, project=site.called(config.name), **values)


def _page(
    request: Request, template: str, words: Words, user: User | None, /, *, status: int, **values: Any
) -> HTMLResponse:
    preferences: Mapping[str, Any] = user.preferences if user else {}
    theme = preferences.get("theme", "auto")
    chats = (("/chat", "nav.chat"),) if user and request.app.state.partner and user.may_chat else ()
    leads = (("/lead", "nav.lead"),) if user and user.is_at_least("lead") else ()
    context = {
        "t": words, "lang": TAGS[words.language], "theme": theme if theme in THEMES else "auto", "user": user,
        "nav": (*NAV[:1], *chats, *NAV[1:], *leads), "here": request.url.path,
        "static": lambda file: f"/static/{request.app.state.static_version}/{file}", "scripted": False,
        "keys": json.dumps(preferences.get("keys", {})), "words": words.for_scripts(), "carried": "", "status": status,
        **values,
    }  # fmt: skip
    response = HTMLResponse(environment.get_template(template).render(context), status_code=status)
    if request.cookies.get(COOKIE) != words.language:
        response.set_cookie(COOKIE, words.language, max_age=YEAR, path="/", httponly=True, samesite="lax")
    return response


def own(request: Request, template: str, /, **values: Any) -> Response:
    """A page for somebody who is signed in; others are asked to sign in first."""
    user = current_user(request)
    return to_sign_in(request) if user is None else rendered(request, template, user, scripted=True, **values)


def to_sign_in(request: Request) -> Response:
    """The way to signing in, and from there back."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse("/login" if here == "/" else "/login?" + urlencode({"next": here}), status_code=303)


def error_page(request: Request, status: int, code: str = "", message: str = "") -> HTMLResponse:
    """A page for an error, made without the database (which may be broken): what its code means, or its status."""
    words = Words(language_of(request, None))
    kind = status if words.has(f"error.{status}.title") else 500 if status >= 500 else 400
    key = f"refusal.{code}" if code not in GENERAL and words.has(f"refusal.{code}") else f"error.{kind}.says"
    heading, says = words.plain(f"error.{kind}.title"), words.plain(key, why=message)
    return _page(request, "error.html", words, None, status=status, project="prefloop", heading=heading, says=says)
