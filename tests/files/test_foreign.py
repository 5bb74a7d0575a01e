"""Other people's data: each form is recognised, becomes our records, and a bad row is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from files.samples import open_web_ui
from prefloop.errors import UserError
from prefloop.files.foreign import Import, read_demonstrations, read_preferences, read_prompts
from prefloop.files.forms import FORMS, recognise
from prefloop.files.tables import write_records
from prefloop.records import Demonstration, Message, Preference, Prompt

DATA = Path(__file__).parents[3] / "shared" / "data"


def user(text: Any) -> dict[str, Any]:
    """The user's turn."""
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    """The assistant's turn."""
    return {"role": "assistant", "content": text}


HH = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant: "
OPENING = [user("Hi"), assistant("Hello"), user("Why?")]
PART = "`chosen` (6 turns) and `rejected` (4 turns) part at turn"

QA = {"prompt": "a", "response": "b"}
CHAT = {"messages": [user("a"), assistant("b")]}
SEED = {"instruction": "a", "instances": [{"output": "b"}]}
PARTS, SUM = [{"type": "text", "text": "Hi"}], [{"input": "1 2", "output": "3"}]
ONLY_RECOGNISED: list[tuple[dict[str, Any], str]] = [
    ({"id": "c", "prompt_id": "p", "messages": [], "responses": [], "sampling": {}}, "comparison"),
    ({"id": "j", "comparison": "c", "annotator": "a"}, "judgement"),
    ({"id": "s", "score": 1.0}, "score"),
    ({"id": "s", "score": 1.0, "embedding": [0.5]}, "embeddedscore"),
    ({"text": "Once upon a time"}, "text"),
    ({"chosen": "blue", "rejected": "green"}, "pairs-without-prompt"),
]

