"""Opening a site and serving it: database, comparisons, the first admin's link, the server."""

import sys
from pathlib import Path

import uvicorn

from prefloop.errors import UserError
from prefloop.files.atomic import make_folder
from prefloop.web import accounts, chain, importing, ingest, settings
from prefloop.web.app import create_app
from prefloop.web.command import EVERYWHERE, arena_of, comparisons_of, free_port, own_address, say
from prefloop.web.config import WebConfig
from prefloop.web.database import Database
from prefloop.web.security import is_loopback, log_to
from prefloop.web.site import Site

BACKLOG_SECONDS = 20
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another wants it: the one that writes must not wait for those that render."""


def open_site(folder: Path, config: WebConfig, *, take_in: bool = True) -> Site:
    """The site of a folder, its database made or brought up to date, its comparisons taken in.

    Raises: UserError if there is nothing to judge, or if the database does not do.
    """
    comparisons = comparisons_of(folder)
    make_folder(folder / "web")
    database = Database(config.database or f"sqlite:///{folder.resolve() / 'web' / 'prefloop.sqlite'}")
    database.migrate()
    site = Site(database=database, config=config, folder=comparisons.parent)
    if take_in:
        changes = settings.typed(config)
        if changes:
            database.write(lambda c: settings.change(c, changes, actor="server", at=site.clock()))
        added, _ = ingest.from_file(site, comparisons)
        if added:
            say(f"web: {added} new comparisons from {comparisons}")
        arena = arena_of(folder)
        if arena is not None:
            _take_in_arena(site, arena)
    return site


def _take_in_arena(site: Site, path: Path) -> None:
    """What people may compare blind; the page serves without what is wrong in it, and says so."""
    try:
        told = importing.for_arena(site, path, wanted=1, on_bad="skip", actor="server")
    except UserError as problem:
        say(f"web: the arena is left out: {problem}")
        return
    if told["items"]:
        say(f"web: {told['items']} new pairs for the arena from {path}")
    if told["left_out"]:
        say(f"web: {told['left_out']} rows of {path} are left out: {told['problems'][0]}")


def run(folder: Path, config: WebConfig, *, link: bool, verify: bool) -> int:
    """Serves until it is stopped, or does what was asked instead. Returns: the exit code."""
    site = open_site(folder, config, take_in=not (link or verify))
    if verify:
        with site.database.snapshot() as connection:
            say(f"web: the log is whole: {chain.verify(connection)} events, each bound to the one before.")
        return 0
    if link:
        say(f"web: a link for one admin, once: {base(config, config.port)}/join/{_admin_link(site)}")
        return 0
    app = create_app(site)
    listener = free_port(config.host, config.port)
    address = base(config, listener.getsockname()[1])
    with site.database.reading() as connection:
        alone = not accounts.has_admin(connection)
    if not is_loopback(config.host) and not config.https:
        say("web: without https whoever is on the network between can read along; put it behind a server that speaks https, and set https=true.")
    if config.https and not config.proxies:
        say("web: another server stands in front (https=true), but proxies= does not say which: everybody seems to come from one address, "
            "and one who guesses passwords locks all out. Set proxies=[its address].")  # fmt: skip
    if alone:
        say(f"web: nobody can administer this project yet. This link works once: {address}/join/{_admin_link(site)}")
    say(f"web: {address}")
    log_to(folder / "web")
    server = uvicorn.Server(uvicorn.Config(
        app, log_level="warning", access_log=False, proxy_headers=False, server_header=False, timeout_keep_alive=BACKLOG_SECONDS,
        timeout_graceful_shutdown=BACKLOG_SECONDS,
    ))  # fmt: skip
    sys.setswitchinterval(SWITCH_SECONDS)
    server.run(sockets=[listener])
    if not server.started:
        raise UserError("the server did not start; the lines above tell why.")
    return 0


def _admin_link(site: Site) -> str:
    return site.database.write(lambda c: accounts.invite(c, site, role="admin", by=None))


def base(config: WebConfig, port: int) -> str:
    """The address that is printed: one that a colleague can open where the network is let in."""
    if config.https and config.names:
        return f"https://{config.names[0]}"
    host = config.host
    if host in EVERYWHERE:
        host = config.names[0] if config.names else own_address(host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
