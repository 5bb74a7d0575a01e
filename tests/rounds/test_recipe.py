"""Recipes: how names become paths, what stages inherit, and what running one leaves behind."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.notation import read_yaml
from prefloop.rounds import command
from prefloop.rounds.recipe import Recipe, find, load
from prefloop.settings import Tracked

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


def test_model_says_the_same_as_base(mine: Path):
    """On the command line and in the file; what ran is recorded in one word."""
    recipe = load(str(mine), ["model=folder"])
    assert settings(recipe, "sft")["model"] == "folder"
    assert recipe.values == load(str(mine), ["base=folder"]).values
    mine.write_text(f"model: folder\n{MINE}", encoding="utf-8")
    assert settings(load(str(mine), []), "sft")["model"] == "folder"


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


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (
            ["reward.model=sft/modle"],
            "the command line: `reward.model`: the stage `sft` writes no `modle`. Did you mean",
        ),
        (
            ["reward.model=ppo/models"],
            "the command line: `reward.model`: the stage `ppo` has not run by then; stages run",
        ),
        (["sft.model=sft/model"], "the command line: `sft.model`: the stage `sft` has not run by then"),
        (["sft.model=$bse"], "the command line: `sft.model`: there is no `$bse`; only `$base` stands for something"),
        (["sft.out=x"], "the command line: `sft.out`: in a recipe every stage has the folder of its name"),
        (["report.pipeline=x"], "the command line: `report.pipeline`: in a recipe every stage"),
        (
            ["collect.by=people"],
            "the command line: `collect.by`: the recipe {file} has no stage `collect`. It has: sft, rew",
        ),
        (["sfd.lr=1"], "the command line: a recipe has no `sfd`. Did you mean `sft`? There are: "),
        (["gate_share=1"], "the command line: a recipe has no `gate_share`. It is a setting of its stages: type sft."),
        (["sft.lr=fast"], "the command line: `sft.lr` should be a number, but is 'fast'. lr: Peak learning rate"),
        (
            ["ppo.minibatch_size=60", "ppo.rollouts_per_step=256"],
            "the command line: 16 of rollouts_per_step = 256 would be dropped",
        ),
        (["seed=x"], "the command line: `seed` should be a whole number, but is 'x'."),
        (["ppo.steps=1", "ppo.steps=2"], "the command line: `ppo.steps` is set twice; keep one."),
        (["out="], "the command line: `out` is empty."),
        (["model=other"], "the command line: `model` and `base` are two words for one setting, and both are given."),
    ],
)
def test_the_command_line_is_blamed_for_what_was_typed(mine: Path, typed: list[str], sentence: str):
    with pytest.raises(UserError) as caught:
        load(str(mine), ["base=model", *typed])
    assert str(caught.value).startswith(sentence.format(file=mine))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("  out: x\n", "mine.yaml:3: `report.out`: in a recipe every stage has the folder"),
        ("  titel: x\n", "mine.yaml:3: no setting is called `report.titel`. Did you mean `title`?"),
        ("  language: fr\n", "mine.yaml:3: `report.language` should be 'en' or 'zh', but is 'fr'."),
        ("reward: {}\n", "mine.yaml:2: `report` tells of all that ran, so it comes last. Move it to the end."),
        ("repord: {}\n", "mine.yaml:3: a recipe has no `repord`. Did you mean `report`?"),
    ],
)
def test_the_line_is_blamed_for_what_was_written(tmp_path: Path, line: str, sentence: str):
    head = "base: m\n" + ("report: {}\n" if not line.startswith(" ") else "report:\n")
    more = line.replace("{}", "{model: m, preferences: p}") if line.startswith("reward") else line
    (tmp_path / "mine.yaml").write_text(head + more, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(str(tmp_path / "mine.yaml"), [])
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(sentence)


def test_names_are_text_and_home_is_home(mine: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/me")
    recipe = load(str(mine), ["base=~/model", "out=2024", "name=no", "ppo.reward=python:~/a.py:f"])
    assert (recipe.name, recipe.out, recipe.values["out"]) == ("no", Path("2024"), "2024")
    assert settings(recipe, "sft")["model"] == "/me/model"
    assert settings(recipe, "ppo")["reward"] == "python:/me/a.py:f"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sft.model": "nowhere"}, "`sft.model`: nowhere: there is no such folder"),
        (
            {"sft.demonstrations": "rowz.jsonl"},
            "`sft.demonstrations`: rowz.jsonl: there is no such file. Did you mean rows",
        ),
        ({"reward.preferences": "rows.jsonl"}, "`reward.preferences`: rows.jsonl: this file holds "),
        ({"ppo.reward": "python:points.py:other"}, "`ppo.reward`: points.py: there is no function called `other`"),
        ({"ppo.reward": "python:broken.py:score"}, "`ppo.reward`: "),
    ],
)
def test_everything_is_looked_at_before_the_first_stage(
    change: dict[str, str], sentence: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "named", lambda name: pytest.fail(f"{name} ran"))
    asked = '{"messages": [{"role": "user", "content": "a"}]'
    texts = {"rows.jsonl": asked + "}\n", "demos.jsonl": asked + ', "response": "b"}\n', "broken.py": "def score(\n"}
    texts |= {
        "pairs.jsonl": asked + ', "chosen": "b", "rejected": "c"}\n',
        "points.py": "def score(p, r):\n    return []\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")
    good = {"sft.demonstrations": "demos.jsonl", "reward.preferences": "pairs.jsonl"} | change
    recipe = load("mine.yaml", [f"base={folder}", *(f"{key}={value}" for key, value in good.items())])
    with pytest.raises(UserError) as caught:
        command.run(recipe)
    assert str(caught.value).startswith(f"the command line: {sentence}")
    assert not (recipe.out / "sft").exists()


def test_extras_of_all_stages_are_looked_at_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "nh3", None)
    monkeypatch.setattr(command, "named", lambda name: pytest.fail(f"{name} ran"))
    recipe = load("helpdesk", [f"out={tmp_path / 'out'}", "collect.by=people"])
    with pytest.raises(UserError, match=r"collect.by=people needs nh3, which is not installed. Type: pip install"):
        command.run(recipe)


def test_a_tracker_is_named_once_for_all_stages_that_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    recipe = load("helpdesk", [f"out={tmp_path / 'out'}", "track=wandb", "sft.track=none"])
    tracked = {name: config.track for name, config in recipe.settings.items() if isinstance(config, Tracked)}
    assert tracked == {"pretrain": "wandb", "sft": "none", "reward": "wandb", "ppo": "wandb"}
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr(command, "named", lambda name: pytest.fail(f"{name} ran"))
    with pytest.raises(UserError, match=r"^pretrain.track=wandb needs wandb, which is not installed. Type: pip"):
        command.run(recipe)


def test_a_recipe_in_its_own_folder_stays_as_it_was_written(recorded: tuple[list[str], Recipe]):
    seen, recipe = recorded
    recipe.out.mkdir()
    card = recipe.out / "recipe.yaml"
    card.write_text("# mine\n", encoding="utf-8")
    command.run(replace(recipe, path=str(card)))
    assert seen == RAN
    assert card.read_text(encoding="utf-8") == "# mine\n"
