"""Calibration, gold and silent repeats: they measure the annotators, and look like all else."""

import re
from typing import Any

import pytest

from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, items, judgements, presentations, users
from prefloop.web.work import queue
from web.acts import (
    Clock,
    ask,
    check_counts,
    fill,
    item_of,
    judged,
    mark,
    post,
    presented,
    rows,
    side,
    signed_in,
    submit,
    to_judge,
    user,
    work,
)


def marked(site: Site, number: int, purpose: str, first: int = 0) -> list[int]:
    """Makes the first comparisons gold or calibration items, the second response being better. Returns: the items."""
    names = [f"c-{n:04d}" for n in range(first, first + number)]
    return [mark(site, name, purpose, {"best": 1}, "The *second* is kinder.") for name in names]


def test_calibration_gates_the_work_and_may_be_taken_again(site: Site):
    fill(site, 6)
    bob = signed_in(site, "bob", "annotator")
    marked(site, 4, "calibration")
    assert bob.get("/api/v1/me").json()["calibration"] == {"num_items": 4, "num_done": 0, "num_right": 0}
    for turn in range(4):  # two of four are right: not enough
        shown = to_judge(bob)[0]
        assert shown["purpose"] == "calibration"
        answer = post(bob, shown["id"], choice=side(site, shown["id"], turn % 2)).json()["feedback"]
        assert answer["right"] == bool(turn % 2)
        assert answer["expected"] == {"choice": side(site, shown["id"], 1)}
        assert answer["explanation"] == [["p", {}, ["The ", ["em", {}, ["second"]], " is kinder."]]]
        assert (answer["num_done"], answer["passed"]) == (turn + 1, False if turn == 3 else None)
    assert bob.post("/api/v1/leases", json={}).json() == {"presentations": [], "empty": "calibration_failed"}
    assert bob.post("/api/v1/calibration/retake").status_code == 200
    assert bob.post("/api/v1/calibration/retake").status_code == 409
    for turn in range(4):  # three of four are
        shown = to_judge(bob)[0]["id"]
        answer = post(bob, shown, choice=side(site, shown, 0 if turn == 0 else 1)).json()["feedback"]
    assert answer["passed"] is True
    assert bob.get("/api/v1/me").json()["calibrated"] is True
    assert to_judge(bob)[0]["purpose"] == "work"
    assert {row.counted for row in rows(site, judgements)} == {False}


def test_practice_says_how_far_it_is_and_work_says_nothing(site: Site):
    fill(site, 5)
    lead, bob = signed_in(site), signed_in(site, "bob", "annotator")
    marked(site, 3, "calibration")
    assert [shown["practice"] for shown in to_judge(bob, 3)] == [{"number": number, "of": 3} for number in (1, 2, 3)]
    assert "practice" not in to_judge(lead)[0]


def test_who_walks_away_in_calibration_goes_on_there(site: Site, clock: Clock):
    fill(site, 3)
    bob = signed_in(site, "bob", "annotator")
    marked(site, 2, "calibration")
    before = to_judge(bob)[0]["id"]
    clock.now += 3600
    queue.expire(site)
    assert to_judge(bob)[0]["id"] == before
    assert bob.post(f"/api/v1/presentations/{before}/skip", json={"reason": "x"}).status_code == 200
    shown = to_judge(bob)[0]["id"]
    feedback = post(bob, shown, choice=side(site, shown, 1)).json()["feedback"]
    assert feedback["passed"] is False  # a skipped one is not right
    assert not rows(site, users, users.c.name == "bob")[0].calibrated


def test_a_round_of_nothing_is_not_passed(site: Site):
    fill(site, 3)
    lead, bob = signed_in(site), signed_in(site, "bob", "annotator")
    item = marked(site, 1, "calibration")[0]
    shown = to_judge(bob)[0]["id"]
    assert lead.put(f"/api/v1/items/{item}", json={"retired": True}).status_code == 200
    answer = post(bob, shown, choice=side(site, shown, 0)).json()["feedback"]
    assert (answer["right"], answer["num_items"], answer["passed"]) == (False, 0, None)
    assert not rows(site, users, users.c.name == "bob")[0].calibrated
    marked(site, 1, "calibration", first=1)
    assert to_judge(bob)[0]["purpose"] == "calibration"


def test_an_answer_from_an_earlier_round_ends_no_round(site: Site):
    """Two wrong answers fail a round while a third item is retired; its answer comes when another round is passed."""
    fill(site, 4)
    lead, bob = signed_in(site), signed_in(site, "bob", "annotator")
    retired = marked(site, 3, "calibration")[2]
    first = [entry["id"] for entry in to_judge(bob, 3)]
    assert lead.put(f"/api/v1/items/{retired}", json={"retired": True}).status_code == 200
    late = next(row.id for row in rows(site, presentations) if row.item == retired)
    for shown in first:
        if shown != late:
            post(bob, shown, choice=side(site, shown, 0))
    assert bob.post("/api/v1/calibration/retake").status_code == 200
    for entry in to_judge(bob, 2):
        post(bob, entry["id"], choice=side(site, entry["id"], 1))
    assert bob.get("/api/v1/me").json()["calibrated"] is True
    post(bob, late, choice=side(site, late, 0))
    assert bob.get("/api/v1/me").json()["calibrated"] is True
    assert len(rows(site, events, events.c.kind == "calibration")) == 2


def test_a_lead_needs_no_calibration(site: Site):
    fill(site, 2)
    lead = signed_in(site)
    marked(site, 1, "calibration")
    assert to_judge(lead)[0]["purpose"] == "work"


