"""Items whose answer is known: made, turned from gold into calibration and back, retired, and asked again.

An item keeps its purpose for good, because the log tells for what each judgement was asked: what is turned is retired, and the
same question with the same answer is asked for the other purpose. Nobody is asked a retired item; what was judged of it stays
in the log and counts in what is said of people.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection, Row, select, update

from prefloop.web.errors import Refusal, refuse_unless
from prefloop.web.pages.rendering import Tree
from prefloop.web.store import chain, settings
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items as item_table
from prefloop.web.store.tables import responses
from prefloop.web.work import items, judging
from prefloop.web.work.answers import Body, check_expected

PURPOSES = ("gold", "calibration")
Purpose = Literal["gold", "calibration"]


class Mark(Body):
    """An item whose answer is known."""

    comparison: Annotated[str, Field(min_length=1, max_length=200)]
    """Which comparison."""
    kind: Literal["pair", "ranking", "rating", "thumb"]
    """What is asked."""
    responses: Annotated[list[Annotated[int, Field(ge=0, le=1000)]], Field(min_length=1, max_length=100)]
    """Which of its responses."""
    purpose: Purpose
    """Shown among the work, or before it."""
    expected: dict[str, Any]
    """The right answer, in terms of response indices: {"best": 1}, {"choice": "tie"}, {"ranks": [1, 2]}, ..."""
    explanation: Annotated[str, Field(max_length=10_000)] = ""
    """Why, in Markdown; shown in calibration."""


class Change(Body):
    """What becomes of a gold or calibration item; what is left out stays."""

    purpose: Purpose | None = None
    """Gold into calibration, or back."""
    retired: bool | None = None
    """True: asked of nobody any more. False: asked again."""


def mark(connection: Connection, site: Site, body: Mark, tree: Tree, *, actor: str) -> dict[str, Any]:
    """Makes a gold or calibration item of a comparison; it is work no longer. Raises: Refusal (404, 422).

    Args:
        tree: the explanation, rendered.
    """
    found = (
        connection.execute(select(responses.c.index).where(responses.c.comparison == body.comparison)).scalars().all()
    )
    if not found:
        raise Refusal(404, "not_found", "There is no such comparison.")
    refuse_unless(
        set(body.responses) <= set(found) and body.responses == sorted(set(body.responses)),
        f"The responses are indices in ascending order, out of {sorted(found)}.",
    )
    refuse_unless(body.kind != "pair" or len(body.responses) == 2, "A pair has two responses.")
    check_expected(body.kind, body.expected, body.responses, settings.project(connection).axes)
    expected = {"answer": body.expected, "explanation": body.explanation, "tree": tree}
    item, added = _asked(connection, site, body.comparison, body.kind, body.responses, body.purpose, expected)
    as_work = items.new_item(body.comparison, body.kind, body.responses, at=site.clock(), retired=True)
    if not items.add(
        connection, site.database, [as_work], {body.comparison: ()}
    ):  # so that it never becomes work later
        items.withdraw(connection, body.comparison, body.kind, body.responses)
    chain.record(connection, "item", actor, site.clock(), body.model_dump(mode="json"))
    return {"item": item, "new": added}


def change(connection: Connection, site: Site, number: int, wanted: Change, *, actor: str) -> dict[str, Any]:
    """Turns, retires or asks again; the same twice is once. Returns: the item that it is now. Raises: Refusal (404, 422)."""
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
        told = {"item": row.id, "purpose": goal, "retired": retired}
        if retired == row.retired:
            return told
        connection.execute(update(item_table).where(item_table.c.id == row.id).values(retired=retired))
    else:
        refuse_unless(not wanted.retired, "An item is turned or retired, not both at once; send one of them.")
        told = {"item": _twin(connection, row, goal), "purpose": goal, "retired": False}
        if row.retired and told["item"]:  # it was turned before
            return told
        items.retire(connection, row.id)
        told["item"], _ = _asked(connection, site, row.comparison, row.kind, row.responses, goal, row.expected)
    about = {
        "comparison": row.comparison,
        "kind": row.kind,
        "responses": row.responses,
        "was": {"item": row.id, "purpose": row.purpose},
    }
    chain.record(connection, "item_changed", actor, site.clock(), {**told, **about})
    judging.conclude_rounds(connection, site)
    return told


def _twin(connection: Connection, row: Row[Any], purpose: str) -> int | None:
    """The item that asks the same for another purpose, unless it was retired."""
    key = items.new_item(row.comparison, row.kind, row.responses, purpose=purpose)["key"]
    return connection.execute(select(item_table.c.id).where(item_table.c.key == key, ~item_table.c.retired)).scalar()


def _asked(
    connection: Connection,
    site: Site,
    comparison: str,
    kind: str,
    of: list[int],
    purpose: str,
    expected: dict[str, Any],
) -> tuple[int, bool]:
    """Makes such an item, or changes the one that is there, which is asked again if it was retired. Returns: (item, is new)."""
    row = items.new_item(comparison, kind, of, purpose=purpose, at=site.clock(), expected=expected)
    added = items.add(connection, site.database, [row], {comparison: ()})
    if not added:
        connection.execute(
            update(item_table).where(item_table.c.key == row["key"]).values(expected=expected, retired=False)
        )
    return connection.execute(select(item_table.c.id).where(item_table.c.key == row["key"])).scalar_one(), bool(added)
