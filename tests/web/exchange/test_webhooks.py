"""Webhooks: signed, in order, until they arrive; never to where they must not go."""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from prefloop.errors import UserError
from prefloop.web.exchange import webhooks
from prefloop.web.exchange.webhooks import Courier, Hook, is_public, target
from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, users
from prefloop.web.store.tables import webhooks as hooks
from web.acts import Clock, client, fill, rows, signed_in, user, work
from web.crowd import on_sqlite


class Receiver:
    """Somebody else's server, that says yes or no as it is told."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return httpx.Response(self.answers.pop(0) if self.answers else 200, stream=httpx.ByteStream(b"thank you"))


def public(host: str, port: int) -> list[str]:
    """Every host is out there."""
    return ["93.184.215.14"]


def courier(site: Site, receiver: Receiver, resolve: Any = public) -> Courier:
    """A courier that speaks with the receiver."""
    return Courier(site, client=httpx.Client(transport=httpx.MockTransport(receiver)), resolve=resolve)


def hook(site: Site, url: str = "https://hooks.example.org/in?x=1") -> dict[str, Any]:
    """A webhook of an admin, for judgements."""
    admins = rows(site, users, users.c.role == "admin")
    by = admins[0].id if admins else user(site, "boss", "admin").id
    body = Hook(url=url, kinds=["judgement"])
    return site.database.write(lambda c: webhooks.add(c, site, body, by=by, actor="boss"))


def test_what_happens_is_told_in_order_and_signed(site: Site):
    fill(site, 3)
    made = hook(site)
    receiver = Receiver()
    assert work(site, user(site, "a")) == 3
    assert courier(site, receiver).look() == 3
    assert courier(site, receiver).look() == 0
    bodies = [json.loads(request.content) for request in receiver.got]
    assert [body["kind"] for body in bodies] == ["judgement"] * 3
    assert [body["event"] for body in bodies] == sorted(body["event"] for body in bodies)
    request = receiver.got[0]
    content = request.headers["X-Prefloop-Time"].encode() + b"." + request.content
    signed = hmac.new(made["secret"].encode(), content, hashlib.sha256).hexdigest()
    assert request.headers["X-Prefloop-Signature"] == f"sha256={signed}"
    assert (request.url.host, request.headers["Host"]) == ("93.184.215.14", "hooks.example.org")


def numbers(receiver: Receiver) -> list[int]:
    """The events that were sent, in the order in which they came."""
    return [json.loads(request.content)["event"] for request in receiver.got]


def test_a_receiver_that_fails_is_asked_again_later_and_loses_nothing(site: Site, clock: Clock):
    """Nothing is sent past an event that has not arrived, however long it takes; then all comes in order."""
    fill(site, 3)
    hook(site)
    work(site, user(site, "a"), limit=2)
    receiver = Receiver()
    receiver.answers = [500, 302] + [503] * 28
    began = clock.now
    assert courier(site, receiver).look() == 0
    assert courier(site, receiver).look() == 0  # it is not yet time
    assert len(receiver.got) == 1
    for wait in (10, 20, 40):
        clock.now += wait - 1
        assert courier(site, receiver).look() == 0
        clock.now += 1
        assert courier(site, receiver).look() == 0
    assert len(receiver.got) == 4
    work(site, user(site, "b"), limit=1)
    for _ in range(26):
        clock.now += 3600
        assert courier(site, receiver).look() == 0  # another courier each time: as after a restart of the server
    assert len(set(numbers(receiver))) == 1
    row = rows(site, hooks)[0]
    assert (row.failing, row.tries, row.problem) == (began, 30, "the receiver answered 503")
    clock.now += 3600
    assert courier(site, receiver).look() == 3
    assert numbers(receiver)[-3:] == sorted(set(numbers(receiver)))
    row = rows(site, hooks)[0]
    assert (row.failing, row.tries, row.problem, row.sent) == (None, 0, "", 3)


def test_an_event_that_is_never_received_can_be_skipped(site: Site):
    """Only the one that fails; the log tells who did it, and the rest comes in order."""
    admin = signed_in(site, "ann")
    fill(site, 3)
    number = hook(site)["id"]
    work(site, user(site, "a"))
    judged = [row.seq for row in rows(site, events, events.c.kind == "judgement")]
    place = f"/api/v1/webhooks/{number}/events"
    assert admin.delete(f"{place}/{judged[0]}").status_code == 404  # nothing fails
    receiver = Receiver()
    receiver.answers = [413]
    assert courier(site, receiver).look() == 0
    assert admin.get("/api/v1/webhooks").json()["webhooks"][0]["stuck"] == judged[0]
    assert "Skip this event" in admin.get("/lead/advanced").text
    assert admin.delete(f"{place}/{judged[1]}").status_code == 404
    for _ in range(2):  # twice is once
        assert admin.delete(f"{place}/{judged[0]}").json() == {"id": number, "skipped": judged[0]}
    assert [(row.actor, json.loads(row.payload)) for row in rows(site, events, events.c.kind == "webhook_skipped")] == [
        ("ann", {"webhook": number, "event": judged[0]})
    ]
    assert courier(site, receiver).look() == 2
    assert numbers(receiver) == judged
    row = admin.get("/api/v1/webhooks").json()["webhooks"][0]
    assert (row["sent"], row["stuck"], row["failing"]) == (2, None, None)
    assert "Skip this event" not in admin.get("/lead/advanced").text


def test_a_webhook_hears_nothing_from_before_it_was_made(site: Site):
    fill(site, 3)
    hook(site)
    work(site, user(site, "a"), limit=1)
    first = rows(site, hooks)[0]
    site.database.write(lambda c: webhooks.end(c, site, first.id, actor="boss"))
    work(site, user(site, "b"), limit=1)
    hook(site, "https://hooks.example.org/second")
    receiver = Receiver()
    assert courier(site, receiver).look() == 0
    work(site, user(site, "c"), limit=1)
    assert courier(site, receiver).look() == 1
    assert receiver.got[0].url.path == "/second"


def test_one_that_fails_holds_up_no_other(site: Site):
    fill(site, 2)
    hook(site)
    hook(site, "https://hooks.example.org/second")
    work(site, user(site, "a"))
    receiver = Receiver()
    receiver.answers = [500]
    assert courier(site, receiver).look() == 2
    assert [request.url.path for request in receiver.got] == ["/in", "/second", "/second"]


class Dripping:
    """A receiver on this machine that begins an answer and never ends its first header."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/drip"
        self.calls = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller = self.listener.accept()[0]
                self.calls += 1
                threading.Thread(target=self._drip, args=(caller,), daemon=True).start()

    def _drip(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller:
            caller.recv(65536)
            caller.sendall(b"HTTP/1.1 200 OK\r\nX-Never-Ends: ")
            while True:
                caller.sendall(b"x")
                time.sleep(0.05)


@pytest.fixture
def dripping(site: Site) -> Iterator[Dripping]:
    """One, with a webhook for judgements, and a judgement to tell."""
    fill(site, 1)
    receiver = Dripping()
    site.database.write(lambda c: webhooks.allow_private(c, site, True, actor="drip"))
    hook(site, receiver.url)
    yield receiver
    receiver.listener.close()


def test_a_receiver_that_drips_its_answer_holds_up_no_other(
    site: Site, dripping: Dripping, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhooks, "WHOLE", 0.5)
    hook(site)
    work(site, user(site, "a"))
    receiver = Receiver()
    caller = httpx.Client(mounts={"http://": httpx.HTTPTransport(), "https://": httpx.MockTransport(receiver)})
    resolve = lambda host, port: [host] if host == "127.0.0.1" else public(host, port)  # noqa: E731
    sender = Courier(site, client=caller, resolve=resolve)
    looking = threading.Thread(target=sender.look, daemon=True)
    looking.start()
    looking.join(timeout=10)
    assert not looking.is_alive()
    assert (dripping.calls, len(receiver.got)) == (1, 1)
    row = rows(site, hooks)[0]
    assert (row.tries, row.problem) == (1, "the receiver took longer than 0.5 s")


def test_the_server_stops_while_a_receiver_drips(site: Site, dripping: Dripping, monkeypatch: pytest.MonkeyPatch):
    """And what was cut short is not held against the receiver."""
    monkeypatch.setattr(webhooks, "EVERY", 0.05)
    monkeypatch.setattr(webhooks, "GOODBYE", 30.0)
    work(site, user(site, "a"))
    with client(site):
        until = time.monotonic() + 10
        while not dripping.calls and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.2)
        began = time.monotonic()
    assert time.monotonic() - began < webhooks.GOODBYE
    assert [(row.tries, row.failing, row.sent) for row in rows(site, hooks)] == [(0, None, 0)]


