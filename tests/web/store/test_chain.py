"""The log notices every change, and what is exported is what was judged."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from prefloop.errors import UserError
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Judgement
from prefloop.web.exchange import export
from prefloop.web.exchange.export import Delivery
from prefloop.web.store import chain
from prefloop.web.store.site import Site
from prefloop.web.store.tables import chain as head
from prefloop.web.store.tables import comparisons, events, items, judgements, presentations, responses
from prefloop.web.work import intake
from web.acts import ask, check_log, comparison, fill, judged, post, rows, signed_in, to_judge, user, work

ALIEN = {
    "id": "x", "prompt_id": "x", "messages": [], "trees": [], "tags": [], "sampling": {}, "batch": "",
    "fingerprint": "", "renderer": 1, "added": 0.0,
}  # fmt: skip
THIRD, LAST, SECOND = events.c.seq == 3, events.c.seq == 4, responses.c.index == 1
TAMPERED: dict[str, tuple[Any, ...]] = {
    "was changed": (update(events).where(THIRD).values(payload='{"x":1}'),),
    "somebody else": (update(events).where(THIRD).values(actor="nobody"),),
    "another time": (update(events).where(THIRD).values(at=1.0),),
    "removed": (delete(events).where(THIRD),),
    "cut off": (delete(events).where(LAST),),
    "cut off and mended": (delete(events).where(LAST), update(head).values(seq=3)),
    "an answer turned round": (update(judgements).values(answer={"choice": "right", "strength": None}),),
    "its sides swapped": (update(presentations).values(order=[5, 4]),),
    "another purpose": (update(items).values(purpose="arena"),),
    "counted after all": (update(judgements).values(counted=False),),
    "an answer gone": (delete(judgements),),
    "another response": (update(responses).where(SECOND).values(text="Other."),),
    "another sampler": (update(responses).where(~SECOND).values(sampler="other"),),
    "a response gone": (delete(responses).where(SECOND),),
    "another prompt": (update(comparisons).values(messages=[{"role": "user", "content": "Where?"}]),),
    "a prompt that is none": (update(comparisons).values(messages=[]),),
    "a prompt that is shown otherwise": (update(comparisons).values(trees=[["p", {}, ["Where?"]]]),),
    "a response that is shown otherwise": (update(responses).where(SECOND).values(tree=[["p", {}, ["No."]]]),),
    "other tags": (update(comparisons).values(tags=["x"]),),
    "a comparison that nobody brought": (insert(comparisons).values(ALIEN),),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_is_found(site: Site, how: str):
    fill(site, 1)
    ann = signed_in(site)
    post(ann, to_judge(ann)[0]["id"], choice="left")
    before = check_log(site)
    assert before == 4
    assert ann.get("/api/v1/log/verify").json() == {"whole": True, "events": before, "problem": None}
    site.database.write(lambda c: [c.execute(statement) for statement in TAMPERED[how]])
    with pytest.raises(UserError, match="restore a backup"):
        check_log(site)
    assert ann.get("/api/v1/log/verify").json()["whole"] is False


def test_who_judges_while_the_log_is_verified_breaks_nothing(site: Site, monkeypatch: pytest.MonkeyPatch):
    fill(site, 20)
    ann = signed_in(site)
    work(site, user(site, "bob"), 2)
    look = chain._same_judgement

    def meanwhile(*about: Any) -> None:
        look(*about)
        fill(site, 21)
        post(ann, to_judge(ann)[0]["id"])

    monkeypatch.setattr(chain, "_same_judgement", meanwhile)
    before = len(rows(site, events))
    assert ann.get("/api/v1/log/verify").json() == {"whole": True, "events": before, "problem": None}
    assert len(rows(site, events)) > before


def test_what_was_refused_left_no_event(site: Site):
    fill(site, 1)
    before = check_log(site)
    ann = user(site, "ann")

    def half(connection: Any) -> None:
        chain.record(connection, "x", ann.name, 1.0, {})
        raise UserError("no")

    with pytest.raises(UserError):
        site.database.write(half)
    assert check_log(site) == before + 1  # the user


def test_exported_judgements_are_the_newest_that_count(site: Site, tmp_path: Path):
    ask(site, overlap={"judgements": 1})
    fill(site, 4, responses=3)
    ann = signed_in(site)
    shown = to_judge(ann)[0]["id"]
    first = post(ann, shown, choice="left", strength=1).json()["judgement"]
    newer = judged(shown, choice="right", strength=2)
    ann.post(f"/api/v1/judgements/{first}/revise", json=newer.model_dump(mode="json"))
    path = tmp_path / "j.jsonl"
    assert export.write_judgements(site, path) == 1
    result = read_records(path, Judgement)
    assert [(j.id, j.comparison, j.annotator, j.annotator_kind, j.choice, j.strength) for j in result] == [
        (newer.id, "c-0000", "ann", "person", "right", 2)
    ]
    assert ann.get("/api/v1/export/judgements.jsonl").text == path.read_text(encoding="utf-8")
    lines = ann.get("/api/v1/export/comparisons.jsonl").text.splitlines()
    assert [Comparison.model_validate_json(line) for line in lines] == [comparison(i, responses=3) for i in range(4)]
    raw = [json.loads(line) for line in ann.get("/api/v1/export/events.jsonl").text.splitlines()]
    assert [event["seq"] for event in raw] == list(range(1, len(raw) + 1))


def test_the_file_for_the_next_stage_is_written_when_all_is_done(site: Site):
    fill(site, 2)
    delivery, ann = Delivery(site), user(site, "ann")
    assert not delivery.look()
    work(site, ann, 1)
    assert not delivery.look()
    work(site, ann)
    assert delivery.look()
    assert not delivery.look()
    assert len(read_records(export.target(site), Judgement)) == 2


def test_or_when_enough_is_judged(site: Site):
    ask(site, enough=2)
    fill(site, 5)
    delivery, ann = Delivery(site), user(site, "ann")
    work(site, ann, 1)
    assert not delivery.look()
    work(site, ann, 1)
    assert delivery.look()


def test_a_comparison_twice_is_once_and_another_under_its_name_is_refused(site: Site):
    fill(site, 3)
    fill(site, 3)
    assert len(rows(site, items)) == 3
    other = comparison(1, responses=4).model_copy(update={"id": "c-0000"})
    with pytest.raises(UserError, match="another comparison called 'c-0000'"):
        site.database.write(lambda c: intake.take_in(c, site, [other], actor="x"))


def test_new_kinds_ask_more_of_the_same_comparisons(site: Site):
    ask(site, pairs_per_prompt=2)
    fill(site, 2, responses=4)
    assert len(rows(site, items)) == 4
    assert {row.probability for row in rows(site, items)} == {2 / 6}
    ask(site, kinds=["pair", "ranking", "rating", "thumb"])
    fill(site, 2, responses=4)  # what is here already asks nothing by coming again
    assert len(rows(site, items)) == 4
    assert intake.ask_kinds(site, actor="lead") == {"withdrawn": 0, "made": 6, "kept": 0}
    assert [row.kind for row in rows(site, items)].count("pair") == 4
    assert len(rows(site, items)) == 10


def test_import_says_which_line_is_wrong_and_keeps_nothing(site: Site):
    ann = signed_in(site)
    good = comparison(1).model_dump_json()
    body = f'{good}\n{{"id": "x"}}\nnot json\n'
    headers = {"content-type": "application/x-ndjson"}
    answer = ann.post("/api/v1/import/comparisons", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["message"][:14]) == (422, "import.jsonl:2")
    assert rows(site, items) == []
    answer = ann.post("/api/v1/import/comparisons?lenient=true", content=body, headers=headers).json()
    assert (answer["added"], answer["left_out"]) == (1, 2)
    assert [text[:14] for text in answer["problems"]] == ["import.jsonl:2", "import.jsonl:3"]


def test_more_overlap_is_asked_of_what_is_there(site: Site):
    fill(site, 2, tags=("t",))
    ann = signed_in(site)
    work(site, user(site, "a"))
    assert ann.put("/api/v1/settings", json={"overlap": {"judgements": 2}}).status_code == 200
    assert work(site, user(site, "b", tags=("t",))) == 2
    assert [row.done for row in rows(site, items)] == [2, 2]
    assert ann.put("/api/v1/settings", json={"overlap": {"judgements": 0}}).status_code == 422
    assert ann.put("/api/v1/settings", json={"overlp": 1}).status_code == 422
