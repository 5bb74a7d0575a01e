"""Scores may come with an embedding; presentations that ran out have an index, and so have items held back."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column and the indexes."""
    held = sa.text("strategy = 'held'")
    op.create_index("ix_items_held", "items", ["id"], sqlite_where=held, postgresql_where=held)
    ended = sa.text("state = 'expired'")
    names, table = ["user", "created"], "presentations"
    op.create_index("ix_presentations_ended", table, names, sqlite_where=ended, postgresql_where=ended)
    op.add_column("scores", sa.Column("embedding", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Takes them away."""
    op.drop_index("ix_presentations_ended", "presentations")
    op.drop_index("ix_items_held", "items")
    op.drop_column("scores", "embedding")
