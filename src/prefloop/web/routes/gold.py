"""The page that makes an item whose answer is known, or changes one."""

import json
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.routes.parameters import Here
from prefloop.web.security.accounts import User
from prefloop.web.store import settings
from prefloop.web.store.comparisons import of_responses
from prefloop.web.store.tables import responses
from prefloop.web.work import gold
from prefloop.web.work.answers import MARKED, Marked

router = APIRouter(include_in_schema=False)


def _picked(asked: str, existing: Sequence[int], kind: str) -> list[int]:
    """The responses that are asked about, ascending: what the address names, or all; two for a pair."""
    named = sorted({int(part) for part in asked.split(",") if part.isdecimal() and len(part) < 5} & set(existing))
    if kind == "pair":
        return named if len(named) == 2 else list(existing[:2])
    return named or list(existing)


@router.get("/lead/items/gold")
def gold_page(
    request: Request,
    site: Here,
    item: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    comparison: Annotated[str, Query(max_length=200)] = "",
    kind: Marked = "pair",
    of: Annotated[list[str] | None, Query(max_length=100)] = None,
) -> Response:
    """Makes a gold or calibration item of an item or a comparison, or changes one."""
    with site.database.reading() as connection:
        row, about = gold.asked_of(connection, item, comparison.strip())
        if about is None:
            missing = row.comparison if row else comparison.strip() or str(item or "")
            return RedirectResponse("/lead/items?" + urlencode({"missing": missing}), status_code=303)
        trees = of_responses(connection, [about.id], responses.c.tree)
        axes = settings.project(connection).axes
    shown = sorted((index, tree) for (_, index), tree in trees.items())
    asked = row.kind if row and row.kind in MARKED else kind
    named = ",".join(map(str, row.responses)) if row else ",".join(of or ())
    picked = _picked(named, [index for index, _ in shown], asked)
    expected = row.expected if row and row.expected else None

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        turns = zip(about.messages, about.trees, strict=True)
        return {
            "lead": words("gold.says"), "kinds": MARKED, "kind": asked, "picked": picked, "comparison": about.id,
            "axes": axes,
            "turns": [{"role": turn["role"], "tree": json.dumps(tree, ensure_ascii=False)} for turn, tree in turns],
            "shown": [{"index": index, "tree": json.dumps(tree, ensure_ascii=False)} for index, tree in shown],
            "known": expected["answer"] if expected else {}, "explanation": expected["explanation"] if expected else "",
            "purpose": row.purpose if row and expected else "gold", "fixed": expected is not None,
            "item": row.id if row and expected else None, "retired": bool(row and row.retired),
        }  # fmt: skip

    return lead_pages.page(request, "gold.html", "gold.title", gather)
