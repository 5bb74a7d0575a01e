"""Webhooks: somebody else's server is told what happened, in order, signed, again and again until it says yes.

Each webhook has a place in the log: what it has got. A thread sends the event after it, and only when the receiver has
said yes the one after that; what failed is tried again after 10 s, 20 s, 40 s ... and then every hour until it arrives
or an admin ends the webhook, so that nothing is left out, also not when the server stops meanwhile. What arrived twice
has the same number.

    X-Prefloop-Signature: sha256=HMAC-SHA256(secret, "TIME." + body)        X-Prefloop-Time: TIME (UTC seconds)

Addresses inside the network are refused, unless an admin allows them: else a webhook could reach what a lead cannot.
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
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
from fastapi import FastAPI
from pydantic import Field
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from prefloop.errors import UserError
from prefloop.web.body import Body
from prefloop.web.errors import Refusal, missing, refuse_unless
from prefloop.web.store.chain import record
from prefloop.web.store.settings import keep_value, value_of
from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, webhooks

log = logging.getLogger("prefloop.web")
EVERY = 2.0
"""Seconds between two looks at the log."""
FIRST_WAIT, LONGEST_WAIT = 10.0, 3600.0
TIMEOUT = 10.0
"""Seconds for each part of a call, and for all of an answer's body."""
WHOLE = 20.0
"""Seconds for a whole call; then its connection is cut, however busily the receiver sends."""
GOODBYE = 3.0
"""Seconds that the server waits for a call when it stops."""
TURN = 10.0
"""Seconds after which another webhook has its turn."""
MOST = 4096
"""Bytes of an answer that are read; of a longer one the connection is closed."""
KINDS = (
    "judgement", "revision", "skip", "flag", "comparisons", "guideline", "selection", "adjudication", "settings",
    "scores", "import",
)  # fmt: skip
"""Events that may be told."""
ALLOWED = "webhooks_private"
"""Row of settings: True if addresses inside the network may be called."""
Resolve = Callable[[str, int], list[str]]
WELL: dict[str, Any] = {"tries": 0, "due": 0.0, "failing": None, "problem": ""}
"""Of a webhook that does not fail."""


class Hook(Body):
    """Where to tell what."""

    url: Annotated[str, Field(min_length=8, max_length=500)]
    """http or https."""
    kinds: Annotated[list[str], Field(min_length=1, max_length=len(KINDS))]
    """Kinds of events."""


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, the one that this machine reaches best first. Raises: OSError if there are none."""
    ways = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(way[4][0]) for way in ways))


def is_public(address: str) -> bool:
    """True for an address of the open internet."""
    try:
        given = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = given.ipv4_mapped if isinstance(given, ipaddress.IPv6Address) else None
    return (mapped or given).is_global and not (mapped or given).is_multicast


def target(url: str, *, private: bool, resolve: Resolve = resolved) -> tuple[httpx.URL, str, str]:
    """(URL to call, by address; Host header; host name) of a URL. Raises: UserError if it may not be called."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise Refusal(422, "bad_url", "This is not a URL; give https://host/path.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or not (parsed.port or 1) < 65536:
        raise Refusal(422, "bad_url", "A webhook's URL is http or https, with a host and without a name and password.")
    name = parsed.raw_host.decode("ascii")
    try:
        addresses = resolve(name, parsed.port or (443 if parsed.scheme == "https" else 80))
    except (OSError, UnicodeError):
        says = f"The host {parsed.host[:80]} is not known. Check how it is written."
        raise Refusal(422, "unknown_host", says) from None
    if not addresses or (not private and not all(is_public(address) for address in addresses)):
        says = "is inside the network, which webhooks may not call here; an admin may allow it."
        raise Refusal(422, "inside_host", f"The host {parsed.host[:80]} {says}")
    return parsed.copy_with(host=addresses[0]), parsed.netloc.decode("ascii"), name


def signature(secret: str, at: str, body: bytes) -> str:
    """What a receiver checks."""
    return "sha256=" + hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


# -- what leads do ----------------------------------------------------------------------------------------------------


def allows_private(connection: Connection) -> bool:
    """Whether addresses inside the network may be called."""
    return value_of(connection, ALLOWED) is True


def allow_private(connection: Connection, site: Site, allowed: bool, *, actor: str) -> None:
    """Allows them, or not any more."""
    keep_value(connection, ALLOWED, allowed)
    record(connection, "webhooks_private", actor, site.clock(), {"allowed": allowed})


