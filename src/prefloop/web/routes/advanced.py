"""The advanced page: what to ask next; for admins also tokens, webhooks, the log and everybody's sessions."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from prefloop.web.exchange import webhooks
from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords, on
from prefloop.web.review import selection
from prefloop.web.review.selection import Choice
from prefloop.web.routes.parameters import Here
from prefloop.web.routes.selection import known
from prefloop.web.security import accounts
from prefloop.web.security.accounts import SCOPES, User

router = APIRouter(include_in_schema=False)


@router.get("/lead/advanced")
def advanced_page(request: Request, site: Here) -> Response:
    """What few projects need."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        shares = {name: f"{100 * share:g}" for name, share in Choice(num=1).shares.items()}
        shown = {"strategies": ("random", *selection.STRATEGIES), "shares": shares, **known(site)}
        if not user.is_at_least("admin"):
            return shown
        with site.database.reading() as connection:
            tokens, hooks = accounts.all_tokens(connection)[::-1], webhooks.listed(connection)
            private = webhooks.allows_private(connection)
        there = {"tokens": tokens, "hooks": hooks, "private": private, "scopes": SCOPES, "hook_kinds": webhooks.KINDS}
        return {"on": on, **shown, **there}

    return lead_pages.page(request, "advanced.html", "desk.advanced", gather)
