"""`prefloop plan`: a table before anything is loaded, what to change, and a stage that does not begin."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop import cli
from prefloop.costs.speed import Speed
from prefloop.models import load
from prefloop.plan import command

ASKED = [{"messages": [{"role": "user", "content": f"where is {i}?"}]} for i in range(12)]


@pytest.fixture
def typed(
    folder: str, prompts_file: str, write_rows: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[str]]:
    """What is typed for each stage; no model can be loaded, and the machine's speed is known."""
    monkeypatch.setattr(load, "loaded", None)
    monkeypatch.setattr(command, "measured", lambda place: Speed(1e9, 1e9, 1e9, 1e-6))
    shown = write_rows("demonstrations.jsonl", [{**row, "response": "on its way"} for row in ASKED])
    preferred = write_rows("preferences.jsonl", [{**row, "chosen": "soon", "rejected": "no"} for row in ASKED])
    rated = [{**row, "responses": ["soon", "no"], "thumbs": [True, False]} for row in ASKED]
    marked = write_rows("thumbs.jsonl", [{**row, "id": f"t{i}"} for i, row in enumerate(rated)])
    directly = [f"policy={folder}", f"preferences={preferred}"]
    online = [f"policy={folder}", f"prompts={prompts_file}", "max_new_tokens=8", "rollouts_per_step=64"]
    return {
        "sft": [f"model={folder}", f"demonstrations={shown}"],
        "reward": [f"model={folder}", f"preferences={preferred}"],
        "ppo": [*online, f"reward={folder}", "critic=separate"],
        "reinforce": [*online, "reward=python:score.py:score", "reference_every=5", f"ptx={shown}"],
        "rloo": [*online, "reward=python:score.py:score"],
        "grpo": [*online, "reward=python:score.py:score"],
        "rft": [*online, "reward=python:score.py:score"],
        "online-dpo": [*online, "reward=python:score.py:score", "reference_every=2"],
        "dpo": directly,
        "kto": [f"policy={folder}", f"preferences={marked}"],
        "cpl": directly,
        "offline": directly,
        "collect": [f"model={folder}", f"prompts={prompts_file}"],
        "score": [f"model={folder}", f"data={preferred}"],
    }


ROLES: dict[str, list[str]] = {
    "sft": ["model"],
    "reward": ["reward"],
    "ppo": ["policy", "reference", "critic", "reward"],
    "reinforce": ["policy", "reference", "following"],
    "rloo": ["policy", "reference"],
    "grpo": ["policy", "reference"],
    "rft": ["policy"],
    "online-dpo": ["policy", "reference", "following"],
    **{stage: ["policy", "reference"] for stage in ("dpo", "kto", "cpl", "offline")},
    "collect": ["model"],
    "score": ["reward"],
}


@pytest.mark.parametrize("stage", command.PLANNED)
def test_a_stage_has_a_plan(stage: str, typed: dict[str, list[str]], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["plan", stage, *typed[stage]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(ROLES[stage])]] == ROLES[stage]
    assert any(line.startswith("peak ") and line.endswith("it fits.") for line in lines)
    (time,) = (line for line in lines if line.startswith("time "))
    assert ("updates" in time) == (stage not in ("collect", "score"))
    assert ("four times" in "\n".join(lines)) == (stage == "ppo")


