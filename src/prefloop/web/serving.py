"""Opening a site and serving it: database, comparisons, the first admin's link, the server."""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import filelock
import uvicorn
from sqlalchemy import Connection, update

from prefloop.errors import UserError
from prefloop.files.atomic import make_folder, writing
from prefloop.web.address import base, free_port
from prefloop.web.app import create_app
from prefloop.web.config import WebConfig
from prefloop.web.exchange import arena_files, comparison_files, export
from prefloop.web.folder import ELSEWHERE, KEPT, arena_of, comparisons_of, home_of, name_of
from prefloop.web.security import accounts
from prefloop.web.security.guard import is_loopback, log_to
from prefloop.web.store import chain, settings
from prefloop.web.store.database import Database
from prefloop.web.store.site import Site
from prefloop.web.store.tables import invitations
from prefloop.web.work import intake

BACKLOG_SECONDS = 20
PATIENCE = 2.0
"""Seconds of reading after which it is said."""
SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter while another wants it: writers must not wait for those that render."""


def open_site(folder: Path, config: WebConfig, *, take_in: bool = True) -> Site:
    """The site of a folder, its database made or brought up to date, its comparisons taken in.

    Raises: UserError if there is nothing to judge, or if the database does not do.
    """
    comparisons, home = comparisons_of(folder), home_of(folder)
    make_folder(home / "web", otherwise=ELSEWHERE)
    database = Database(config.database or f"sqlite:///{home.resolve() / 'web' / KEPT}")
    with contextlib.ExitStack() as if_it_fails:
        if_it_fails.callback(database.close)
        database.migrate()
        site = Site(database=database, config=config, folder=comparisons.parent, name=name_of(folder))
        if take_in:
            _take_in(site, folder)
        if_it_fails.pop_all()
    return site


def _take_in(site: Site, folder: Path) -> None:
    """The settings that were typed, and what is new in the folder."""
    changes, comparisons, arena = settings.typed(site.config), comparisons_of(folder), arena_of(folder)
    if changes:
        site.database.write(lambda c: settings.change(c, changes, actor="server", at=site.clock()))
    if "kinds" in changes and (moved := intake.ask_kinds(site, actor="server"))["made"] + moved["withdrawn"]:
        say(f"web: other kinds: {', '.join(f'{number} {what}' for what, number in moved.items())}.")
    with _said_if_long(comparisons):
        added, _ = comparison_files.from_file(site, comparisons)
    if added:
        say(f"web: {added} new comparisons from {comparisons}")
    if arena is not None:
        with _said_if_long(arena):
            _take_in_arena(site, arena)


@contextlib.contextmanager
def _said_if_long(path: Path) -> Iterator[None]:
    """Says which file is read, if that takes its time."""
    timer = threading.Timer(PATIENCE, say, [f"web: reading {path} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _take_in_arena(site: Site, path: Path) -> None:
    """What people may compare blind; the page serves without what is wrong in it, and says so."""
    try:
        answer = arena_files.from_file(site, path, wanted=1, on_bad="skip", actor="server")
    except UserError as problem:
        say(f"web: the arena is left out: {problem}")
        return
    if answer["items"]:
        say(f"web: {answer['items']} new pairs for the arena from {path}")
    if answer["left_out"]:
        say(f"web: {answer['left_out']} rows of {path} are left out: {answer['problems'][0]}")


def run(folder: Path, config: WebConfig, *, link: bool, verify: bool) -> int:
    """Serves until it is stopped, or does what was asked instead. Returns: the exit code."""
    if not (link or verify):
        return _serve(folder, config)
    site = open_site(folder, config, take_in=False)
    with contextlib.closing(site.database):
        if verify:
            with site.database.snapshot() as connection:
                say(f"web: the log is whole: {chain.verify(connection)} events, each bound to the one before.")
        else:
            say(f"web: a link for one admin, once: {base(config, config.port)}/join/{_admin_link(site)}")
    return 0


def _serve(folder: Path, config: WebConfig) -> int:
    """Serves until it is stopped: first the folder and the port are taken, and then what takes time is done."""
    comparisons_of(folder)
    with _alone(folder, config), contextlib.closing(free_port(config.host, config.port)) as listener:
        site = open_site(folder, config)
        with contextlib.closing(site.database):
            export.refuse_foreign(site)
            return _listen(site, folder, config, listener)


@contextlib.contextmanager
def _alone(folder: Path, config: WebConfig) -> Iterator[None]:
    """While the page is served out of a file of SQLite, nobody else serves it. Raises: UserError if somebody does."""
    if config.database.startswith("postgresql"):
        yield
        return
    make_folder(home_of(folder) / "web", otherwise=ELSEWHERE)
    beside = comparisons_of(folder).parent  # one place, by whichever name the folder is called
    lock = filelock.FileLock(beside / ".web.lock")
    try:
        with writing(beside, otherwise=ELSEWHERE):
            lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"{folder}: another `prefloop web` serves this folder. Stop it first; "
            "several servers may share a database of PostgreSQL (database=...)."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _listen(site: Site, folder: Path, config: WebConfig, listener: socket.socket) -> int:
    """Says where it listens and what is missing, and serves. Returns: the exit code."""
    app = create_app(site)
    address = base(config, listener.getsockname()[1])
    with site.database.reading() as connection:
        alone = not accounts.has_admin(connection)
    if not is_loopback(config.host) and not config.https:
        say(
            "web: without https whoever is on the network between can read along; "
            "put it behind a server that speaks https, and set https=true."
        )
    if config.https and not config.proxies:
        say(
            "web: another server stands in front (https=true), but proxies= does not say which: "
            "everybody seems to come from one address, "
            "and whoever guesses passwords locks all out. Set proxies=[its address]."
        )
    if alone:
        say(f"web: nobody can administer this project yet. This link works once: {address}/join/{_admin_link(site)}")
    say(f"web: {address}")
    log_to(home_of(folder) / "web")
    settings = uvicorn.Config(app, log_level="warning", access_log=False, proxy_headers=False, server_header=False)
    settings.timeout_keep_alive = settings.timeout_graceful_shutdown = BACKLOG_SECONDS
    server = uvicorn.Server(settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        server.run(sockets=[listener])
    finally:  # Ctrl-C is told on, once everything is closed
        if server.started:
            say("web: stopped; all that was acknowledged is kept.")
    if not server.started:
        raise UserError("the server did not start; the lines above tell why.")
    return 0


def _admin_link(site: Site) -> str:
    """A new link; those that were printed before end, for nobody knows any more who has seen them."""

    def renew(connection: Connection) -> str:
        connection.execute(
            update(invitations).where(invitations.c.role == "admin", invitations.c.by.is_(None)).values(uses=0)
        )
        return accounts.invite(connection, site, role="admin", by=None)

    return site.database.write(renew)


def say(line: str) -> None:
    """A line for whoever started the server, at once."""
    print(line, flush=True)
