"""Bad rows of data: each is one sentence with file, line, what was found and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]
Write = Callable[..., str]

ASSISTANT_LAST = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello"}]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"response": ""}, ["`response`", "empty"]),
        ({"response": None}, ["`response`", "add it"]),
        ({"response": 7}, ["`response`", "7"]),
        ({"id": "d1"}, ["'d1'", "line 2", "unique"]),
        ({"messages": [{"role": "customer", "content": "parcel?"}]}, ["role", "'customer'", "'user'"]),
        ({"messages": [{"role": "user", "content": ""}]}, ["content", "empty"]),
        ({"messages": []}, ["`messages`"]),
        ({"messages": ASSISTANT_LAST}, ["the last message of a prompt is the assistant's"]),
        ({"respose": "on its way.", "response": None}, ["`respose`", "`response`"]),
    ],
)
def test_bad_demonstrations(
    changes: dict[str, Any], says: list[str], refused: Refused, demonstrations: Write, folder: str, out: str
):
    path = demonstrations(**changes)
    said = refused("sft", f"model={folder}", f"demonstrations={path}", f"out={out}")
    assert f"{path}:4: " in said
    for words in says:
        assert words in said
    assert not Path(out, "model").exists()


@pytest.mark.parametrize("line", ["{not json", "[1, 2]", '"text"', '{"id": "x"'])
def test_a_malformed_line(
    line: str, refused: Refused, demonstrations: Write, with_line: Callable[[str, str], str], folder: str, out: str
):
    path = with_line(demonstrations(), line)
    said = refused("sft", f"model={folder}", f"demonstrations={path}", f"out={out}")
    assert f"{path}:4: " in said
    assert "not JSON" in said or "expected an object" in said


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"chosen": "same", "rejected": "same"}, ["the same text", "remove the row"]),
        ({"chosen": ""}, ["`chosen`", "empty"]),
        ({"rejected": ""}, ["`rejected`", "empty"]),
        ({"id": "p0"}, ["'p0'", "line 1", "unique"]),
        ({"messages": [{"role": "User", "content": "parcel?"}]}, ["role", "'User'"]),
    ],
)
def test_bad_preferences(
    changes: dict[str, Any], says: list[str], refused: Refused, preferences: Write, folder: str, out: str
):
    path = preferences(**changes)
    said = refused("reward", f"model={folder}", f"preferences={path}", f"out={out}")
    assert f"{path}:4: " in said
    for words in says:
        assert words in said


def test_a_missing_file(refused: Refused, demonstrations: Write, folder: str, out: str):
    path = demonstrations()
    said = refused("sft", f"model={folder}", f"demonstrations={path.replace('rations', 'ration')}", f"out={out}")
    assert "demonstration.jsonl: " in said
    assert "nothing is there" in said or f"Did you mean {path}?" in said


def test_an_empty_file(refused: Refused, write_rows: Write, folder: str, out: str):
    path = write_rows("empty.jsonl", [])
    said = refused("sft", f"model={folder}", f"demonstrations={path}", f"out={out}")
    assert f"{path}: " in said


def test_the_wrong_kind_of_file(refused: Refused, preferences: Write, folder: str, out: str):
    path = preferences()
    said = refused("sft", f"model={folder}", f"demonstrations={path}", f"out={out}")
    assert path in said
    assert "demonstration" in said


def test_a_corpus_without_text(refused: Refused, write_rows: Write, out: str):
    path = write_rows("corpus.jsonl", [{"text": "hello"}, {"txt": "hello"}])
    said = refused("pretrain", f"corpus={path}", f"out={out}")
    assert f"{path}:2: " in said
    assert "`text`" in said
    assert "txt" in said


def test_prompts_longer_than_the_context(refused: Refused, write_rows: Write, folder: str, out: str):
    rows = [{"id": f"p{i}", "messages": [{"role": "user", "content": f"parcel {i} " * 60}]} for i in range(3)]
    path = write_rows("prompts.jsonl", rows)
    says = f"{path}: no prompt leaves room for max_new_tokens = 16 in the context of 64. Lower it."
    assert says in refused(
        "collect", f"model={folder}", f"prompts={path}", "max_new_tokens=16", "by=people", f"out={out}"
    )
    assert not Path(out, "comparisons.jsonl").exists()


def test_demonstrations_longer_than_the_context(refused: Refused, write_rows: Write, folder: str, out: str):
    rows = [
        {"id": f"d{i}", "messages": [{"role": "user", "content": "why?"}], "response": f"because {i} " * 60}
        for i in range(3)
    ]
    path = write_rows("demonstrations.jsonl", rows)
    said = refused("sft", f"model={folder}", f"demonstrations={path}", f"out={out}")
    assert path in said
    assert "longer than the model's context of 64 tokens" in said
