"""Comparisons to judge and people to judge them: what several tests of the page begin with."""

import logging
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from prefloop.records import Comparison, Message, Response, Sampling
from prefloop.web.app import create_app
from prefloop.web.pages import rendering
from prefloop.web.security import accounts
from prefloop.web.store import chain, settings
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, presentations
from prefloop.web.work import gold, intake, judging, queue
from prefloop.web.work.gold import Mark
from prefloop.web.work.items import QUEUED
from prefloop.web.work.judging import Judged

FORM = {"content-type": "application/x-www-form-urlencoded"}
OURS = {"origin": "http://127.0.0.1"}
HTML = {"accept": "text/html", "accept-language": "en"}
LINES = {"content-type": "application/x-ndjson"}
PASSWORD = "a sentence is a good one"


@dataclass
class Clock:
    """Tells the time that it was set to."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def comparison(number: int, *, responses: int = 2, tags: tuple[str, ...] = (), sampler: str = "secret-1") -> Comparison:
    """A comparison, different for each number; `secret-0` wrote its first response, `sampler` the others."""
    asked = Message(role="user", content=f"Where is parcel **{number}**?")
    names = ["secret-0", *[sampler] * (responses - 1)]
    texts = {f"Answer {i} to {number}.": name for i, name in enumerate(names)}
    made = tuple(Response(text=text, num_tokens=4, finished=True, sampler=name) for text, name in texts.items())
    drawn = {"messages": (asked,), "responses": made, "sampling": Sampling(temperature=1.0), "tags": tags}
    return Comparison(id=f"c-{number:04d}", prompt_id=f"p-{number}", **drawn)


def fill(site: Site, number: int, **more: Any) -> None:
    """Takes in so many comparisons."""
    batch = [comparison(i, **more) for i in range(number)]
    site.database.write(lambda c: intake.take_in(c, site, batch, actor="test"))


def ask(site: Site, **values: Any) -> None:
    """Changes the project's settings."""
    site.database.write(lambda c: settings.change(c, values, actor="test", at=site.clock()))


def user(site: Site, name: str, role: str = "annotator", tags: tuple[str, ...] = ()) -> accounts.User:
    """A user without a password that fits."""
    number = site.database.write(lambda c: accounts.add_user(c, site, name, "-", role=role, tags=tags))
    return accounts.User(number, name, role, tags=tags)


def judged(presentation: str, **answer: Any) -> Judged:
    """A judgement with an id of its own."""
    body = {"id": str(uuid.uuid4()), "presentation": presentation, "answer": answer or {"choice": "left"}}
    return Judged.model_validate({**body, "active_seconds": 2.0})


def submit(site: Site, who: accounts.User, what: Judged) -> dict[str, Any]:
    """Sends a judgement."""
    return site.database.write(lambda c: judging.submit(c, site, who, what))


def work(site: Site, who: accounts.User, limit: int = 1000, **answer: Any) -> int:
    """Judges one item after the other until there is none. Returns: how many."""
    for done in range(limit):
        served = queue.lease(site, who, 1)
        if not served.presentations:
            return done
        submit(site, who, judged(served.presentations[0], **answer))
    return limit


def rows(site: Site, table: Any, *where: Any) -> list[Any]:
    """Rows of a table, in the order of its first column."""
    with site.database.reading() as connection:
        return list(connection.execute(select(table).where(*where).order_by(*table.primary_key.columns)))


def presented(site: Site, presentation: str) -> Any:
    """What was put in front of somebody."""
    return rows(site, presentations, presentations.c.id == presentation)[0]


def item_of(site: Site, presentation: str) -> Any:
    """The item that was shown."""
    return rows(site, items, items.c.id == presented(site, presentation).item)[0]


def side(site: Site, presentation: str, best: int) -> str:
    """The side on which a response stands."""
    return "left" if presented(site, presentation).order[0] == best else "right"


def mark(site: Site, comparison: str, purpose: Any = "gold", expected: Any = None, explanation: str = "") -> int:
    """Makes a comparison's first pair gold or calibration, response 0 being better if not told. Returns: its item."""
    answer = {"best": 0} if expected is None else expected
    body = Mark(
        comparison=comparison, kind="pair", responses=[0, 1], purpose=purpose, expected=answer, explanation=explanation
    )
    return site.database.write(lambda c: gold.mark(c, site, body, rendering.tree(explanation), actor="lead"))["item"]


def check_log(site: Site) -> int:
    """The log is whole. Returns: the number of its events."""
    with site.database.reading() as connection:
        return chain.verify(connection)


def check_counts(site: Site) -> None:
    """Every item's counts are those of its presentations and judgements, and nothing is over-collected."""
    shown = rows(site, presentations)
    for item in rows(site, items):
        mine = [row for row in shown if row.item == item.id and row.repeat == 0]
        if item.purpose in QUEUED:
            assert item.leased == sum(row.state == "leased" for row in mine)
            assert item.done + item.leased <= max(item.wanted, item.done)
            assert item.needed == max(0, item.wanted - item.done - item.leased)


def client(site: Site, **more: Any) -> TestClient:
    """A program that speaks HTTP with the site; it is not signed in."""
    return TestClient(
        create_app(site), base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False, **more
    )


def invited(site: Site, role: str = "annotator", **more: Any) -> str:
    """The token of an invitation."""
    return site.database.write(lambda c: accounts.invite(c, site, role=role, by=None, **more))


def signed_in(site: Site, name: str = "ann", role: str = "admin", **more: Any) -> TestClient:
    """The same, joined by invitation."""
    speaker = client(site)
    answer = speaker.post(f"/api/v1/join/{invited(site, role, **more)}", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return speaker


def program(site: Site, owner: TestClient, *scopes: str, **more: Any) -> TestClient:
    """A program that speaks with a token of `owner`'s."""
    own = {"kind": "person"} if "judge" in scopes and "user" not in more else {}
    answer = owner.post("/api/v1/tokens", json={"name": "t", "scopes": scopes, **own, **more})
    assert answer.status_code == 200, answer.text
    return client(site, headers={"authorization": f"Bearer {answer.json()['token']}"})


def error(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]


def to_judge(speaker: TestClient, count: int = 1) -> list[dict[str, Any]]:
    """Presentations, over HTTP."""
    return speaker.post("/api/v1/leases", json={"count": count}).json()["presentations"]


def post(speaker: TestClient, presentation: str, **answer: Any) -> Any:
    """Posts a judgement. Returns: the response."""
    return speaker.post("/api/v1/judgements", json=judged(presentation, **answer).model_dump(mode="json"))


def refused(caplog: pytest.LogCaptureFixture, code: str) -> bool:
    """True if the log tells of it."""
    return any(code in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


def login(speaker: TestClient, name: str, password: str, **headers: str) -> Any:
    """Posts the form."""
    return speaker.post("/login", data={"name": name, "password": password}, headers={**OURS, **headers})


def cookie_of(speaker: TestClient) -> str | None:
    """The session's cookie."""
    return speaker.cookies.get(accounts.COOKIE)