@pytest.mark.parametrize("stage", command.PLANNED)
def test_help_shows_what_can_be_typed(
    stage: str,
    typed: dict[str, list[str]],
    folder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """The example plans the stage, where files and folders of those names are."""
    assert cli.main(["plan", stage, "--help"]) == 0
    said = capsys.readouterr().out
    assert '  on  (default none)\n      Accelerators that are not here, for instance on="8 x 80 GB"' in said
    assert "  device  (default auto)\n" in said  # one of the stage's own
    (line,) = (line for line in said.splitlines() if line.startswith("  For instance: "))
    for name in ("base", "reward"):
        (tmp_path / name).symlink_to(folder)
    (tmp_path / "data.jsonl").symlink_to(tmp_path / "preferences.jsonl")
    monkeypatch.chdir(tmp_path)
    assert cli.main(shlex.split(line)[3:]) in (0, 1)
    assert "peak " in capsys.readouterr().out


def test_help_of_the_plan_itself(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["plan", "--help"]) == 0
    said = capsys.readouterr().out
    assert "For instance: prefloop plan ppo policy=base reward=reward prompts=prompts.jsonl" in said
    assert "  on  (default none)" in said


def test_what_does_not_fit_says_what_to_change(typed: dict[str, list[str]], capsys: pytest.CaptureFixture[str]):
    """As few tokens at once as there can be are taken already, for memory= says how little there is."""
    few = [word for word in typed["ppo"] if not word.startswith("rollouts_per_step=")]
    assert cli.main(["plan", "ppo", *few, "rollouts_per_step=8", "memory=0.001"]) == 1
    said = capsys.readouterr().out
    assert "1 MB there: it does not fit." in said
    order = [said.index(word) for word in ("critic=shared", "a smaller reward model")]
    assert order == sorted(order)
    assert "None of it is enough" in said
    assert ("prefloop dpo" in said) == ("dpo" in command.STAGES)


def test_accelerators_that_are_not_here(typed: dict[str, list[str]], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["plan", "sft", *typed["sft"], "on=8 x 80 GB"]) == 0
    said = capsys.readouterr().out
    assert "80.00 GB there: it fits." in said
    assert "GPU hours; shared by 8" in said
    assert "interpreter" not in said


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., str]:
    """Copies a model folder without its weights, and without what else is named; config.json may be changed."""

    def copied(folder: str, *without: str, **changed: Any) -> str:
        left_out = shutil.ignore_patterns("*.safetensors", ".*", *without)
        copy = Path(shutil.copytree(folder, tmp_path / "described", ignore=left_out))
        config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
        (copy / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")
        return str(copy)

    return copied


@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_a_folder_without_weights_has_the_same_plan(
    stage: str,
    family: str,
    typed: dict[str, list[str]],
    bases: dict[str, str],
    described: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
):
    """An output matrix of its own, or the embedding again: both are known without the file."""
    asked, said = [*typed[stage], "on=8 x 80 GB", "micro_tokens=128", "adapter=lora"], {}
    for folder in (bases[family], described(bases[family], dtype="bfloat16")):
        assert cli.main(["plan", stage, *(part.replace(bases["Llama"], folder) for part in asked)]) == 0
        said[folder] = capsys.readouterr().out.splitlines()
    whole, bare = said.values()
    notes = [line for line in bare if "holds no weights: their shapes are those that config.json describes" in line]
    assert [line for line in bare if line not in notes] == whole
    assert notes
    assert "in bfloat16)." in notes[0]


def test_a_folder_of_config_json_alone(
    typed: dict[str, list[str]], folder: str, described: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    bare = described(folder, "tokenizer*", "chat_template*", "special_tokens*", "generation*")
    assert sorted(path.name for path in Path(bare).iterdir()) == ["config.json"]
    assert cli.main(["plan", "sft", *(part.replace(folder, bare) for part in typed["sft"])]) == 0
    assert f"note: {bare} holds no tokenizer: 4 bytes of the rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model_type": "lama"}, 'knows no such family of models: config.json says model_type = "lama"'),
        ({"num_hidden_layers": 10**6}, "config.json: num_hidden_layers = 1000000 cannot be"),
        ({"hidden_size": -16}, "the model cannot be loaded"),
        ({"num_attention_heads": 0}, "the model cannot be loaded"),
        ({"max_position_embeddings": 1}, "does not say how many tokens"),
    ],
)
def test_a_description_that_is_none(
    changed: dict[str, Any],
    sentence: str,
    typed: dict[str, list[str]],
    folder: str,
    described: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
):
    bare = described(folder, "tokenizer*", **changed)
    assert cli.main(["plan", "sft", *(part.replace(folder, bare) for part in typed["sft"])]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"prefloop: {bare}")
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["data"],
            "`data`: there is a plan for sft, collect, reward, ppo, reinforce, rloo, grpo, rft, online-dpo, dpo, kto, ",
        ),
        (["score", "model=python:a.py:f", "data=x"], "what a function or a server takes is not known"),
        (["sft", "on=many"], "on = many should say how many and how large"),
        (["sft", "lrr=1"], "no setting is called `lrr`"),
    ],
)
def test_what_is_refused(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["plan", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_stage_that_cannot_fit_stops_before_it_loads(
    typed: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for stage in ("sft", "reward", "reinforce"):
        out: Any = tmp_path / stage
        (tmp_path / "score.py").write_text("def score(prompts, responses):\n    return [0.0 for _ in responses]\n")
        settings = [part.replace("score.py", str(tmp_path / "score.py")) for part in typed[stage]]
        assert cli.main([stage, *settings, "memory=0.01", f"out={out}"]) == 2
        said = capsys.readouterr().err
        assert "memory=0.01 allows" in said
        assert f"prefloop plan {stage}" in said
