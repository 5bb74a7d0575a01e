"""Models and rewards that cannot be used: a sentence, and no half-written run that looks like a good one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Refused = Callable[..., str]
Write = Callable[..., str]


def without(names: str) -> Callable[[Path], None]:
    """Takes files away."""
    return lambda model: [path.unlink() for path in model.glob(names)] and None


def without_template(model: Path) -> None:
    """Takes the chat template away."""
    without("chat_template*")(model)
    settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    (model / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def cut_short(model: Path) -> None:
    """Leaves only the head of the weights."""
    (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:200])


@pytest.mark.parametrize(
    ("spoil", "settings", "says"),
    [
        (without("tokenizer*"), [], "no tokenizer (tokenizer.json). Copy the tokenizer's files"),
        (without_template, [], "no chat template. Say which it was trained with, for instance template=plain."),
        (without_template, ["template=plane"], "template=plane: there is no such template. There are: turns"),
        (without("nothing"), ["template=chatml"], "trained with the template `turns`, but template=chatml is set"),
        (without("config.json"), [], "no config.json, so it holds no model"),
        (cut_short, [], "model.safetensors: the weights"),
        (without("*.safetensors"), [], "the folder has no weights (model.safetensors)"),
    ],
)
def test_a_folder_that_cannot_be_fine_tuned(
    spoil: Callable[[Path], None],
    settings: list[str],
    says: str,
    refused: Refused,
    folder: str,
    demonstrations: Write,
    tmp_path: Path,
):
    model = Path(shutil.copytree(folder, tmp_path / "model"))
    spoil(model)
    said = refused("sft", f"model={model}", f"demonstrations={demonstrations()}", f"out={tmp_path / 'out'}", *settings)
    assert says in said
    assert settings == ["template=plane"] or str(model) in said


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
    ("body", "says"),
    [
        ("return [float('nan')] * len(responses)", "returned nan for the response"),
        ("return [float('inf')] * len(responses)", "returned inf for the response"),
        ("return [1.0]", "returned 1 numbers for 16 responses; return one float for each"),
        ("return None", "returned NoneType, not one float for each response"),
        ("return ['good'] * len(responses)", "not one float for each response"),
        ("return [", ":2: this is not Python"),
        ("pass\ndel score", "there is no function called `score`"),
    ],
)
def test_a_reward_that_gives_no_number(
    body: str, says: str, refused: Refused, folder: str, prompts_file: str, out: str, tmp_path: Path
):
    file = tmp_path / "mine.py"
    file.write_text(f"def score(prompts, responses):\n    {body}\n", encoding="utf-8")
    settings = ["steps=1", "rollouts_per_step=16", "minibatch_size=8", "max_new_tokens=8", "threads=1"]
    inputs = [f"policy={folder}", f"reward=python:{file}:score", f"prompts={prompts_file}", f"out={out}"]
    said = refused("ppo", *inputs, *settings)
    assert str(file) in said
    assert says in said
    assert not Path(out, "models").exists()


@pytest.mark.parametrize("spec", ["python:nowhere.py:score", "python:nowhere.py", "python:score"])
def test_a_reward_function_that_is_not_there(spec: str, refused: Refused, folder: str, prompts_file: str, out: str):
    said = refused(
        "ppo", f"policy={folder}", f"reward={spec}", f"prompts={prompts_file}", "max_new_tokens=8", f"out={out}"
    )
    assert spec.split(":")[1] in said
