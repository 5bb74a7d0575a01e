"""The Python client: works, exports and brings in with a token, and never keeps anything twice."""

import json
import re
import zipfile
from pathlib import Path

import httpx
import pytest

from prefloop.errors import UserError
from prefloop.web.exchange.client import Client, Refused
from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from prefloop.web.store.tables import judgements
from web import acts as work
from web.acts import fill, rows, user
from web.crowd import on_sqlite


class Line(httpx.BaseTransport):
    """A line to the application that breaks when told to: before the server hears, or before its answer arrives."""

    def __init__(self, site: Site) -> None:
        self.server, self.breaks, self.waits = work.client(site), [], []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carries one request."""
        now = self.breaks.pop(0) if self.breaks else ""
        if now == "before":
            raise httpx.ConnectError("no route", request=request)
        answer = self.server.request(
            request.method, str(request.url), content=request.read(), headers=dict(request.headers)
        )
        if now == "after":
            raise httpx.ReadError("reset", request=request)
        if now == "busy":
            return httpx.Response(503, json={"error": {"code": "locked", "message": "wait"}})
        return httpx.Response(
            answer.status_code, content=answer.content, headers={"Content-Type": answer.headers.get("content-type", "")}
        )


def speaking(site: Site, role: str, *scopes: str) -> tuple[Client, Line]:
    """A client with a token, and its line."""
    who = user(site, f"robot-{role}", role)
    token = site.database.write(lambda c: accounts.new_token(c, site, "t", scopes, by=who))
    line = Line(site)
    return Client("http://127.0.0.1", token, transport=line, sleep=line.waits.append), line


@on_sqlite
def test_it_judges_all_there_is_over_a_line_that_breaks(site: Site):
    fill(site, 6)
    client, line = speaking(site, "annotator", "judge")
    with client:
        assert client.me()["name"] == "robot-annotator"
        while given := client.lease(2):
            line.breaks = ["before", "after", "busy"]
            assert client.judge(given[0]["id"], {"choice": "left", "strength": 1}, active_seconds=1.0)["counted"]
    assert len(rows(site, judgements)) == 6
    assert line.waits[1] > 0


@on_sqlite
def test_it_gives_up_with_a_sentence_and_does_not_repeat_a_refusal(site: Site):
    client, line = speaking(site, "annotator", "judge")
    line.breaks = ["before"] * 99
    with pytest.raises(UserError, match="no answer after 6 tries"):
        client.me()
    line.breaks, line.waits = [], []
    with pytest.raises(Refused) as problem:
        client.quality()
    assert (problem.value.status, problem.value.code, line.waits) == (403, "wrong_scope", [])


@on_sqlite
def test_a_lead_brings_in_and_exports(site: Site, tmp_path: Path):
    client, _ = speaking(site, "lead", "read", "write", "judge")
    tickets = tmp_path / "tickets.jsonl"
    tickets.write_text(
        "".join(json.dumps({"prompt": f"Q{n}", "response_a": "a", "response_b": "b"}) + "\n" for n in range(3))
    )
    assert client.bring_in(tickets)["comparisons"] == 3
    given = client.lease(1)[0]
    client.judge(given["id"], {"choice": "right"}, active_seconds=2.0)
    assert [row["num_judgements"] for row in client.export("preferences")] == [1]
    assert client.dashboard()["progress"]["done"] == 1
    assert client.choose(1, shares={"random": 1.0})["chosen"] == 1
    client.download(tmp_path / "all.zip", form="trl")
    assert "preferences.jsonl" in zipfile.ZipFile(tmp_path / "all.zip").namelist()
    with pytest.raises(UserError, match="no such file"):
        client.bring_in(tmp_path / "absent.jsonl")
    with pytest.raises(Refused, match=r"tickets.jsonl:1: a row needs `sampler`"):
        client.bring_in_arena(tickets)


def test_what_the_documentation_shows_programs_is_there(site: Site):
    part = (
        (Path(__file__).parents[3] / "docs" / "stages" / "web.md")
        .read_text(encoding="utf-8")
        .partition("### For programs")[2]
        .partition("\n### ")[0]
    )
    described = work.client(site).get("/api/v1/openapi.json").json()["paths"]
    called = re.findall(r"\$PAGE(/[a-z/]+)", part)
    assert len(called) == 5
    for path in called:
        assert f"/api/v1{path}" in described or f"/api/v1{path.rpartition('/')[0]}/{{what}}" in described
    methods = re.findall(r"client\.([a-z_]+)\(", part)
    assert len(methods) == 4
    assert set(methods) <= set(vars(Client))
