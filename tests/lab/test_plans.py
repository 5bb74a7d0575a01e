"""What the lab will run: each cell's settings in their places, reward models shared, a sentence for what cannot be."""

from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.lab.command import main
from prefloop.lab.config import CELLS, DEFAULT, LabConfig
from prefloop.lab.plans import Plans, plans
from prefloop.rounds.recipe import Recipe, load


def made(
    recipe: Recipe, *cells: str, threads: int | None = None, own: dict[str, Any] | None = None, **more: Any
) -> Plans:
    return plans(recipe, LabConfig(cells=cells, **more), own or {}, threads=threads)


@pytest.fixture
def helpdesk() -> Recipe:
    return load("helpdesk", ["out=o", "seed=5", "reward.epochs=2"])


def test_every_cell_of_the_table_can_be_planned_and_no_two_runs_share_a_folder(helpdesk: Recipe):
    found = made(helpdesk, *CELLS, seeds=3)
    assert list(found.cells) == list(CELLS)
    assert set(DEFAULT) < set(CELLS)
    assert found.seeds == (5, 6, 7)
    outs = [step.out for _, step in found.steps]
    assert len(set(outs)) == len(outs)
    assert set(found.trials) == {f"{cell}/{seed}" for cell in CELLS for seed in (5, 6, 7)}
    assert [step.stage.name for step in found.head] == [
        "world",
        "pretrain",
        "sft",
        "collect",
    ]  # its own reward is not needed


def test_cells_that_differ_in_use_alone_share_a_reward_model(helpdesk: Recipe):
    found = made(helpdesk, "one", "charged", "mean", "min", "variance", "few", "clean", seeds=1)
    of = {name: found.trials[f"{name}/5"].reward.name for name in found.cells}
    assert of["one"] == of["charged"]
    assert of["mean"] == of["min"] == of["variance"]
    assert len(found.rewards) == 4
    assert found.rewards[of["few"]].pairs == 125
    assert found.rewards[of["clean"]].flips == 0.0


def test_each_setting_reaches_its_stage(helpdesk: Recipe):
    own = {"rloo": {"steps": 9}, "mine": {"pairs": 50, "members": 3, "combine": "variance", "variance_coef": 0.2}}
    found = made(helpdesk, "one", "charged", "mine", threads=1, own=own, seeds=2, num_prompts=32, best_of=16)
    mine = found.trials["mine/6"]
    reward, policy, evaluation = (dict(step.config) for step in (mine.reward.step, mine.policy, mine.evaluation))
    assert (reward["members"], reward["epochs"], reward["seed"], reward["model"]) == (3, 2, 6, "o/sft/model")
    assert reward["demonstrations"] == "o/world/demonstrations.jsonl"
    assert reward["undecided"] is None  # votes are not the decision that is turned round
    assert reward["preferences"] == str(mine.reward.preferences)
    assert reward["held_out"] == "o/lab/held_out.jsonl"
    assert policy["reward"] == str(mine.reward.model)
    assert (policy["combine"], policy["variance_coef"], policy["kl_coef"], policy["steps"]) == ("variance", 0.2, 0, 9)
    assert (policy["seed"], policy["anyway"], policy["threads"]) == (6, True, 1)
    assert (evaluation["combine"], evaluation["variance_coef"]) == ("variance", 0.2)  # the score that was optimised
    assert evaluation["reward"] == policy["reward"]
    assert (evaluation["seed"], evaluation["judge"], evaluation["num_validation"]) == (5, "gold", 32)  # alike for all
    assert dict(found.trials["charged/5"].policy.config)["kl_coef"] == 0.1
    assert found.trials["one/5"].policy.typed.startswith("prefloop rloo steps=9 ")
    step = found.best_of.step(5, {"one": {"model": "m"}})
    best = dict(step.config)
    assert (best["responses_per_prompt"], best["num_prompts"], best["seed"]) == (16, 32, 5)
    assert best["prompts"] == "o/world/prompts.validation.jsonl"
    assert (
        step.out != found.best_of.step(5, {"one": {"model": "m"}, "two": {"model": "n"}}).out
    )  # it reads other things


def test_another_algorithm_takes_the_recipes_settings_of_it(helpdesk: Recipe):
    found = made(helpdesk, "one", seeds=1, algorithm="ppo")
    policy = dict(found.trials["one/5"].policy.config)
    assert (policy["lr"], policy["steps"], policy["value_coef"], policy["kl_coef"]) == (2.5e-4, 30, 0.5, 0.0)


def test_a_model_with_other_layers_is_made_as_the_recipes(helpdesk: Recipe):
    found = made(helpdesk, "one", "deep", seeds=2)
    (steps,) = found.models.values()
    pretrain, sft = (dict(step.config) for step in steps)
    assert (pretrain["model"].num_layers, pretrain["steps"], pretrain["corpus"]) == (4, 1800, "o/world/corpus.jsonl")
    assert (sft["model"], sft["epochs"]) == ("o/lab/models/layers-4/pretrain/model", 3)
    assert dict(found.trials["deep/5"].reward.step.config)["model"] == "o/lab/models/layers-4/sft/model"
    assert dict(found.trials["deep/5"].policy.config)["policy"] == "o/sft/model"  # the policy is the same


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cells=[oen]"], "there is no cell called `oen`. Did you mean `one`"),
        (["cells=[mine]"], "Or say what it is: mine.pairs=50"),
        (["cells=[one]", "few.pairs=9"], "`few` is not among the cells that are run"),
        (["cells=[one,one]"], "cells has one twice"),
        (["cells=[models]"], "a cell cannot be called 'models'"),
        (["one.pairs=3"], "`lab.one.pairs` should be"),
        (["one.flips=0.7"], "`lab.one.flips` should be"),
        (["one.combine=min"], "combine = min needs an ensemble"),
        (["one.variance_coef=2"], "variance_coef does nothing with combine = mean"),
        (["deep.model=x", "cells=[deep]"], "Leave one of them out"),
        (["one=3"], "`one` needs settings under it"),
        (["rloo.stps=3"], "stps"),
        (["algorithm=dpo"], "`lab.algorithm` should be"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_runs(words: list[str], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        main(["helpdesk", f"out={tmp_path / 'o'}", *words])
    assert not (tmp_path / "o").exists()


def test_a_recipe_whose_truth_nobody_knows_is_refused(tmp_path: Path):
    text = (
        "reward: {model: m, preferences: p.jsonl}\n"
        "evaluate: {reference: m, candidates: c, validation_prompts: v.jsonl, test_prompts: t.jsonl, "
        "reward: reward/model}\n"
    )
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="needs a recipe of the helpdesk with `judge: gold`"):
        main([str(tmp_path / "r.yaml"), f"out={tmp_path / 'o'}"])
    (tmp_path / "r.yaml").write_text(text.replace("reward: reward/model", "judge: gold"), encoding="utf-8")
    with pytest.raises(UserError, match="needs prompts"):
        main([str(tmp_path / "r.yaml"), f"out={tmp_path / 'o'}"])


def test_settings_may_stand_in_the_recipe(tmp_path: Path):
    helpdesk = (Path(__file__).parents[2] / "src/prefloop/recipes/helpdesk.yaml").read_text(encoding="utf-8")
    (tmp_path / "r.yaml").write_text(f"{helpdesk}\nlab:\n  cells: [one]\n  one: {{pairs: 3}}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"r.yaml:\d+: `lab.one.pairs` should be"):
        main([str(tmp_path / "r.yaml"), f"out={tmp_path / 'o'}"])