PROMPTS: list[tuple[str, dict[str, Any], list[dict[str, str]]]] = [
    ("prompt", {"id": "1", "messages": [user("Hi")]}, [user("Hi")]),
    ("trl-prompts", {"prompt": "Hi"}, [user("Hi")]),
    ("trl-prompts", {"prompt": OPENING}, OPENING),
    ("trl-prompts", {"prompt": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant:"}, OPENING),
    ("trl-messages", {"messages": OPENING}, OPENING),
    ("trl-unpaired", {"prompt": "Hi", "completion": "Yo", "label": False}, [user("Hi")]),
    ("mt-bench", {"question_id": 81, "category": "maths", "turns": ["1 + 1?", "And 2?"]}, [user("1 + 1?")]),
]
DEMONSTRATIONS: list[tuple[str, dict[str, Any], list[dict[str, str]], str]] = [
    ("demonstration", {"id": "1", "messages": OPENING, "response": "So."}, OPENING, "So."),
    ("trl-completions", {"prompt": "Hi", "completion": " Yo"}, [user("Hi")], " Yo"),
    ("trl-completions", {"prompt": OPENING, "completion": [assistant("So.")]}, OPENING, "So."),
    ("trl-messages", {"messages": [*OPENING, assistant("So.")], "id": 7}, OPENING, "So."),
    ("trl-messages", {"messages": [user(PARTS), assistant("Yo")]}, [user("Hi")], "Yo"),
    ("alpaca", {"instruction": "Add.", "input": "1 2", "output": "3"}, [user("Add.\n\n1 2")], "3"),
    ("alpaca", {"instruction": "Sing.", "input": "", "output": "La"}, [user("Sing.")], "La"),
    ("alpaca", {"instruction": "Sing.", "output": "La", "text": "whole"}, [user("Sing.")], "La"),
    (
        "alpaca-seeds",
        {"id": "seed", "name": "add", "instruction": "Add.", "instances": SUM},
        [user("Add.\n\n1 2")],
        "3",
    ),
    ("prompt-response", {"prompt": "Hi", "response": "Yo"}, [user("Hi")], "Yo"),
    ("question-answer", {"question": "Hi?", "answer": "Yo"}, [user("Hi?")], "Yo"),
]
PREFERENCES: list[tuple[str, dict[str, Any]]] = [
    ("preference", {"id": "1", "messages": OPENING, "chosen": "So.", "rejected": "No."}),
    ("trl-preferences", {"prompt": OPENING, "chosen": "So.", "rejected": "No."}),
    ("trl-preferences", {"prompt": OPENING, "chosen": [assistant("So.")], "rejected": [assistant("No.")]}),
    ("trl-preferences", {"prompt": HH.rstrip(), "chosen": "So.", "rejected": "No."}),
    (  # UltraFeedback: the conversation is repeated in both answers
        "trl-preferences",
        {"prompt": "Hi", "chosen": [*OPENING, assistant("So.")], "rejected": [*OPENING, assistant("No.")]},
    ),
    ("trl-implicit", {"chosen": [*OPENING, assistant("So.")], "rejected": [*OPENING, assistant("No.")]}),
    ("hh", {"chosen": HH + "So.", "rejected": HH + "No."}),
    ("hh", {"chosen": HH.lstrip() + "So.\n\n", "rejected": HH + "No."}),
]


def file_of(folder: Path, *rows: Any) -> Path:
    """A JSONL file of these rows; text is written as it stands."""
    file = folder / "rows.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def dumped(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Messages as plain dictionaries."""
    return [message.model_dump() for message in messages]


def complaint(read: Callable[[Path], Import[Any]], file: Path) -> str:
    """The sentence that reading the file earns, its folder left out."""
    with pytest.raises(UserError) as caught:
        read(file)
    return str(caught.value).replace(f"{file.parent}/", "")


@pytest.mark.parametrize(("form", "row", "messages"), PROMPTS)
def test_prompts(tmp_path, form, row, messages):
    imported = read_prompts(file_of(tmp_path, row))
    assert (imported.form, imported.problems) == (FORMS[form], ())
    assert [dumped(record.messages) for record in imported.records] == [messages]


@pytest.mark.parametrize(("form", "row", "messages", "response"), DEMONSTRATIONS)
def test_demonstrations_and_their_prompts(tmp_path, form, row, messages, response):
    file = file_of(tmp_path, row)
    imported = read_demonstrations(file)
    assert (imported.form, imported.problems) == (FORMS[form], ())
    assert [(dumped(record.messages), record.response) for record in imported.records] == [(messages, response)]
    prompts = read_prompts(file).records
    assert [type(prompt) for prompt in prompts] == [Prompt]
    assert dumped(prompts[0].messages) == messages


@pytest.mark.parametrize(("form", "row"), PREFERENCES)
def test_preferences_and_their_prompts(tmp_path, form, row):
    file = file_of(tmp_path, row)
    imported = read_preferences(file)
    assert (imported.form, imported.problems) == (FORMS[form], ())
    (record,) = imported.records
    assert (dumped(record.messages), record.chosen, record.rejected) == (OPENING, "So.", "No.")
    assert [dumped(prompt.messages) for prompt in read_prompts(file).records] == [OPENING]


@pytest.mark.parametrize(("row", "form"), ONLY_RECOGNISED)
def test_forms_that_are_recognised_only(tmp_path, row, form):
    file = file_of(tmp_path, row)
    assert recognise(file).name == form
    assert f"prompts are needed here, but this file's form is {form} (" in complaint(read_prompts, file)


def test_what_cannot_be_turned_into_pairs_says_so(tmp_path):
    file = file_of(tmp_path, {"prompt": "Hi", "completion": "Yo", "label": True})
    remedy = "no prompt has both a good and a bad response."
    assert remedy in complaint(read_preferences, file)
    file = file_of(tmp_path, {"prompt": "Hi"})
    assert "Prompts have no responses" in complaint(read_demonstrations, file)
    file = file_of(tmp_path, {"prompt": "Hi", "response": "Yo", "helpfulness": 4})
    assert complaint(read_preferences, file).endswith(
        "no prompt has two responses to rank. Put two responses to one prompt in the file."
    )
    assert "Rated responses are not demonstrations" in complaint(read_demonstrations, file)


def test_our_own_records_come_back_as_they_were(tmp_path):
    asked = (Message(role="user", content="Hi"),)
    preference = Preference(id="7", messages=asked, chosen="a", rejected="b", weight=0.5, tags=("x",))
    demonstration = Demonstration(id="8", messages=asked, response="a", source="ann", tags=("x",))
    for suffix in (".jsonl", ".parquet", ".jsonl.gz"):
        write_records(tmp_path / f"preferences{suffix}", [preference])
        write_records(tmp_path / f"demonstrations{suffix}", [demonstration])
        assert read_preferences(tmp_path / f"preferences{suffix}").records == (preference,)
        assert read_demonstrations(tmp_path / f"demonstrations{suffix}").records == (demonstration,)
        prompt = Prompt(id="7", messages=asked, tags=("x",))
        assert read_prompts(tmp_path / f"preferences{suffix}").records == (prompt,)


def test_ids_come_from_the_row_or_else_from_its_line(tmp_path):
    file = file_of(tmp_path, {"prompt": "a", "id": 12}, "", {"prompt": "b"}, {"prompt": "c", "id": "x"})
    assert [record.id for record in read_prompts(file).records] == ["12", "row-000003", "x"]
    file = file_of(tmp_path, {"messages": [user("a")], "response": "b"})
    assert [record.id for record in read_demonstrations(file).records] == ["row-000001"]


def test_tags_come_from_the_category(tmp_path):
    file = file_of(tmp_path, {"question_id": 1, "category": "maths", "turns": ["1 + 1?"]})
    assert read_prompts(file).records[0].tags == ("category:maths",)


def test_extra_columns_are_named_once_in_foreign_forms(tmp_path):
    file = file_of(tmp_path, {"prompt": "a", "score": 1, "z": 2, "empty": None}, {"prompt": "b", "score": 3})
    (note,) = read_prompts(file).notes
    assert note == f"{file}: columns that were not used: `score` (2 rows), `z` (1 rows)."


def test_extra_columns_are_errors_in_our_own_records(tmp_path):
    file = file_of(tmp_path, {"id": "1", "messages": [user("a")], "response": "b", "scores": 1})
    assert complaint(read_demonstrations, file).startswith("rows.jsonl:1: a demonstration has no field `scores`; ")


def test_consecutive_turns_of_one_speaker_are_joined_and_counted(tmp_path):
    odd = "\n\nHuman: Hi\n\nHuman: there\n\nAssistant: Yes\n\nAssistant: "
    imported = read_preferences(file_of(tmp_path, {"chosen": odd + "So.", "rejected": odd + "No."}))
    (record,) = imported.records
    assert dumped(record.messages) == [user("Hi\nthere")]
    assert (record.chosen, record.rejected) == ("Yes\nSo.", "Yes\nNo.")
    assert imported.notes[0].endswith("rows with consecutive turns of one speaker, which were joined: 1.")


def test_only_the_first_instance_of_a_seed_task_is_taken(tmp_path):
    instances = [{"input": "", "output": str(i)} for i in range(3)]
    imported = read_demonstrations(file_of(tmp_path, {"instruction": "Count.", "instances": instances}))
    assert [record.response for record in imported.records] == ["0"]
    assert imported.notes[0].endswith("further instances of a row, which were not used: 2.")


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        (QA, {"prompt": "a"}, "`response` is not there, only `prompt`; add it or remove the row."),
        (QA, QA | {"response": ""}, "`response` is empty; give it text or remove the row."),
        (QA, QA | {"response": " \n"}, "`response` is blank; give it text or remove the row."),
        (QA, QA | {"response": 5}, "`response` should be text, but is 5; put it in quotes or remove the row."),
        (QA, QA | {"prompt": ""}, "`messages.0.content` is empty; give it text or remove the row."),
        (QA, "{oops", "this line is not JSON"),
        (QA, "[1]", "expected an object {...}, found list"),
        (QA, QA | {"response": "\ud800"}, "`response` should be text"),
        (QA, QA | {"id": ["1"]}, "`id` should be text, but is ['1']; leave it out to number the rows."),
        (QA, QA | {"id": "row-000001"}, "the id 'row-000001' was already used in line 1; make ids unique."),
        (
            {"prompt": "a", "completion": "b"},
            {"prompt": ["a"], "completion": "b"},
            "`prompt.0` should be a message {role, content}, but is 'a'.",
        ),
        (
            CHAT,
            {"messages": [user("a")]},
            "the conversation ends without the assistant's turn; add the response or remove the row.",
        ),
        (CHAT, {"messages": [assistant("b")]}, "there is a response but no prompt before it; add the user's turn."),
        (CHAT, {"messages": []}, "`messages` is empty; add the conversation or remove the row."),
        (
            CHAT,
            {"messages": [user("a"), assistant("b"), assistant("c")]},
            "`messages`: the last message of a prompt is the assistant's",
        ),
        (
            CHAT,
            {"messages": [{"role": "customer", "content": "a"}, assistant("b")]},
            "`messages.0.role` is 'customer', but must be 'system', 'user' or 'assistant'; rename it.",
        ),
        (
            CHAT,
            {"messages": [user("a"), assistant([{"kind": "image"}])]},
            "`messages.1.content` should be text, but is [{'kind': 'image'}]; only text is understood.",
        ),
        (
            {"instruction": "a", "output": "b"},
            {"instruction": "a", "input": 3, "output": "b"},
            "`input` should be text",
        ),
        (SEED, SEED | {"instances": []}, "`instances` should be a list of {input, output}, but is []; remove the row."),
    ],
)
def test_a_bad_demonstration_is_named(tmp_path, good, bad, sentence):
    file = file_of(tmp_path, good, bad)
    imported = read_demonstrations(file, on_bad="skip")
    assert len(imported.records) == 1
    assert [problem.startswith(f"{file}:2: {sentence}") for problem in imported.problems] == [True], imported.problems
    assert complaint(read_demonstrations, file).startswith(f"rows.jsonl:2: {sentence}")


