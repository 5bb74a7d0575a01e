"""What is planned: every setting in its place, and a sentence for what cannot be."""

from pathlib import Path
from typing import Any

import pytest

from prefloop.compare.command import main
from prefloop.compare.config import CompareConfig
from prefloop.compare.methods import DEFAULT, METHODS
from prefloop.compare.plans import Plan, plans
from prefloop.compare.words import METHODS as SAID
from prefloop.config import Config
from prefloop.direct.config import DPOConfig
from prefloop.errors import UserError
from prefloop.rounds.recipe import Recipe, load
from prefloop.running import head

OWN = """
reward: {model: m, preferences: p.jsonl, held_out: h.jsonl, epochs: 7}
evaluate: {reference: m, candidates: c, validation_prompts: v.jsonl, test_prompts: t.jsonl, reward: reward/model}
"""
"""A recipe that trains no policy and collects nothing."""


def made(recipe: Recipe, *methods: str, threads: int | None = None, **own: Any) -> dict[str, Plan]:
    found = plans(recipe, CompareConfig(methods=methods), own, threads=threads)
    return {plan.name: plan for plan in found}


def settings(plan: Plan, stage: str) -> Any:
    return next(step.config for step in plan.steps if step.stage.name == stage)


@pytest.fixture
def helpdesk() -> Recipe:
    return load("helpdesk", ["out=o", "seed=5", "ppo.steps=3"])


@pytest.fixture
def small(tmp_path: Path) -> Recipe:
    (tmp_path / "r.yaml").write_text(OWN, encoding="utf-8")
    return load(str(tmp_path / "r.yaml"), ["out=o"])


def test_everything_is_made_that_has_a_name(helpdesk: Recipe):
    """All stages accept what they are given, and the page has words for each method."""
    found = made(helpdesk, *METHODS)
    assert set(found) == set(METHODS) <= set(SAID)
    assert set(DEFAULT) <= set(METHODS)
    assert found["sft"].evaluation is None
    assert all(plan.evaluation for name, plan in found.items() if name != "sft")
    outs = [step.out for plan in found.values() for step in (*plan.steps, *filter(None, [plan.evaluation]))]
    assert len(set(outs)) == len(outs)  # no two runs share a folder


def test_all_begin_as_the_same_model_on_the_same_words(helpdesk: Recipe):
    found = made(helpdesk, *METHODS)
    for plan in found.values():
        for step in plan.steps:
            given = dict(step.config)
            assert given.get("policy", "o/sft/model") == "o/sft/model"
            assert given["seed"] == 5
            if plan.kind.family == "direct" and plan.method != "kto":
                assert given["preferences"] == "o/collect/preferences.jsonl"
                assert given["held_out"] == "o/collect/held_out.jsonl"
        if plan.evaluation:
            assert dict(plan.evaluation.config)["reference"] == "o/sft/model"
            assert dict(plan.evaluation.config)["judge"] == "gold"
    assert dict(settings(found["ppo"], "ppo"))["reward"] == "o/reward/model"
    assert found["ppo"].rewarded
    assert not found["dpo"].rewarded
    assert not found["rlaif"].rewarded
    assert dict(settings(found["rlaif"], "ppo"))["reward"] == "o/compare/rlaif/reward/model"
    assert dict(settings(found["rlaif"], "reward"))["preferences"] == "o/compare/rlaif/collect/preferences.jsonl"
    assert dict(settings(found["kto"], "kto"))["preferences"] == "o/compare/kto/thumbs.jsonl"


def test_a_method_takes_the_recipes_settings_of_its_stages_and_then_its_own(helpdesk: Recipe):
    found = made(
        helpdesk, "ppo", "rft", "mine", threads=1, mine={"method": "dpo", "beta": 0.3}, rft={"sft": {"lr": 1e-4}}
    )
    ppo, sft, mine = settings(found["ppo"], "ppo"), settings(found["rft"], "sft"), settings(found["mine"], "dpo")
    assert (ppo.steps, ppo.lr, ppo.threads) == (3, 2.5e-4, 1)
    assert (sft.epochs, sft.lr) == (3, 1e-4)
    assert isinstance(mine, DPOConfig)
    assert (mine.beta, mine.out) == (0.3, "o/compare/mine/dpo")
    assert found["mine"].steps[0].typed.startswith("prefloop dpo seed=5 ")
    assert "beta=0.3" in found["mine"].steps[0].typed


def test_who_chooses_the_best_of_n_does_not_judge_it(tmp_path: Path):
    """Scores, and who wins, are the recipe's for all methods."""
    text = OWN.replace("reward: reward/model}", "reward: python:r.py:score}")
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    found = made(load(str(tmp_path / "r.yaml"), ["out=o"]), "best-of-n", "dpo")
    best, other = (dict(plan.evaluation.config) for plan in found.values() if plan.evaluation)
    assert (best["best_of"], best["best_of_reward"], other["best_of"]) == (8, "o/reward/model", 1)
    assert best["reward"] == other["reward"] == "python:r.py:score"


def test_a_variant_takes_nothing_of_the_stage_that_the_recipe_has(tmp_path: Path):
    text = (
        OWN
        + "dpo: {policy: m, preferences: p.jsonl, held_out: h.jsonl, objective: hinge, max_new_tokens: 7, "
        + "adapter: lora}\n"
    )
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    found = made(load(str(tmp_path / "r.yaml"), ["out=o"]), "dpo", "ipo", "simpo", "cpl")
    dpo, ipo, simpo = (settings(found[name], "dpo") for name in ("dpo", "ipo", "simpo"))
    assert (dpo.objective, ipo.objective, simpo.objective) == ("hinge", "ipo", "auto")
    for stage in (dpo, ipo, simpo, settings(found["cpl"], "cpl")):  # the same model is trained, and writes as much
        assert (stage.adapter, stage.max_new_tokens) == ("lora", 7)


