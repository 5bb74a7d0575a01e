"""What is gold is work no more, whatever happens later; gold is retired and turned, and nothing said is lost."""

import json

import pytest

from prefloop.web.review import selection
from prefloop.web.review.selection import Choice
from prefloop.web.security.accounts import User
from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, judgements, presentations, users
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import gold, items, queue
from prefloop.web.work.gold import Mark
from web.acts import (
    Clock,
    ask,
    check_counts,
    check_log,
    fill,
    judged,
    mark,
    presented,
    rows,
    side,
    signed_in,
    submit,
    to_judge,
    user,
    work,
)
from web.crowd import on_sqlite


def asked(site: Site, who: User) -> list[str]:
    """Comparisons of the work that is in front of an annotator, one after the other; none of it is answered."""
    served = queue.lease(site, who, 3).presentations
    numbers = [row.item for row in rows(site, presentations) if row.id in served]
    return sorted(row.comparison for row in rows(site, item_table) if row.id in numbers)


def choose(site: Site) -> None:
    """Chooses everything there is, and holds the rest back."""
    selection.choose(site, Choice(num=10, shares={"random": 1.0}), actor="lead")


def release(site: Site) -> None:
    """Lets go what was held back."""
    site.database.write(lambda c: selection.release(c, site, actor="lead"))


def hold(site: Site) -> None:
    """Holds everything back, as a selection of something else does."""
    values = {"strategy": items.HELD, "wanted": 0, "needed": 0}
    site.database.write(lambda c: c.execute(item_table.update().where(item_table.c.purpose == "work").values(values)))


@pytest.mark.parametrize(
    "how", ["a new overlap", "a selection", "a release", "a lease that runs out", "a skip", "brought in again"]
)
def test_what_became_gold_is_never_work_again(site: Site, clock: Clock, how: str):
    ask(site, checks={"gold_first": 0, "gold_every": 0})
    fill(site, 2, tags=("t",))
    lead = signed_in(site, "lead", "lead")
    ann, speaker = user(site, "ann"), signed_in(site, "bob", "annotator")
    if how == "a release":
        hold(site)
    given = to_judge(speaker, 3) if how in ("a lease that runs out", "a skip") else []
    mark(site, "c-0000")
    if how == "a new overlap":
        assert lead.put("/api/v1/settings", json={"overlap": {"judgements": 3}}).status_code == 200
    elif how == "a selection":
        choose(site)
    elif how == "a release":
        release(site)
    elif how == "a lease that runs out":
        clock.now += 10_000
    elif how == "a skip":
        for entry in given:
            place, body = f"/api/v1/presentations/{entry['id']}/skip", {"reason": "unclear", "comment": ""}
            assert speaker.post(place, json=body).status_code == 200
    else:
        fill(site, 2, tags=("t",))
    for who in (ann, user(site, "tim", tags=("t",))):
        assert set(asked(site, who)) <= {"c-0001"}
        clock.now += 10_000
    assert asked(site, ann) == ["c-0001"]
    check_counts(site)
    row = rows(site, item_table, item_table.c.purpose == "work")[0]
    assert (row.comparison, row.retired, row.needed) == ("c-0000", True, 0)


@on_sqlite
def test_a_question_that_was_gold_before_it_was_work_never_becomes_work(site: Site):
    fill(site, 1, responses=3)
    for pair in ([0, 1], [0, 2], [1, 2]):
        body = Mark(comparison="c-0000", kind="pair", responses=pair, purpose="gold", expected={"best": pair[0]})
        site.database.write(lambda c, body=body: gold.mark(c, site, body, [], actor="lead"))
    ask(site, pairs_per_prompt=3, checks={"gold_first": 0, "gold_every": 0})
    fill(site, 1, responses=3)
    assert asked(site, user(site, "ann")) == []


def test_a_retired_gold_item_is_asked_of_nobody_and_its_answers_still_count(site: Site):
    ask(site, checks={"gold_first": 100, "gold_every": 1, "repeat_every": 0})
    fill(site, 3)
    number = mark(site, "c-0000")
    lead, ann = signed_in(site, "lead", "lead"), user(site, "ann")
    assert work(site, ann, 1) == 1
    assert [row.right is None for row in rows(site, judgements)] == [False]
    bob = user(site, "bob")
    open_now = queue.lease(site, bob, 1).presentations
    assert presented(site, open_now[0]).item == number
    for _ in range(2):
        answer = lead.put(f"/api/v1/items/{number}", json={"retired": True})
        assert answer.json() == {"item": number, "purpose": "gold", "retired": True}
    assert queue.lease(site, bob, 1).presentations != open_now
    submit(site, bob, judged(open_now[0]))  # it was in front of them: nothing acknowledged is lost
    work(site, user(site, "cat"))
    assert sorted(row.user for row in rows(site, judgements, judgements.c.item == number)) == [ann.id, bob.id]
    report = lead.get(f"/api/v1/lead/annotators/{ann.id}").json()
    assert report["gold"]["n"] == 1
    kept = [json.loads(row.payload) for row in rows(site, events, events.c.kind == "item_changed")]
    assert [(entry["item"], entry["retired"], entry["comparison"]) for entry in kept] == [(number, True, "c-0000")]
    assert lead.put(f"/api/v1/items/{number}", json={"retired": False}).json()["retired"] is False
    (shown,) = queue.lease(site, user(site, "dan"), 1).presentations
    assert presented(site, shown).item == number
    check_log(site)