@pytest.mark.parametrize(
    ("chosen", "rejected", "sentence"),
    [
        (HH + "So.", HH + "So.", "chosen and rejected are the same text"),
        (HH, HH + "So.", "`chosen` is empty; give it text or remove the row."),
        (HH + "a\n\nHuman: b", HH + "So.", "`chosen` ends with the user's turn, not the assistant's; "),
        (HH + "a\n\nHuman: b\n\nAssistant: c", HH + "So.", f"{PART} 4, but must part at the last turn of both"),
        (HH + "So.\n\nHuman: b\n\nAssistant: c", HH + "So.", f"{PART} 5, but must part at the last turn of both"),
        ("Well. " + HH + "So.", HH + "No.", '`chosen` should begin with "\\n\\nHuman:", but begins '),
        ("So.", HH + "No.", "`chosen` should begin with \"\\n\\nHuman:\", but begins 'So.'; "),
        (HH + "So.", None, "`rejected` is not there, only `chosen`, `rejected`; "),
        (HH + "So.", [assistant("a")], "`rejected` should be text, but is [{'role': "),
        ("\n\nAssistant: a", "\n\nAssistant: b", "there is a response but no prompt before it"),
    ],
)
def test_a_bad_preference_is_named(tmp_path, chosen, rejected, sentence):
    good = {"chosen": HH + "So.", "rejected": HH + "No."}
    file = file_of(tmp_path, good, good, {"chosen": chosen, "rejected": rejected})
    imported = read_preferences(file, on_bad="skip")
    assert len(imported.records) == 2
    assert [problem.startswith(f"{file}:3: {sentence}") for problem in imported.problems] == [True], imported.problems


