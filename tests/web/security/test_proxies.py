"""Behind another server: who is believed about where a request came from, and who is not."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import uvicorn

from prefloop.errors import UserError
from prefloop.web import serving
from prefloop.web.config import WebConfig
from prefloop.web.store.site import Site
from prefloop.web.store.tables import attempts, events
from web.acts import OURS, PASSWORD, client, program, rows, signed_in

FRONT = ("10.0.0.7", 50000)
"""Where the proxy's connections come from."""
NAMED = {"host": "page.example.org", "origin": "https://page.example.org"}


@pytest.fixture
def new_url(new_sqlite: Callable[[], str]) -> Callable[[], str]:
    """None of this depends on the kind of database."""
    return new_sqlite


def guess(site: Site, forwarded: str | None, *, peer: tuple[str, int] = FRONT, name: str = "ann") -> int:
    """One wrong password. Returns: the status."""
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    speaker, body = client(site, client=peer, headers=headers), {"name": name, "password": "wrong"}
    return speaker.post("/api/v1/session", json=body).status_code


def test_one_who_guesses_locks_nobody_else_out(new_site: Callable[..., Site]):
    site = new_site(proxies=("10.0.0.7",))
    signed_in(site, "ann")
    assert [guess(site, "203.0.113.1") for _ in range(7)] == [401] * 5 + [429] * 2
    speaker = client(site, client=FRONT, headers={"x-forwarded-for": "203.0.113.2"})
    assert speaker.post("/api/v1/session", json={"name": "ann", "password": PASSWORD}).status_code == 200
    signed = rows(site, events, events.c.kind == "sign_in")
    assert json.loads(signed[0].payload) == {"address": "203.0.113.2"}


FORWARDED = [
    (("10.0.0.7",), "10.0.0.7", "203.0.113.1", "203.0.113.1"),
    # what the client says itself stands on the left; two of ours, one behind the other
    (("10.0.0.7",), "10.0.0.7", "1.1.1.1, 203.0.113.1", "203.0.113.1"),
    (("10.0.0.0/24",), "10.0.0.7", "1.1.1.1, 203.0.113.1, 10.0.0.9", "203.0.113.1"),
    (("10.0.0.7",), "10.0.0.7", "203.0.113.1:4711", "203.0.113.1"),
    (("10.0.0.7",), "10.0.0.7", "[2001:db8::1]:4711", "2001:db8::1"),
    (("10.0.0.7",), "::ffff:10.0.0.7", "203.0.113.1", "203.0.113.1"),  # seen by a socket that speaks IPv6
    (("2001:db8::/32",), "2001:db8::7", "203.0.113.1", "203.0.113.1"),
    (("10.0.0.7",), "10.0.0.7", None, "10.0.0.7"),
    (("10.0.0.7",), "10.0.0.7", "", "10.0.0.7"),
    (("10.0.0.7",), "192.0.2.5", "203.0.113.1", "192.0.2.5"),  # not one of ours
    ((), "10.0.0.7", "203.0.113.1", "10.0.0.7"),
    ((), "127.0.0.1", "203.0.113.1", "127.0.0.1"),
]


@pytest.mark.parametrize(("proxies", "peer", "forwarded", "address"), FORWARDED)
def test_the_address_of_whoever_asks(
    new_site: Callable[..., Site], proxies: tuple[str, ...], peer: str, forwarded: str | None, address: str
):
    """The rightmost that is none of ours, if it is one of ours that says so."""
    site = new_site(proxies=proxies)
    guess(site, forwarded, peer=(peer, 50000))
    assert [row.address for row in rows(site, attempts)] == [address]


@pytest.mark.parametrize(("proxies", "proto", "secure"), [
    (("10.0.0.7",), "https", True), (("10.0.0.7",), "http", False), ((), "https", False),
    (("10.0.0.8",), "https", False),
])  # fmt: skip
def test_https_in_front_makes_cookies_secure_and_links_right(
    new_site: Callable[..., Site], proxies: tuple[str, ...], proto: str, secure: bool
):
    site = new_site(proxies=proxies, names=("page.example.org",))
    signed_in(site, "ann")
    headers = {**NAMED, "x-forwarded-proto": proto, "x-forwarded-for": "203.0.113.1"}
    speaker = client(site, client=FRONT, headers=headers)
    said = speaker.post("/login", data={"name": "ann", "password": PASSWORD}).headers["set-cookie"].lower()
    assert ("; secure" in said) == secure
    cookie = said.partition("=")[2].partition(";")[0]
    assert cookie
    robot = program(site, signed_in(site, "boss"), "admin")
    headers["authorization"] = robot.headers["authorization"]
    link = client(site, client=FRONT, headers=headers).post("/api/v1/invitations", json={}).json()["link"]
    assert link.startswith(f"{'https' if secure else 'http'}://page.example.org/join/")


@pytest.mark.parametrize("wrong", ["*", "nginx", "10.0.0.1/8", "10.0.0.1/33", "localhost", ""])
def test_only_addresses_and_networks_can_be_believed(wrong: str):
    with pytest.raises(UserError, match="neither an address nor a network"):
        WebConfig.parse({"proxies": [wrong]}, where="the command line")


def test_whoever_stands_behind_another_server_is_told_to_name_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "comparisons.jsonl").write_text("")

    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        server.started = True
        sockets[0].close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    for proxies, answer in (((), True), (("127.0.0.1",), False)):
        config = WebConfig(port=0, https=True, proxies=proxies, password_memory_kb=8)
        serving.run(tmp_path, config, link=False, verify=False)
        assert ("Set proxies=" in capsys.readouterr().out) == answer


def test_the_origin_of_a_write_is_the_name_in_front(new_site: Callable[..., Site]):
    site = new_site(proxies=("10.0.0.7",), names=("page.example.org",))
    signed_in(site, "ann")
    speaker = client(site, client=FRONT, headers={**NAMED, "x-forwarded-proto": "https"})
    form = {"name": "ann", "password": PASSWORD}
    assert [speaker.post("/login", data=form, headers=more).status_code for more in ({}, OURS)] == [303, 403]
