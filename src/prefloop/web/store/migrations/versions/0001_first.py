"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FLAG, COUNT, TIME, TEXT, JSON = sa.Boolean(), sa.Integer(), sa.Double(), sa.Text(), sa.JSON()
MANY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NO_JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    """Makes every table, the head of the log, and the cursors of what comes back."""
    for make in (_people, _doors, _work, _answers, _log):
        make()
    chain = sa.table("chain", *map(sa.column, ("id", "seq", "hash")))
    op.bulk_insert(chain, [{"id": 1, "seq": 0, "hash": "0" * 64}])
    cursors = sa.table("cursors", *map(sa.column, ("user", "purpose", "place", "scanned")))
    purposes = ("work", "adjudication", "arena")
    op.bulk_insert(cursors, [{"user": 0, "purpose": name, "place": 0, "scanned": 0.0} for name in purposes])


def downgrade() -> None:
    """There is nothing before the first tables; delete the database instead."""
    raise NotImplementedError


def _letters(most: int) -> Any:
    return sa.String(length=most)


def _table(
    name: str,
    columns: dict[str, Any],
    *,
    key: tuple[str, ...] = ("id",),
    empty: tuple[str, ...] = (),
    given: tuple[str, ...] = (),
    to: dict[str, str] | None = None,
    once: tuple[tuple[str, ...], ...] = (),
    rules: dict[str, str] | None = None,
) -> None:
    """A table; `empty` columns may be so, `given` ones are not counted up by the database, rows are alone in `once`."""
    op.create_table(
        name,
        *(
            sa.Column(column, kind, nullable=column in empty, autoincrement="auto" if column not in given else False)
            for column, kind in columns.items()
        ),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_{name}_{about}")) for about, rule in (rules or {}).items()),
        *(sa.ForeignKeyConstraint([c], [there], name=op.f(f"fk_{name}_{c}")) for c, there in (to or {}).items()),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")),
        *(sa.UniqueConstraint(*group, name=op.f(f"uq_{name}_{'_'.join(group)}")) for group in once),
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, [*columns], unique=False)


def _of_some(name: str, table: str, *columns: str, where: str) -> None:
    """An index of the rows for which `where` holds."""
    some = sa.text(where)
    op.create_index(name, table, [*columns], unique=False, sqlite_where=some, postgresql_where=some)


def _people() -> None:
    _table("settings", {"key": _letters(80), "value": JSON}, key=("key",))
    _table("users", {
        "id": COUNT, "name": _letters(80), "role": _letters(16), "password": TEXT, "preferences": JSON, "tags": JSON,
        "active": FLAG, "calibrated": FLAG, "attempt": COUNT, "served": COUNT, "created": TIME,
    }, rules={"role": "role IN ('admin', 'lead', 'annotator')"}, once=(("name",),))  # fmt: skip
    _table("cursors", {"user": COUNT, "purpose": _letters(16), "place": MANY, "scanned": TIME},
           key=("user", "purpose"), given=("user",))  # fmt: skip
    _table("invitations", {
        "id": COUNT, "hash": _letters(64), "role": _letters(16), "tags": JSON, "uses": COUNT, "expires": TIME,
        "by": COUNT, "created": TIME,
    }, empty=("by",), to={"by": "users.id"}, once=(("hash",),))  # fmt: skip


def _doors() -> None:
    _table("sessions", {"hash": _letters(64), "user": COUNT, "created": TIME, "seen": TIME, "expires": TIME},
           key=("hash",), to={"user": "users.id"})  # fmt: skip
    _index("sessions", "user")
    _table("tokens", {
        "id": COUNT, "hash": _letters(64), "name": _letters(80), "scopes": JSON, "user": COUNT, "created": TIME,
        "revoked": TIME,
    }, empty=("revoked",), to={"user": "users.id"}, once=(("hash",),))  # fmt: skip
    _table("attempts", {"id": MANY, "name": _letters(80), "address": _letters(64), "at": TIME})
    _index("attempts", "address", "at")
    _index("attempts", "name", "at")
    _table("guidelines", {"version": COUNT, "text": TEXT, "tree": JSON, "by": COUNT, "at": TIME},
           key=("version",), given=("version",), empty=("by",), to={"by": "users.id"})  # fmt: skip


