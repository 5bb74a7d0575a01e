"""Judgements over HTTP: sent twice, changed, too late, wrong; drafts, skips, flags; and what is never told."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, items, judgements, presentations
from prefloop.web.work import answers
from web.acts import Clock, ask, error, fill, judged, post, rows, signed_in, to_judge


def test_a_presentation_as_the_contract_shows_it(site: Site):
    fill(site, 1, responses=2)
    shown = to_judge(signed_in(site))[0]
    assert set(shown) == {
        "id", "kind", "purpose", "guideline", "expires", "state", "draft", "messages", "responses", "axes", "strength",
        "progress",
    }  # fmt: skip
    tree = ["p", {}, ["Where is parcel ", ["strong", {}, ["0"]], "?"]]
    assert shown["messages"] == [{"role": "user", "tree": [tree]}]
    assert [set(response) for response in shown["responses"]] == [{"slot", "tree", "text"}] * 2
    assert "secret" not in str(shown)  # the samplers' names
    kept = rows(site, presentations)[0]
    assert [response["text"] for response in shown["responses"]] == [f"Answer {index} to 0." for index in kept.order]


def test_the_same_judgement_twice_is_one(site: Site):
    fill(site, 1)
    ann = signed_in(site)
    body = judged(to_judge(ann)[0]["id"], choice="right", strength=3).model_dump(mode="json")
    first, second = (ann.post("/api/v1/judgements", json=body) for _ in range(2))
    assert first.json() == second.json() == {"judgement": body["id"], "counted": True, "revision": 1, "feedback": None}
    assert len(rows(site, judgements)) == 1
    other = {**body, "answer": {"choice": "left", "strength": None}}
    assert ann.post("/api/v1/judgements", json=other).json()["error"]["code"] == "id_taken"
    assert ann.post("/api/v1/judgements", json={**body, "id": str(uuid.uuid4())}).json()["error"]["code"] == "answered"


def test_sent_many_times_at_once_it_is_still_one(site: Site):
    fill(site, 1)
    ann = signed_in(site)
    body = judged(to_judge(ann)[0]["id"]).model_dump(mode="json")
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: ann.post("/api/v1/judgements", json=body), range(6)))
    assert [reply.status_code for reply in replies] == [200] * 6
    assert len({reply.text for reply in replies}) == 1
    assert (len(rows(site, judgements)), rows(site, items)[0].done) == (1, 1)


def test_a_change_of_mind_is_a_new_revision_and_the_old_one_stays(site: Site):
    fill(site, 1)
    ann = signed_in(site)
    shown = to_judge(ann)[0]["id"]
    first = post(ann, shown, choice="left").json()["judgement"]
    change, other = (judged(shown, choice=side).model_dump(mode="json") for side in ("tie", "left"))
    for _ in range(2):  # again: the same
        assert ann.post(f"/api/v1/judgements/{first}/revise", json=change).json()["revision"] == 2
    assert error(ann.post(f"/api/v1/judgements/{first}/revise", json=other)) == (409, "revised")
    kept = sorted((row.revision, row.answer["choice"], row.replaces) for row in rows(site, judgements))
    assert kept == [(1, "left", None), (2, "tie", first)]
    assert rows(site, items)[0].done == 1
    (last,) = ann.get("/api/v1/history").json()["judgements"]
    assert (last["answer"]["choice"], last["revision"], last["presentation"]["id"]) == ("tie", 2, shown)


def test_a_revision_that_ends_a_disagreement_needs_no_third(site: Site):
    ask(site, overlap={"judgements": 2, "adaptive": True})
    fill(site, 1)
    ann, bob = signed_in(site), signed_in(site, "bob", "annotator")
    post(ann, to_judge(ann)[0]["id"], choice="tie")
    shown = to_judge(bob)[0]["id"]
    mine = post(bob, shown, choice="both_bad").json()["judgement"]
    assert (rows(site, items)[0].wanted, rows(site, items)[0].needed) == (3, 1)
    bob.post(f"/api/v1/judgements/{mine}/revise", json=judged(shown, choice="tie").model_dump(mode="json"))
    assert (rows(site, items)[0].wanted, rows(site, items)[0].needed) == (2, 0)


GOOD = {
    "ranking": [{"ranks": [1, 2, 3]}, {"ranks": [1, 1, 1]}, {"ranks": [3, 1, 1]}],
    "rating": [{"ratings": {"helpful": [1, 5, 3], "honest": [2, 2, 2]}}],
    "thumb": [{"thumbs": [True, False, True]}],
    "edit": [{"slot": 2, "text": "better"}],
    "demonstration": [{"text": "mine"}],
}
BAD = {
    "ranking": [
        {"ranks": [1, 2]}, {"ranks": [2, 2, 3]}, {"ranks": [1, 2, 4]}, {"ranks": [0, 1, 2]}, {"choice": "left"},
    ],
    "rating": [{"ratings": given} for given in (
        {"helpful": [1, 2, 3]}, {"helpful": [1, 2], "honest": [1, 2]}, {"helpful": [1, 2, 6], "honest": [1, 2, 3]},
    )],
    "thumb": [{"thumbs": [True]}, {"thumbs": [1, 0, 1]}],
    "edit": [{"slot": 3, "text": "x"}, {"slot": -1, "text": "x"}, {"slot": 0, "text": "  "}],
    "demonstration": [{"text": ""}, {"text": " \n"}, {"text": "x" * 50_000}],
}  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
def test_each_kind_takes_its_answers_and_no_others(site: Site, kind: str):
    ask(site, kinds=[kind], axes=["helpful", "honest"])
    fill(site, len(GOOD[kind]), responses=3)
    ann = signed_in(site)
    for good in GOOD[kind]:
        shown = to_judge(ann)[0]
        assert len(shown["responses"]) == (0 if kind == "demonstration" else 3)
        for bad in BAD[kind]:
            body = {"id": str(uuid.uuid4()), "presentation": shown["id"], "answer": bad, "active_seconds": 1.0}
            assert ann.post("/api/v1/judgements", json=body).status_code == 422
        assert post(ann, shown["id"], **good).status_code == 200
    assert len(rows(site, judgements)) == len(GOOD[kind])


WRONG = [
    {"active_seconds": -1}, {"active_seconds": 1e9}, {"seen": 1.5}, {"first_key_seconds": -0.1},
    {"comment": "x" * 5000}, {"comment": "a\u0000b"}, {"id": "x"}, {"id": "../../x/y"}, {"unknown": 1},
    {"answer": {"choice": "middle"}}, {"answer": {"choice": "tie", "strength": 1}},
    {"answer": {"choice": "left", "strength": 4}}, {"answer": None}, {"presentation": 3},
]  # fmt: skip


def test_what_is_wrong_is_refused_with_a_sentence(site: Site):
    fill(site, 1)
    ann = signed_in(site)
    body = judged(to_judge(ann)[0]["id"]).model_dump(mode="json")
    for wrong in WRONG:
        answer = ann.post("/api/v1/judgements", json={**body, **wrong})
        assert answer.status_code in (404, 422), wrong
        assert set(answer.json()["error"]) - {"why"} == {"code", "message"}
    assert rows(site, judgements) == []


def test_drafts_are_kept_and_prolong_the_lease(site: Site, clock: Clock):
    fill(site, 1)
    ann = signed_in(site)
    shown, draft = to_judge(ann)[0]["id"], {"choice": "left", "四": ["五"]}
    place = f"/api/v1/presentations/{shown}/draft"
    for _ in range(3):
        clock.now += 20 * 60
        assert ann.put(place, json={"draft": draft}).status_code == 200
    assert to_judge(signed_in(site, "bob")) == []
    assert to_judge(ann)[0]["draft"] == draft
    assert ann.put(place, json={"draft": {"x": "y" * 250_000}}).status_code == 422
    post(ann, shown)
    assert error(ann.put(place, json={"draft": {}})) == (409, "answered")


def test_a_skip_gives_back_to_others_and_not_to_oneself(site: Site):
    fill(site, 1)
    ann, bob = signed_in(site), signed_in(site, "bob", "annotator")
    shown = to_judge(ann)[0]["id"]
    for _ in range(2):
        answer = ann.post(f"/api/v1/presentations/{shown}/skip", json={"reason": "unclear", "comment": "?"})
        assert answer.json()["state"] == "skipped"
    assert to_judge(ann) == []
    assert len(to_judge(bob)) == 1
    assert len(rows(site, events, events.c.kind == "skip")) == 1


def test_a_flag_is_told_to_the_lead_once(site: Site):
    fill(site, 1)
    ann = signed_in(site)
    shown = to_judge(ann)[0]["id"]
    for _ in range(2):
        body = {"presentation": shown, "comment": "both are the same"}
        assert ann.post("/api/v1/flags", json=body, headers={"Idempotency-Key": "k1"}).status_code == 200
    (flag,) = ann.get("/api/v1/flags").json()["flags"]
    assert (flag["by"], flag["comment"], flag["comparison"]) == ("ann", "both are the same", "c-0000")


def test_meanings_do_not_depend_on_sides():
    """The third response is best: whatever slot it stood in, the meaning is the same, and as_shown leads back."""
    for order in ([2, 0, 1], [0, 1, 2], [1, 2, 0]):
        ranks = [1 if index == 2 else 2 for index in order]
        assert answers.meaning("ranking", {"ranks": ranks}, order) == {"ranks": [2, 2, 1]}
        assert answers.as_shown("ranking", {"ranks": [2, 2, 1]}, order) == {"ranks": ranks}
    assert answers.meaning("pair", {"choice": "right"}, [3, 1]) == {"best": 1}
    assert answers.as_shown("pair", {"best": 1}, [3, 1]) == {"choice": "right"}
    assert answers.agrees("ranking", {"ranks": [1, 1, 2]}, {"ranks": [1, 2, 3]})
    assert not answers.agrees("ranking", {"ranks": [2, 1, 3]}, {"ranks": [1, 2, 3]})
    assert answers.agrees("rating", {"ratings": {"a": [4]}}, {"ratings": {"a": [5]}})
    assert not answers.agrees("rating", {"ratings": {"a": [3]}}, {"ratings": {"a": [5]}})


def test_every_judgement_is_an_event_in_the_same_transaction(site: Site):
    fill(site, 3)
    ann = signed_in(site)
    for _ in range(3):
        post(ann, to_judge(ann)[0]["id"])
    assert len(rows(site, events, events.c.kind == "judgement")) == len(rows(site, judgements)) == 3


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_draft_holds_no_number_that_json_does_not_know(site: Site, number: str):
    fill(site, 1)
    speaker = signed_in(site)
    shown = to_judge(speaker)[0]["id"]
    place, kind = f"/api/v1/presentations/{shown}/draft", {"content-type": "application/json"}
    assert speaker.put(place, content=f'{{"draft": {{"x": [{number}]}}}}', headers=kind).status_code == 422
    assert speaker.put(place, content='{"draft": {"x": [1.5]}}', headers=kind).status_code == 200


def test_a_draft_is_not_nested_deeper_than_can_be_sent_again(site: Site):
    fill(site, 1)
    speaker = signed_in(site)
    shown = to_judge(speaker)[0]["id"]
    place = f"/api/v1/presentations/{shown}/draft"
    deepest = {"draft": json.loads('{"x":' + "[" * 18 + "]" * 18 + "}")}
    assert speaker.put(place, json=deepest).status_code == 200
    assert to_judge(speaker)[0]["draft"] == deepest["draft"]
    for depth in (19, 400):
        refused = speaker.put(place, json={"draft": json.loads('{"x":' + "[" * depth + "]" * depth + "}")})
        assert error(refused) == (422, "invalid")
        assert "nested deeper than 20 levels" in refused.json()["error"]["message"]


def test_a_draft_that_is_too_deep_already_stops_no_lease(site: Site):
    fill(site, 2)
    speaker = signed_in(site)
    shown = to_judge(speaker)[0]["id"]
    deep = json.loads("[" * 400 + "]" * 400)
    keep = update(presentations).where(presentations.c.id == shown).values(draft={"x": deep})
    site.database.write(lambda c: c.execute(keep))
    assert [(row["id"], row["draft"]) for row in to_judge(speaker)] == [(shown, None)]
    assert post(speaker, shown).status_code == 200
