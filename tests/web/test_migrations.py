"""From nothing to the tables, and refusing what cannot be used."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from prefloop.errors import UserError
from prefloop.web.database import Database
from prefloop.web.tables import metadata


def test_migrations_make_the_tables(new_url: Callable[[], str]):
    database = Database(new_url())
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.migrate()  # again: nothing to do
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
    monkeypatch.setattr("prefloop.web.database.BUSY_SECONDS", 0)
    database = Database(f"sqlite:///{tmp_path}/x.sqlite")
    database.migrate()
    other = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match="another program holds the database"):
        database.write(lambda c: c.exec_driver_sql("DELETE FROM settings"))
    other.close()
    database.close()
