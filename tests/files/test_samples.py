"""Every form that others write becomes exactly the records that it says, in whatever file it lies."""

import copy
import functools
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from files.samples import ASK, SAMPLES, Sample, open_web_ui, pair, ranking, rated
from prefloop.errors import UserError
from prefloop.files.feedback import RECORD_OF, feedback_of
from prefloop.files.foreign import SERVES, Reading, read_preferences, read_prompts
from prefloop.files.forms import FORMS, recognise
from prefloop.files.tables import write_records
from prefloop.records import Preference, Prompt, Ranking, Rated
from wrong_cases import FEEDBACK

BY_FORM = [pytest.param(sample, id=sample.form) for sample in SAMPLES]
GIVING = [pytest.param(sample, id=sample.form) for sample in SAMPLES if sample.records]


def written(folder: Path, rows: list, name: str = "rows.jsonl") -> Path:
    """A file of these rows: lines, or one list."""
    file = folder / name
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    file.write_text(lines if file.suffix == ".jsonl" else json.dumps(rows, indent=1), encoding="utf-8")
    return file


def test_every_form_of_others_has_a_sample():
    assert {sample.form for sample in SAMPLES} == {form.name for form in FORMS.values() if not form.record}
    assert len(SAMPLES) >= 30


@pytest.mark.parametrize("sample", BY_FORM)
def test_a_form_is_recognised_and_becomes_exactly_these_records(tmp_path, sample: Sample):
    file = written(tmp_path, sample.rows)
    form = recognise(file)
    assert form.name == sample.form
    if not sample.records:
        assert not SERVES.get(form.what)
        return
    kind = type(sample.records[0]) if sample.form not in ("trl-steps", "tickets") else Prompt
    assert SERVES[form.what][0] is kind
    assert [record for _, record in Reading(file, kind)] == sample.records
    for other in {type(record) for record in sample.beside}:
        assert [record for _, record in Reading(file, other) if isinstance(record, other)] == [*sample.beside]


KINDS = {
    "preferences": set(), "rankings": {"responses-scores", "reward-bench-2", "nectar", "oasst-trees", "oasst-messages"},
    "ratings": {"helpsteer2", "ultrafeedback", "distilabel-ratings"},
    "thumbs": {"trl-unpaired", "prompt-response-label"} | {name for name in FORMS if name.startswith("kto-")},
}  # fmt: skip
OWN = {"messages": [{"role": "user", "content": "a"}], "responses": ["b", "c"]}


@pytest.mark.parametrize("sample", BY_FORM)
def test_the_kind_of_feedback_is_recognised(tmp_path, sample: Sample):
    """Scores that are no steps of a scale (0.25 among them) are for their order."""
    file = written(tmp_path, sample.rows)
    if Preference not in SERVES.get(recognise(file).what, ()):
        with pytest.raises(UserError, match="preferences are needed here, but this file's form is"):
            feedback_of(file)
        return
    kind = feedback_of(file)
    assert kind == next((kind for kind, forms in KINDS.items() if sample.form in forms), "preferences")
    assert type(next(record for _, record in Reading(file, RECORD_OF[kind]))) is RECORD_OF[kind]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (OWN | {"ratings": {"helpful": [4, 2], "safe": [None, 4.5]}}, "ratings"),
        (OWN | {"ratings": {"helpful": [4, 2.25]}}, "rankings"),
        (OWN | {"ratings": None, "thumbs": [True, None]}, "thumbs"),
        (OWN | {"ratings": {"helpful": [4, 2]}, "thumbs": [True, None]}, "ratings"),
        (OWN | {"ranks": [1, 2]}, "rankings"),
        (open_web_ui(1, "single"), "thumbs"),
    ],
)
def test_of_what_may_be_several_kinds_the_rows_decide(tmp_path, row, kind):
    assert feedback_of(written(tmp_path, [row | {"id": str(i)} for i in range(3)])) == kind