def test_an_empty_response_does_not_spoil_the_prompt(tmp_path):
    file = file_of(tmp_path, {"chosen": HH, "rejected": HH + "So."})
    assert [dumped(record.messages) for record in read_prompts(file).records] == [OPENING]


def test_stop_says_how_many_more(tmp_path):
    file = file_of(tmp_path, {"prompt": "a"}, *[{"prompt": 1}] * 3)
    sentence = complaint(read_prompts, file)
    assert sentence.startswith("rows.jsonl:2: `prompt` should be text or a list of messages, but is 1; ")
    assert sentence.endswith(" And 2 more: run `prefloop data check rows.jsonl` to see all.")


def test_skip_still_needs_one_good_row(tmp_path):
    file = file_of(tmp_path, {"prompt": 1})
    with pytest.raises(UserError, match=r"rows.jsonl:1: `prompt` should be text"):
        read_prompts(file, on_bad="skip")


def test_the_majority_of_the_first_rows_decides(tmp_path):
    file = file_of(tmp_path, {"strange": 1}, "{oops", {"prompt": "a"}, {"prompt": "b"}, {"text": "c"})
    imported = read_prompts(file, on_bad="skip")
    assert imported.form.name == "trl-prompts"
    assert [record.id for record in imported.records] == ["row-000003", "row-000004"]


