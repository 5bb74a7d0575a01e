"""What only leads need a table for: scores of reward models that were brought in, and an index to count items by purpose."""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, String, Table

from prefloop.web.tables import comparisons, items, metadata

scores = Table(
    "scores", metadata,
    Column("model", String(80), primary_key=True),
    Column("comparison", String(200), ForeignKey(comparisons.c.id), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("score", Double, nullable=False),
    Index(None, "comparison"),
)  # fmt: skip

by_purpose = Index("ix_items_purpose", items.c.purpose)
