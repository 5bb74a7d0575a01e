"""Exports of other tools with all their question types: each is read as exactly what it is, or counted as not read.

The right values are those of the tools' own documentation: Potato's scale is negative where the first is better,
AlpacaEval's preference is 1 for the first and 2 for the second, a good rating in Open WebUI's arena is a win.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.web.exchange import export, importing
from prefloop.web.exchange.questions import Asked, labels_of
from prefloop.web.exchange.tickets import renamed
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons, judgements, responses
from prefloop.web.work import votes
from web.acts import LINES, ask, check_counts, check_log, rows, signed_in
from web.crowd import on_sqlite

PAIR = {"prompt": "Name a tree.", "answer1": "Oak.", "answer2": "Four."}
THREE = {"prompt": "Name a colour.", "response_a": "Blue.", "response_b": "Four.", "response_c": "Red."}


def task(*results: dict[str, Any], data: dict[str, Any] = PAIR, number: int = 1, **more: Any) -> dict[str, Any]:
    """A task of Label Studio with one annotation."""
    annotation = {"id": 3, "completed_by": 3, "lead_time": 4.5, "was_cancelled": False, "result": list(results)}
    return {"id": number, "data": data, "annotations": [annotation], "project": 7, **more}


def result(kind: str, to: str = "prompt", name: str = "q", **value: Any) -> dict[str, Any]:
    """A result of Label Studio."""
    return {"from_name": name, "to_name": to, "type": kind, "value": value}


def said_there(said: Any, **more: Any) -> dict[str, Any]:
    """A row of Potato."""
    shown = {"prompt": "Name a colour.", "responses": ["Blue.", "Four."]}
    return {"id": "t1", "displayed_text": shown, "user_id": "ann", "label_annotations": said, **more}


def record(answers: Any, **more: Any) -> dict[str, Any]:
    """A record of Argilla."""
    fields = {"prompt": "Name a colour.", "response-1": "Blue.", "response-2": "Four."}
    return {"id": "r1", "fields": fields, "responses": answers, **more}


def given(value: Any, user: str = "u1", **more: Any) -> list[dict[str, Any]]:
    """An answer of Argilla 2."""
    return [{"value": value, "user_id": user, "status": "submitted", **more}]


RANKED = [{"value": "response-2", "rank": 1}, {"value": "response-1", "rank": 2}]
CHAT = {
    "m1": {"id": "m1", "parentId": None, "childrenIds": ["m2", "m3"], "role": "user", "content": "Name a colour."},
    "m2": {"id": "m2", "parentId": "m1", "childrenIds": [], "role": "assistant", "content": "Blue.", "model": "x"},
    "m3": {"id": "m3", "parentId": "m1", "childrenIds": [], "role": "assistant", "content": "Four.", "model": "y"},
}


def feedback(rating: Any, *, arena: bool = True, message: str = "m2", **data: Any) -> dict[str, Any]:
    """Feedback of Open WebUI."""
    return {
        "id": "f1", "user_id": "u1", "type": "rating", "data": {"rating": rating, "model_id": "x", **data},
        "meta": {"arena": arena, "message_id": message, "chat_id": "k"},
        "snapshot": {"chat": {"id": "k", "chat": {"history": {"currentId": "m2", "messages": CHAT}}}},
    }  # fmt: skip


def duel(winner: Any, **more: Any) -> dict[str, Any]:
    """A row of an arena."""
    asked = {"role": "user", "content": "Name a colour."}
    told = {side: [asked, {"role": "assistant", "content": text}] for side, text in (("a", "Four."), ("b", "Blue."))}
    sides = {f"conversation_{side}": turns for side, turns in told.items()}
    return {"question_id": "q1", "model_a": "m1", "model_b": "m2", "winner": winner, "judge": "p", **sides, **more}


def verdict(preference: Any, **more: Any) -> dict[str, Any]:
    """A row of AlpacaEval."""
    texts = {"output_1": "Carp.", "generator_1": "m1", "output_2": "Ten.", "generator_2": "m2"}
    return {"instruction": "Name a fish.", **texts, "annotator": "judge-x", "preference": preference, **more}


CHOICE = {"choice": "tie"}
READ: list[tuple[str, dict[str, Any], list[Any], set[str]]] = [
    # Label Studio
    ("label_studio", task(result("pairwise", selected="left")), [("pair", {"best": 0})], set()),
    ("label_studio", task(result("pairwise", selected="right"), data={"text1": "a", "text2": "b"}),
        [("pair", {"best": 1})], set()),
    ("label_studio", task(result("choices", choices=["Answer 2 is better"])), [("pair", {"best": 1})], set()),
    ("label_studio", task(result("choices", choices=["Both good"])), [("pair", CHOICE)], set()),
    ("label_studio", task(result("choices", choices=["Yes"])), [], {"choices `q`"}),
    ("label_studio", task(result("choices", choices=["A", "B"])), [], {"several choices at once `q`"}),
    ("label_studio", task(result("choices", "answer1", "x", choices=["Good"]),
        result("choices", "answer2", "y", choices=["Bad"])), [("thumb", {"thumbs": [True, False]})], set()),
    ("label_studio", task(result("choices", "answer2", choices=["Thumbs up"])), [("thumb", {"thumbs": [True]})], set()),
    ("label_studio", task(result("ranker", ranker={"rank": ["response_c", "response_a", "response_b"]}), data=THREE),
        [("ranking", {"ranks": [2, 3, 1]})], set()),
    ("label_studio", task(result("ranker", ranker={"_": [], "good": ["response_c"], "bad": ["response_a"]}),
        data=THREE), [], {"ranker with several buckets `q`"}),
    ("label_studio", task(result("ranker", ranker={"rank": ["response_c"]}), data=THREE), [], {"ranker `q`"}),
    ("label_studio", task(result("ranker", ranker={"rank": ["y", "x"]}), data={"prompt": "p", "items": [
        {"id": "x", "title": "T", "body": "one"}, {"id": "y", "body": "two"}]}),
        [("ranking", {"ranks": [2, 1]})], set()),
    ("label_studio", task(result("rating", "a", "ra", rating=5), result("rating", "b", "rb", rating=1),
        result("textarea", "a", "why", text=["b is a number"])), [("rating", {"ratings": {"helpful": [5, 1]}})], set()),
    ("label_studio", task(result("rating", "a", "ra", rating=5)), [], {"rating `ra`"}),
    ("label_studio", task(result("rating", "a", "ra", rating=9), result("rating", "b", "rb", rating=1)), [],
        {"rating `ra`", "rating `rb`"}),
    ("label_studio", task(result("number", number=3), result("taxonomy", taxonomy=[["a"]])), [],
        {"number `q`", "taxonomy `q`"}),
    ("label_studio", task(predictions=[{"result": []}]), [], {"prediction"}),
    # Potato
    ("potato", said_there({"preference": {"selection": "A"}}), [("pair", {"best": 0})], set()),
    ("potato", said_there({"preference": {"selection": "tie"}}), [("pair", CHOICE)], set()),
    ("potato", said_there({"p": {"scale_value": "-2"}}), [("pair", {"best": 0, "strength": 2})], set()),
    ("potato", said_there({"p": {"scale_value": "1"}}), [("pair", {"best": 1, "strength": 1})], set()),
    ("potato", said_there({"p": {"scale_value": "-5"}}), [("pair", {"best": 0})], set()),
    ("potato", said_there({"p": {"scale_value": "0"}}), [("pair", CHOICE)], set()),
    ("potato", said_there({"preference": {"B": "1", "A": "0"}, "why": {"text_box": "b is a number"}}),
        [("pair", {"best": 1})], set()),
    ("potato", said_there({"sort": {"rank_order": "B,A"}}), [("ranking", {"ranks": [2, 1]})], set()),
    ("potato", said_there({"sort": {"rank_order": "B=A"}}), [("ranking", {"ranks": [1, 1]})], set()),
    ("potato", said_there({"safe": {"Yes": "true"}}), [], {"radio `safe`"}),
    ("potato", said_there({"safe": {"x": "1", "y": "1"}}), [], {"several labels at once `safe`"}),
    ("potato", said_there({"helpful_a": {"scale_4": "4"}, "helpful_b": {"scale_2": "2"}}),
        [("rating", {"ratings": {"helpful": [4, 2]}})], set()),
    ("potato", said_there({"quality": {"scale_4": "4"}}), [], {"scale `quality`"}),
    ("potato", said_there({"duel": {"safety": "B", "justification": '{"reasons": ["safer"], "rationale": "x"}'}}),
        [("pair", {"best": 1})], set()),
    ("potato", {"id": "t1", "user": "w", "prompt": "p", "response_a": "1", "response_b": "2", "pref:::B": "true"},
        [("pair", {"best": 1})], set()),
    # Argilla
    ("argilla", record({"preference": given("response-2")}), [("pair", {"best": 1})], set()),
    ("argilla", record({"preference": given("Response A is better"), "why": given("because four is no colour at all, "
        "whatever one may think of it")}), [("pair", {"best": 0})], set()),
    ("argilla", record({"rank": given(RANKED)}), [("ranking", {"ranks": [2, 1]})], set()),
    ("argilla", record({"helpful-1": given(5), "helpful-2": given(2)}),
        [("rating", {"ratings": {"helpful": [5, 2]}})], set()),
    ("argilla", record({"quality": given(4)}), [], {"rating `quality`"}),
    ("argilla", record({"issues": given(["rude", "long"]), "parts": given([{"start": 0, "end": 1, "label": "x"}])}), [],
        {"several labels at once `issues`", "spans `parts`"}),
    ("argilla", record({"preference": given("response-2", status="draft")}), [], {"response that is draft"}),
    ("argilla", record([{"user_id": "u", "status": "submitted", "values": {"p": {"value": "response-1"},
        "r": {"value": RANKED}}}]), [("pair", {"best": 0}), ("ranking", {"ranks": [2, 1]})], set()),
    ("argilla", {"id": "1", "prompt": "p", "response-1": "x", "response-2": "y", "choice.responses": ["response-2"],
        "choice.responses.users": ["u"], "choice.responses.status": ["submitted"], "choice.suggestion": "response-1"},
        [("pair", {"best": 1})], set()),
    ("argilla", {"id": "1", "prompt": "p", "response-1": "x", "response-2": "y", "choice": given("response-1")},
        [("pair", {"best": 0})], set()),
    # verdicts
    ("alpaca_eval", verdict(1), [("pair", {"best": 0})], set()),
    ("alpaca_eval", verdict(1.3), [("pair", {"best": 0})], set()),
    ("tickets", verdict(1.98), [("pair", {"best": 1})], set()),
    ("alpaca_eval", verdict(1.5), [("pair", CHOICE)], set()),
    ("alpaca_eval", verdict(0), [("pair", CHOICE)], set()),
    ("alpaca_eval", verdict(None), [], {"verdict without a value `preference`"}),
    ("arena", duel("model_b"), [("pair", {"best": 1})], set()),
    ("tickets", duel("tie (bothbad)"), [("pair", {"choice": "both_bad"})], set()),
    ("arena", {"prompt": '["p"]', "response_a": '["1"]', "response_b": '["2"]', "model_a": "x", "model_b": "y",
        "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0}, [("pair", {"best": 1})], set()),
    ("open_webui", feedback(1, reason="accurate", comment=""), [("pair", {"best": 0})], set()),
    ("open_webui", feedback(-1), [("pair", {"best": 1})], set()),
    ("open_webui", feedback(-1, arena=False, message="m3", details={"rating": 2}),
        [("thumb", {"thumbs": [False]})], {"rating from 1 to 10 `details`"}),
    ("prodigy", {"text": "p", "options": [{"id": "x", "text": "1"}, {"id": "y", "text": "2"}], "accept": ["y"],
        "answer": "accept"}, [("pair", {"best": 1})], set()),
    ("prodigy", {"text": "p", "options": [{"id": "x", "text": "1"}, {"id": "y", "text": "2"}], "accept": [],
        "answer": "reject"}, [], {"answer `reject`"}),
]  # fmt: skip


def bring(site: Site, path: Path, table: list[dict[str, Any]], source: Any, **asked: Any) -> dict[str, Any]:
    """Brings in rows as a file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return importing.from_file(site, path, source=source, on_bad="stop", actor="lead", asked=Asked(**asked))


