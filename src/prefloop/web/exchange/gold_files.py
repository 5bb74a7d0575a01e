"""Files of items whose answer is known: many gold or calibration items at once.

A row names an `item`, or a `comparison` (with `kind`, a pair unless told; and `responses`, all of them unless told),
and the right answer: `expected`, as the API takes it, or for a pair `choice` (a, b, tie, both_bad). A row with an item
alone keeps what people said of it. It may have `explanation` and `purpose` (gold or calibration).
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from prefloop.errors import UserError
from prefloop.files.tables import shown
from prefloop.web.exchange.choices import chosen
from prefloop.web.exchange.rows import LeftOut, OnBad, look_at
from prefloop.web.exchange.spool import Row, Spool
from prefloop.web.pages import rendering
from prefloop.web.store.comparisons import of_responses
from prefloop.web.store.site import Site
from prefloop.web.store.tables import responses
from prefloop.web.work import gold, intake
from prefloop.web.work.gold import Mark, MarkItem


def from_file(site: Site, path: Path, *, on_bad: OnBad, actor: str) -> dict[str, Any]:
    """Takes in a file. Returns: counts and problems. Raises: UserError with file:line, unless on_bad is skip."""
    bad, new, again = LeftOut(on_bad), 0, 0
    with Spool() as spool:

        def look(row: dict[str, Any], place: str) -> None:
            with site.database.glancing() as connection:
                try:
                    body = _marked(connection, row)
                    gold.check(connection, body)
                except UserError as problem:
                    raise UserError(f"{place}: {problem}") from None
            name = f"{body.comparison} {body.kind} {body.responses}"
            before = spool.first(name)
            if before is not None:
                raise UserError(f"{place}: the answer to this is told in {before.place} already; keep one of them.")
            spool.add(Row(name, "", place, body.model_dump_json().encode()))

        look_at(path, bad, look, site.config.imports)
        waiting = spool.each()
        while part := list(itertools.islice(waiting, intake.BATCH)):
            bodies = [Mark.model_validate_json(row.value) for row in part]
            trees = [rendering.tree(body.explanation) for body in bodies]

            def keep(connection: Connection, bodies: list[Mark] = bodies, trees: list[Any] = trees) -> list[bool]:
                both = zip(bodies, trees, strict=True)
                return [gold.mark(connection, site, body, tree, actor=actor)["new"] for body, tree in both]

            made = site.database.write(keep)
            new, again = new + sum(made), again + len(made) - sum(made)
    return {"marked": new, "changed": again, **bad.counted()}


def _marked(connection: Connection, row: Mapping[str, Any]) -> Mark:
    """What a row says. Raises: UserError without its place."""
    row = {name: value for name, value in row.items() if value not in (None, "")}
    item, about = row.get("item"), {name: row[name] for name in ("purpose", "explanation") if name in row}
    if isinstance(item, str) and item.strip().isdecimal():
        item = int(item) if len(item) < 19 else 2**62
    if item is not None and (type(item) is not int or not 0 < item <= 2**62):
        raise UserError(f"`item` should be the number of an item, but is {shown(item)}; the list of items tells it.")
    if item is None and not isinstance(row.get("comparison"), str):
        raise UserError("a row needs `item` (a number) or `comparison` (an id), and the right answer.")
    expected = _parsed(row, "expected")
    if item is not None and expected is None and "choice" not in row:
        return gold.of_item(connection, item, MarkItem.model_validate(about))
    if item is not None:
        of = gold.of_item(connection, item, MarkItem.model_validate({**about, "expected": expected or {}}))
        base = of.model_dump(include={"comparison", "kind", "responses", "purpose", "explanation"})
    else:
        base = {"comparison": row["comparison"], "kind": row.get("kind", "pair"), "purpose": "gold", **about}
        named = _parsed(row, "responses")
        known = sorted(index for _, index in of_responses(connection, [row["comparison"]], responses.c.index))
        base["responses"] = known if named is None else named
        if not known:
            raise UserError(f"there is no comparison {shown(row['comparison'])} here.")
    if expected is None and base["kind"] == "pair" and "choice" in row and len(base["responses"]) == 2:
        said = chosen(row["choice"])
        expected = {"best": base["responses"][said["best"]]} if "best" in said else said
    if expected is None:
        raise UserError("a row needs the right answer: `expected`, or `choice` where two responses are compared.")
    return Mark.model_validate({**base, "expected": expected})


def _parsed(row: Mapping[str, Any], name: str) -> Any:
    """A value that is JSON, or the text of it, as a cell of CSV holds it; None if there is none."""
    value = row.get(name)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        says = '`{}` should be JSON, for instance {{"best": 1}} or [0, 1], but is {}.'
        raise UserError(says.format(name, shown(value))) from None
