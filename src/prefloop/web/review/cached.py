"""Numbers that are dear to reckon, kept for each site until the log has grown and some seconds are over."""

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import Connection, select

from prefloop.web.store.site import Site
from prefloop.web.store.tables import chain

T = TypeVar("T")


class Cached(Generic[T]):
    """What `reckon(site, connection)` returns, at most so many seconds old, or as old as the log."""

    def __init__(self, reckon: Callable[[Site, Connection], T], *, seconds: float) -> None:
        self._reckon, self._seconds = reckon, seconds
        self._values: weakref.WeakKeyDictionary[Site, tuple[int, float, T]] = weakref.WeakKeyDictionary()

    def of(self, site: Site) -> T:
        """The newest, or one a few seconds old."""
        now = site.clock()
        with site.database.reading() as connection:
            seq = connection.execute(select(chain.c.seq)).scalar_one()
            before = self._values.get(site)
            if before is not None and (before[0] == seq or 0 <= now - before[1] < self._seconds):
                return before[2]
            value = self._reckon(site, connection)
        self._values[site] = (seq, now, value)
        return value
