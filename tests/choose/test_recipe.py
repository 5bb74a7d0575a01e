"""Lists of inputs in a recipe: each is resolved, and looked at before the first stage."""

from pathlib import Path

import pytest

from prefloop.choose.config import ChooseConfig
from prefloop.collect.config import CollectConfig
from prefloop.errors import UserError
from prefloop.rounds.beforehand import check
from prefloop.rounds.recipe import load

RECIPE = """sft:
  model: $base
  demonstrations: demos.jsonl
choose:
  prompts: pool.jsonl
  num: 3
  asked: [before.jsonl, after.jsonl]
  model: sft/model
collect:
  model: sft/model
  older: [$base, sft/model]
  older_share: 0.25
  prompts: choose/prompts.jsonl
"""
PROMPT = '{"messages": [{"role": "user", "content": "a"}]'


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """A recipe with its files beside it."""
    for name in ("pool", "before", "after"):
        (tmp_path / f"{name}.jsonl").write_text(PROMPT + "}\n")
    (tmp_path / "demos.jsonl").write_text(PROMPT + ', "response": "b"}\n')
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return str(tmp_path / "mine.yaml")


def test_each_of_a_list_is_resolved(recipe: str, folder: str, tmp_path: Path):
    made = load(recipe, [f"base={folder}", f"out={tmp_path / 'out'}"])
    chosen, collected = made.settings["choose"], made.settings["collect"]
    assert isinstance(chosen, ChooseConfig)
    assert isinstance(collected, CollectConfig)
    assert chosen.asked == (str(tmp_path / "before.jsonl"), str(tmp_path / "after.jsonl"))
    assert collected.older == (folder, str(tmp_path / "out" / "sft" / "model"))
    assert collected.prompts == str(tmp_path / "out" / "choose" / "prompts.jsonl")
    check(made)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("choose.asked=[nowhere.jsonl]", "`choose.asked.0`: nowhere.jsonl: there is no such file"),
        ("collect.older=[sft/model, nowhere]", "`collect.older.1`: nowhere"),
        ("collect.prompts=choose/promts.jsonl", "Did you mean choose/prompts.jsonl?"),
    ],
)
def test_what_is_not_there_is_told_before_anything_runs(given: str, sentence: str, recipe: str, folder: str):
    with pytest.raises(UserError) as caught:
        check(load(recipe, [f"base={folder}", given]))
    assert sentence in str(caught.value)


def test_a_file_that_has_no_prompts_is_told_before_anything_runs(recipe: str, folder: str, tmp_path: Path):
    (tmp_path / "after.jsonl").write_text('{"text": "once"}\n')
    with pytest.raises(UserError, match=r"`choose.asked.1`: .*holds texts, but prompts are needed"):
        check(load(recipe, [f"base={folder}"]))
