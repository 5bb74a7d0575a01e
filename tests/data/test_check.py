"""`prefloop data check`: what a file holds, every bad row, and who takes it, in plain words."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from prefloop.data.check import Length, check, print_check, taken_by
from prefloop.errors import UserError
from prefloop.files.forms import FORMS
from prefloop.files.tables import write_records
from prefloop.records import Comparison, Judgement, Message, Preference, Ranking, Record, Response, Sampling, Score

ASKED = (Message(role="user", content="Where is it"),)


def file_of(folder: Path, *rows: Any) -> Path:
    """A JSONL file of these rows; text is written as it stands."""
    file = folder / "rows.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def test_rows_duplicates_and_lengths_by_hand(tmp_path):
    """Prompts of 1, 1, 3, 2 words, of which the second repeats the first row's texts; one bad row, one empty line."""
    rows = (("a", "x y"), ("a", "x y"), ("a b c", "x"), ("a b", "x y z w"))
    report = check(
        file_of(tmp_path, *[{"prompt": prompt, "response": response} for prompt, response in rows], "", {"prompt": "a"})
    )
    assert report.form is FORMS["prompt-response"]
    assert (report.rows, report.good, report.bad) == (5, 4, 1)
    assert report.problems == (
        f"{tmp_path}/rows.jsonl:6: `response` is not there, only `prompt`; add it or remove the row.",
    )
    assert report.num_duplicates == 1
    assert report.lengths == {"prompt": Length(1.5, 3), "response": Length(2, 4)}


def test_every_kind_of_bad_line_is_listed_in_file_order(tmp_path):
    good = {"prompt": "a", "response": "b"}
    file = file_of(tmp_path, good, "{oops", {"prompt": "a", "response": ""}, "[1]", good | {"id": "row-000001"}, good)
    report = check(file)
    assert [problem.removeprefix(f"{file}:").partition(":")[0] for problem in report.problems] == ["2", "3", "4", "5"]
    assert (report.rows, report.good) == (6, 2)


