"""Conversations with the policy under test, their turns, and a last place for what comes back of them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CURSORS = sa.table("cursors", *map(sa.column, ("user", "purpose", "place", "scanned")))


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user", sa.Integer(), nullable=False),
        sa.Column("begun", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name=op.f("fk_conversations_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_index(op.f("ix_conversations_user"), "conversations", ["user"])
    columns = {
        "conversation": sa.String(length=36), "number": sa.Integer(), "comparison": sa.String(length=200),
        "shown": sa.JSON(), "key": sa.String(length=96),
    }  # fmt: skip
    op.create_table(
        "turns",
        *(sa.Column(name, kind, autoincrement=False, nullable=False) for name, kind in columns.items()),
        sa.ForeignKeyConstraint(["comparison"], ["comparisons.id"], name=op.f("fk_turns_comparison")),
        sa.ForeignKeyConstraint(["conversation"], ["conversations.id"], name=op.f("fk_turns_conversation")),
        sa.PrimaryKeyConstraint("conversation", "number", name=op.f("pk_turns")),
        sa.UniqueConstraint("comparison", name=op.f("uq_turns_comparison")),
        sa.UniqueConstraint("key", name=op.f("uq_turns_key")),
    )
    op.get_bind().execute(sa.insert(CURSORS).values(user=0, purpose="chat", place=0, scanned=0.0))


def downgrade() -> None:
    """Takes them away."""
    op.get_bind().execute(sa.delete(CURSORS).where(CURSORS.c.purpose == "chat"))
    op.drop_table("turns")
    op.drop_index(op.f("ix_conversations_user"), "conversations")
    op.drop_table("conversations")
