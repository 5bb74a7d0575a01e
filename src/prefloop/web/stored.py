"""Comparisons as they came, put together again from their rows."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, select

from prefloop.web.tables import comparisons, responses


def told(connection: Connection, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Those of these comparisons that are here, by id, as `Comparison.model_validate` takes them; at most a few hundred together."""
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(select(comparisons).where(comparisons.c.id.in_(names)).order_by(comparisons.c.id)):
        known = {name: row._mapping[name] for name in ("id", "prompt_id", "messages", "sampling", "tags")}
        found[row.id] = {**known, "responses": []}
    mine = select(responses).where(responses.c.comparison.in_(names)).order_by(responses.c.comparison, responses.c.index)
    for row in connection.execute(mine):
        text = {"text": row.text, "num_tokens": row.num_tokens, "finished": row.finished, "sampler": row.sampler}
        found[row.comparison]["responses"].append(text)
    return found