def checked(hook: Hook, *, private: bool, resolve: Resolve = resolved) -> None:
    """Raises: Refusal (422), or UserError, if a hook will not do."""
    unknown = sorted(set(hook.kinds) - set(KINDS))
    says = f"There are no events called {', '.join(unknown)[:80]}; there are {', '.join(KINDS)}."
    refuse_unless(not unknown, says, code="unknown_event")
    target(hook.url, private=private, resolve=resolve)


def add(connection: Connection, site: Site, hook: Hook, *, by: int, actor: str) -> dict[str, Any]:
    """Keeps a hook, which hears of what happens from now on. Returns: its number and its secret, told once."""
    secret, kinds, at = secrets.token_urlsafe(32), sorted(set(hook.kinds)), site.clock()
    row = {"url": hook.url, "secret": secret, "kinds": kinds, "active": True, "by": by, "created": at}
    number = connection.execute(insert(webhooks).values(row).returning(webhooks.c.id)).scalar_one()
    hooked = {"webhook": number, "host": httpx.URL(hook.url).host, "kinds": kinds}
    now = record(connection, "webhook", actor, at, hooked)
    connection.execute(update(webhooks).where(webhooks.c.id == number).values(told=now))
    return {"id": number, "secret": secret}


def end(connection: Connection, site: Site, number: int, *, actor: str) -> None:
    """A hook hears nothing any more."""
    mine = update(webhooks).where(webhooks.c.id == number, webhooks.c.active)
    if connection.execute(mine.values(active=False)).rowcount:
        record(connection, "webhook_ended", actor, site.clock(), {"webhook": number})


def skip(connection: Connection, site: Site, number: int, event: int, *, actor: str) -> None:
    """Leaves out the event that a hook fails at; twice is once. Raises: Refusal (404) if it does not fail at it."""
    mine = select(webhooks).where(webhooks.c.id == number, webhooks.c.active)
    hook = connection.execute(mine.with_for_update()).first()
    if hook is None or (hook.told < event and event != _stuck(connection, hook)):
        raise missing("event that fails")
    if hook.told < event:
        connection.execute(update(webhooks).where(webhooks.c.id == number).values(told=event, **WELL))
        record(connection, "webhook_skipped", actor, site.clock(), {"webhook": number, "event": event})


def _stuck(connection: Connection, hook: Row[Any]) -> int | None:
    """The event that a hook fails at; None if it does not fail."""
    following = select(func.min(events.c.seq)).where(events.c.seq > hook.told, events.c.kind.in_(hook.kinds))
    return connection.execute(following).scalar() if hook.active and hook.failing is not None else None


def _waiting(connection: Connection, hook: Row[Any]) -> int:
    """How many events a hook has yet to hear of."""
    of_it = (events.c.seq > hook.told) & events.c.kind.in_(hook.kinds)
    return connection.execute(select(func.count()).select_from(events).where(of_it)).scalar_one()


def listed(connection: Connection) -> list[dict[str, Any]]:
    """All hooks, without their secrets: what they got, what waits, since when (UTC seconds) they fail, and at what."""
    rows = connection.execute(select(webhooks).order_by(webhooks.c.id)).all()
    names = ("id", "url", "kinds", "active", "sent", "tries", "failing", "problem")
    waiting = {row.id: _waiting(connection, row) if row.active else 0 for row in rows}
    return [
        {**{name: row._mapping[name] for name in names}, "waiting": waiting[row.id], "stuck": _stuck(connection, row)}
        for row in rows
    ]


# -- sending ----------------------------------------------------------------------------------------------------------


def _following(connection: Connection, hook: Row[Any]) -> Row[Any] | None:
    """The event that a hook hears of next."""
    mine = select(events).where(events.c.seq > hook.told, events.c.kind.in_(hook.kinds))
    return connection.execute(mine.order_by(events.c.seq).limit(1)).first()


