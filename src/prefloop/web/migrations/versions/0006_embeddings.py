"""Scores may come with an embedding of the response."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    op.add_column("scores", sa.Column("embedding", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Takes it away."""
    op.drop_column("scores", "embedding")