def test_a_form_that_nobody_knows_is_told_the_closest(tmp_path):
    sentence = complaint(read_prompts, file_of(tmp_path, {"ask": "a", "reply": "b"}))
    assert sentence.startswith("rows.jsonl: rows of this form are not known; the fields found are `ask`, `reply`. ")
    assert (
        "(trl-prompts: prompt; prompt-response: prompt, response; trl-preferences: prompt, chosen, rejected)"
        in sentence
    )
    near = complaint(read_prompts, file_of(tmp_path, {"human_ref_A": "a", "human_ref_B": "b", "labels": 1}))
    assert "(shp: history, human_ref_A, human_ref_B, labels;" in near
    assert near.endswith(f"docs/files.md lists all {len(FORMS)} forms.")


CALL = {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}
IMAGE = [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "What?"}]
THOUGHT = {"reasoning_content": "hm"}
LEFT_OUT = [
    ({"chosen": [assistant("a") | CALL]}, "tool calls"),
    ({"chosen": [assistant(None) | CALL]}, "tool calls"),
    ({"prompt": [user("a"), {"role": "tool", "name": "f", "content": "5"}]}, "tool calls"),
    ({"prompt": [user(IMAGE)]}, "images, sounds or other parts that are not text"),
    ({"chosen": [assistant("b") | THOUGHT], "rejected": [assistant("b")]},
     "two responses that differ in nothing but what is not read (`reasoning_content`)"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "what"), LEFT_OUT)
def test_a_row_whose_meaning_would_be_lost_is_left_out_and_told(tmp_path, changes, what):
    good = {"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]}
    file, told = file_of(tmp_path, good, good | changes, good | changes), []
    imported = read_preferences(file, say=told.append)
    assert len(imported.records) == 1
    assert f"{file}: 2 rows are left out, which hold {what} (the first: {file}:2)." in told
    assert complaint(read_preferences, file_of(tmp_path, good | changes)).startswith(
        "rows.jsonl: all 1 rows were left out"
    )


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (QA | {"rating": 3, "split": "train", "none": None, "nothing": []},
         "columns that were not used: `rating` (1 rows), `split` (1 rows)."),
        ({"messages": [user("a") | {"name": "Ann"}, assistant("b") | THOUGHT]},
         "fields of messages that were not used: `name` (1 rows), `reasoning_content` (1 rows)."),
        ({"messages": [{"role": "system", "content": ""}, user("a"), assistant("b")]},
         "empty system turns, which were left away: 1."),
        ({"messages": [{"role": "system", "content": "x"}, user("a"), assistant("b")], "system": "y"},
         "rows with a system turn beside another `system`, which was not used: 1."),
        ({"messages": [user("a"), assistant("b"), user("c"), assistant("d")]},
         "conversations with several turns of the assistant, of which the last is the response and the others are read:"
         " 1."),
        ({"messages": [user("a"), assistant("b")], "tools": [{"type": "function"}]},
         "columns that were not used: `tools` (1 rows)."),
    ],
)  # fmt: skip
def test_what_a_row_holds_besides_is_told_with_its_number(tmp_path, row, note):
    file, told = file_of(tmp_path, row), []
    imported = read_demonstrations(file, say=told.append)
    assert told == [f"{file}: {note}"]
    assert imported.notes == tuple(told)


def test_a_response_that_is_not_to_be_learned_is_left_out(tmp_path):
    rows = [{"messages": [user("a"), assistant("b") | {"weight": weight}]} for weight in (1, 0)]
    told = []
    assert len(read_demonstrations(file_of(tmp_path, *rows), say=told.append).records) == 1
    assert "which hold a response of weight 0, which is not to be learned (the first: " in told[0]


def test_why_a_verdict_was_given_is_told_as_not_used(tmp_path):
    steer = {"context": [user("a")], "response1": "b", "response2": "c", "overall_preference": 1}
    why, told = {"individual_preference": [{"score": 1, "reasoning": "shorter"}]}, []
    read_preferences(file_of(tmp_path, steer, steer | why), say=told.append)
    assert told[0].endswith("rows with the `reasoning` of annotators, which was not used: 1.")
    chat, told = open_web_ui(1), []
    read_preferences(file_of(tmp_path, chat | {"data": chat["data"] | {"reason": "accurate"}}), say=told.append)
    assert told[0].endswith("ratings with a `reason` or a `comment`, which was not used: 1.")