def test_a_long_answer_is_not_read_to_its_end(site: Site):
    fill(site, 1)
    hook(site)
    work(site, user(site, "a"))
    read: list[int] = []

    class Endless(httpx.SyncByteStream):
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            while not self.closed:
                read.append(1000)
                yield b"x" * 1000

        def close(self) -> None:
            self.closed = True

    stream = Endless()
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, stream=stream)))
    assert Courier(site, client=client, resolve=public).look() == 1
    assert sum(read) <= 2 * webhooks.MOST
    assert stream.closed


def test_a_host_with_other_letters_is_called_by_its_name_in_ascii(site: Site):
    fill(site, 1)
    asked: list[tuple[str, int]] = []
    hook(site, "https://bücher.example:8443/in")
    work(site, user(site, "a"))
    receiver = Receiver()

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return public(host, port)

    assert courier(site, receiver, resolve=resolve).look() == 1
    assert asked == [("xn--bcher-kva.example", 8443)]
    assert (receiver.got[0].headers["Host"], receiver.got[0].url.port) == ("xn--bcher-kva.example:8443", 8443)
    assert receiver.got[0].extensions["sni_hostname"] == "xn--bcher-kva.example"


INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.1",
    "172.16.9.9",
    "169.254.169.254",
    "0.0.0.0",
    "::1",
    "fd00::1",
    "fe80::1%eth0",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "100.64.0.1",
    "224.0.0.1",
    "nonsense",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_called(address: str):
    assert not is_public(address)
    with pytest.raises(UserError, match="inside the network"):
        target("http://innocent.example.org/", private=False, resolve=lambda host, port: ["93.184.215.14", address])