def _work() -> None:
    _table("comparisons", {
        "id": _letters(200), "prompt_id": _letters(200), "messages": JSON, "trees": JSON, "tags": JSON,
        "sampling": JSON, "batch": _letters(80), "fingerprint": _letters(16), "renderer": COUNT, "added": TIME,
    })  # fmt: skip
    _table("responses", {
        "comparison": _letters(200), "index": COUNT, "text": TEXT, "tree": JSON, "sampler": _letters(200),
        "num_tokens": COUNT, "finished": FLAG,
    }, key=("comparison", "index"), given=("index",), to={"comparison": "comparisons.id"})  # fmt: skip
    _table("items", {
        "id": MANY, "key": _letters(320), "comparison": _letters(200), "kind": _letters(16), "responses": JSON,
        "purpose": _letters(16), "wanted": COUNT, "done": COUNT, "leased": COUNT, "needed": COUNT, "extended": FLAG,
        "place": MANY, "strategy": _letters(40), "probability": TIME, "expected": NO_JSON, "added": TIME,
    }, empty=("expected",), to={"comparison": "comparisons.id"}, once=(("key",),), rules={
        "needed": "needed = CASE WHEN wanted > done + leased THEN wanted - done - leased ELSE 0 END",
        "counts": "wanted >= 0 AND done >= 0 AND leased >= 0",
    })  # fmt: skip
    _of_some("ix_items_checks", "items", "purpose", "place", where="purpose IN ('gold', 'calibration')")
    _index("items", "comparison")
    _of_some("ix_items_leased", "items", "id", where="leased > 0")
    _of_some("ix_items_queue", "items", "purpose", "place", where="needed > 0")
    _table("item_tags", {"item": MANY, "tag": _letters(200), "purpose": _letters(16), "place": MANY, "open": FLAG},
           key=("item", "tag"), to={"item": "items.id"})  # fmt: skip
    _of_some("ix_item_tags_queue", "item_tags", "purpose", "tag", "place", where="open")


def _answers() -> None:
    _table("presentations", {
        "id": _letters(36), "item": MANY, "user": COUNT, "number": COUNT, "repeat": COUNT, "order": JSON,
        "guideline": COUNT, "state": _letters(16), "leased_at": TIME, "leased_until": TIME, "draft": NO_JSON,
        "created": TIME,
    }, empty=("draft",), to={"item": "items.id", "user": "users.id"}, once=(("item", "user", "repeat"),),
        rules={"state": "state IN ('leased', 'answered', 'skipped', 'expired')"})  # fmt: skip
    answered = "state = 'answered' AND repeat = 0"
    _of_some("ix_presentations_answered", "presentations", "user", "number", where=answered)
    _of_some("ix_presentations_lease", "presentations", "leased_until", where="state = 'leased'")
    _of_some("ix_presentations_open", "presentations", "user", "number", where="state = 'leased'")
    _table("judgements", {
        "id": _letters(64), "presentation": _letters(36), "item": MANY, "user": COUNT, "revision": COUNT,
        "replaces": _letters(64), "answer": JSON, "counted": FLAG, "late": FLAG, "right": FLAG,
        "active_seconds": TIME, "first_key_seconds": TIME, "seen": TIME, "comment": TEXT, "guideline": COUNT,
        "at": TIME,
    }, empty=("replaces", "right", "first_key_seconds", "seen"), once=(("presentation", "revision"), ("replaces",)),
       to={
        "item": "items.id", "presentation": "presentations.id", "replaces": "judgements.id", "user": "users.id",
    })  # fmt: skip
    _index("judgements", "at")
    _index("judgements", "item")
    _index("judgements", "user", "at")


def _log() -> None:
    _table("events", {
        "seq": MANY, "at": TIME, "actor": _letters(80), "kind": _letters(40), "key": _letters(96), "payload": TEXT,
        "previous": _letters(64), "hash": _letters(64),
    }, key=("seq",), given=("seq",), empty=("key",), once=(("key",),))  # fmt: skip
    _index("events", "kind", "seq")
    _table("chain", {"id": COUNT, "seq": MANY, "hash": _letters(64)}, given=("id",))
    _table("webhooks", {
        "id": COUNT, "url": TEXT, "secret": _letters(80), "kinds": JSON, "active": FLAG, "by": COUNT, "created": TIME,
    }, to={"by": "users.id"})  # fmt: skip
    _table("deliveries", {
        "id": MANY, "webhook": COUNT, "event": MANY, "state": _letters(16), "tries": COUNT, "due": TIME,
        "problem": TEXT,
    }, to={"event": "events.seq", "webhook": "webhooks.id"}, once=(("webhook", "event"),))  # fmt: skip
    _of_some("ix_deliveries_due", "deliveries", "due", where="state = 'waiting'")
