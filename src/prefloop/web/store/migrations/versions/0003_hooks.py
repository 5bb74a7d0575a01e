"""Each webhook has a place in the log instead of an outbox: what it was told last, and since when it fails."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Count = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SEEN = "webhooks_seen"


def upgrade() -> None:
    """Gives each webhook its place: before the oldest event that it lacks, so that it misses none."""
    for name, kind in {"told": Count, "sent": Count, "tries": sa.Integer(), "due": sa.Double()}.items():
        op.add_column("webhooks", sa.Column(name, kind, nullable=False, server_default="0"))
    op.add_column("webhooks", sa.Column("failing", sa.Double(), nullable=True))
    op.add_column("webhooks", sa.Column("problem", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    hooks = sa.table("webhooks", *map(sa.column, ("id", "told", "sent")))
    deliveries = sa.table("deliveries", *map(sa.column, ("webhook", "event", "state")))
    settings = sa.table("settings", sa.column("key", sa.String()), sa.column("value", sa.JSON()))
    head = connection.execute(sa.select(sa.column("seq")).select_from(sa.table("chain"))).scalar() or 0
    seen = connection.execute(sa.select(settings.c.value).where(settings.c.key == SEEN)).scalar()
    for hook in connection.execute(sa.select(hooks.c.id)).scalars().all():
        mine = deliveries.c.webhook == hook
        oldest = connection.execute(
            sa.select(sa.func.min(deliveries.c.event)).where(mine, deliveries.c.state == "waiting")
        ).scalar()
        sent = connection.execute(
            sa.select(sa.func.count()).select_from(deliveries).where(mine, deliveries.c.state == "sent")
        ).scalar_one()
        place = oldest - 1 if oldest is not None else seen if isinstance(seen, int) else head
        connection.execute(sa.update(hooks).where(hooks.c.id == hook).values(told=place, sent=sent))
    connection.execute(sa.delete(settings).where(settings.c.key == SEEN))
    op.drop_table("deliveries")


def downgrade() -> None:
    """Makes the outbox again, empty, and looks at the log from now on."""
    columns = {
        "id": Count, "webhook": sa.Integer(), "event": Count, "state": sa.String(length=16), "tries": sa.Integer(),
        "due": sa.Double(), "problem": sa.Text(),
    }  # fmt: skip
    op.create_table(
        "deliveries",
        *(sa.Column(name, kind, nullable=False) for name, kind in columns.items()),
        sa.ForeignKeyConstraint(["event"], ["events.seq"], name=op.f("fk_deliveries_event")),
        sa.ForeignKeyConstraint(["webhook"], ["webhooks.id"], name=op.f("fk_deliveries_webhook")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("webhook", "event", name=op.f("uq_deliveries_webhook_event")),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_deliveries_due", "deliveries", ["due"], sqlite_where=waiting, postgresql_where=waiting)
    for name in ("told", "sent", "tries", "due", "failing", "problem"):
        op.drop_column("webhooks", name)
