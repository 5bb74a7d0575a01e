"""`prefloop init`: what it writes runs with a tiny model once the files are there, and it overwrites nothing."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop import cli
from prefloop.rounds.init import SAMPLES

WORDS = ("parcel", "money", "shirt", "order", "refund", "letter")


def row(name: str, number: int) -> dict[str, object]:
    """A row of a file, as its sample is, but with a prompt of its own."""
    asked = f"{name.split('.')[1][:2]} {WORDS[number % 6]} {number}?"
    return {**SAMPLES[name], "messages": [{"role": "user", "content": asked}]}


def test_the_recipe_runs_with_files_of_ones_own(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "mine"]) == 0
    assert sorted(path.name for path in Path("mine").iterdir()) == sorted([*SAMPLES, "mine.yaml"])
    assert "prefloop run mine/mine.yaml base=FOLDER_OR_HUB_ID" in capsys.readouterr().out
    for name in SAMPLES:
        lines = [json.dumps(row(name, i)) for i in range(12)]
        Path("mine", name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = {path: path.read_bytes() for path in Path("mine").iterdir()}
    tiny = ["threads=1", "dtype=float32", "sft.gate=warn", "sft.epochs=1", "sft.gate_max_new_tokens=8", "ppo.steps=1"]
    tiny += ["ppo.rollouts_per_step=8", "ppo.minibatch_size=8", "ppo.epochs=1", "ppo.max_new_tokens=8", "anyway=true"]
    assert cli.main(["run", "mine/mine.yaml", f"base={folder}", *tiny, "evaluate.max_new_tokens=8"]) == 0
    assert Path("mine/run/report/index.html").is_file()
    assert {path: path.read_bytes() for path in kept} == kept


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine", "prompts.jsonl").write_text("mine", encoding="utf-8")
    assert cli.main(["init", "mine"]) == 2
    assert "mine/prompts.jsonl: this is there already, and init overwrites nothing." in capsys.readouterr().err
    assert [path.name for path in Path("mine").iterdir()] == ["prompts.jsonl"]


@pytest.mark.parametrize("name", ["my run: 1", "包裹", "a#b", "-x", "'q'"])
def test_any_name_of_a_folder(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from prefloop.rounds.recipe import load

    assert cli.main(["init", str(tmp_path / name)]) == 0
    recipe = load(str(tmp_path / name / f"{name}.yaml"), ["base=x"])
    assert (recipe.name, recipe.out) == (name, tmp_path / name / "run")


def test_it_says_what_the_page_says(read_lines: Callable[[Path], list[dict[str, object]]]):
    page = (Path(__file__).parents[2] / "docs" / "stages" / "init.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\S+)` \|", page, flags=re.MULTILINE) == list(SAMPLES)