ODD = "ftp://x.org/ file:///etc/passwd http:// https://a:b@x.org/ http://[::1 http://x.org:99999/ http://☃.net"


@pytest.mark.parametrize("url", [*ODD.split(), "http://" + "ü" * 70 + ".de"])
def test_other_urls_are_refused(url: str):
    with pytest.raises(UserError):
        target(url, private=True, resolve=public)


def test_the_address_that_the_system_would_take_is_called(monkeypatch: pytest.MonkeyPatch):
    """A machine without IPv6 puts those addresses last, however they are spelled."""
    given = [(2, 1, 6, "", (address, 443)) for address in ("93.184.215.14", "2606:2800::1", "93.184.215.14")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: given)
    url, _, _ = target("https://hooks.example.org/in", private=False)
    assert url.host == "93.184.215.14"
    assert webhooks.resolved("hooks.example.org", 443) == ["93.184.215.14", "2606:2800::1"]


def test_a_name_that_changes_its_address_later_is_not_called(site: Site):
    fill(site, 1)
    hook(site)
    work(site, user(site, "a"))
    receiver = Receiver()
    assert courier(site, receiver, resolve=lambda host, port: ["127.0.0.1"]).look() == 0
    assert receiver.got == []
    assert "inside the network" in rows(site, hooks)[0].problem


@on_sqlite
def test_over_http_by_admins_only(site: Site):
    admin = signed_in(site, "boss", "admin")
    body = {"url": "http://127.0.0.1:9/x", "kinds": ["judgement"]}
    assert admin.post("/api/v1/webhooks", json=body).status_code == 422
    assert admin.put("/api/v1/webhooks/private", json={"allowed": True}).json() == {"allowed": True}
    made = admin.post("/api/v1/webhooks", json=body).json()
    assert len(made["secret"]) > 30
    assert made["secret"] not in admin.get("/api/v1/webhooks").text
    assert admin.post("/api/v1/webhooks", json={"url": body["url"], "kinds": ["gossip"]}).status_code == 422
    answer = admin.get("/api/v1/webhooks").json()["webhooks"][0]
    assert (answer["sent"], answer["waiting"], answer["failing"], answer["problem"]) == (0, 0, None, "")
    assert admin.delete(f"/api/v1/webhooks/{made['id']}").json()["active"] is False
    assert signed_in(site, "lead", "lead").get("/api/v1/webhooks").status_code == 403