def test_a_pair_rated_the_other_way_round_is_told(tmp_path):
    good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    rows = [good | {"score_chosen": 5.0, "score_rejected": worse} for worse in (4.0, 5.0, 6.0)]
    told = []
    read_preferences(file_of(tmp_path, *rows), say=told.append)
    assert any("rated no higher than the rejected one, which were taken as they are: 2." in note for note in told)


def test_what_the_page_writes_for_trl_comes_back(tmp_path):
    """Its pairs of a ranking share one weight."""
    row = {"id": "r:0-1", "prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]}
    (record,) = read_preferences(
        file_of(tmp_path, row | {"weight": 0.25, "agreement": 0.5, "num_judgements": 2})
    ).records
    assert (record.id, record.weight, record.agreement, record.num_judgements) == ("r:0-1", 0.25, 0.5, 2)
    assert "`weight` is 0, but must be more than 0" in complaint(
        read_preferences, file_of(tmp_path, row | {"weight": 0})
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_a_sentence_where_it_is_read_and_nothing_where_it_is_not(tmp_path, number):
    line = '{"prompt": "a", "response": "b", "%s": %s}'
    file = file_of(tmp_path, line % ("helpfulness", "1"), line % ("helpfulness", number))
    assert complaint(read_preferences, file).startswith("rows.jsonl:2: `helpfulness` should be a number, but is ")
    assert len(read_demonstrations(file_of(tmp_path, line % ("margin", number))).records) == 1
    own = '{"id": "p", "messages": [{"role": "user", "content": "a"}], "chosen": "b", "rejected": "c", "weight": %s}'
    assert complaint(read_preferences, file_of(tmp_path, own % number)).startswith("rows.jsonl:1: `weight` should be ")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ((), "rows.jsonl: the file has no rows; give one object per line."),
        (("{oops",), "rows.jsonl:1: this line is not JSON"),
        (({},), "rows.jsonl: rows of this form are not known; the fields found are none at all."),
    ],
)
def test_a_file_without_a_form(tmp_path, rows, sentence):
    assert complaint(read_prompts, file_of(tmp_path, *rows)).startswith(sentence)


def test_plain_text_is_for_pretraining(tmp_path):
    (tmp_path / "book.txt").write_text("Once")
    sentence = complaint(read_prompts, tmp_path / "book.txt")
    assert sentence.startswith("book.txt: this is bare text, which only `prefloop")


def real(name: str) -> Path:
    """A file of real data, where it is."""
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is not there; the project does not need it")
    return DATA / name


def test_real_hh():
    imported = read_preferences(real("hh_harmless_dev.jsonl.gz"), on_bad="skip")
    assert imported.form.name == "hh"
    assert len(imported.records) + len(imported.problems) == 1181
    assert [problem.rpartition("/")[2] for problem in imported.problems] == [
        f"hh_harmless_dev.jsonl.gz:{line}: `chosen` is empty; give it text or remove the row." for line in (272, 487)
    ]
    assert imported.records[0].messages[0].content == "How do I pick a lock?"
    assert imported.records[0].chosen == "I’ll give you the links."
    assert not any("\n\nHuman:" in text for record in imported.records for text in (record.chosen, record.rejected))


def test_real_alpaca_seed_tasks():
    imported = read_demonstrations(real("alpaca_seed_tasks.jsonl"))
    assert (imported.form.name, len(imported.records)) == ("alpaca-seeds", 175)
    assert imported.records[1].id == "seed_task_1"
    asked = "What is the relation between the given pairs?\n\nNight : Day :: Right : Left"
    assert imported.records[1].messages[0].content == asked


def test_real_mt_bench_questions():
    imported = read_prompts(real("mt_bench_questions.jsonl"))
    assert (imported.form.name, len(imported.records)) == ("mt-bench", 80)
    assert imported.records[0].id == "81"
    assert imported.records[0].tags == ("category:writing",)
