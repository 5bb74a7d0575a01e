"""From nothing to the tables, and refusing what cannot be used."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select

from prefloop.errors import UserError
from prefloop.web.store.database import MIGRATIONS, Database
from prefloop.web.store.tables import item_tags, items, metadata, users, webhooks


def test_migrations_make_the_tables(new_url: Callable[[], str]):
    database = Database(new_url())
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.migrate()  # again: nothing to do
    database.close()


def test_webhooks_keep_their_place_when_the_outbox_goes(new_url: Callable[[], str]):
    """From 0002: a hook that waits for event 4 hears it next, one that waits for none goes on after 6, already seen."""
    database, config = Database(new_url()), Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def before(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        run = connection.exec_driver_sql
        run("INSERT INTO users VALUES (1, 'boss', 'admin', '-', '{}', '[]', true, false, 1, 0, 0)")
        for number in range(1, 8):
            run(f"INSERT INTO events VALUES ({number}, 0, 'a', 'judgement', NULL, '{{}}', '-', '-')")
        run("UPDATE chain SET seq = 7")
        run("INSERT INTO settings VALUES ('webhooks_seen', '6')")
        for number in (1, 2):
            run(f"INSERT INTO webhooks VALUES ({number}, 'https://x.org', 's', '[\"judgement\"]', true, 1, 0)")
        for event, state in ((3, "sent"), (4, "waiting"), (5, "sent"), (6, "waiting")):
            run(f"INSERT INTO deliveries VALUES ({event}, 1, {event}, '{state}', 0, 0, '')")

    database.write(before)
    database.migrate()
    with database.reading() as connection:
        assert connection.execute(select(webhooks.c.told, webhooks.c.sent).order_by(webhooks.c.id)).all() == [
            (3, 2),
            (6, 0),
        ]
        assert connection.exec_driver_sql("SELECT count(*) FROM settings").scalar() == 0
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_work_that_became_gold_is_marked_for_good(new_url: Callable[[], str]):
    """From 0003, where a new overlap had asked for one more judgement; what is with somebody may still be answered."""
    database, config = Database(new_url()), Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def before(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        run = connection.exec_driver_sql
        texts = "'p', '[]', '[]', '[\"t\"]', '{}', 'b', 'f', 1, 0"
        for name in ("é", "d"):
            run(f"INSERT INTO comparisons VALUES ('{name}', {texts})")
        for number, name, purpose, wanted in ((1, "é", "work", 3), (2, "d", "work", 3), (3, "é", "gold", 0)):
            counts = "3, 1, 1, 1" if wanted else "0, 0, 0, 0"
            key = f'["{name}", "pair", [0, 1], "{purpose}"]'
            rest = f"'pair', '[0, 1]', '{purpose}', {counts}, false, 1, 'all', 1, NULL, 0"
            run(f"INSERT INTO items VALUES ({number}, '{key}', '{name}', {rest})")
            run(f"INSERT INTO item_tags VALUES ({number}, 't', '{purpose}', 1, true)")

    database.write(before)
    database.migrate()
    with database.reading() as connection:
        result = connection.execute(select(items).order_by(items.c.id)).all()
        assert [(row.retired, row.wanted, row.needed) for row in result] == [(True, 2, 0), (False, 3, 1), (False, 0, 0)]
        queued = connection.execute(select(item_tags.c.open).order_by(item_tags.c.item)).scalars().all()
        assert queued == [False, True, True]
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_accounts_of_programs_are_told_from_those_of_people(new_url: Callable[[], str]):
    """From 0006: whoever has a token's account is a model; people, and those whose judgements came in, are people."""
    database, config = Database(new_url()), Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def before(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
        for number, password in enumerate(("$argon2id$", "program", "imported")):
            values = f"{number}, 'n{number}', 'annotator', '{password}', '{{}}', '[]', true, false, 1, 0, 0"
            connection.exec_driver_sql(f"INSERT INTO users VALUES ({values})")

    database.write(before)
    database.migrate()
    with database.reading() as connection:
        assert connection.execute(select(users.c.kind).order_by(users.c.id)).scalars().all() == [
            "person",
            "model",
            "person",
        ]
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_a_newer_database_is_refused_and_left_alone(new_url: Callable[[], str]):
    database = Database(new_url())
    database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match=r"written by a newer prefloop \(its revision is 9999\)"):
        database.migrate()
    database.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("no url", "this is not a database"),
        ("mysql://x/y", "only SQLite and PostgreSQL are known"),
        ("postgresql+psycopg://nobody:secret@127.0.0.1:1/none", "the database does not do as it is asked"),
    ],
)
def test_a_database_that_is_none(url: str, says: str):
    with pytest.raises(UserError, match=says) as problem:
        Database(url).migrate()
    assert "secret" not in str(problem.value)


def test_a_file_that_is_no_database(tmp_path: Path):
    path = tmp_path / "x.sqlite"
    path.write_text("this is a letter to my aunt, and long enough to be read as a header " * 20)
    with pytest.raises(UserError, match="not an SQLite database"):
        Database(f"sqlite:///{path}").migrate()


def test_a_locked_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("prefloop.web.store.database.BUSY_SECONDS", 0)
    database = Database(f"sqlite:///{tmp_path}/x.sqlite")
    database.migrate()
    other = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match="another program holds the database"):
        database.write(lambda c: c.exec_driver_sql("DELETE FROM settings"))
    other.close()
    database.close()


def test_a_server_that_started_anew_is_asked_first(new_postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch):
    """A connection that rested is asked whether it still holds; one that did not rest fails once, with a sentence."""
    database = Database(new_postgresql())
    others_here = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ends = sqlalchemy.text(f"SELECT pg_terminate_backend(pid) {others_here}")
    others = sqlalchemy.create_engine(database.url)

    def broken() -> None:
        assert read() == 1  # now a connection is in the pool
        with others.begin() as connection:
            connection.execute(ends)

    def read() -> int:
        with database.reading() as connection:
            return connection.execute(sqlalchemy.text("SELECT 1")).scalar_one()

    monkeypatch.setattr("prefloop.web.store.database.RESTED", -1.0)
    broken()
    assert read() == 1
    monkeypatch.setattr("prefloop.web.store.database.RESTED", 60.0)
    broken()
    with pytest.raises(UserError, match=r"closed|terminat"):
        read()
    assert read() == 1
    database.close()
    others.dispose()
