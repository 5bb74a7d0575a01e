"""Items: their list, and those whose answer is known, made, turned and retired."""

from collections import Counter
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from prefloop.web.pages import lead_pages, rendering
from prefloop.web.pages.lead_words import LeadWords, meant
from prefloop.web.review import comments
from prefloop.web.routes.parameters import Here, Lead, LongNumber, Reader
from prefloop.web.security.accounts import User
from prefloop.web.work import finding, gold
from prefloop.web.work.answers import MARKED

router = APIRouter(tags=["lead"])
PAGE, SUSPECT = 30, 5
"""Judged items on a page; answers from which a gold item that most get wrong is worth a look."""
Kind = Literal["pair", "ranking", "rating", "thumb", "edit", "demonstration"]
Purpose = Literal["work", "gold", "calibration", "adjudication", "arena", "chat"]


@router.get("/api/v1/items")
def list_items(
    user: Reader,
    site: Here,
    purpose: Purpose = "work",
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    words: Annotated[str, Query(max_length=200)] = "",
    comparison: Annotated[str, Query(max_length=200)] = "",
    number: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    kind: Kind | None = None,
    state: finding.State | None = None,
) -> dict[str, Any]:
    """Items by number, a page at a time, with what was said of each: the next page begins `after` this one's `next`.

    `words` looks in prompts, responses and ids; one call looks at 20,000 items at most, and `looked` tells at how many.
    """
    sought = finding.Sought(purpose, words.replace("\0", ""), comparison.replace("\0", ""), number, kind, state)
    with site.database.reading() as connection:
        page = finding.found(connection, sought, after=after, limit=limit)
        said = gold.said_of(connection, {row["id"]: row["kind"] for row in page.items if row["kind"] in MARKED})
    rows = [{**row, "said": said.get(row["id"], [])} for row in page.items]
    return {"items": rows, "next": page.next, "looked": page.looked}


@router.post("/api/v1/items")
def mark(user: Lead, site: Here, body: gold.Mark) -> dict[str, Any]:
    """Makes a gold or calibration item of a comparison; it is work no longer."""
    tree = rendering.tree(body.explanation)
    return site.database.write(lambda c: gold.mark(c, site, body, tree, actor=user.name))


@router.post("/api/v1/items/{number}/gold")
def mark_item(user: Lead, site: Here, number: LongNumber, body: gold.MarkItem) -> dict[str, Any]:
    """Makes an item gold or calibration, with the answer that it was given unless another is told."""
    tree = rendering.tree(body.explanation)
    return site.database.write(lambda c: gold.mark_item(c, site, number, body, tree, actor=user.name))


@router.put("/api/v1/items/{number}")
def change_item(user: Lead, site: Here, number: LongNumber, body: gold.Change) -> dict[str, Any]:
    """Retires a gold or calibration item, asks it again, or turns one into the other."""
    return site.database.write(lambda c: gold.change(c, site, number, body, actor=user.name))


@router.get("/lead/items", include_in_schema=False)
def items_page(
    request: Request,
    site: Here,
    words: Annotated[str, Query(max_length=200)] = "",
    kind: Kind | Literal[""] = "",
    state: finding.State | Literal[""] = "judged",
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    missing: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Gold, calibration, what may become gold, flags and comments."""
    sought = finding.Sought("work", words.replace("\0", ""), kind=kind or None, state=state or None)

    def gather(t: LeadWords, user: User) -> dict[str, Any]:
        with site.database.reading() as connection:
            marked = {purpose: gold.marked(connection, purpose) for purpose in gold.PURPOSES}
            page = finding.found(connection, sought, after=after, limit=PAGE)
            said = gold.said_of(connection, {row["id"]: row["kind"] for row in page.items if row["kind"] in MARKED})
            remarks = comments.everything(connection)
        for row in (*marked["gold"], *marked["calibration"]):
            row["answer"] = meant(row["kind"], row["expected"], t)
            row["suspect"] = row["number"] >= SUSPECT and 2 * row["right"] < row["number"]
        more = {"words": words, "kind": kind, "state": state, "after": page.next}
        return {
            "lead": t("items.says"), **marked, "missing": missing, "sought": sought, "markable": MARKED,
            "kinds": get_args(Kind), "states": get_args(finding.State),
            "found": [{**row, **_votes(row["kind"], said.get(row["id"], []), t)} for row in page.items],
            "more": f"/lead/items?{urlencode(more)}#find" if page.next else "",
            "flags": [t.remark(remark) for remark in remarks],
        }  # fmt: skip

    return lead_pages.page(request, "items.html", "desk.items", gather)


def _votes(kind: str, said: list[dict[str, Any]], t: LeadWords) -> dict[str, Any]:
    """What was said of an item, how often, and what more than half said."""
    votes = Counter(meant(kind, one, t) for one in said).most_common()
    return {"votes": votes, "keeps": votes[0][0] if votes and 2 * votes[0][1] > len(said) else ""}
