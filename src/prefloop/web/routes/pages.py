"""The pages of everybody: judging, chatting, the guideline, history, help, preferences, and the doors."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from prefloop.web.errors import Refusal
from prefloop.web.pages.html import MODULES, language_of, own, rendered
from prefloop.web.pages.words import Words
from prefloop.web.security import accounts
from prefloop.web.security.accounts import current_user
from prefloop.web.store.settings import project
from prefloop.web.store.site import site_of

router = APIRouter(include_in_schema=False)
Language = Annotated[str | None, Query(alias="lang", max_length=10)]
Error = Annotated[str, Query(max_length=40)]
LIMITS = {"shortest": accounts.SHORTEST, "longest": accounts.LONGEST}


@router.get("/")
def judge(request: Request, queue: Literal["work", "arena", "adjudication"] = "work") -> Response:
    """Where people judge; `?queue=arena` or `?queue=adjudication` judges those."""
    here = {} if queue == "work" else {"here": "/lead"}
    return own(request, "judge.html", modules=MODULES, purpose=queue, **here)


@router.get("/chat")
def chat(request: Request) -> Response:
    """Where people talk to the policy under test, and judge its responses."""
    user = current_user(request)
    if request.app.state.partner is None or (user is not None and not user.may_chat):
        raise Refusal(404, "no_chat", "There is no chat here for you.")
    return own(request, "judge.html", modules=MODULES, purpose="chat")


@router.get("/guideline")
@router.get("/history")
@router.get("/help")
@router.get("/preferences")
def plain(request: Request) -> Response:
    """What to judge by; one's own judgements; how it works, and the keys; language, theme, keys."""
    return own(request, f"{request.url.path.removeprefix('/')}.html")


@router.get("/login")
def login(
    request: Request, error: Error = "", next: Annotated[str, Query(max_length=2000)] = "", lang: Language = None
) -> Response:
    """Signing in; the form is taken by session.py, which comes back here with `error` if it fails."""
    carried = "&" + urlencode({"next": next}) if next else ""
    says = _problem(request, error)
    return rendered(request, "login.html", None, next=next, name="", error=says, carried=carried)


@router.get("/join/{token}")
def join(request: Request, token: str, error: Error = "", lang: Language = None) -> Response:
    """Joining by an invitation."""
    role = accounts.invited(site_of(request), token)
    status, says = 200 if role else 404, _problem(request, error)
    return rendered(request, "join.html", None, status=status, token=token, role=role, name="", error=says, **LIMITS)


@router.get("/signed-in")
def signed_in(request: Request) -> Response:
    """The end of signing in again in a second tab."""
    return rendered(request, "signed_in.html", None)


def _problem(request: Request, code: str) -> str:
    """The sentence of a code that a form came back with."""
    if not code:
        return ""
    with site_of(request).database.reading() as connection:
        words = Words(language_of(request, None, project(connection).language))
    keys = (f"problem.{code}", f"refusal.{code}", "problem.other")
    return words.plain(next(key for key in keys if words.has(key)), **LIMITS, why="", status="")
