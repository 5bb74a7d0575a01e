"""Recipes: how names become paths, what stages inherit, and what running one leaves behind."""

import os
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.notation import read_yaml
from prefloop.rounds import command
from prefloop.rounds.recipe import Recipe, find, load

RAN = ["prefloop.sft.stage:train", "prefloop.align.ppo:train", "prefloop.report.stage:write"]
MINE = """
name: mine
seed: 3
threads: 1
sft:
  model: $base
  demonstrations: rows.jsonl
reward:
  model: sft/model
  preferences: elsewhere/p.jsonl
  seed: 8
ppo:
  policy: sft/model
  reward: python:points.py:score
  prompts: rows.jsonl
report: {}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A recipe of one's own, with a file and a reward function beside it."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name, text in (("mine.yaml", MINE), ("rows.jsonl", "{}\n"), ("points.py", "")):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "mine.yaml"


def settings(recipe: Recipe, stage: str) -> dict[str, Any]:
    """The resolved settings of one stage."""
    return recipe.settings[stage].model_dump()


def test_names_become_paths(mine: Path):
    recipe = load(str(mine), ["base=model", "out=runs/a"])
    beside = mine.parent
    assert list(recipe.settings) == ["sft", "reward", "ppo", "report"]
    assert settings(recipe, "sft")["model"] == "model"
    assert settings(recipe, "sft")["demonstrations"] == str(beside / "rows.jsonl")
    assert settings(recipe, "sft")["out"] == str(Path("runs/a/sft"))
    assert settings(recipe, "reward")["model"] == str(Path("runs/a/sft/model"))
    assert settings(recipe, "reward")["preferences"] == "elsewhere/p.jsonl"
    assert settings(recipe, "ppo")["reward"] == f"python:{beside / 'points.py'}:score"
    assert settings(recipe, "report")["pipeline"] == str(Path("runs/a"))
    assert settings(recipe, "report")["title"] == "mine"


def test_a_choice_that_is_called_like_a_stage_is_no_path(mine: Path):
    recipe = load(str(mine), ["base=model", "ppo.kl_where=reward"])
    assert settings(recipe, "ppo")["kl_where"] == "reward"


def test_a_file_in_the_current_folder_comes_first(mine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    assert settings(load(str(mine), ["base=model"]), "sft")["demonstrations"] == "rows.jsonl"


def test_stages_inherit_and_may_differ(mine: Path):
    recipe = load(str(mine), ["base=model", "ppo.seed=9", "dtype=float32"])
    assert [settings(recipe, stage)["seed"] for stage in ("sft", "reward", "ppo")] == [3, 8, 9]
    assert {settings(recipe, stage)["threads"] for stage in ("sft", "reward", "ppo")} == {1}
    assert {settings(recipe, stage)["dtype"] for stage in ("sft", "reward", "ppo")} == {"float32"}


def test_the_folder_is_named_after_the_recipe(mine: Path):
    assert load(str(mine), ["base=model"]).out == Path("mine")


@pytest.mark.parametrize("name", ["helpdesk", "helpdesk.yaml", "recipes/helpdesk.yaml", "nowhere/helpdesk.yaml"])
def test_recipes_that_come_with_prefloop_are_found_by_name(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert Path(find(name)).name == "helpdesk.yaml"
    assert os.path.exists(find(name))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[list[str], Recipe]:
    """A recipe of three stages that write down what would run, the second failing if the file `bad` is there."""
    seen: list[str] = []

    def function_of(name: str) -> Any:
        def stage(config: Any) -> Path:
            if "align" in name and (tmp_path / "bad").exists():
                raise UserError("this folder belongs to another run")
            seen.append(name)
            return tmp_path / name

        return stage

    monkeypatch.setattr(command, "named", function_of)
    monkeypatch.setattr(command.beforehand, "check", lambda recipe: None)
    whole = load("helpdesk", [f"out={tmp_path / 'out'}"])
    chosen = {stage: whole.settings[stage] for stage in ("sft", "ppo", "report")}
    return seen, Recipe("two", tmp_path / "out", chosen, {"name": "two", "ppo": {"steps": 1}})


def test_stages_run_in_order_and_the_recipe_is_kept(recorded: tuple[list[str], Recipe]):
    seen, recipe = recorded
    results = command.run(recipe)
    assert seen == RAN
    assert list(results) == ["sft", "ppo", "report"]
    assert read_yaml(str(recipe.out / "recipe.yaml"))[0] == {"name": "two", "ppo": {"steps": 1}}


def test_a_refused_recipe_does_not_replace_the_one_that_ran(recorded: tuple[list[str], Recipe], tmp_path: Path):
    _, recipe = recorded
    command.run(recipe)
    (tmp_path / "bad").touch()
    with pytest.raises(UserError):
        command.run(Recipe(recipe.name, recipe.out, recipe.settings, {"name": "two", "ppo": {"steps": 2}}))
    assert read_yaml(str(recipe.out / "recipe.yaml"))[0]["ppo"] == {"steps": 1}


def test_a_folder_with_other_things_is_refused(recorded: tuple[list[str], Recipe]):
    seen, recipe = recorded
    recipe.out.mkdir()
    (recipe.out / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds other things \(thesis.tex\)"):
        command.run(recipe)
    assert seen == []
    assert [p.name for p in recipe.out.iterdir()] == ["thesis.tex"]


def test_a_folder_with_stages_already_run_by_hand_is_taken(recorded: tuple[list[str], Recipe]):
    seen, recipe = recorded
    (recipe.out / "world").mkdir(parents=True)
    command.run(recipe)
    assert seen == RAN