def test_a_known_item_is_work_no_longer(site: Site):
    fill(site, 3)
    marked(site, 1, "gold")
    wanted = [(row.purpose, row.wanted) for row in rows(site, items)]
    assert wanted == [("work", 0), ("work", 1), ("work", 1), ("gold", 0)]


def test_gold_is_front_loaded_and_looks_like_work(site: Site):
    fill(site, 150)
    marked(site, 25, "gold")
    bob = user(site, "bob")
    work(site, bob, 100)
    shown = rows(site, presentations, presentations.c.user == bob.id)
    gold = {row.id for row in rows(site, items, items.c.purpose == "gold")}
    assert sum(row.item in gold for row in shown if row.number <= 100) == 20
    reply = [submit(site, bob, judged(queue.lease(site, bob, 1).presentations[0])) for _ in range(3)]
    assert {frozenset(entry) for entry in reply} == {frozenset(("judgement", "counted", "revision", "feedback"))}
    assert all(entry["counted"] and entry["feedback"] is None for entry in reply)
    assert {row.right for row in rows(site, judgements) if row.item in gold} == {True, False}
    assert {row.counted for row in rows(site, judgements) if row.item in gold} == {False}
    check_counts(site)


def test_repeats_are_silent_swapped_and_not_counted(site: Site):
    ask(site, checks={"gold_first": 0, "gold_every": 0, "repeat_every": 10})
    fill(site, 100)
    bob = user(site, "bob")
    assert work(site, bob) in range(108, 112)  # nine or so of them twice
    shown = rows(site, presentations)
    again = [row for row in shown if row.repeat == 1]
    assert len(again) in range(8, 12)
    first = {row.item: row for row in shown if row.repeat == 0}
    for row in again:
        assert list(row.order) == list(first[row.item].order)[::-1]
        assert row.number > first[row.item].number + 5
    assert sum(row.counted for row in rows(site, judgements)) == 100
    assert [row.done for row in rows(site, items)] == [1] * 100
    check_counts(site)


@pytest.mark.parametrize(
    "expected", [{"best": 5}, {"best": 0, "choice": "tie"}, {"choice": "left"}, {"ranks": [1, 2]}, {}, {"best": "1"}]
)
def test_an_answer_that_nobody_could_give_is_refused(site: Site, expected: dict[str, Any]):
    fill(site, 1)
    body = {"comparison": "c-0000", "kind": "pair", "responses": [0, 1], "purpose": "gold", "expected": expected}
    assert signed_in(site).post("/api/v1/items", json=body).status_code == 422
    assert [row.purpose for row in rows(site, items)] == ["work"]


def test_gold_is_not_asked_of_whoever_met_the_question_as_work(site: Site):
    """A question that comes twice would tell that it is gold."""
    ask(site, overlap={"judgements": 2}, checks={"gold_first": 100, "gold_every": 1, "repeat_every": 0})
    fill(site, 6)
    ann, bob = user(site, "ann"), user(site, "bob")
    (shown,) = queue.lease(site, ann, 1).presentations
    submit(site, ann, judged(shown))
    mark(site, item_of(site, shown).comparison)
    met = {who.name: set() for who in (ann, bob)}
    for who in (ann, bob):
        while served := queue.lease(site, who, 1).presentations:
            item = item_of(site, served[0])
            met[who.name].add(item.purpose)
            submit(site, who, judged(served[0]))
    assert met == {"ann": {"work"}, "bob": {"gold", "work"}}


def shape(value: Any, name: str = "") -> Any:
    """What can be told of something without reading its words: names, types, lengths, and how identifiers look."""
    if isinstance(value, dict):
        return {inner: shape(value[inner], inner) for inner in value}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if name in ("today", "left", "at", "expires"):
        return type(value).__name__
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", value):
        return "uuid 4"
    return re.sub(r"\d+", "N", value) if isinstance(value, str) else value


def test_nothing_that_a_browser_receives_tells_gold_or_repeats_from_work(site: Site, clock: Clock):
    ask(site, checks={"gold_first": 25, "gold_every": 4, "repeat_every": 4})
    fill(site, 34)
    bob = signed_in(site, "bob", "annotator")
    marked(site, 6, "gold")
    told: dict[str, list[Any]] = {"work": [], "gold": [], "repeat": []}
    numbers = []
    while shown := to_judge(bob):
        one = shown[0]["id"]
        draft = bob.put(f"/api/v1/presentations/{one}/draft", json={"draft": {}}).json()
        reply = post(bob, one).json()
        past = bob.get("/api/v1/history?limit=1").json()["judgements"][0]
        purpose = "repeat" if presented(site, one).repeat else item_of(site, one).purpose
        told[purpose].append(shape([shown, draft, reply, past]))
        numbers.append((shown[0]["progress"], bob.get("/api/v1/me").json()["progress"]))
        assert shown[0]["expires"] == clock.now + 30 * 60
        clock.now += 1
    assert {purpose: len(each) for purpose, each in told.items()} == {"work": 28, "gold": 6, "repeat": 5}
    shapes = [one for each in told.values() for one in each]
    assert all(one == shapes[0] for one in shapes)
    assert [before["today"] for before, _ in numbers] == list(range(39))  # every answer counts, and counts the same
    left = [number["left"] for both in numbers for number in both]
    assert left == sorted(left, reverse=True)
    assert set(left) == {10, 20, 30}  # told exactly, it would stand still at gold and repeats
