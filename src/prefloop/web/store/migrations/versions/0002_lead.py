"""Scores of reward models, and items counted by purpose."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table and its index."""
    keys = {"model": sa.String(length=80), "comparison": sa.String(length=200), "index": sa.Integer()}
    op.create_table(
        "scores",
        *(sa.Column(name, kind, autoincrement=False, nullable=False) for name, kind in keys.items()),
        sa.Column("score", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["comparison"], ["comparisons.id"], name=op.f("fk_scores_comparison")),
        sa.PrimaryKeyConstraint("model", "comparison", "index", name=op.f("pk_scores")),
    )
    op.create_index(op.f("ix_scores_comparison"), "scores", ["comparison"])
    every = sa.text("wanted >= 0")
    op.create_index("ix_items_counted", "items", ["purpose"], sqlite_where=every, postgresql_where=every)


def downgrade() -> None:
    """Takes them away."""
    op.drop_index("ix_items_counted", "items")
    op.drop_table("scores")