@pytest.mark.parametrize(
    ("record", "lengths"),
    [
        (
            Comparison(
                id="c",
                prompt_id="p",
                messages=ASKED,
                responses=tuple(Response(text=t, num_tokens=1, finished=True, sampler="s") for t in ("a b", "")),
                sampling=Sampling(temperature=1.0),
            ),
            {"prompt": Length(3, 3), "responses": Length(2, 2)},
        ),
        (
            Judgement(
                id="j",
                comparison="c",
                annotator="a",
                annotator_kind="person",
                kind="pair",
                order=(0, 1),
                choice="left",
                seconds=1.0,
            ),
            {},
        ),
        (
            Ranking(id="r", messages=ASKED, responses=("a b", "c"), ranks=(1, 2)),
            {"prompt": Length(3, 3), "responses": Length(3, 3)},
        ),
        (Score(id="s", score=0.5), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_our_other_records_are_checked_too(tmp_path, record: Record, lengths):
    write_records(tmp_path / "rows.jsonl", [record])
    report = check(tmp_path / "rows.jsonl")
    assert (report.form.record, report.rows, report.problems) == (type(record), 1, ())
    assert report.lengths == lengths


def test_judgements_without_text_are_no_duplicates(tmp_path):
    write_records(tmp_path / "rows.jsonl", [Score(id="1", score=0.5), Score(id="2", score=0.5)])
    assert check(tmp_path / "rows.jsonl").num_duplicates == 0


def test_text_for_pretraining(tmp_path):
    report = check(file_of(tmp_path, {"text": "Once upon"}, {"text": " "}, {"text": 3}, "oops"))
    assert report.lengths == {"text": Length(2, 2)}
    assert (report.good, report.bad) == (1, 3)
    assert (
        report.problems[0]
        == f"{tmp_path}/rows.jsonl:2: `text` should be text that is not empty; give it or remove the row."
    )


LEARNED, PAIRS = "preferences=, held_out=, replay=", "preferences=, held_out=, undecided=, replay="


def test_a_good_file_is_told_in_plain_words(tmp_path, capsys):
    file = file_of(tmp_path, {"prompt": "a b", "chosen": "c", "rejected": "d e f", "origin": "me"})
    assert print_check(file) == 0
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines() == [
        "rows.jsonl: TRL preferences with an explicit prompt: `prompt`, `chosen`, `rejected` as text or messages "
        "(form trl-preferences).",
        "rows: 1, of which good 1, bad 0",
        "words in prompt: median 2, longest 2",
        "words in chosen: median 1, longest 1",
        "words in rejected: median 3, longest 3",
        "rows.jsonl: columns that were not used: `origin` (1 rows).",
        "Verdict: all 1 rows are good; reward (preferences=, held_out=, undecided=, replay=), dpo (preferences=, "
        "held_out=, undecided=, replay=), cpl (preferences=, held_out=, replay=), offline (preferences=, held_out=, "
        "replay=), evaluate (data=, of a reward model) and score (data=) take it; for its "
        "prompts revise (prompts=), choose (prompts=, asked=), collect (prompts=), ppo (prompts=), reinforce "
        "(prompts=), rloo (prompts=), grpo (prompts=), rft (prompts=), online-dpo (prompts=), "
        "best-of-n (prompts=), data hacks (prompts=), "
        "evaluate (validation_prompts=, test_prompts=, ood_prompts=), lab best-of (prompts=, of the helpdesk) and "
        "sweep (prompts=) take it.",
    ]


def test_a_bad_file_is_told_row_by_row(tmp_path, capsys):
    good = {"prompt": "a", "response": "b"}
    assert print_check(file_of(tmp_path, good, good, {"prompt": "a", "response": ""})) == 1
    lines = capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines()
    assert "rows that repeat the texts of an earlier row: 1" in lines
    assert lines[-2] == "rows.jsonl:3: `response` is empty; give it text or remove the row."
    assert lines[-1].startswith("Verdict: 1 of 3 rows must be mended or removed. Then sft (demonstrations=), reward")


def test_a_file_without_one_good_row(tmp_path, capsys):
    assert print_check(file_of(tmp_path, {"prompt": 1})) == 1
    assert "Verdict: no row can be used; mend them first." in capsys.readouterr().out


def test_thumbs_make_pairs_only_where_a_prompt_has_both(tmp_path, capsys):
    good, bad = ({"prompt": "a", "completion": text, "label": text == "b"} for text in "bc")
    prompts = "; for its prompts revise (prompts=), choose (prompts=, asked=), collect (prompts=)"
    assert print_check(file_of(tmp_path, good)) == 0
    told = capsys.readouterr().out
    assert f"reward ({LEARNED}), kto ({LEARNED}) and offline ({LEARNED}) take it{prompts}" in told
    assert "rows.jsonl: there are no pairs in it: no prompt has both a good and a bad response." in told
    assert print_check(file_of(tmp_path, good, bad)) == 0
    told = capsys.readouterr().out
    assert "prompts with rated responses that they make: 1\n" in told
    takers = f"reward ({PAIRS}), dpo ({PAIRS}), cpl ({LEARNED}), offline ({LEARNED}), "
    takers += "evaluate (data=, of a reward model) and score"
    assert f"{takers} (data=) take its pairs{prompts}" in told


def test_what_is_left_out_is_counted_and_is_no_mistake(tmp_path, capsys):
    rows = [{"prompt": "a", "chosen": "b", "rejected": "c"} for _ in range(3)]
    rows[1]["chosen"] = [{"role": "assistant", "content": "b", "tool_calls": [{"type": "function"}]}]
    assert print_check(file_of(tmp_path, *rows)) == 0
    told = capsys.readouterr().out
    assert "rows: 3, of which good 2, bad 0, left out 1" in told
    assert "1 rows are left out, which hold tool calls (the first: " in told
    assert "rows.jsonl:2)" in told
    assert "Verdict: 2 of 3 rows are good, the others are left out; reward" in told


def test_what_no_one_knows_is_refused(tmp_path):
    with pytest.raises(UserError, match="rows of this form are not known"):
        check(file_of(tmp_path, {"ask": "a"}))
    with pytest.raises(UserError, match="there is no such file"):
        check(tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    ("what", "gives", "sentence"),
    [
        ("rankings", (Ranking, Preference),
         f"reward ({LEARNED}), dpo ({PAIRS}), cpl ({LEARNED}), offline ({LEARNED}) and evaluate (data=, of a reward "
         f"model) take it; reward ({PAIRS}), dpo ({PAIRS}), cpl ({LEARNED}), offline ({LEARNED}), evaluate (data=, of "
         "a reward model) and score (data=) take its pairs."),
        ("texts", (),
         "pretrain (corpus=, practice=), ppo (ptx=), reinforce (ptx=), rloo (ptx=), grpo (ptx=) and skills (texts=, "
         "texts_ood=) take it."),
        ("tickets", (), "`prefloop web` takes it, brought in by a lead."),
        ("unprompted", (), "no stage takes it until it has a column `prompt`."),
    ],
)  # fmt: skip
def test_who_takes_a_file_and_who_writes_it(what, gives, sentence):
    assert taken_by(what, gives) == sentence


def test_a_hundred_thousand_rows_take_seconds(tmp_path):
    row = '{"id": "%d", "messages": [{"role": "user", "content": "What is %d plus one?"}], "response": "I think %d."}\n'
    file = tmp_path / "big.jsonl"
    file.write_text("".join(row % (i, i, i + 1) for i in range(100_000)))
    start = time.process_time()
    report = check(file)
    assert time.process_time() - start < 20
    assert (report.rows, report.bad, report.num_duplicates) == (100_000, 0, 0)