def told(site: Site) -> list[tuple[str, Any]]:
    """What was said: kinds with their meanings, and a strength where there is one."""
    with site.database.reading() as connection:
        cast = votes.votes_where(connection)
    strengths = [{"strength": vote.answer["strength"]} if vote.answer.get("strength") else {} for vote in cast]
    return sorted(((v.kind, {**v.meaning, **how}) for v, how in zip(cast, strengths, strict=True)), key=str)


@pytest.mark.parametrize("number", range(0, len(READ), 8))
@on_sqlite
def test_each_question_is_read_as_what_it_is_or_counted(new_site: Any, tmp_path: Path, number: int):
    for source, row, meanings, unread in READ[number : number + 8]:
        site = new_site()
        answer = bring(site, tmp_path / "x.jsonl", [row], source)
        assert told(site) == meanings, row
        assert {name.partition(":")[0] for name in answer["not_read"]} == unread, (row, answer)
        assert answer["judgements"] == len(meanings) == sum(answer["kinds"].values())
        again = bring(site, tmp_path / "x.jsonl", [row], source)
        assert (again["comparisons"], again["judgements"], again["here"]) == (0, 0, len(meanings))
        check_counts(site)


@on_sqlite
def test_comments_seconds_and_people_come_along(site: Site, tmp_path: Path):
    rated = [result("rating", to, f"r{to}", rating=mark) for to, mark in (("a", 4), ("b", 2))]
    bring(site, tmp_path / "l.jsonl", [task(*rated, result("textarea", "a", "why", text=["x", "y"]))], "label_studio")
    row = rows(site, judgements)[0]
    assert (row.comment, row.active_seconds) == ("x\ny", 4.5)
    bring(site, tmp_path / "p.jsonl", [said_there({"p": {"B": "1"}, "why": {"text_box": "a number"}})], "potato")
    bring(site, tmp_path / "a.jsonl", [verdict(1.02)], "tickets")
    bring(site, tmp_path / "b.jsonl", [duel("model_a", judge=["gpt", "pair"]), duel("tie", question_id="q2")], "arena")
    with site.database.reading() as connection:
        kept = {entry.annotator: (entry.annotator_kind, entry.comment) for entry in export.judged(connection)}
    assert kept == {
        "label-studio-3 (imported)": ("person", "x\ny"), "ann (imported)": ("person", "a number"),
        "judge-x (imported)": ("model", "preference=1.02"), "gpt (imported)": ("model", ""),
        "p (imported)": ("person", ""),
    }  # fmt: skip
    samplers = {entry.sampler for entry in rows(site, responses) if entry.sampler[0] == "m"}
    assert samplers == {"m1", "m2"}
    check_log(site)


