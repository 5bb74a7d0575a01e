"""The dashboard tells what is so, says when a tag is short, and does not slow down with the number of comparisons."""

import random
import time

import pytest
from sqlalchemy import insert

from prefloop.web.review import dashboard
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, items
from prefloop.web.work import queue
from prefloop.web.work.items import GAP
from web.acts import Clock, ask, fill, rows, signed_in, user, work
from web.crowd import honest, let_work, on_sqlite


def test_numbers_add_up(site: Site, clock: Clock):
    ask(site, overlap={"judgements": 2})
    fill(site, 10, tags=("red-team", "zh"))
    assert work(site, user(site, "a")) == 10
    clock.now += 3600
    assert work(site, user(site, "b"), 5) == 5
    answer = dashboard.numbers.of(site)
    assert answer["progress"]["done"] == 15
    assert answer["progress"]["left"] == 5
    assert answer["progress"]["share"] == pytest.approx(0.75)
    assert answer["progress"]["items"]["work"] == 10
    assert [hour["judgements"] for hour in answer["pace"]["hours"][-2:]] == [10, 5]
    assert answer["pace"]["per_hour"] == 7.5
    assert answer["pace"]["median_seconds"] == 2.0
    assert answer["hours_left"] == pytest.approx(5 / 7.5, abs=0.05)
    assert {tag["tag"]: (tag["judged"], tag["open"]) for tag in answer["tags"]} == {"red-team": (10, 5), "zh": (10, 5)}
    assert [row["name"] for row in answer["people"]] == ["b", "a"]


def test_it_is_kept_for_two_seconds_and_then_new(site: Site, clock: Clock):
    fill(site, 3)
    who = user(site, "a")
    assert dashboard.numbers.of(site)["progress"]["done"] == 0
    work(site, who, 1)
    assert dashboard.numbers.of(site)["progress"]["done"] == 0
    clock.now += 2
    assert dashboard.numbers.of(site)["progress"]["done"] == 1


def test_a_red_team_tag_is_never_silently_empty(site: Site):
    fill(site, 4, tags=("easy",))
    lead = signed_in(site, "lead", "lead")
    body = {"cost_per_hour": 36.0, "currency": "EUR", "floors": {"red-team": 5, "easy": 2}}
    assert lead.put("/api/v1/lead/desk", json=body).json() == body
    let_work(site, {"a": honest(random.Random(1))}, 4)
    site.clock.now += 5  # type: ignore[attr-defined]
    answer = lead.get("/api/v1/lead/dashboard").json()
    tags = {tag["tag"]: tag for tag in answer["tags"]}
    assert (tags["red-team"]["missing"], tags["red-team"]["out_of_reach"], tags["easy"]["missing"]) == (5, True, 0)
    assert "there is none at all" in tags["red-team"]["sentence"]
    assert answer["pace"]["cost_per_judgement"] == pytest.approx(2.0 * 36 / 3600)
    assert lead.put("/api/v1/lead/desk", json={"floors": {"x": -1}}).status_code == 422
    assert lead.put("/api/v1/lead/desk", json={"floor": {}}).status_code == 422
    assert signed_in(site, "ann", "annotator").get("/api/v1/lead/dashboard").status_code == 403
    page = lead.get("/lead", headers={"Accept-Language": "zh"})
    assert page.status_code == 200
    assert "每小时评判数" in page.text


@on_sqlite
def test_many_comparisons_do_not_slow_it(site: Site):
    """Thirty thousand here; a million are measured by benchmarks."""
    number = 30_000
    fill(site, 1)
    compared, item = (rows(site, table)[0]._asdict() for table in (comparisons, items))
    del item["id"]
    names = [f"m-{n}" for n in range(1, number)]
    more = [{**item, "key": name, "comparison": name, "place": (n + 2) * GAP} for n, name in enumerate(names)]
    site.database.write(lambda c: c.execute(insert(comparisons), [{**compared, "id": name} for name in names]))
    site.database.write(lambda c: c.execute(insert(items), more))
    started = time.thread_time()
    answer = dashboard.numbers.of(site)
    assert time.thread_time() - started < 1.0
    assert answer["progress"]["left"] == number
    assert answer["progress"]["left_exact"] is False


def test_what_somebody_holds_is_still_to_be_done(site: Site):
    fill(site, 10)
    queue.lease(site, user(site, "a"), 3)
    answer = dashboard.numbers.of(site)["progress"]
    assert (answer["open"], answer["leased"], answer["left"]) == (7, 3, 10)
