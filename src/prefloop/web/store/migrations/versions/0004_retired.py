"""Items taken away for good have a mark of their own; until now they could be asked again when the overlap changed."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the mark, and sets it where the same question has become gold or calibration."""
    op.add_column("items", sa.Column("retired", sa.Boolean(), nullable=False, server_default=sa.false()))
    names = ("id", "key", "comparison", "kind", "purpose", "wanted", "done", "leased", "needed", "retired")
    items = sa.table("items", *map(sa.column, names), sa.column("responses", sa.JSON()))
    tags = sa.table("item_tags", sa.column("item"), sa.column("open"))
    connection = op.get_bind()
    questions = sa.select(items.c.comparison, items.c.kind, items.c.responses)
    for row in connection.execute(questions.where(items.c.purpose.in_(("gold", "calibration")))).all():
        key = json.dumps([row.comparison, row.kind, list(row.responses), "work"], ensure_ascii=False)
        number = connection.execute(sa.select(items.c.id).where(items.c.key == key)).scalar()
        if number is not None:
            values = {"retired": sa.true(), "wanted": items.c.done + items.c.leased, "needed": 0}
            connection.execute(sa.update(items).where(items.c.id == number).values(values))
            connection.execute(sa.update(tags).where(tags.c.item == number).values(open=sa.false()))


def downgrade() -> None:
    """Takes the mark away."""
    op.drop_column("items", "retired")
