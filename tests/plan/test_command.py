"""`prefloop plan`: a table before anything is loaded, what to change, and a stage that does not begin."""

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
    online = [f"policy={folder}", f"prompts={prompts_file}", "max_new_tokens=8", "rollouts_per_step=64"]
    return {
        "sft": [f"model={folder}", f"demonstrations={shown}"],
        "reward": [f"model={folder}", f"preferences={preferred}"],
        "ppo": [*online, f"reward={folder}", "critic=separate"],
        "reinforce": [*online, "reward=python:score.py:score"],
    }


ROLES: dict[str, list[str]] = {
    "sft": ["model"],
    "reward": ["reward"],
    "ppo": ["policy", "reference", "critic", "reward"],
    "reinforce": ["policy", "reference"],
}


@pytest.mark.parametrize("stage", command.PLANNED)
def test_every_training_stage_has_a_plan(stage: str, typed: dict[str, list[str]], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["plan", stage, *typed[stage]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(ROLES[stage])]] == ROLES[stage]
    assert any(line.startswith("peak ") and line.endswith("it fits.") for line in lines)
    assert any(line.startswith("time ") and "updates" in line for line in lines)
    assert ("four times" in "\n".join(lines)) == (stage == "ppo")


def test_what_does_not_fit_says_what_to_change(typed: dict[str, list[str]], capsys: pytest.CaptureFixture[str]):
    """As few tokens at once as there can be are taken already, for memory= says how little there is."""
    assert cli.main(["plan", "ppo", *typed["ppo"], "memory=0.001"]) == 1
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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data"], "`data`: there is a plan for sft, reward, ppo, reinforce"),
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