@on_sqlite
def test_two_projects_never_collide_and_the_same_file_twice_changes_nothing(site: Site, tmp_path: Path):
    """Task 1 of two projects, and a record and a task with the same id: four comparisons, each once."""
    tables = [
        ("label_studio", [task(result("pairwise", selected="left"))]),
        ("label_studio", [task(result("pairwise", selected="right"), data={**PAIR, "prompt": "Name another."})]),
        ("argilla", [record({"p": given("response-1")}, id=1)]), ("potato", [said_there({"p": {"A": "1"}}, id="1")]),
    ]  # fmt: skip
    for source, table in tables * 2:
        bring(site, tmp_path / "x.jsonl", table, source)
    names = [row.id for row in rows(site, comparisons)]
    assert sorted(name.split("-")[0] for name in names) == ["argilla", "label_studio", "label_studio", "potato"]
    assert len(told(site)) == 4


@on_sqlite
def test_what_an_older_version_brought_in_under_its_plain_id_is_found(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def older(row: Any, source: Any, place: str, asked: Any) -> Any:
        one = importing_looked(row, source, place, asked)
        plain = one.ticket.comparison.model_copy(update={"id": one.plain})
        return type(one)(**{**one.__dict__, "ticket": renamed(one.ticket, plain)})

    importing_looked = importing.looked
    monkeypatch.setattr(importing, "looked", older)
    table = [task(result("pairwise", selected="left"), number=17)]
    bring(site, tmp_path / "x.jsonl", table, "label_studio")
    monkeypatch.undo()
    assert bring(site, tmp_path / "x.jsonl", table, "label_studio")["comparisons"] == 0
    assert [row.id for row in rows(site, comparisons)] == ["17"]
    assert len(told(site)) == 1


NATURAL = [
    task(result("choices", choices=[label]), number=n, data={**PAIR, "prompt": f"{n}?"})
    for n, label in enumerate(["Oak wins", "A", "Dunno", "A"])
]


@on_sqlite
def test_labels_that_are_not_understood_are_listed_and_the_lead_says_what_they_mean(site: Site, tmp_path: Path):
    with pytest.raises(UserError) as problem:
        bring(site, tmp_path / "x.jsonl", NATURAL, "label_studio")
    assert str(problem.value).startswith(
        "x.jsonl:1: 'Oak wins' is not a choice that is known; the labels of choices `q`"
    )
    assert "'A' (2), 'Oak wins' (1), 'Dunno' (1)" in str(problem.value)
    assert "labels=" in str(problem.value)
    assert rows(site, comparisons) == []
    labels = labels_of("Oak wins = b; dunno =")
    answer = bring(site, tmp_path / "x.jsonl", NATURAL, "label_studio", labels=labels)
    assert (answer["kinds"], sorted(str(meaning) for _, meaning in told(site))) == (
        {"pair": 3}, ["{'best': 0}", "{'best': 0}", "{'best': 1}"],
    )  # fmt: skip
    assert list(answer["not_read"].values()) == [1]
    for wrong in ("a", "=b", "x = green"):
        with pytest.raises(UserError):
            labels_of(wrong)


@on_sqlite
def test_where_several_questions_choose_the_lead_says_which_is_meant(site: Site, tmp_path: Path):
    table = [said_there({"duel": {"helpfulness": "A", "safety": "B"}})]
    with pytest.raises(UserError, match=r"2 questions choose between two \(duel.helpfulness, duel.safety\)"):
        bring(site, tmp_path / "x.jsonl", table, "potato")
    with pytest.raises(UserError, match="no question is called 'x'"):
        bring(site, tmp_path / "x.jsonl", table, "potato", question="x")
    answer = bring(site, tmp_path / "x.jsonl", table, "potato", question="duel.safety")
    assert told(site) == [("pair", {"best": 1})]
    assert list(answer["not_read"].values()) == [1]


@on_sqlite
def test_ratings_need_an_axis_and_a_scale_of_five(site: Site, tmp_path: Path):
    ask(site, axes=["clear", "kind"])
    marks = [("clear_a", 5), ("clear_b", 1), ("kind_a", 2), ("kind_b", 3)]
    table = [task(*(result("rating", name[-1], name, rating=mark) for name, mark in marks))]
    bring(site, tmp_path / "x.jsonl", table, "label_studio")
    assert told(site) == [("rating", {"ratings": {"clear": [5, 1], "kind": [2, 3]}})]
    other = [task(*(result("rating", to, f"r{to}", rating=2) for to in "ab"), number=2)]
    answer = bring(site, tmp_path / "y.jsonl", other, "label_studio")
    assert answer["judgements"] == 0
    assert sum("say which with axis=" in name for name in answer["not_read"]) == 2


BAD = [
    ("alpaca_eval", verdict(3), "`preference` goes from 1"), ("arena", duel("model_c"), "'model_c' is not a choice"),
    ("arena", duel("tie", conversation_a=[]), "`conversation_a` should be a list"),
    ("arena", duel("tie", conversation_a=[{"role": "user", "content": "Else?"}, {"role": "assistant", "content": "x"}]),
        "part before their last response"),
    ("open_webui", feedback(1, message="gone"), "is not in the `snapshot`"),
    ("prodigy", {"text": "x"}, "`options` should"),
    ("label_studio", {"prompt": "x"}, "a Label Studio task has `data`"),
    ("potato", {"user": "x"}, "there is no prompt"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "row", "says"), BAD)
@on_sqlite
def test_what_is_no_such_row_is_told(site: Site, tmp_path: Path, source: str, row: Any, says: str):
    with pytest.raises(UserError) as problem:
        bring(site, tmp_path / "x.jsonl", [row], source)
    assert str(problem.value).startswith("x.jsonl:1: ")
    assert says in str(problem.value)


@on_sqlite
def test_over_http_the_answer_is_complete(site: Site):
    lead = signed_in(site, "lead", "lead")
    table = [
        task(result("choices", choices=["Blue one"]), result("number", number=3), data={**PAIR, "shade": "dark"}),
        task(result("choices", choices=["A"]), number=2, data={**PAIR, "prompt": "?"}), {"id": 3},
    ]  # fmt: skip
    where = "/api/v1/import/rows?source=label_studio&on_bad=skip&file=x.json"
    answer = lead.post(f"{where}&labels=Blue one=b", content=json.dumps(table), headers=LINES).json()
    problems = answer.pop("problems")
    assert answer == {
        "comparisons": 2, "judgements": 2, "kinds": {"pair": 2}, "here": 0, "not_read": {"number `q`": 1},
        "columns": {"shade": 1}, "without_prompt": 0, "left_out": 1,
        "reasons": {"a Label Studio task has `data`, but this is None; export as JSON, not JSON-MIN.": 1},
    }  # fmt: skip
    assert problems[0].startswith("x.json:3: ")
    wrong = lead.post(f"{where}&judges=robot", content="[]", headers=LINES)
    assert wrong.status_code == 422
