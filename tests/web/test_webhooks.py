"""Webhooks: signed, in order, until they arrive; never to where they must not go."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from prefloop.errors import UserError
from prefloop.web import webhooks
from prefloop.web.site import Site
from prefloop.web.tables import deliveries
from prefloop.web.webhooks import Courier, Hook, is_public, target
from web.crowd import on_sqlite
from web.work import Clock, fill, rows, signed_in, user, work


class Receiver:
    """Somebody else's server, that says yes or no as it is told."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return httpx.Response(self.answers.pop(0) if self.answers else 200)


def public(host: str, port: int) -> list[str]:
    """Every host is out there."""
    return ["93.184.215.14"]


def courier(site: Site, receiver: Receiver, resolve: Any = public) -> Courier:
    """A courier that speaks with the receiver."""
    return Courier(site, client=httpx.Client(transport=httpx.MockTransport(receiver)), resolve=resolve)


def hook(site: Site, *kinds: str) -> dict[str, Any]:
    """A webhook of an admin."""
    who = user(site, "boss", "admin")
    body = Hook(url="https://hooks.example.org/in?x=1", kinds=list(kinds))
    return site.database.write(lambda c: webhooks.add(c, site, body, by=who.id, actor="boss"))


def test_what_happens_is_told_in_order_and_signed(site: Site):
    fill(site, 3)
    told = hook(site, "judgement")
    receiver = Receiver()
    assert work(site, user(site, "a")) == 3
    assert courier(site, receiver).look() == 3
    assert courier(site, receiver).look() == 0
    bodies = [json.loads(request.content) for request in receiver.got]
    assert [body["kind"] for body in bodies] == ["judgement"] * 3
    assert [body["event"] for body in bodies] == sorted(body["event"] for body in bodies)
    one = receiver.got[0]
    signed = hmac.new(told["secret"].encode(), one.headers["X-Prefloop-Time"].encode() + b"." + one.content, hashlib.sha256).hexdigest()
    assert one.headers["X-Prefloop-Signature"] == f"sha256={signed}"
    assert (one.url.host, one.headers["Host"]) == ("93.184.215.14", "hooks.example.org")


def test_a_receiver_that_fails_is_asked_again_later_and_at_last_no_more(site: Site, clock: Clock):
    fill(site, 1)
    hook(site, "judgement")
    work(site, user(site, "a"))
    receiver = Receiver()
    receiver.answers = [500, 302]
    assert courier(site, receiver).look() == 0
    assert courier(site, receiver).look() == 0  # it is not yet time
    assert len(receiver.got) == 1
    clock.now += 10
    assert courier(site, receiver).look() == 0
    clock.now += 20
    assert courier(site, receiver).look() == 1
    assert (rows(site, deliveries)[0].state, rows(site, deliveries)[0].tries) == ("sent", 3)
    work_more = Receiver()
    work_more.answers = [500] * 50
    fill(site, 2)
    work(site, user(site, "b"))
    for _ in range(20):
        clock.now += 4000
        courier(site, work_more).look()
    assert len(work_more.got) == webhooks.TRIES
    assert [row.state for row in rows(site, deliveries)] == ["sent", "failed"]


INSIDE = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.9.9", "169.254.169.254", "0.0.0.0", "::1", "fd00::1", "fe80::1%eth0",
          "::ffff:127.0.0.1", "::ffff:10.0.0.1", "100.64.0.1", "224.0.0.1", "nonsense"]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_called(address: str):
    assert not is_public(address)
    with pytest.raises(UserError, match="inside the network"):
        target("http://innocent.example.org/", private=False, resolve=lambda host, port: ["93.184.215.14", address])


@pytest.mark.parametrize("url", ["ftp://x.org/", "file:///etc/passwd", "http://", "https://a:b@x.org/", "http://[::1", "http://x.org:99999/"])
def test_other_urls_are_refused(url: str):
    with pytest.raises(UserError):
        target(url, private=True, resolve=public)


def test_a_name_that_changes_its_address_later_is_not_called(site: Site):
    fill(site, 1)
    hook(site, "judgement")
    work(site, user(site, "a"))
    receiver = Receiver()
    assert courier(site, receiver, resolve=lambda host, port: ["127.0.0.1"]).look() == 0
    assert receiver.got == []
    assert "inside the network" in rows(site, deliveries)[0].problem


@on_sqlite
def test_over_http_by_admins_only(new_site: Callable[..., Site]):
    site = new_site()
    admin = signed_in(site, "boss", "admin")
    body = {"url": "http://127.0.0.1:9/x", "kinds": ["judgement"]}
    assert admin.post("/api/v1/webhooks", json=body).status_code == 422
    assert admin.put("/api/v1/webhooks/private", json={"allowed": True}).json() == {"allowed": True}
    made = admin.post("/api/v1/webhooks", json=body).json()
    assert len(made["secret"]) > 30
    assert made["secret"] not in admin.get("/api/v1/webhooks").text
    assert admin.post("/api/v1/webhooks", json={"url": body["url"], "kinds": ["gossip"]}).status_code == 422
    assert admin.delete(f"/api/v1/webhooks/{made['id']}").json()["active"] is False
    assert signed_in(site, "lead", "lead").get("/api/v1/webhooks").status_code == 403
