"""Items whose answer is known: made, turned from gold into calibration and back, retired, and asked again.

An item keeps its purpose for good, because the log tells for what each judgement was asked: what is turned is retired,
and the same question with the same answer is asked for the other purpose. Nobody is asked a retired item; what was
judged of it stays in the log and counts in what is said of people.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection, Row, select, update

from prefloop.web.body import Body
from prefloop.web.errors import Refusal, refuse_unless
from prefloop.web.pages.rendering import Tree
from prefloop.web.store import chain, settings
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, judgements, presentations, responses
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import items, judging
from prefloop.web.work.answers import MARKED, Marked, check_expected, meaning
from prefloop.web.work.votes import is_newest

PURPOSES = ("gold", "calibration")
Purpose = Literal["gold", "calibration"]


class Mark(Body):
    """An item whose answer is known."""

    comparison: Annotated[str, Field(min_length=1, max_length=200)]
    """The comparison's id."""
    kind: Marked
    """The kind of item."""
    responses: Annotated[list[Annotated[int, Field(ge=0, le=1000)]], Field(min_length=1, max_length=100)]
    """Indices of its responses, ascending."""
    purpose: Purpose
    """Shown among the work, or before it."""
    expected: dict[str, Any]
    """The right answer, in terms of response indices: {"best": 1}, {"choice": "tie"}, {"ranks": [1, 2]}, ..."""
    explanation: Annotated[str, Field(max_length=10_000)] = ""
    """Why, in Markdown; shown in calibration."""


class MarkItem(Body):
    """An item that becomes one whose answer is known."""

    purpose: Purpose = "gold"
    """Shown among the work, or before it."""
    expected: dict[str, Any] | None = None
    """The right answer, as above; none keeps what was said of it: a lead's ruling, else what more than half said."""
    explanation: Annotated[str, Field(max_length=10_000)] = ""
    """Why, in Markdown; shown in calibration."""


class Change(Body):
    """What becomes of a gold or calibration item; what is left out stays."""

    purpose: Purpose | None = None
    """Gold into calibration, or back."""
    retired: bool | None = None
    """True: asked of nobody any more. False: asked again."""


def check(connection: Connection, body: Mark) -> None:
    """Raises: Refusal (404, 422) if there is no such comparison, or if this is no answer to it."""
    query = select(responses.c.index).where(responses.c.comparison == body.comparison)
    indices = sorted(connection.execute(query).scalars())
    if not indices:
        raise Refusal(404, "not_found", "There is no such comparison.")
    is_ordered = set(body.responses) <= set(indices) and body.responses == sorted(set(body.responses))
    refuse_unless(is_ordered, f"The responses are indices in ascending order, out of {indices}.")
    refuse_unless(body.kind != "pair" or len(body.responses) == 2, "A pair has two responses.")
    check_expected(body.kind, body.expected, body.responses, settings.project(connection).axes)


def mark(connection: Connection, site: Site, body: Mark, tree: Tree, *, actor: str) -> dict[str, Any]:
    """Makes a gold or calibration item of a comparison; it is work no longer. Raises: Refusal (404, 422).

    Args:
        tree: the explanation, rendered.
    """
    check(connection, body)
    expected = {"answer": body.expected, "explanation": body.explanation, "tree": tree}
    item, added = _asked(connection, site, body.comparison, body.kind, body.responses, body.purpose, expected)
    as_work = items.new_item(body.comparison, body.kind, body.responses, at=site.clock(), retired=True)
    if not items.add(connection, site.database, [as_work], {body.comparison: ()}):  # or it would be work later
        items.withdraw(connection, body.comparison, body.kind, body.responses)
    chain.record(connection, "item", actor, site.clock(), body.model_dump(mode="json"))
    return {"item": item, "new": added}


def mark_item(
    connection: Connection, site: Site, number: int, body: MarkItem, tree: Tree, *, actor: str
) -> dict[str, Any]:
    """Makes an item one whose answer is known; its judgements stay as they are and count. Raises: Refusal (404, 422).

    Returns: as `mark`, with the answer that is expected.
    """
    whole = of_item(connection, number, body)
    return {**mark(connection, site, whole, tree, actor=actor), "expected": whole.expected}


def of_item(connection: Connection, number: int, body: MarkItem) -> Mark:
    """What is to be marked of an item. Raises: Refusal (404; 422 if no answer is told and none is known)."""
    row = connection.execute(select(item_table).where(item_table.c.id == number)).first()
    if row is None:
        raise Refusal(404, "not_found", f"There is no item {number}.")
    refuse_unless(row.kind in MARKED, f"Item {number} is a {row.kind}: a text that somebody writes is never expected.")
    expected = _answer_of(connection, row) if body.expected is None else body.expected
    of = {"comparison": row.comparison, "kind": row.kind, "responses": row.responses, "expected": expected}
    return Mark.model_validate({**of, "purpose": body.purpose, "explanation": body.explanation})


