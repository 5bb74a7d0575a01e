"""Models and rewards that cannot be used: a sentence, and no half-written run that looks like a good one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Refused = Callable[..., str]
Write = Callable[..., str]


@pytest.fixture
def copied(folder: str, tmp_path: Path) -> Path:
    """A model folder to spoil."""
    return Path(shutil.copytree(folder, tmp_path / "model"))


def test_a_model_without_a_tokenizer(refused: Refused, copied: Path, demonstrations: Write, out: str):
    for path in copied.glob("tokenizer*"):
        path.unlink()
    said = refused("sft", f"model={copied}", f"demonstrations={demonstrations()}", f"out={out}")
    assert f"{copied}: this model folder has no tokenizer (tokenizer.json). Copy the tokenizer's files" in said


def test_a_model_without_a_template(refused: Refused, copied: Path, demonstrations: Write, out: str):
    for path in copied.glob("chat_template*"):
        path.unlink()
    settings = json.loads((copied / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    (copied / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    command = ["sft", f"model={copied}", f"demonstrations={demonstrations()}", f"out={out}"]
    assert (
        f"{copied}: this model folder records no chat template. "
        "Say which it was trained with, for instance template=plain." in refused(*command)
    )
    assert "template=plane: there is no such template. There are: turns" in refused(
        *command[:-1], f"out={out}2", "template=plane"
    )


def test_another_template_than_recorded(refused: Refused, folder: str, demonstrations: Write, out: str):
    said = refused("sft", f"model={folder}", f"demonstrations={demonstrations()}", "template=chatml", f"out={out}")
    assert "was trained with the template `turns`, but template=chatml is set" in said


def test_a_folder_that_holds_no_model(refused: Refused, tmp_path: Path, demonstrations: Write, out: str):
    (tmp_path / "empty").mkdir()
    said = refused("sft", f"model={tmp_path / 'empty'}", f"demonstrations={demonstrations()}", f"out={out}")
    assert "this folder has no config.json, so it holds no model" in said or "has no tokenizer" in said


def test_damaged_weights(refused: Refused, copied: Path, demonstrations: Write, out: str):
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    said = refused("sft", f"model={copied}", f"demonstrations={demonstrations()}", f"out={out}")
    assert f"{copied}: the model cannot be loaded" in said


def test_a_hub_id_without_a_network(refused: Refused, demonstrations: Write, out: str):
    said = refused("sft", "model=someone/some-model", f"demonstrations={demonstrations()}", f"out={out}")
    assert "someone/some-model: " in said
    assert "no network" in said
    assert "download the model elsewhere and give its folder" in said


def test_a_policy_is_no_reward_model(refused: Refused, folder: str, prompts_file: str, out: str):
    said = refused(
        "ppo", f"policy={folder}", f"reward={folder}", f"prompts={prompts_file}", "max_new_tokens=8", f"out={out}"
    )
    assert f"{folder}: this is not a reward model (LlamaForCausalLM). Train one with `prefloop reward`." in said


@pytest.mark.parametrize(
    ("body", "function", "says"),
    [
        (
            "def score(prompts, responses):\n    return [float('nan')] * len(responses)\n",
            "score",
            "returned nan for the response",
        ),
        (
            "def score(prompts, responses):\n    return [float('inf')] * len(responses)\n",
            "score",
            "returned inf for the response",
        ),
        (
            "def score(prompts, responses):\n    return [1.0]\n",
            "score",
            "returned 1 numbers for 16 responses; return one float for each",
        ),
        (
            "def score(prompts, responses):\n    return None\n",
            "score",
            "returned NoneType, not one float for each response",
        ),
        (
            "def score(prompts, responses):\n    return ['good'] * len(responses)\n",
            "score",
            "not one float for each response",
        ),
        ("def score(prompts, responses:\n", "score", ":1: this is not Python"),
        ("def points(prompts, responses):\n    return [1.0]\n", "score", "there is no function called `score`"),
    ],
)
def test_a_reward_that_gives_no_number(
    body: str, function: str, says: str, refused: Refused, folder: str, prompts_file: str, out: str, tmp_path: Path
):
    file = tmp_path / "mine.py"
    file.write_text(body, encoding="utf-8")
    settings = ["steps=1", "rollouts_per_step=16", "minibatch_size=8", "max_new_tokens=8", "threads=1"]
    said = refused(
        "ppo",
        f"policy={folder}",
        f"reward=python:{file}:{function}",
        f"prompts={prompts_file}",
        f"out={out}",
        *settings,
    )
    assert str(file) in said
    assert says in said
    assert not Path(out, "models").exists()


@pytest.mark.parametrize("spec", ["python:nowhere.py:score", "python:nowhere.py", "python:score"])
def test_a_reward_function_that_is_not_there(spec: str, refused: Refused, folder: str, prompts_file: str, out: str):
    said = refused(
        "ppo", f"policy={folder}", f"reward={spec}", f"prompts={prompts_file}", "max_new_tokens=8", f"out={out}"
    )
    assert spec.split(":")[1] in said