def test_gold_becomes_calibration_and_gold_again(site: Site):
    ask(site, checks={"gold_first": 100, "gold_every": 1, "repeat_every": 0, "calibration_pass": 1.0})
    fill(site, 2)
    number = mark(site, "c-0000")
    lead, ann = signed_in(site, "lead", "lead"), user(site, "ann")
    work(site, ann, 1)
    for _ in range(2):
        answer = lead.put(f"/api/v1/items/{number}", json={"purpose": "calibration"}).json()
    assert answer["item"] != number
    assert (answer["purpose"], answer["retired"]) == ("calibration", False)
    both = {row.purpose: row for row in rows(site, item_table, item_table.c.purpose != "work")}
    assert (both["gold"].retired, both["calibration"].retired) == (True, False)
    assert both["gold"].expected == both["calibration"].expected
    bob = signed_in(site, "bob", "annotator")
    assert to_judge(bob)[0]["purpose"] == "calibration"
    again = lead.put(f"/api/v1/items/{answer['item']}", json={"purpose": "gold"}).json()
    assert again == {"item": number, "purpose": "gold", "retired": False}
    assert len(rows(site, events, events.c.kind == "item_changed")) == 2
    number_of_bob = rows(site, users, users.c.name == "bob")[0].id
    assert number not in [row.item for row in rows(site, presentations, presentations.c.user == number_of_bob)]
    given = [presented(site, entry["id"]).item for entry in to_judge(bob, 3)]
    assert number not in given  # the explanation was theirs to see: it would say nothing of them
    check_log(site)


def test_who_failed_for_an_item_that_is_retired_has_passed(site: Site):
    ask(site, checks={"calibration_pass": 1.0})
    fill(site, 4)
    good, bad = mark(site, "c-0000", "calibration"), mark(site, "c-0001", "calibration", {"best": 1})
    ann, lead = user(site, "ann"), signed_in(site, "lead", "lead")
    for _ in range(2):
        (shown,) = queue.lease(site, ann, 1).presentations
        submit(site, ann, judged(shown, choice=side(site, shown, 0)))
    assert queue.lease(site, ann, 1).empty == "calibration_failed"
    half = user(site, "half")
    (shown,) = queue.lease(site, half, 1).presentations
    assert presented(site, shown).item == good
    assert lead.put(f"/api/v1/items/{bad}", json={"retired": True}).status_code == 200
    assert queue.lease(site, ann, 1).presentations
    assert [row.calibrated for row in rows(site, users, users.c.name.in_(["ann", "half"]))] == [True, False]
    submit(site, half, judged(shown, choice=side(site, shown, 0)))
    assert [row.calibrated for row in rows(site, users, users.c.name.in_(["ann", "half"]))] == [True, True]
    lead.put(f"/api/v1/items/{good}", json={"retired": True})
    assert queue.lease(site, user(site, "new"), 1).presentations  # there is nothing to calibrate on


@on_sqlite
def test_what_cannot_be_changed_is_a_sentence_and_an_annotator_changes_nothing(site: Site):
    fill(site, 2)
    number = mark(site, "c-0000")
    lead = signed_in(site, "lead", "lead")
    of_work = rows(site, item_table, item_table.c.purpose == "work")[0].id
    for item, body, status, says in (
        (10**9, {"retired": True}, 404, "There is no item 1000000000."),
        (of_work, {"retired": True}, 422, "only gold and calibration items are turned or retired"),
        (number, {"purpose": "calibration", "retired": True}, 422, "not both at once"),
        (number, {"purpose": "work"}, 422, "purpose"),
    ):
        answer = lead.put(f"/api/v1/items/{item}", json=body)
        assert (answer.status_code, says in answer.json()["error"]["message"]) == (status, True), answer.text
    assert signed_in(site, "ann", "annotator").put(f"/api/v1/items/{number}", json={"retired": True}).status_code == 403
    assert not rows(site, item_table, item_table.c.id == number)[0].retired


@on_sqlite
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_pages_have_the_buttons(site: Site, language: str):
    fill(site, 2)
    number = mark(site, "c-0000")
    lead = signed_in(site, "lead", "lead")
    lead.put("/api/v1/me", json={"language": language})
    words = {"en": ("Retire", "Make calibration", "Ask again"), "zh": ("停用", "改为校准题", "重新启用")}[language]
    for path in ("/lead/items", f"/lead/items/gold?item={number}"):
        page = lead.get(path).text
        assert f'data-call="PUT /items/{number}"' in page
        assert words[0] in page
        assert words[1] in page
        assert words[2] not in page
    assert 'name="purpose" data-as="json" value="&#34;calibration&#34;"' in lead.get("/lead/items").text
    lead.put(f"/api/v1/items/{number}", json={"retired": True})
    for path in ("/lead/items", f"/lead/items/gold?item={number}"):
        page = lead.get(path).text
        assert words[1] not in page
        assert words[2] in page