def test_rated_responses_of_ours_give_rankings_and_pairs(tmp_path):
    """By `helpful`, of which one response has no rating; thumbs know no ties, so the two good ones are no pair."""
    own = [rated(ASK, "Blue Four Red", "a", safe=[1, 2, 3], helpful=[4, None, 5]),
           rated(ASK, "Blue Four Red", "b", thumbs=[True, False, True]),
           rated(ASK, "Blue Four", "c", safe=[2, 4], kind=[5, 1])]  # fmt: skip
    file = tmp_path / "own.jsonl"
    write_records(file, own)
    told: list[str] = []
    assert read_preferences(file, say=told.append).records == (
        pair(ASK, "Red", "Blue", "a", votes="c"),
        pair(ASK, "Blue", "Four", "b:0-1", votes="c", weight=1 / 2),
        pair(ASK, "Red", "Four", "b:1-2", votes="c", weight=1 / 2),
        pair(ASK, "Blue", "Four", "c", votes="c"),
    )
    by = ("`helpful`", "the mean of all axes")
    assert [line.partition(": ")[2] for line in told] == [f"rows whose responses are ranked by {one}: 1." for one in by]
    rankings = [record for _, record in Reading(file, Ranking)]
    assert rankings[0] == ranking(ASK, "a", Blue=2, Red=1)
    axes = Reading(file, Rated)
    assert [record for _, record in axes] == own
    assert "axes that some of the 5 responses are not rated on: `safe` " not in "".join(axes.notes())
    assert axes.notes()[0].endswith("not rated on: `helpful` (3), `kind` (3).")


@pytest.mark.parametrize("name", FEEDBACK)
def test_bad_feedback_is_one_sentence_with_its_line_and_nothing_else_is_lost(tmp_path, name):
    row, change, words = FEEDBACK[name]
    file = written(tmp_path, [each | {"id": str(i)} for i, each in enumerate([row, row, row, row | change, row])])
    outcomes = list(Reading(file, RECORD_OF[feedback_of(file)]))
    (problem,) = [str(outcome) for _, outcome in outcomes if isinstance(outcome, UserError)]
    assert problem.startswith(f"{file}:4: ")
    assert words in problem
    assert len(outcomes) == 5


@pytest.mark.parametrize("sample", GIVING)
def test_what_is_read_comes_back_from_our_own_files(tmp_path, sample: Sample):
    kind = type(sample.records[0])
    for name in ("own.jsonl", "own.parquet", "own.jsonl.gz"):
        write_records(tmp_path / name, sample.records)
        assert [record for _, record in Reading(tmp_path / name, kind)] == sample.records


@pytest.mark.parametrize("sample", GIVING)
def test_its_prompts_are_the_prompts_of_its_records(tmp_path, sample: Sample):
    """Rows of one prompt that are judged together give it once; a tree gives the question of each ranking."""
    prompts = read_prompts(written(tmp_path, sample.rows, "rows.json")).records
    expected = {record.messages for record in sample.records}
    assert {prompt.messages for prompt in prompts} >= expected
    assert len(prompts) == len({prompt.id for prompt in prompts})


def test_all_pairs_of_a_ranking_weigh_as_much_as_one(tmp_path):
    """Ranks 1, 3, 1: two wins and a tie, a third of a pair each (Ouyang et al. 2022, equation 1)."""
    write_records(tmp_path / "own.jsonl", [ranking(ASK, "r", Blue=1, Four=3, Red=1)])
    assert read_preferences(tmp_path / "own.jsonl").records == (
        pair(ASK, "Blue", "Four", "r:0-1", votes="c", weight=1 / 3),
        pair(ASK, "Blue", "Red", "r:0-2", votes="t", weight=1 / 3),
        pair(ASK, "Red", "Four", "r:1-2", votes="c", weight=1 / 3),
    )


def test_a_ranking_of_two_is_a_pair_and_thumbs_know_no_ties(tmp_path):
    write_records(tmp_path / "own.jsonl", [ranking(ASK, "r", Four=2, Blue=1)])
    assert read_preferences(tmp_path / "own.jsonl").records == (pair(ASK, "Blue", "Four", "r", votes="c"),)
    thumbs = [
        {"prompt": "Name a colour.", "completion": text, "label": text != "Four"} for text in ("Blue", "Red", "Four")
    ]
    expected = [("Blue", "Four", 0.5), ("Red", "Four", 0.5)]
    records = read_preferences(written(tmp_path, thumbs)).records
    assert [(record.chosen, record.rejected, record.weight) for record in records] == expected


