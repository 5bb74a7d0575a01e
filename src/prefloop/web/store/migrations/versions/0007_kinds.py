"""Accounts know whether a person or a program judges; items of a purpose are found by number."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _counted(*columns: str) -> None:
    every = sa.text("wanted >= 0")
    op.drop_index("ix_items_counted", "items")
    op.create_index("ix_items_counted", "items", [*columns], sqlite_where=every, postgresql_where=every)


def upgrade() -> None:
    """Adds the column: who has a token's account and can never sign in is a model; and widens the index."""
    op.add_column("users", sa.Column("kind", sa.String(length=16), nullable=False, server_default="person"))
    op.execute("UPDATE users SET kind = 'model' WHERE password = 'program'")
    _counted("purpose", "id")


def downgrade() -> None:
    """Takes them away."""
    _counted("purpose")
    op.drop_column("users", "kind")
