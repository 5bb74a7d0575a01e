"""Which models a path stands for."""

import json
import shutil
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.models.folders import model_in, speakers


def model(path: Path, architecture: str = "LlamaForCausalLM") -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    return path


def pipeline(path: Path) -> Path:
    """A finished one: two policies, the first of them selected."""
    model(path / "sft" / "model")
    for step in (10, 20):
        model(path / "ppo" / "models" / f"step-{step:06d}")
    (path / "evaluate").mkdir()
    numbers = ("score", "kl_nats", "length", "finished", "distinct_2", "repetition", "gold", "win_rate")
    split = {"num_prompts": 1, **dict.fromkeys(numbers)}
    rest = {"fingerprint": "", "step": None, "validation": split, "test": split, "ood": None}
    models = {
        "reference": {"path": str(path / "sft" / "model"), **rest},
        "step-000010": {"path": str(path / "ppo" / "models" / "step-000010"), **rest},
    }
    evaluation = {"reference": "reference", "selected": "step-000010", "reason": "", "judge": "gold", "models": models}
    evaluation |= {"kl_limit": 8.0, "kl_estimator": "", "demonstrations": None, "reward_model": None, "samples": []}
    (path / "evaluate" / "evaluation.json").write_text(json.dumps(evaluation))
    return path


def test_a_model_folder_is_itself(tmp_path: Path):
    path = str(model(tmp_path / "m"))
    assert [s.path for s in speakers(path)] == [path]


def test_a_name_that_is_no_folder_is_left_to_the_hub():
    assert [s.path for s in speakers("somebody/something")] == ["somebody/something"]


def test_a_pipeline_is_the_reference_and_the_selected_not_the_last(tmp_path: Path):
    both = speakers(str(pipeline(tmp_path / "demo")))
    assert [Path(s.path).parts[-2:] for s in both] == [("sft", "model"), ("models", "step-000010")]
    assert "reference" in both[0].name
    assert "step-000010" in both[1].name


def test_a_moved_pipeline_finds_its_own_models(tmp_path: Path):
    pipeline(tmp_path / "demo")
    shutil.copytree(tmp_path / "demo", tmp_path / "copy")
    assert all(s.path.startswith(str(tmp_path / "copy")) for s in speakers(str(tmp_path / "copy")))
    shutil.rmtree(tmp_path / "demo")
    assert all((Path(s.path) / "config.json").is_file() for s in speakers(str(tmp_path / "copy")))


def test_without_an_evaluation_the_last_policy_speaks(tmp_path: Path):
    path = pipeline(tmp_path / "demo")
    shutil.rmtree(path / "evaluate")
    assert [Path(s.path).name for s in speakers(str(path))] == ["model", "step-000020"]
    shutil.rmtree(path / "ppo")
    assert [Path(s.path).parent.name for s in speakers(str(path))] == ["sft"]


@pytest.mark.parametrize(("stage", "name"), [("sft", "model"), ("ppo", "step-000020")])
def test_a_stage_is_its_model(tmp_path: Path, stage: str, name: str):
    assert [Path(s.path).name for s in speakers(str(pipeline(tmp_path / "demo") / stage))] == [name]


@pytest.mark.parametrize("inner", ["", "model"])
def test_a_reward_model_is_refused_with_what_to_type(tmp_path: Path, inner: str):
    model(tmp_path / "reward" / inner, "LlamaForSequenceClassification")
    with pytest.raises(UserError, match=r"only scores.*prefloop score model="):
        speakers(str(tmp_path / "reward"))


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no model to talk to"):
        speakers(str(tmp_path))


@pytest.mark.parametrize(
    ("recipe", "single"), [("name: x\nworld: {language: en}\n", True), ("name: x\nppo: {}\n", False)]
)
def test_only_helpdesk_models_forget_between_turns(tmp_path: Path, recipe: str, single: bool):
    path = pipeline(tmp_path / "demo")
    (path / "recipe.yaml").write_text(recipe)
    assert [s.single_turn for s in speakers(str(path))] == [single, single]


def test_a_base_without_a_template_speaks_with_the_one_it_was_evaluated_with(tmp_path: Path):
    path = pipeline(tmp_path / "demo")
    assert [s.template for s in speakers(str(path))] == [None, None]
    evaluated = {
        "stage": "evaluate",
        "command": "",
        "seed": 0,
        "threads": 1,
        "versions": {},
        "machine": {},
        "inputs": {},
    }
    identity = {"stage": "evaluate", "settings": {}, "inputs": {}}
    card = {**evaluated, "config": {"template": "plain"}, "identity": identity}
    (path / "evaluate" / "run.json").write_text(json.dumps(card))
    assert [s.template for s in speakers(str(path))] == ["plain", "plain"]


@pytest.mark.parametrize(
    ("inside", "scores", "expected"),
    [
        (["model"], False, "model"),
        (["models/step-000010"], False, "models/step-000010"),
        (["step-000010"], False, "step-000010"),
        (["sft/model", "reward/model:scores"], False, "sft/model"),
        (["sft/model", "reward/model:scores"], True, "reward/model"),
        (["reward/model:scores"], False, "reward/model"),
        ([], False, "."),
    ],
)
def test_a_folder_stands_for_the_only_model_in_it(tmp_path: Path, inside: list[str], scores: bool, expected: str):
    """A stage's folder for its model; a pipeline's for the only one of the kind that is asked for."""
    for name in inside:
        path, _, kind = name.partition(":")
        model(tmp_path / path, "LlamaForSequenceClassification" if kind else "LlamaForCausalLM")
    assert Path(model_in(str(tmp_path), scores=scores)) == tmp_path / expected


def test_a_folder_of_several_models_is_refused_with_their_names(tmp_path: Path):
    path = pipeline(tmp_path / "demo")
    with pytest.raises(UserError, match=r"demo: 3 models are in this folder; give one.*step-000010.*sft/model\."):
        model_in(str(path))
    with pytest.raises(UserError, match=r"ppo: 2 models are in this folder.*step-000010, .*step-000020\."):
        model_in(str(path / "ppo"))