class Courier:
    """Tells each webhook the next event that it asked for, and the one after that when it has said yes."""

    def __init__(self, site: Site, *, client: httpx.Client | None = None, resolve: Resolve = resolved) -> None:
        self.site, self.resolve, self.stop = site, resolve, threading.Event()
        self.client = client or httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)
        self.lines: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def look(self) -> int:
        """Sends what is due once. Returns: how many events were received."""
        now = self.site.clock()
        with self.site.database.reading() as connection:
            hooks = connection.execute(select(webhooks).where(webhooks.c.active).order_by(webhooks.c.id)).all()
        return sum(self._turn(hook.id) for hook in hooks if not now < hook.due <= now + LONGEST_WAIT)

    def _turn(self, number: int) -> int:
        """Tells one hook, event by event, until there is none, one fails, or others have waited long enough."""
        sent, until = 0, time.monotonic() + TURN
        while time.monotonic() < until and not self.stop.is_set():
            with self.site.database.reading() as connection:
                hook = connection.execute(select(webhooks).where(webhooks.c.id == number, webhooks.c.active)).first()
                event = _following(connection, hook) if hook else None
                private = allows_private(connection)
            if hook is None or event is None or not self._sent(hook, event, private):
                break
            sent += 1
        return sent

    def _sent(self, hook: Row[Any], event: Row[Any], private: bool) -> bool:
        """Sends one event and keeps what came of it."""
        about = {"event": event.seq, "kind": event.kind, "actor": event.actor, "at": event.at}
        body = json.dumps({**about, "payload": json.loads(event.payload)}).encode()
        problem = self._posted(hook, event, body, private)
        if problem and self.stop.is_set():
            return False  # it was cut short, which is not the receiver's fault
        values: dict[str, Any] = {**WELL, "told": event.seq, "sent": hook.sent + 1}
        if problem:
            now, wait = self.site.clock(), min(FIRST_WAIT * 2 ** min(hook.tries, 20), LONGEST_WAIT)
            values = {"tries": hook.tries + 1, "due": now + wait, "failing": hook.failing or now}
            values["problem"] = problem[:500]
            if not hook.tries:
                log.warning("webhook %s fails: %s", hook.id, problem[:500])
        mine = webhooks.c.id == hook.id, webhooks.c.told == hook.told  # unless an admin has skipped the event meanwhile
        self.site.database.write(lambda c: c.execute(update(webhooks).where(*mine).values(values)))
        return not problem

    def _posted(self, hook: Row[Any], event: Row[Any], body: bytes, private: bool) -> str:
        """Sends one. Returns: what went wrong, empty if nothing."""
        at = str(int(self.site.clock()))
        headers = {
            "Content-Type": "application/json", "X-Prefloop-Event": event.kind, "Accept-Encoding": "identity",
            "X-Prefloop-Delivery": f"{hook.id}-{event.seq}", "X-Prefloop-Time": at,
            "X-Prefloop-Signature": signature(hook.secret, at, body),
        }  # fmt: skip
        began, limit = time.monotonic(), threading.Timer(WHOLE, self.cut)
        limit.daemon = True
        limit.start()
        try:
            url, headers["Host"], name = target(hook.url, private=private, resolve=self.resolve)
            more = {"sni_hostname": name, "trace": self._hold}
            with self.client.stream("POST", url, content=body, headers=headers, extensions=more) as answer:
                _skim(answer)
        except (UserError, ValueError, httpx.HTTPError, httpx.InvalidURL) as problem:
            late = time.monotonic() - began >= WHOLE
            return f"the receiver took longer than {WHOLE:g} s" if late else str(problem) or type(problem).__name__
        finally:
            limit.cancel()
        return "" if answer.is_success else f"the receiver answered {answer.status_code}"

    def _hold(self, event: str, about: dict[str, Any]) -> None:
        """Remembers each connection that is made, so that it can be cut."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.lines.add(about["return_value"].get_extra_info("socket"))
            if self.stop.is_set():
                self.cut()

    def cut(self) -> None:
        """Ends all connections at once, from another thread; whoever reads or writes there goes on with an error."""
        for line in list(self.lines):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(line, socket.SHUT_RDWR)


def _skim(answer: httpx.Response) -> None:
    """Reads an answer as far as the connection can be used again, and not on: nothing in it is needed."""
    size, until = 0, time.monotonic() + TIMEOUT
    for part in answer.iter_raw():
        size += len(part)
        if size >= MOST or time.monotonic() > until:
            return


@contextlib.asynccontextmanager
async def sending(app: FastAPI) -> AsyncIterator[None]:
    """While the server runs, a thread tells the webhooks."""
    courier = Courier(app.state.site)

    def run() -> None:
        while not courier.stop.wait(EVERY):
            try:
                courier.look()
            except (UserError, OSError, ValueError, SQLAlchemyError) as problem:
                log.warning("webhooks: %s", problem)
        courier.client.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    courier.stop.set()
    courier.cut()
    thread.join(timeout=GOODBYE)
