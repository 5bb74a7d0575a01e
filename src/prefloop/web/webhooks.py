"""Webhooks: somebody else's server is told what happened, in order, signed, again and again until it says yes.

An event of the log that a webhook asked for becomes a row of `deliveries` (the outbox), so that nothing is forgotten when the
server stops. A thread sends what is due, and tries a failed one again after 10 s, 20 s, 40 s ... up to an hour, 12 times.

    X-Prefloop-Signature: sha256=HMAC-SHA256(secret, "TIME." + body)        X-Prefloop-Time: TIME (UTC seconds)

Addresses inside the network are refused, unless the lead's desk allows them: else a webhook could reach what a lead cannot.
The address that was checked is the one that is called.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import json
import logging
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI
from pydantic import Field
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.exc import SQLAlchemyError

from prefloop.errors import UserError
from prefloop.web.answers import Body
from prefloop.web.chain import record
from prefloop.web.errors import refuse_unless
from prefloop.web.site import Site
from prefloop.web.tables import chain, deliveries, events, settings, webhooks

log = logging.getLogger("prefloop.web")
EVERY = 2.0
"""Seconds between two looks at the outbox."""
FIRST_WAIT, LONGEST_WAIT, TRIES = 10.0, 3600.0, 12
TIMEOUT = 10.0
BATCH = 50
KINDS = ("judgement", "revision", "skip", "flag", "comparisons", "guideline", "selection", "adjudication", "settings", "scores", "import")
"""Events that may be told."""
SEEN = "webhooks_seen"
"""Row of settings: the last event that was looked at."""
ALLOWED = "webhooks_private"
"""Row of settings: True if addresses inside the network may be called."""
Resolve = Callable[[str, int], list[str]]


class Hook(Body):
    """Where to tell what."""

    url: Annotated[str, Field(min_length=8, max_length=500)]
    """http or https."""
    kinds: Annotated[list[str], Field(min_length=1, max_length=len(KINDS))]
    """Kinds of events."""


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises: OSError if there are none."""
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})


def is_public(address: str) -> bool:
    """True for an address of the open internet."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global and not (mapped or found).is_multicast


def target(url: str, *, private: bool, resolve: Resolve = resolved) -> tuple[str, str, str]:
    """(address to connect to, Host header, host name) of a URL. Raises: UserError if it may not be called."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UserError("this is not a URL; give https://host/path.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise UserError("a webhook's URL is http or https, with a host and without a name and password.")
    try:
        addresses = resolve(parts.hostname, port)
    except (OSError, UnicodeError):
        raise UserError(f"the host {parts.hostname[:80]} is not known.") from None
    if not addresses or (not private and not all(is_public(address) for address in addresses)):
        raise UserError(f"the host {parts.hostname[:80]} is inside the network, which webhooks may not call here; a lead may allow it.")
    return addresses[0], parts.netloc.rpartition("@")[2], parts.hostname


def signature(secret: str, at: str, body: bytes) -> str:
    """What a receiver checks."""
    return "sha256=" + hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


# -- what leads do --------------------------------------------------------------------------------------------------------


def _setting(connection: Connection, key: str) -> Any:
    return connection.execute(select(settings.c.value).where(settings.c.key == key)).scalar()


def _keep_setting(connection: Connection, key: str, value: Any) -> None:
    connection.execute(delete_rows(settings).where(settings.c.key == key))
    connection.execute(insert(settings).values(key=key, value=value))


def allows_private(connection: Connection) -> bool:
    """Whether addresses inside the network may be called."""
    return _setting(connection, ALLOWED) is True


def allow_private(connection: Connection, site: Site, allowed: bool, *, actor: str) -> None:
    """Allows them, or not any more."""
    _keep_setting(connection, ALLOWED, allowed)
    record(connection, "webhooks_private", actor, site.clock(), {"allowed": allowed})


def checked(hook: Hook, *, private: bool, resolve: Resolve = resolved) -> None:
    """Raises: Refusal (422), or UserError, if a hook will not do."""
    unknown = sorted(set(hook.kinds) - set(KINDS))
    refuse_unless(not unknown, f"There are no events called {', '.join(unknown)[:80]}; there are {', '.join(KINDS)}.")
    target(hook.url, private=private, resolve=resolve)


def add(connection: Connection, site: Site, hook: Hook, *, by: int, actor: str) -> dict[str, Any]:
    """Keeps a hook, which hears of what happens from now on. Returns: its number and its secret, told once."""
    if _setting(connection, SEEN) is None:
        _keep_setting(connection, SEEN, connection.execute(select(chain.c.seq)).scalar_one())
    secret = secrets.token_urlsafe(32)
    row = {"url": hook.url, "secret": secret, "kinds": sorted(set(hook.kinds)), "active": True, "by": by, "created": site.clock()}
    number = connection.execute(insert(webhooks).values(row).returning(webhooks.c.id)).scalar_one()
    record(connection, "webhook", actor, site.clock(), {"webhook": number, "host": urlsplit(hook.url).hostname, "kinds": row["kinds"]})
    return {"id": number, "secret": secret}


def end(connection: Connection, site: Site, number: int, *, actor: str) -> None:
    """A hook hears nothing any more."""
    if connection.execute(update(webhooks).where(webhooks.c.id == number).values(active=False)).rowcount:
        connection.execute(update(deliveries).where(deliveries.c.webhook == number, deliveries.c.state == "waiting").values(state="ended"))
        record(connection, "webhook_ended", actor, site.clock(), {"webhook": number})


