"""Comparisons as they came, put together again from their rows; and the fingerprints of what is shown of them."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, select

from prefloop.files import fingerprints
from prefloop.web.store.tables import comparisons, responses


def told(connection: Connection, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Those of these comparisons that are here, by id, as `Comparison.model_validate` takes them; at most a few hundred together."""
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(select(comparisons).where(comparisons.c.id.in_(names)).order_by(comparisons.c.id)):
        known = {name: row._mapping[name] for name in ("id", "prompt_id", "messages", "sampling", "tags")}
        found[row.id] = {**known, "responses": []}
    mine = (
        select(responses).where(responses.c.comparison.in_(names)).order_by(responses.c.comparison, responses.c.index)
    )
    for row in connection.execute(mine):
        text = {"text": row.text, "num_tokens": row.num_tokens, "finished": row.finished, "sampler": row.sampler}
        found[row.comparison]["responses"].append(text)
    return found


def print_of_trees(prompt: Sequence[Any], answers: Sequence[Any]) -> str:
    """The fingerprint of the trees of the messages and of the responses."""
    return fingerprints.of_value([list(prompt), list(answers)])


def prints_of_trees(connection: Connection, names: Collection[str]) -> dict[str, str]:
    """The same of those of these comparisons that are here, as their rows have them; at most a few hundred together."""
    shown: dict[str, list[Any]] = {name: [] for name in names}
    mine = (
        select(responses.c.comparison, responses.c.tree)
        .where(responses.c.comparison.in_(names))
        .order_by(responses.c.comparison, responses.c.index)
    )
    for row in connection.execute(mine):
        shown[row.comparison].append(row.tree)
    rows = connection.execute(select(comparisons.c.id, comparisons.c.trees).where(comparisons.c.id.in_(names)))
    return {row.id: print_of_trees(row.trees, shown[row.id]) for row in rows}
