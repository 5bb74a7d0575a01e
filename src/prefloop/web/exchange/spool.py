"""Rows of a file that is being looked at, kept outside of memory until all of them are known to be good.

A private database of SQLite without a name: in memory while it is small, in a temporary file when it grows, and gone
when it is closed.
"""

import itertools
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple, Self

TOGETHER = 10
"""Rows fetched together."""


class Row(NamedTuple):
    """One row that was looked at."""

    name: str
    mark: str
    place: str
    """file:line, for a sentence"""
    value: bytes


class Spool:
    """Rows in the order they came, found again by name. A name may come several times, with different marks."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("")
        self._file.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE rows (number INTEGER PRIMARY KEY, name TEXT, mark TEXT, place TEXT, value BLOB);"
            "CREATE INDEX by_name ON rows (name, mark);"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """Keeps a row."""
        self._file.execute("INSERT INTO rows (name, mark, place, value) VALUES (?, ?, ?, ?)", row)

    def first(self, name: str, mark: str | None = None) -> Row | None:
        """The first row with a name, and with a mark if one is given."""
        query = (
            "SELECT name, mark, place, value FROM rows WHERE name = ? AND (? IS NULL OR mark = ?) "
            "ORDER BY number LIMIT 1"
        )
        values = self._file.execute(query, (name, mark, mark)).fetchone()
        return Row(*values) if values else None

    def __len__(self) -> int:
        return self._file.execute("SELECT count(*) FROM rows").fetchone()[0]

    def drop(self, name: str) -> None:
        """Forgets all rows with a name."""
        self._file.execute("DELETE FROM rows WHERE name = ?", (name,))

    def each(self, *, values: bool = True) -> Iterator[Row]:
        """All rows, in order, with their values or without; rows may be forgotten on the way."""
        last = 0
        value = "value" if values else "x''"
        query = f"SELECT number, name, mark, place, {value} FROM rows WHERE number > ? ORDER BY number LIMIT {TOGETHER}"
        while rows := self._file.execute(query, (last,)).fetchall():
            last = rows[-1][0]
            yield from (Row(*row[1:]) for row in rows)

    def marks(self) -> list[str]:
        """All marks, in the order they first came."""
        return [row[0] for row in self._file.execute("SELECT mark FROM rows GROUP BY mark ORDER BY min(number)")]

    def together(self) -> Iterator[list[Row]]:
        """The rows of each name, in the order in which names first came."""
        firsts = "SELECT name, min(number) AS first FROM rows GROUP BY name"
        joined = f"rows JOIN ({firsts}) AS firsts ON rows.name = firsts.name"
        query = f"SELECT rows.name, mark, place, value FROM {joined} ORDER BY first, number"
        rows = itertools.starmap(Row, self._file.execute(query))
        for _, same in itertools.groupby(rows, key=lambda row: row.name):
            yield list(same)
