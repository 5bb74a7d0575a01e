"""The language on disk: strict, frozen, and the same after a journey through JSON."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prefloop.records import (
    Artefact,
    Comparison,
    Demonstration,
    EmbeddedScore,
    Finished,
    Identity,
    Judgement,
    Message,
    Preference,
    Probe,
    Prompt,
    Ranking,
    Rated,
    Response,
    RunCard,
    Sampling,
    Score,
    Timing,
)

ASKED: Any = [{"role": "user", "content": "Where is my parcel?"}]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def judgement(**fields: Any) -> Judgement:
    """A judgement whose answer is given by the fields."""
    whole = {
        "id": "j1",
        "comparison": "c1",
        "annotator": "ann",
        "annotator_kind": "person",
        "order": [0, 1],
        "seconds": 2,
    }
    return Judgement.model_validate(whole | fields)


def response(text: str) -> Response:
    """A finished response of one token."""
    return Response(text=text, num_tokens=1, finished=True, sampler="abc")


PAIR = {"id": "f", "messages": ASKED, "chosen": "a", "rejected": "b"}
RATED = {"id": "x", "messages": ASKED, "responses": ["a", "b"]}
EVERY_KIND = [
    Probe(
        name="courtesy.4", kind="courtesy", expected="not_rise", finding="shortcut", num=40, shift=0.5, token="thanks"
    ),
    Prompt(id="p", messages=ASKED, tags=("ood",)),
    Demonstration(id="d", messages=ASKED, response="On its way.", source="ann"),
    Comparison(
        id="c",
        prompt_id="p",
        messages=ASKED,
        responses=(response("a"), response("")),
        sampling=Sampling(temperature=1.0, seed=3),
    ),
    judgement(kind="pair", choice="left", strength=2),
    judgement(kind="ranking", ranks=[2, 1]),
    judgement(kind="rating", ratings={"helpful": [5, 1], "honest": [3, 3]}),
    judgement(kind="thumb", thumbs=[True, False]),
    Preference(id="f", messages=ASKED, chosen="a", rejected="b", strength=1.5, chosen_index=0, rejected_index=1),
    Ranking(id="r", messages=ASKED, responses=("a", "b"), ranks=(1, 1)),
    Rated(id="x", messages=ASKED, responses=("a", "b"), ratings={"safe": (1, None)}, thumbs=(None, True)),
    Score(id="s", score=-0.25),
    EmbeddedScore(id="s", score=-0.25, embedding=(0.5, -1.0)),
    RunCard(
        stage="sft",
        command="prefloop sft",
        seed=1,
        threads=2,
        versions={"python": "3.11"},
        machine={"system": "Linux", "cores": None},
        config={"lr": 1e-3, "pages": ("a", "b")},
        inputs={"data": Artefact(path="d.jsonl", fingerprint="abc")},
        identity=Identity(stage="sft", settings={"lr": 1e-3}, inputs={"data": "abc"}),
    ),
    Finished(outputs={"model": Artefact(path="model", fingerprint="abc")}, result={"loss": 0.5, "edges": (1, 2)}),
    Timing(seconds=1.5, peak_rss_mb=10.0, sessions=1),
]


@pytest.mark.parametrize("record", EVERY_KIND, ids=lambda record: type(record).__name__)
def test_json_and_back(record):
    assert type(record).model_validate_json(record.model_dump_json()) == record
    assert type(record).model_validate(record.model_dump(mode="json")) == record


@given(content=TEXT, answer=TEXT, tags=st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_json_and_back_for_any_text(content, answer, tags):
    asked = (Message(role="user", content=content),)
    record = Demonstration(id="d", messages=asked, response=answer, tags=tuple(tags))
    assert Demonstration.model_validate_json(record.model_dump_json()) == record


def test_lists_become_tuples_and_records_can_be_hashed():
    prompt = Prompt.model_validate({"id": "p", "messages": ASKED, "tags": ["a"]})
    assert prompt.tags == ("a",)
    assert len({prompt, Prompt(id="p", messages=ASKED, tags=("a",))}) == 1


def test_records_do_not_change():
    prompt: Any = Prompt(id="p", messages=ASKED)
    with pytest.raises(ValidationError, match="frozen"):
        prompt.id = "q"


@pytest.mark.parametrize(
    ("kind", "fields", "complaint"),
    [
        (Prompt, {"id": 7, "messages": ASKED}, "valid string"),
        (Prompt, {"id": "", "messages": ASKED}, "at least 1 character"),
        (Prompt, {"id": "p", "messages": ASKED, "tag": ["a"]}, "Extra inputs"),
        (Prompt, {"id": "p", "messages": []}, "at least 1 item"),
        (Prompt, {"id": "p", "messages": "Where is my parcel?"}, "valid tuple"),
        (Prompt, {"id": "p", "messages": [{"role": "human", "content": "x"}]}, "'system', 'user' or 'assistant'"),
        (Prompt, {"id": "p", "messages": [{"role": "user", "content": ""}]}, "at least 1 character"),
        (Prompt, {"id": "p", "messages": [{"role": "user", "content": "\ud800"}]}, "unicode"),
        (Prompt, {"id": "p", "messages": [*ASKED, {"role": "assistant", "content": "x"}]}, "is the assistant's"),
        (Prompt, {"id": "p", "messages": [{"role": "system", "content": "x"}]}, "is the system's"),
        (Demonstration, {"id": "d", "messages": ASKED, "response": ""}, "at least 1 character"),
        (Preference, {"id": "f", "messages": ASKED, "chosen": "a", "rejected": "a"}, "the same text"),
        (Preference, {"id": "f", "messages": ASKED, "chosen": "a", "rejected": "b", "weight": "2"}, "valid number"),
        (Preference, {"id": "f", "messages": ASKED, "chosen": "a", "rejected": "b", "chosen_index": True}, "integer"),
        (
            Preference,
            {"id": "f", "messages": [{"role": "assistant", "content": "x"}], "chosen": "a", "rejected": "b"},
            "is the assistant's",
        ),
        (
            Ranking,
            {"id": "r", "messages": ASKED, "responses": ["a", "b"], "ranks": [1]},
            "`ranks` has 1 entries for 2 responses",
        ),
        (Ranking, {"id": "r", "messages": ASKED, "responses": ["a"], "ranks": [1]}, "at least 2 items"),
        (Ranking, {"id": "r", "messages": ASKED, "responses": ["a", "b"], "ranks": [0, 1]}, "a rank is 0, but ranks"),
        (Preference, PAIR | {"strength": 4}, "less than or equal to 3"),
        (Preference, PAIR | {"weight": 0.0}, "greater than 0"),
        (Preference, PAIR | {"agreement": 66.0}, "less than or equal to 1"),
        (Preference, PAIR | {"votes": [{"side": "chosen", "strength": 0}]}, "greater than or equal to 1"),
        (Rated, RATED | {"ratings": {"helpful": [1]}}, "`ratings.helpful` has 1 entries for 2 responses"),
        (Rated, RATED | {"thumbs": [True, False, True]}, "`thumbs` has 3 entries for 2 responses"),
        (Rated, RATED | {"ratings": {"helpful": [None, None]}}, "no response has a rating or a thumb"),
        (Rated, RATED | {"ratings": {"helpful": [1, "2"]}}, "valid number"),
        (Rated, RATED | {"thumbs": [1, 0]}, "valid boolean"),
        (Rated, RATED | {"responses": [], "thumbs": []}, "at least 1 item"),
        (Score, {"id": "s", "score": "1.5"}, "valid number"),
    ],
)
def test_what_is_not_a_record(kind, fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        kind.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "pair"},
        {"kind": "pair", "ranks": [1, 2]},
        {"kind": "pair", "choice": "left", "ranks": [1, 2]},
        {"kind": "rating", "thumbs": [True, True]},
    ],
)
def test_a_judgement_answers_what_was_asked_and_nothing_else(fields):
    with pytest.raises(ValidationError, match=f"a {fields['kind']} judgement must answer exactly that"):
        judgement(**fields)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"kind": "pair", "choice": "left", "order": [1, 1]}, "`order` names response 1 twice"),
        ({"kind": "pair", "choice": "left", "order": [1, 0, 2]}, "a pair is of 2 responses, but `order` names 3"),
        ({"kind": "pair", "choice": "left", "strength": 4}, "less than or equal to 3"),
        ({"kind": "ranking", "ranks": [1]}, "`ranks` has 1 entries for 2 responses shown"),
        ({"kind": "ranking", "ranks": [1, -1]}, "a rank is -1"),
        ({"kind": "rating", "ratings": {"safe": [1, 2, 3]}}, "`ratings.safe` has 3 entries for 2 responses"),
        ({"kind": "thumb", "thumbs": [True]}, "`thumbs` has 1 entries for 2 responses shown"),
    ],
)
def test_a_judgement_speaks_of_each_response_shown_once(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        judgement(**fields)


@pytest.mark.parametrize(
    ("marks", "main", "grades"),
    [
        ({"ratings": {"safe": [1, 2], "helpful": [4, None]}}, "helpful", (4, None)),
        ({"ratings": {"helpful": [4, 1], "overall": [2, 3]}}, "overall", (2, 3)),
        ({"ratings": {"kind": [4, 1]}, "thumbs": [False, True]}, "kind", (4, 1)),
        ({"ratings": {"kind": [4, 1], "safe": [1, None]}}, None, (2.5, None)),
        ({"thumbs": [False, None]}, None, (0, None)),
    ],
)
def test_one_axis_says_how_good_a_response_is_or_the_mean_of_all(marks, main, grades):
    rated = Rated.model_validate(RATED | marks)
    assert (rated.main_axis, rated.grades) == (main, grades)


def test_a_prompts_text_is_all_its_turns():
    turns: Any = [{"role": "system", "content": "Be brief."}, *ASKED]
    assert Prompt(id="p", messages=turns).text == "Be brief.\nWhere is my parcel?"
    assert Demonstration(id="p", messages=turns, response="Here.").text == "Be brief.\nWhere is my parcel?"


def test_every_field_is_described():
    bare = [
        f"{type(record).__name__}.{name}"
        for record in EVERY_KIND
        for name, field in type(record).model_fields.items()
        if not field.description
    ]
    assert not bare
