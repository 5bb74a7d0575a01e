"""Pages for leads: who may see them, their sections, and words for what is worth a look."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from prefloop.web.errors import Refusal
from prefloop.web.pages import html
from prefloop.web.pages.lead_words import LeadWords, number, percent
from prefloop.web.security.accounts import User, current_user
from prefloop.web.store.settings import project
from prefloop.web.store.site import site_of

SECTIONS = (
    ("/lead", "desk.dashboard"), ("/lead/people", "desk.people"), ("/lead/guideline", "desk.guideline"),
    ("/lead/settings", "desk.settings"), ("/lead/items", "desk.items"), ("/lead/annotators", "desk.annotators"),
    ("/lead/adjudication", "desk.adjudication"), ("/lead/arena", "desk.arena"), ("/lead/data", "desk.data"),
    ("/lead/advanced", "desk.advanced"),
)  # fmt: skip


Gather = Callable[[LeadWords, User], dict[str, Any]]
"""What a template names, given the reader's words and the reader."""


def page(request: Request, name: str, title: str, gather: Gather) -> Response:
    """A page for leads; whoever is not signed in is asked to, and others are refused.

    Args:
        name: the template under templates/lead.
        title: key of the heading, unless what is gathered has a `heading`.
        gather: called for leads only.
    """
    user = current_user(request)
    if user is None:
        return RedirectResponse("/login?" + urlencode({"next": request.url.path}), status_code=303)
    if user.scopes is not None and not {"read", "admin"} & set(user.scopes):
        raise Refusal(403, "wrong_scope", "This token may not read what leads see; make one with the scope read.")
    if not user.is_at_least("lead"):
        raise Refusal(403, "wrong_role", f"This is for a lead; you are signed in as {user.role}.")
    words = words_of(request, user)
    section = max((path for path, _ in SECTIONS if request.url.path.startswith(path)), key=len, default="/lead")
    values = {"t": words, "words": words.for_scripts(), "scripted": True, "percent": percent, "number": number}
    values |= {"here": section, "sections": [(path, words(key)) for path, key in SECTIONS]}
    values |= {"heading": words(title), "lead": "", **gather(words, user)}
    return html.rendered(request, f"lead/{name}", user, **values)


def words_of(request: Request, user: User) -> LeadWords:
    """The reader's words."""
    with site_of(request).database.reading() as connection:
        return LeadWords(html.language_of(request, user, project(connection).language))


def concerns(report: dict[str, Any], t: LeadWords, floor: float) -> list[str]:
    """What is worth a look about an annotator, in the reader's language."""
    side, gold, drift, consensus = (report[name] for name in ("side", "gold", "drift", "consensus"))
    values = {
        "left": side["successes"], "sides": side["n"], "agreed": consensus["agreed"], "n": consensus["n"],
        "expected": percent(consensus["expected"]), "right": gold["successes"], "golds": gold["n"],
        "early": percent(drift["early"]), "late": percent(drift["late"]),
    }  # fmt: skip
    says = [t(f"finding.{finding['name']}", **values) for finding in report["findings"]]
    if gold["alert"]:
        says.append(t("finding.alert", floor=percent(floor), below=percent(gold["probability_below"])))
    if report["speed"]["hurried"]:
        says.append(t("finding.hurried", share=percent(report["speed"]["share_of_reading"])))
    return says
