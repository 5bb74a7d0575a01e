"""A site: one project's database, settings, clock and folder, as every part of the page needs them."""

import functools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from argon2 import PasswordHasher
from sqlalchemy import Engine
from starlette.requests import Request

from prefloop.web.config import WebConfig
from prefloop.web.store.database import Database


@dataclass(frozen=True, eq=False)
class Site:
    """What `request.app.state.site` is."""

    database: Database
    """Where everything is kept."""
    config: WebConfig
    """How the server was started; the project's own settings are read with `settings.project(connection)`."""
    folder: Path
    """The folder that holds comparisons.jsonl."""
    name: str = ""
    """What the project is called unless its settings say otherwise; empty takes the name of `folder`."""
    clock: Callable[[], float] = time.time
    """UTC seconds."""
    rng: random.Random = field(default_factory=random.SystemRandom)
    """Draws the order in which responses are shown."""

    def called(self, named: str) -> str:
        """The project's name: as its settings name it, else as its folder is called."""
        return named or self.name or self.folder.name

    @property
    def engine(self) -> Engine:
        """The database's SQLAlchemy engine."""
        return self.database.engine

    @functools.cached_property
    def hasher(self) -> PasswordHasher:
        """Turns passwords into argon2id hashes."""
        return PasswordHasher(time_cost=3, memory_cost=self.config.password_memory_kb, parallelism=1)


def site_of(request: Request) -> Site:
    """The site that answers a request."""
    return request.app.state.site