def test_a_constraint_of_training_is_left_out_where_nothing_is_trained(tmp_path: Path):
    text = OWN + "ppo: {policy: m, reward: {safe: {model: reward/model, at_least: 1.0}}, prompts: q.jsonl}\n"
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    found = made(load(str(tmp_path / "r.yaml"), ["out=o"]), "ppo", "rft")
    assert settings(found["ppo"], "ppo").levels == {"safe": 1.0}
    assert settings(found["rft"], "best-of-n").reward["safe"].at_least is None
    assert found["ppo"].learned == (Path("p.jsonl"),)


def test_collects_share_is_no_file(helpdesk: Recipe):
    recipe = load("helpdesk", ["out=o", "collect.held_out=0.2"])
    assert dict(settings(made(recipe, "dpo")["dpo"], "dpo"))["held_out"] == "o/collect/held_out.jsonl"


def test_inputs_under_compare_are_paths_as_everywhere(helpdesk: Recipe):
    own: dict[str, Any] = {"mine": {"method": "cpl", "preferences": "collect/rankings.jsonl"}}
    assert settings(made(helpdesk, "mine", **own)["mine"], "cpl").preferences == "o/collect/rankings.jsonl"


def test_the_head_ends_before_the_first_policy(helpdesk: Recipe):
    assert [step.stage.name for step in head(helpdesk)] == ["world", "pretrain", "sft", "collect", "reward"]
    for step in head(helpdesk):
        again: Config = type(step.config).parse(step.given, where="here")
        assert again == step.config  # the run is recognised as the one of `prefloop run`


@pytest.mark.parametrize(
    ("methods", "own", "says"),
    [
        (["dop"], {}, "there is no method called `dop`. Did you mean `dpo`?"),
        (["dpo"], {"kto": {"beta": 1}}, None),
        (["dpo"], {"nobody": {"beta": 1}}, "`nobody` is not among the methods that are compared"),
        (["dpo"], {"dpo": {"bta": 1}}, "no setting is called `compare.dpo.bta`"),
        (["dpo"], {"dpo": 3}, "`dpo` needs settings, for instance dpo.lr=1e-4"),
        (["rft"], {"rft": {"ppo": {}}}, "the method `rft` has no `ppo`. There are: best-of-n, sft."),
        (["dpo", "sft"], {"sft": {"lr": 1}}, "the method `sft` has no `lr`. It has no settings."),
        (["dpo"], {"dpo": {"out": "x"}}, "`dpo.out` is the same for all methods, or they could not be compared"),
        (["dpo"], {"dpo": {"policy": "x"}}, "`dpo.policy` is the same for all methods"),
        (["best-of-n"], {"best-of-n": {"evaluate": {"judge": "score"}}}, "`best-of-n.evaluate.judge` is the same"),
        (["best-of-n"], {"best-of-n": {"evaluate": 3}}, "`best-of-n.evaluate` needs settings"),
        (["mine"], {"mine": {"method": ["dpo"]}}, "there is no method called `['dpo']` that could be called `mine`"),
        (["x/../y"], {"x/../y": {"method": "dpo"}}, "a method cannot be called 'x/../y'"),
        (["seed"], {"seed": {"method": "dpo"}}, "a method cannot be called 'seed'"),
        (["sft", "dpo"], {"sft": {"method": "dpo"}}, "there is no method called `dpo` that could be called `sft`"),
        (["sft"], {}, "sft is what all methods are compared with. Add another, methods=[sft, dpo]"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    helpdesk: Recipe, methods: list[str], own: dict[str, Any], says: str | None
):
    if says is None:
        assert made(helpdesk, *methods, **own)
        return
    with pytest.raises(UserError) as told:
        made(helpdesk, *methods, **own)
    assert says in str(told.value)


def test_what_a_recipe_lacks_is_said(small: Recipe):
    assert dict(settings(made(small, "dpo")["dpo"], "dpo"))["preferences"] == "p.jsonl"
    for method, lacking in (("reinforce", "prompts"), ("rlaif", "prompts whose responses are judged")):
        with pytest.raises(UserError, match=rf"the method `{method}` needs {lacking}.*leave {method} out of methods"):
            made(small, method)


def test_what_is_typed_goes_where_it_belongs(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UserError, match=r"the command line: no setting is called `compare.dpo.bta`"):
        main(["helpdesk", "out=o", "seed=2", "methods=[dpo]", "dpo.bta=0.2"])
    with pytest.raises(UserError, match=r"the command line: `kto` is not among the methods"):
        main(["helpdesk", "out=o", "methods=[dpo]", "kto.beta=0.2"])
    with pytest.raises(UserError, match=r"methods has dpo twice"):
        main(["helpdesk", "out=o", "methods=[dpo, dpo]"])
    with pytest.raises(UserError, match=r"needs a recipe first"):
        main(["out=o"])
    assert main(["--help"]) == 0
    assert "best-of-n" in capsys.readouterr().out


def test_what_is_not_there_is_said_before_hours_of_work(tmp_path: Path):
    with pytest.raises(UserError, match=r"`compare.mine.preferences`: .*nowhere.jsonl: there is no such file"):
        main(
            ["helpdesk", f"out={tmp_path / 'o'}", "methods=[mine]", "mine.method=dpo", "mine.preferences=nowhere.jsonl"]
        )
    assert not (tmp_path / "o" / "world").exists()
