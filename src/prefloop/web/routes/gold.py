"""Items whose answer is known: their list, what was judged and may become one, what annotators say, and the page that makes one."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection, Row, select

from prefloop.web.pages import lead_pages as desk
from prefloop.web.pages.lead_pages import site_of
from prefloop.web.pages.lead_words import LeadWords
from prefloop.web.review import comments as remarks
from prefloop.web.routes.settings import on
from prefloop.web.store import settings
from prefloop.web.store.tables import comparisons, items, judgements, presentations, responses
from prefloop.web.work.answers import meaning

router = APIRouter(include_in_schema=False)
MARKED = ("pair", "ranking", "rating", "thumb")
"""Kinds that can have a known answer."""
PAGE, SUSPECT = 30, 5
"""Judged items on a page; answers from which a gold item that most get wrong is worth a look."""
Before = Annotated[int | None, Query(ge=1, le=2**62)]
Identity = Annotated[str, Query(max_length=200)]


def told(kind: str, said: dict[str, Any], words: LeadWords) -> str:
    """A meaning in a few words; responses count from 1."""
    if kind == "pair":
        return words("gold.best", n=said["best"] + 1) if "best" in said else words(f"gold.{said['choice']}")
    if kind == "ranking":
        return " · ".join(str(rank) for rank in said["ranks"])
    if kind == "rating":
        return "; ".join(
            f"{axis}: {' · '.join(str(mark) for mark in marks)}" for axis, marks in said["ratings"].items()
        )
    if kind == "thumb":
        return " · ".join(words("gold.up" if thumb else "gold.down") for thumb in said["thumbs"])
    return ""


def _newest(*where: Any) -> Any:
    """Judgements that no revision replaced, with the order in which responses were shown."""
    replaced = select(judgements.c.replaces).where(judgements.c.replaces.is_not(None))
    columns = (judgements.c.item, judgements.c.answer, judgements.c.right, presentations.c.order)
    return (
        select(*columns).join(presentations, presentations.c.id == judgements.c.presentation)
        .where(judgements.c.id.not_in(replaced), *where)
    )  # fmt: skip


def marked(connection: Connection, purpose: str, words: LeadWords) -> list[dict[str, Any]]:
    """Gold or calibration items, those that are asked first, with how often they were answered as expected."""
    query = (
        select(items, comparisons.c.messages)
        .join(comparisons, comparisons.c.id == items.c.comparison)
        .where(items.c.purpose == purpose)
    )
    rows = connection.execute(query.order_by(items.c.retired, items.c.id.desc()).limit(500)).all()
    counts: dict[int, list[int]] = {}
    for one in connection.execute(_newest(judgements.c.item.in_([row.id for row in rows]))):
        here = counts.setdefault(one.item, [0, 0])
        here[0] += bool(one.right)
        here[1] += 1
    shown = []
    for row in rows:
        right, number = counts.get(row.id, [0, 0])
        answer = told(row.kind, row.expected["answer"], words)
        more = {"answer": answer, "right": right, "number": number, "suspect": number >= SUSPECT and 2 * right < number}
        shown.append(
            {"id": row.id, "prompt": row.messages[-1]["content"], "kind": row.kind, "retired": row.retired, **more}
        )
    return shown


def candidates(connection: Connection, before: int | None, words: LeadWords) -> list[dict[str, Any]]:
    """Items of work that were judged and whose answer is not known yet, the newest item first, with what was said of them."""
    query = (
        select(items, comparisons.c.messages).join(comparisons, comparisons.c.id == items.c.comparison)
        .where(items.c.purpose == "work", items.c.kind.in_(MARKED), items.c.done > 0, ~items.c.retired).order_by(items.c.id.desc()).limit(PAGE)
    )  # fmt: skip
    rows = connection.execute(query if before is None else query.where(items.c.id < before)).all()
    votes: dict[int, Counter[str]] = {}
    kinds = {row.id: row.kind for row in rows}
    for one in connection.execute(_newest(judgements.c.item.in_(kinds), judgements.c.counted)):
        said = told(kinds[one.item], meaning(kinds[one.item], one.answer, one.order), words)
        votes.setdefault(one.item, Counter())[said] += 1
    return [
        {
            "id": row.id,
            "prompt": row.messages[-1]["content"],
            "kind": row.kind,
            "votes": votes.get(row.id, Counter()).most_common(),
        }
        for row in rows
    ]


def said_of(one: dict[str, Any], words: LeadWords) -> dict[str, Any]:
    """A flag, a skip or a comment in the reader's language."""
    reason = one["reason"]
    parts = (words(f"skip.{reason}") if words.has(f"skip.{reason}") else reason, one["comment"])
    return {**one, "at": on(one["at"]), "says": " · ".join(part for part in parts if part)}


