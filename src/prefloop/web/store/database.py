"""One database: SQLite in a file, or PostgreSQL. Reading, writing with a retry, migrating, and refusals as sentences.

On SQLite a write takes the lock at its beginning (`BEGIN IMMEDIATE`) and is on the disk before it is acknowledged
(`synchronous=FULL`); writers of this process wait for each other in a queue of their own, because SQLite lets waiting
processes sleep. On PostgreSQL two writes that stand in each other's way are told apart by the server, and the loser
begins again.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, event, exc
from sqlalchemy.dialects import postgresql, sqlite

from prefloop.errors import UserError
from prefloop.files.atomic import make_folder
from prefloop.web.errors import Refusal

T = TypeVar("T")
FAILURES = (exc.DatabaseError, exc.InterfaceError)
OURS = (exc.ProgrammingError, exc.DataError, exc.NotSupportedError)
"""Of these, what is a fault of the program and no state of the database."""
TRIES = 6
BUSY_SECONDS = 20
WRITERS = 4
"""Writes of this process at once, on PostgreSQL: all wait for the head of the log; more would hold each other up."""
RESTED = 2.0
"""Seconds after which a connection is asked, before it is used, whether PostgreSQL is still there."""
RETRIED = {"40001", "40P01"}  # PostgreSQL: could not serialise; deadlock
MIGRATIONS = Path(__file__).with_name("migrations")


class Database:
    """An engine and the way to use it."""

    def __init__(self, url: str) -> None:
        """Opens (does not create) what the URL names. Raises: UserError if the URL is not one that we know."""
        try:
            self.url = sqlalchemy.make_url(url)
        except exc.ArgumentError:
            raise UserError(
                f"database={url}: this is not a database; give postgresql+psycopg://user@host/name, or leave it out."
            ) from None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turn = threading.BoundedSemaphore(1 if self.is_sqlite else WRITERS)
        if self.is_sqlite:
            self.engine = _sqlite(self.url)
        elif self.url.drivername == "postgresql+psycopg":
            self.engine = _postgresql(self.url)
        else:
            raise UserError(
                f"database={self.name}: only SQLite and PostgreSQL are known; "
                "give postgresql+psycopg://user@host/name, or leave it out."
            )
        self._alone = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that changes nothing. On PostgreSQL each question sees its own moment."""
        with self._refusing(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def glancing(self) -> Iterator[Connection]:
        """The same for a few small questions: on PostgreSQL without BEGIN and ROLLBACK; nothing can be streamed."""
        with self._refusing(), self._alone.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """The same, but all questions see one moment, whatever is written meanwhile."""
        with self._refusing(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work(connection)` returns, once everything it wrote is safe; nothing is written if it raises.

        It may be called again if another write was in the way, so it must do nothing but write.
        """
        for last in [*[False] * (TRIES - 1), True]:
            try:
                with self._turn, self.engine.connect() as connection, connection.execution_options(writes=True).begin():
                    return work(connection)
            except exc.IntegrityError:  # another wrote the same just before: look again
                if last:
                    raise
            except FAILURES as problem:
                if isinstance(problem, OURS):
                    raise
                if last or self._sqlstate(problem) not in RETRIED:
                    raise refusal(problem, self.name) from problem
        raise AssertionError

    def _sqlstate(self, problem: exc.DBAPIError) -> str | None:
        """PostgreSQL's code for what went wrong."""
        original: Any = problem.orig
        return None if self.is_sqlite else original.sqlstate

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as problem:
            if isinstance(problem, OURS):
                raise
            raise refusal(problem, self.name) from problem

    def insert(self, table: Table) -> Any:
        """INSERT that can say `.on_conflict_do_nothing()` and `.on_conflict_do_update()`."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def migrate(self) -> None:
        """Makes the tables, or brings them up to date. Raises: UserError if they were written by a newer prefloop."""
        if self.is_sqlite and self.url.database:
            make_folder(Path(self.url.database).parent)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}

        def upgrade(connection: Connection) -> None:
            revision = _revision(connection)
            if revision is not None and revision not in known:
                raise UserError(
                    f"{self.name}: this database was written by a newer prefloop (its revision is {revision}). "
                    "Install that version; nothing was changed."
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

        self.write(upgrade)

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def _revision(connection: Connection) -> str | None:
    """The revision that the tables have; None if there are none."""
    if not sqlalchemy.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()


def _sqlite(url: sqlalchemy.URL) -> Engine:
    engine = sqlalchemy.create_engine(
        url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, pool_size=16, max_overflow=48
    )

    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # or Python begins transactions by itself, and too late
        cursor = connection.cursor()
        settings = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000")
        for pragma in (*settings, f"busy_timeout={BUSY_SECONDS * 1000}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _postgresql(url: sqlalchemy.URL) -> Engine:
    try:  # last in, first out: few connections, which know every question
        engine = sqlalchemy.create_engine(url, pool_size=16, max_overflow=48, pool_use_lifo=True)
    except ModuleNotFoundError:
        raise UserError("a PostgreSQL database needs psycopg: pip install 'prefloop[postgres]'.") from None

    def rest(connection: Any, record: Any) -> None:
        record.info["since"] = time.monotonic()

    def ask(connection: Any, record: Any, proxy: object) -> None:
        if time.monotonic() - record.info.get("since", time.monotonic()) <= RESTED:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as problem:
            raise exc.DisconnectionError from problem  # the pool takes another

    event.listen(engine, "checkin", rest)
    event.listen(engine, "checkout", ask)
    return engine


SAFE = "Nothing that was acknowledged is lost."
SAYS = (
    (("locked", "busy"), "locked", f"another program holds the database. {SAFE} Close it and try again."),
    (("full", "no space"), "disk_full", f"the disk is full. {SAFE} Free some space and try again."),
    (("readonly", "read-only", "read only"), "read_only",
     f"the database cannot be written. {SAFE} Give this user the right to write, and try again."),
    (("unable to open",), "no_database", "the file cannot be opened. Check that its folder exists and may be written."),
    (("not a database", "malformed"), "damaged",
     "this is not an SQLite database, or it is damaged. Put a backup in its place."),
)  # fmt: skip
"""What a database's message contains -> code, sentence."""


def refusal(problem: exc.DBAPIError, name: str) -> Refusal:
    """What the database says, in a sentence."""
    said = str(problem.orig).strip()
    for marks, code, sentence in SAYS:
        if any(mark in said.lower() for mark in marks):
            return Refusal(503, code, sentence[0].upper() + sentence[1:], detail=f"{name}: {sentence}")
    first = said.splitlines()[0] if said else "no reason given"
    detail = f"{name}: the database does not do as it is asked ({first}). {SAFE}"
    return Refusal(503, "database", f"The database does not do as it is asked. {SAFE} Tell the lead.", detail=detail)
