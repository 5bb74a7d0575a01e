"""A site for each test, on SQLite and on PostgreSQL, with a clock that the test sets, and people to work there."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from prefloop.web.config import WebConfig
from prefloop.web.store.database import MIGRATIONS, Database
from prefloop.web.store.site import Site
from prefloop.web.store.tables import metadata
from web import postgres
from web.acts import Clock

NUMBERS = itertools.count(1)
LEFT: list[str] = []
"""Databases of PostgreSQL that are empty again."""


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of SQLite with tables and nothing else, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.sqlite"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    database.close()
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A server with a database called `empty`, with tables and nothing else, to be copied."""
    with postgres.server() as url:
        run(url, "postgres", "CREATE DATABASE empty")
        database = Database(f"{url}/empty")
        database.migrate()
        database.close()
        yield url


@pytest.fixture
def new_sqlite(empty_sqlite: Path, tmp_path: Path) -> Callable[[], str]:
    """Makes databases of SQLite with tables and nothing else. Returns: the URL."""

    def copy() -> str:
        path = tmp_path / f"{next(NUMBERS)}.sqlite"
        shutil.copyfile(empty_sqlite, path)
        return f"sqlite:///{path}"

    return copy


@pytest.fixture
def new_postgresql(postgresql: str) -> Iterator[Callable[[], str]]:
    """Makes databases of PostgreSQL with tables and nothing else, out of those that tests before have left."""
    mine: list[str] = []

    def create() -> str:
        if LEFT:
            mine.append(LEFT.pop())
        else:
            mine.append(f"test_{next(NUMBERS)}")
            run(postgresql, "postgres", f"CREATE DATABASE {mine[-1]} TEMPLATE empty")
        return f"{postgresql}/{mine[-1]}"

    yield create
    tables = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
    purposes = "ARRAY['work', 'adjudication', 'arena', 'chat']"
    again = f"""TRUNCATE {tables} RESTART IDENTITY; INSERT INTO chain VALUES (1, 0, repeat('0', 64));
        INSERT INTO cursors SELECT 0, p, 0, 0 FROM unnest({purposes}) p;
        UPDATE alembic_version SET version_num = '{head()}'"""
    for name in mine:
        run(postgresql, name, again)
        LEFT.append(name)


def head() -> str:
    """The newest revision of the tables."""
    return sorted(MIGRATIONS.glob("versions/*.py"))[-1].name[:4]


def run(server: str, database: str, statement: str) -> None:
    """Runs SQL outside of a transaction."""
    engine = sqlalchemy.create_engine(f"{server}/{database}", isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


@pytest.fixture(params=["new_sqlite", "new_postgresql"], ids=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes databases, of both kinds in turn; a file whose tests do not depend on the kind makes it one of them."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def clock() -> Clock:
    """Time, as the test wants it."""
    return Clock()


@pytest.fixture
def new_site(new_url: Callable[[], str], tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Site]]:
    """Makes sites; settings of the server may be given."""
    made: list[Site] = []

    def make(**settings: object) -> Site:
        config = WebConfig.model_validate({"password_memory_kb": 64, **settings})
        made.append(Site(database=Database(new_url()), config=config, folder=tmp_path, clock=clock))
        return made[-1]

    yield make
    for site in made:
        site.database.close()


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """A site without comparisons and users."""
    return new_site()