@pytest.mark.parametrize("kind", [Preference, Prompt])
def test_what_is_judged_together_needs_no_order(tmp_path, kind):
    """Rows of two prompts mixed up give what they give one after the other."""
    rows = [{"prompt": p, "response": r, "helpfulness": h} for p, r, h in (("a", "x", 1), ("b", "v", 0), ("a", "y", 4))]
    mixed, sorted_rows = (
        [record for _, record in Reading(written(tmp_path, order), kind)]
        for order in (rows, [rows[0], rows[2], rows[1]])
    )
    assert [record.model_dump(exclude={"id"}) for record in mixed] == [
        record.model_dump(exclude={"id"}) for record in sorted_rows
    ]
    assert len(mixed) == (1 if kind is Preference else 2)


HOSTILE = (None, 5, 0, 1.5, True, "x", "", [], [1], ["a"], {}, {"a": 1}, [{}], [None])
"""What stands where something else is expected."""


def places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """Where each value inside a row stands."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*at, key)
        yield from places(inner, (*at, key))


def put(row: Any, at: tuple, value: Any) -> Any:
    """The same row with another value there."""
    row = copy.deepcopy(row)
    *outer, last = at
    functools.reduce(lambda inner, key: inner[key], outer, row)[last] = value
    return row


@pytest.mark.parametrize("sample", GIVING)
def test_whatever_stands_in_a_field_is_a_record_or_a_sentence(sample: Sample, monkeypatch: pytest.MonkeyPatch):
    form, (first, *others) = FORMS[sample.form], sample.rows
    kind = type(sample.records[0])
    for at, value in itertools.product(list(places(first)), HOSTILE):
        rows = [put(first, at, value), *others]
        monkeypatch.setattr("prefloop.files.foreign.Packed", lambda path: None)
        monkeypatch.setattr("prefloop.files.foreign.rows_of", lambda _, rows=rows: enumerate(rows, start=1))
        for _, outcome in Reading("rows.jsonl", kind, form):
            assert isinstance(outcome, kind | UserError)


LISTS = {"prompt": '["One?", "Two?"]', "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}
MESSAGE = {"message_id": "m1", "parent_id": None, "text": "Name a colour.", "role": "prompter", "rank": None}


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (LISTS | {"response_a": '["1", "2"]', "response_b": '["3", "4"]'}, "part before their last turn"),
        (LISTS | {"response_a": '["1", "2"]', "response_b": '["1", null]'}, "in which a turn is missing"),
        (LISTS | {"response_a": '["1"]', "response_b": '["1"]'}, "in which a turn is missing"),
        (MESSAGE | {"message_id": "m9", "parent_id": "gone"}, "answers one which is not in the file"),
        (MESSAGE | {"parent_id": "m1", "message_id": "m1", "role": "assistant"}, "without two ranked answers"),
        (open_web_ui(5), "not 1 .better., 0 .a tie. or -1"),
        ({"prompt": "a", "responses": ["x", "x", "x"], "scores": [1, 2, 3]}, "which give no pair: 1"),
        ({"prompt": "a", "completion": "x", "label": True}, "which give no pair: 1"),
    ],
)
def test_what_gives_no_pair_is_counted(tmp_path, row, note):
    first = [MESSAGE] if "parent_id" in row else []
    reading = Reading(written(tmp_path, [*first, row]), Preference)
    assert not list(reading)
    assert any(re.search(note, sentence) for sentence in reading.notes())


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"instruction": "a", "output_1": "b", "output_2": "c", "preference": 0.3}, "`preference` is 0.3, but must"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "system": {"content": "x"}}, "system's words should be text"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(tmp_path, row, sentence):
    with pytest.raises(UserError, match=sentence):
        read_preferences(written(tmp_path, [row]))
