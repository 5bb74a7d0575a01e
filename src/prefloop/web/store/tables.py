"""The tables, for SQLite and PostgreSQL alike. Times are UTC seconds. docs/decisions/004-web.md tells what each holds.

`items.needed` is wanted - done - leased, never below zero, and kept in the transaction that changes any of them; the
partial index on it is the queue. `items.place` is the place in the queue: see queue.py.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Count = BigInteger().with_variant(Integer, "sqlite")
"""A whole number of 64 bits; SQLite numbers rows by itself only if the type is called INTEGER."""


def _of_rows(where: str, name: str, *columns: Any) -> Index:
    """An index of the rows that meet a condition."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


settings = Table(
    "settings", metadata,
    Column("key", String(80), primary_key=True),
    Column("value", JSON, nullable=False),
)  # fmt: skip

users = Table(
    "users", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password", Text, nullable=False),  # argon2id
    Column("preferences", JSON, nullable=False),  # language, keys, theme
    Column("tags", JSON, nullable=False),  # may judge only these; empty for all
    Column("active", Boolean, nullable=False),
    Column("calibrated", Boolean, nullable=False),
    Column("attempt", Integer, nullable=False),  # rounds of calibration begun
    Column("served", Integer, nullable=False),  # items shown so far: decides when gold and repeats are due
    Column("created", Double, nullable=False),
    Column("kind", String(16), nullable=False, server_default="person"),  # who judges: records.AnnotatorKind
    CheckConstraint("role IN ('admin', 'lead', 'annotator')", name="role"),
)  # fmt: skip

cursors = Table(  # user 0: the place last given to an item that came back
    "cursors", metadata,
    Column("user", Integer, primary_key=True, autoincrement=False),
    Column("purpose", String(16), primary_key=True),
    Column("place", Count, nullable=False),
    Column("scanned", Double, nullable=False),  # when it last began again at the front
)  # fmt: skip

invitations = Table(
    "invitations", metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("expires", Double, nullable=False),
    Column("by", Integer, ForeignKey("users.id")),
    Column("created", Double, nullable=False),
)  # fmt: skip

sessions = Table(
    "sessions", metadata,
    Column("hash", String(64), primary_key=True),
    Column("user", Integer, ForeignKey("users.id"), nullable=False, index=True),
    Column("created", Double, nullable=False),
    Column("seen", Double, nullable=False),
    Column("expires", Double, nullable=False),
)  # fmt: skip

tokens = Table(
    "tokens", metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", String(80), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("user", Integer, ForeignKey("users.id"), nullable=False),
    Column("created", Double, nullable=False),
    Column("revoked", Double),
)  # fmt: skip

