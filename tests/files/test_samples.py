"""Every form that others write becomes exactly the records that it says, in whatever file it lies."""

import json
from pathlib import Path

import pytest

from files.samples import ASK, SAMPLES, Sample, pair, ranking
from prefloop.files.foreign import SERVES, Reading, read_preferences, read_prompts
from prefloop.files.forms import FORMS, recognise
from prefloop.files.tables import write_records
from prefloop.records import Preference, Prompt

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