def listed(connection: Connection) -> list[dict[str, Any]]:
    """All hooks, without their secrets, with how their deliveries fare."""
    counts: dict[int, dict[str, int]] = {}
    for row in connection.execute(select(deliveries.c.webhook, deliveries.c.state, func.count()).group_by(deliveries.c.webhook, deliveries.c.state)):
        counts.setdefault(row[0], {})[row[1]] = row[2]
    rows = connection.execute(select(webhooks).order_by(webhooks.c.id)).all()
    return [{"id": r.id, "url": r.url, "kinds": r.kinds, "active": r.active, "deliveries": counts.get(r.id, {})} for r in rows]


# -- the outbox -----------------------------------------------------------------------------------------------------------


class Courier:
    """Fills the outbox from the log, and sends what is due."""

    def __init__(self, site: Site, *, client: httpx.Client | None = None, resolve: Resolve = resolved) -> None:
        self.site, self.resolve = site, resolve
        self.client = client or httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    def look(self) -> int:
        """Collects and sends once. Returns: how many were sent."""
        with self.site.database.reading() as connection:
            hooks = connection.execute(select(webhooks).where(webhooks.c.active)).all()
            if not hooks:
                return 0
            head, seen = connection.execute(select(chain.c.seq)).scalar_one(), _setting(connection, SEEN) or 0
        if head > seen:
            self.site.database.write(lambda c: self._collect(c, head))
        return sum(self._send(*due) for due in self._due())

    def _collect(self, connection: Connection, head: int) -> None:
        """Puts new events into the outbox of every hook that asked for their kind."""
        seen = _setting(connection, SEEN) or 0
        for hook in connection.execute(select(webhooks).where(webhooks.c.active)).all():
            wanted = select(events.c.seq).where(events.c.seq > seen, events.c.seq <= head, events.c.kind.in_(hook.kinds))
            rows = [
                {"webhook": hook.id, "event": seq, "state": "waiting", "tries": 0, "due": self.site.clock(), "problem": ""}
                for seq in connection.execute(wanted.order_by(events.c.seq)).scalars()
            ]
            if rows:
                connection.execute(self.site.database.insert(deliveries).on_conflict_do_nothing(), rows)
        _keep_setting(connection, SEEN, max(seen, head))

    def _due(self) -> list[tuple[Row[Any], bool]]:
        """Deliveries whose time has come; of each hook the oldest ones, so that they arrive in order."""
        with self.site.database.reading() as connection:
            query = (
                select(deliveries, webhooks.c.url, webhooks.c.secret, events.c.kind, events.c.actor, events.c.at, events.c.payload)
                .join(webhooks, webhooks.c.id == deliveries.c.webhook)
                .join(events, events.c.seq == deliveries.c.event)
                .where(deliveries.c.state == "waiting", deliveries.c.due <= self.site.clock(), webhooks.c.active)
                .order_by(deliveries.c.id)
                .limit(BATCH)
            )
            private = allows_private(connection)
            return [(row, private) for row in connection.execute(query).all()]

    def _send(self, row: Row[Any], private: bool) -> int:
        told = {"event": row.event, "kind": row.kind, "actor": row.actor, "at": row.at, "payload": json.loads(row.payload)}
        body = json.dumps(told, ensure_ascii=False).encode()
        problem = self._posted(row, body, private)
        wait = min(FIRST_WAIT * 2**row.tries, LONGEST_WAIT)
        state = "sent" if not problem else "failed" if row.tries + 1 >= TRIES else "waiting"
        values = {"state": state, "tries": row.tries + 1, "due": self.site.clock() + wait, "problem": problem[:500]}
        self.site.database.write(lambda c: c.execute(update(deliveries).where(deliveries.c.id == row.id).values(values)))
        return state == "sent"

    def _posted(self, row: Row[Any], body: bytes, private: bool) -> str:
        """Sends one. Returns: what went wrong, empty if nothing."""
        at = str(int(self.site.clock()))
        headers = {
            "Content-Type": "application/json", "X-Prefloop-Event": row.kind, "X-Prefloop-Delivery": str(row.id), "X-Prefloop-Time": at,
            "X-Prefloop-Signature": signature(row.secret, at, body),
        }  # fmt: skip
        try:
            address, host, name = target(row.url, private=private, resolve=self.resolve)
            url = httpx.URL(row.url).copy_with(host=address)
            answer = self.client.post(url, content=body, headers={**headers, "Host": host}, extensions={"sni_hostname": name})
        except (UserError, ValueError, httpx.HTTPError, httpx.InvalidURL) as problem:
            return str(problem) or type(problem).__name__
        return "" if answer.is_success else f"the receiver answered {answer.status_code}"


@contextlib.asynccontextmanager
async def sending(app: FastAPI) -> AsyncIterator[None]:
    """While the server runs, a thread empties the outbox."""
    stop, courier = threading.Event(), Courier(app.state.site)

    def run() -> None:
        while not stop.wait(EVERY):
            try:
                courier.look()
            except (UserError, OSError, ValueError, SQLAlchemyError) as problem:
                log.warning("webhooks: %s", problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(timeout=TIMEOUT)
    courier.client.close()
