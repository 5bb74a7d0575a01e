"""What only leads need a table for: scores of reward models that were brought in, and an index to count items by purpose."""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, LargeBinary, String, Table, text

from prefloop.web.store.tables import comparisons, items, metadata

scores = Table(
    "scores", metadata,
    Column("model", String(80), primary_key=True),
    Column("comparison", String(200), ForeignKey(comparisons.c.id), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("score", Double, nullable=False),
    Column("embedding", LargeBinary),  # float32, little-endian; of responses whose file brought one
    Index(None, "comparison"),
)  # fmt: skip

EVERY = "wanted >= 0"
"""True of every item: a query that says so may count by the index below, and no other query is led to it by mistake."""
held = Index(
    "ix_items_held", items.c.id, sqlite_where=text("strategy = 'held'"), postgresql_where=text("strategy = 'held'")
)
by_purpose = Index("ix_items_counted", items.c.purpose, sqlite_where=text(EVERY), postgresql_where=text(EVERY))