attempts = Table(
    "attempts", metadata,
    Column("id", Count, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("address", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Index(None, "name", "at"),
    Index(None, "address", "at"),
)  # fmt: skip

guidelines = Table(
    "guidelines", metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("tree", JSON, nullable=False),
    Column("by", Integer, ForeignKey("users.id")),
    Column("at", Double, nullable=False),
)  # fmt: skip

comparisons = Table(
    "comparisons", metadata,
    Column("id", String(200), primary_key=True),
    Column("prompt_id", String(200), nullable=False),
    Column("messages", JSON, nullable=False),  # [{role, content}]
    Column("trees", JSON, nullable=False),  # one for each message
    Column("tags", JSON, nullable=False),
    Column("sampling", JSON, nullable=False),
    Column("batch", String(80), nullable=False),  # which import it came with
    Column("fingerprint", String(16), nullable=False),  # of the record as it came
    Column("renderer", Integer, nullable=False),
    Column("added", Double, nullable=False),
)  # fmt: skip

responses = Table(
    "responses", metadata,
    Column("comparison", String(200), ForeignKey("comparisons.id"), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("tree", JSON, nullable=False),
    Column("sampler", String(200), nullable=False),
    Column("num_tokens", Integer, nullable=False),
    Column("finished", Boolean, nullable=False),
)  # fmt: skip

items = Table(
    "items", metadata,
    Column("id", Count, primary_key=True),
    Column("key", String(320), nullable=False, unique=True),  # what is asked, or its hash: made once
    Column("comparison", String(200), ForeignKey("comparisons.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("responses", JSON, nullable=False),  # indices
    Column("purpose", String(16), nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("leased", Integer, nullable=False),
    Column("needed", Integer, nullable=False),
    Column("extended", Boolean, nullable=False),  # one more was wanted because the first differed
    Column("place", Count, nullable=False),
    Column("strategy", String(40), nullable=False),  # how it was chosen
    Column("probability", Double, nullable=False),  # with which it was chosen
    Column("expected", JSON(none_as_null=True)),  # a gold item's answer and explanation
    Column("added", Double, nullable=False),
    Column("retired", Boolean, nullable=False, server_default=false()),  # taken away for good: never needed
    CheckConstraint("needed = CASE WHEN wanted > done + leased THEN wanted - done - leased ELSE 0 END", name="needed"),
    CheckConstraint("wanted >= 0 AND done >= 0 AND leased >= 0", name="counts"),
    _of_rows("needed > 0", "ix_items_queue", "purpose", "place"),
    _of_rows("purpose IN ('gold', 'calibration')", "ix_items_checks", "purpose", "place"),
    _of_rows("leased > 0", "ix_items_leased", "id"),
)  # fmt: skip

item_tags = Table(  # the queue again, by tag, for annotators who may judge only some
    "item_tags", metadata,
    Column("item", Count, ForeignKey("items.id"), primary_key=True),
    Column("tag", String(200), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("place", Count, nullable=False),
    Column("open", Boolean, nullable=False),  # needed > 0
    _of_rows("open", "ix_item_tags_queue", "purpose", "tag", "place"),
)  # fmt: skip

presentations = Table(
    "presentations", metadata,
    Column("id", String(36), primary_key=True),
    Column("item", Count, ForeignKey("items.id"), nullable=False),
    Column("user", Integer, ForeignKey("users.id"), nullable=False),
    Column("number", Integer, nullable=False),  # the annotator's first, second, ...
    Column("repeat", Integer, nullable=False),  # 0, or 1 for a silent repeat; in calibration the attempt
    Column("order", JSON, nullable=False),  # indices of the responses as shown
    Column("guideline", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("leased_at", Double, nullable=False),
    Column("leased_until", Double, nullable=False),  # as leased_at: brought in, and never shown to anybody here
    Column("draft", JSON(none_as_null=True)),
    Column("created", Double, nullable=False),
    CheckConstraint("state IN ('leased', 'answered', 'skipped', 'expired')", name="state"),
    UniqueConstraint("item", "user", "repeat"),
    _of_rows("state = 'leased'", "ix_presentations_lease", "leased_until"),
    _of_rows("state = 'leased'", "ix_presentations_open", "user", "number"),
    _of_rows("state = 'expired'", "ix_presentations_ended", "user", "created"),
    _of_rows("state = 'answered' AND repeat = 0", "ix_presentations_answered", "user", "number"),
)  # fmt: skip

judgements = Table(
    "judgements", metadata,
    Column("id", String(64), primary_key=True),  # from the client
    Column("presentation", String(36), ForeignKey("presentations.id"), nullable=False),
    Column("item", Count, ForeignKey("items.id"), nullable=False, index=True),
    Column("user", Integer, ForeignKey("users.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("replaces", String(64), unique=True),
    Column("answer", JSON, nullable=False),  # in slots as shown
    Column("counted", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("right", Boolean),  # of gold and calibration: as expected
    Column("active_seconds", Double, nullable=False),
    Column("first_key_seconds", Double),
    Column("seen", Double),
    Column("comment", Text, nullable=False),
    Column("guideline", Integer, nullable=False),
    Column("at", Double, nullable=False),
    UniqueConstraint("presentation", "revision"),
    ForeignKeyConstraint(["replaces"], ["judgements.id"]),
    Index(None, "user", "at"),
    Index(None, "at"),
)  # fmt: skip

conversations = Table(  # of one annotator with the policy under test
    "conversations", metadata,
    Column("id", String(36), primary_key=True),
    Column("user", Integer, ForeignKey("users.id"), nullable=False, index=True),
    Column("begun", Double, nullable=False),
    Column("ended", Double),
)  # fmt: skip

turns = Table(  # a message and the responses to it, which are a comparison
    "turns", metadata,
    Column("conversation", String(36), ForeignKey("conversations.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("comparison", String(200), ForeignKey("comparisons.id"), nullable=False, unique=True),
    Column("shown", JSON, nullable=False),  # the responses that were compared; one if all were the same
    Column("key", String(96), nullable=False, unique=True),  # what makes a message that was sent twice one turn
)  # fmt: skip

events = Table(
    "events", metadata,
    Column("seq", Count, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("key", String(96), unique=True),  # what makes the same request, sent twice, one event
    Column("payload", Text, nullable=False),  # canonical JSON
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "kind", "seq"),
)  # fmt: skip

chain = Table(
    "chain", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Count, nullable=False),
    Column("hash", String(64), nullable=False),
)  # fmt: skip

webhooks = Table(
    "webhooks", metadata,
    Column("id", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", String(80), nullable=False),
    Column("kinds", JSON, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("by", Integer, ForeignKey("users.id"), nullable=False),
    Column("created", Double, nullable=False),
    Column("told", Count, nullable=False, server_default="0"),  # the last event that it has got
    Column("sent", Count, nullable=False, server_default="0"),  # how many it has got
    Column("tries", Integer, nullable=False, server_default="0"),  # failures in a row, of the event after that one
    Column("due", Double, nullable=False, server_default="0"),  # when it is tried again
    Column("failing", Double),  # since when
    Column("problem", Text, nullable=False, server_default=""),
)  # fmt: skip

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
held = _of_rows("strategy = 'held'", "ix_items_held", items.c.id)
by_purpose = _of_rows(EVERY, "ix_items_counted", items.c.purpose, items.c.id)