def _answer_of(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """What is known or was said of an item. Raises: Refusal (422) if nothing was, or if people differ."""
    if row.expected:
        return row.expected["answer"]
    key = items.new_item(row.comparison, row.kind, row.responses, purpose="adjudication")["key"]
    ruled = connection.execute(select(item_table.c.id).where(item_table.c.key == key)).scalar()
    answers = said_of(connection, {ruled: row.kind}).get(ruled, []) if ruled else []
    answers = answers[-1:] or said_of(connection, {row.id: row.kind})[row.id]
    counts = Counter(chain.canonical(answer) for answer in answers).most_common()
    says = f"Nobody has judged item {row.id} yet; say what is `expected`."
    refuse_unless(bool(counts), says, code="nobody_judged")
    if 2 * counts[0][1] <= len(answers):
        says = "; ".join(f"{answer} ({number})" for answer, number in counts[:5])
        raise Refusal(422, "people_differ", f"People differ about item {row.id}: {says[:300]}. Say what is `expected`.")
    return json.loads(counts[0][0])


def change(connection: Connection, site: Site, number: int, wanted: Change, *, actor: str) -> dict[str, Any]:
    """Turns, retires or asks again; twice is once. Returns: the item that it is now. Raises: Refusal (404, 422)."""
    row = connection.execute(select(item_table).where(item_table.c.id == number).with_for_update()).first()
    if row is None:
        raise Refusal(404, "not_found", f"There is no item {number}.")
    refuse_unless(
        row.purpose in PURPOSES,
        f"Item {number} is {row.purpose}, and only gold and calibration items are turned or retired. "
        "Make gold of it first; that takes it out of the work for good.",
    )
    goal = wanted.purpose or row.purpose
    if goal == row.purpose:
        retired = row.retired if wanted.retired is None else wanted.retired
        now = {"item": row.id, "purpose": goal, "retired": retired}
        if retired == row.retired:
            return now
        connection.execute(update(item_table).where(item_table.c.id == row.id).values(retired=retired))
    else:
        refuse_unless(not wanted.retired, "An item is turned or retired, not both at once; send one of them.")
        now = {"item": _twin(connection, row, goal), "purpose": goal, "retired": False}
        if row.retired and now["item"]:  # it was turned before
            return now
        items.retire(connection, row.id)
        now["item"], _ = _asked(connection, site, row.comparison, row.kind, row.responses, goal, row.expected)
    about = {"comparison": row.comparison, "kind": row.kind, "responses": row.responses}
    was = {"item": row.id, "purpose": row.purpose}
    chain.record(connection, "item_changed", actor, site.clock(), {**now, **about, "was": was})
    judging.conclude_rounds(connection, site)
    return now


def _twin(connection: Connection, row: Row[Any], purpose: str) -> int | None:
    """The item that asks the same for another purpose, unless it was retired."""
    key = items.new_item(row.comparison, row.kind, row.responses, purpose=purpose)["key"]
    return connection.execute(select(item_table.c.id).where(item_table.c.key == key, ~item_table.c.retired)).scalar()


def _asked(
    connection: Connection, site: Site, comparison: str, kind: str, of: list[int], purpose: str,
    expected: dict[str, Any],
) -> tuple[int, bool]:  # fmt: skip
    """Makes such an item, or changes the one that is there, asked again if it was retired. Returns: (item, is new)."""
    row = items.new_item(comparison, kind, of, purpose=purpose, at=site.clock(), expected=expected)
    added = items.add(connection, site.database, [row], {comparison: ()})
    if not added:
        same = update(item_table).where(item_table.c.key == row["key"])
        connection.execute(same.values(expected=expected, retired=False))
    return items.number_of(connection, row["key"]), bool(added)


# -- what there is, and what may become gold --------------------------------------------------------------------------


def marked(connection: Connection, purpose: Purpose, *, limit: int = 500) -> list[dict[str, Any]]:
    """Gold or calibration items, those that are asked first, with how often they were answered, and as expected."""
    rows = _with_prompts(connection, item_table.c.purpose == purpose, order=(item_table.c.retired,), limit=limit)
    counts = {row.id: [0, 0] for row in rows}
    for said in _newest(connection, judgements.c.item.in_(counts)):
        counts[said.item][0] += bool(said.right)
        counts[said.item][1] += 1
    return [
        {**_about(row), "retired": row.retired, "expected": row.expected["answer"], "right": right, "number": number}
        for row, (right, number) in zip(rows, counts.values(), strict=True)
    ]


def said_of(connection: Connection, kinds: Mapping[int, str]) -> dict[int, list[dict[str, Any]]]:
    """Item -> what its newest counted judgements say, in terms of response indices, oldest first.

    Args:
        kinds: of each item.
    """
    said: dict[int, list[dict[str, Any]]] = {number: [] for number in kinds}
    for row in _newest(connection, judgements.c.item.in_(kinds), judgements.c.counted):
        said[row.item].append(meaning(kinds[row.item], row.answer, row.order))
    return said


def _with_prompts(connection: Connection, *where: Any, order: tuple[Any, ...] = (), limit: int) -> Sequence[Row[Any]]:
    query = select(item_table, comparisons.c.messages).join(comparisons, comparisons.c.id == item_table.c.comparison)
    return connection.execute(query.where(*where).order_by(*order, item_table.c.id.desc()).limit(limit)).all()


def _newest(connection: Connection, *where: Any) -> Sequence[Row[Any, Any, Any, Any]]:
    """Judgements that no revision replaced, with the order in which responses were shown."""
    query = select(judgements.c.item, judgements.c.answer, judgements.c.right, presentations.c.order)
    shown = query.join(presentations, presentations.c.id == judgements.c.presentation)
    return connection.execute(shown.where(is_newest(), *where).order_by(judgements.c.at, judgements.c.id)).all()


def _about(row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "prompt": row.messages[-1]["content"], "kind": row.kind}


def asked_of(connection: Connection, item: int | None, comparison: str) -> tuple[Row[Any] | None, Row[Any] | None]:
    """(an item, if it is there; its comparison, or the one that is named, if that is)."""
    row = connection.execute(select(item_table).where(item_table.c.id == item)).first() if item else None
    name = row.comparison if row else comparison
    return row, connection.execute(select(comparisons).where(comparisons.c.id == name)).first()