@router.get("/lead/items")
def items_page(request: Request, before: Before = None, missing: Identity = "") -> Response:
    """Gold, calibration, candidates, flags and comments."""

    def gather(words: LeadWords) -> dict[str, Any]:
        with site_of(request).database.reading() as connection:
            found = {
                "gold": marked(connection, "gold", words), "calibration": marked(connection, "calibration", words),
                "candidates": candidates(connection, before, words), "flags": [said_of(one, words) for one in remarks.everything(connection)],
            }  # fmt: skip
        return {"lead": words("items.says"), "missing": missing, "page": PAGE, "markable": MARKED, **found}

    return desk.page(request, "items.html", "desk.items", gather)


def _of_item(connection: Connection, number: int) -> Row[Any] | None:
    return connection.execute(select(items).where(items.c.id == number)).first()


def _picked(asked: str, existing: Sequence[int], kind: str) -> list[int]:
    """The responses that are asked about, in ascending order: what the address names, or all; two for a pair."""
    named = sorted({int(part) for part in asked.split(",") if part.isdecimal() and len(part) < 5} & set(existing))
    if kind == "pair":
        return named if len(named) == 2 else list(existing[:2])
    return named or list(existing)


@router.get("/lead/items/gold")
def gold_page(
    request: Request,
    item: Before = None,
    comparison: Identity = "",
    kind: Literal["pair", "ranking", "rating", "thumb"] = "pair",
    of: Annotated[list[str] | None, Query(max_length=100)] = None,
) -> Response:
    """Makes a gold or calibration item of an item or a comparison, or changes one."""
    with site_of(request).database.reading() as connection:
        row = _of_item(connection, item) if item else None
        identity = row.comparison if row else comparison.strip()
        about = connection.execute(select(comparisons).where(comparisons.c.id == identity)).first()
        query = (
            select(responses.c.index, responses.c.tree)
            .where(responses.c.comparison == identity)
            .order_by(responses.c.index)
        )
        shown = [(int(index), tree) for index, tree in connection.execute(query)]
        config = settings.project(connection)
    if about is None:
        return RedirectResponse("/lead/items?" + urlencode({"missing": identity or str(item or "")}), status_code=303)
    asked = row.kind if row and row.kind in MARKED else kind
    named = ",".join(map(str, row.responses)) if row else ",".join(of or ())
    picked = _picked(named, [index for index, _ in shown], asked)
    expected = row.expected if row and row.expected else None

    def gather(words: LeadWords) -> dict[str, Any]:
        turns = zip(about.messages, about.trees, strict=True)
        return {
            "lead": words("gold.says"), "kinds": MARKED, "kind": asked, "picked": picked, "comparison": about.id, "axes": config.axes,
            "turns": [{"role": turn["role"], "tree": json.dumps(tree, ensure_ascii=False)} for turn, tree in turns],
            "shown": [{"index": index, "tree": json.dumps(tree, ensure_ascii=False)} for index, tree in shown],
            "known": expected["answer"] if expected else {}, "explanation": expected["explanation"] if expected else "",
            "purpose": row.purpose if row and expected else "gold", "fixed": expected is not None,
            "item": row.id if row and expected else None, "retired": bool(row and row.retired),
        }  # fmt: skip

    return desk.page(request, "gold.html", "gold.title", gather)
