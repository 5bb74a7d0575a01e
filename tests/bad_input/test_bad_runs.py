"""A run that cannot be as asked: other settings, a folder of another run, divergence, a full or forbidden disk.

Each is a sentence, and what was written before is as it was.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop import cli
from prefloop.files import fingerprints

Refused = Callable[..., str]
Write = Callable[..., str]
SFT = ("gate=warn", "batch_tokens=64", "epochs=4", "gate_max_new_tokens=8", "threads=1", "checkpoint_every=1")
PPO = ("steps=3", "rollouts_per_step=16", "minibatch_size=8", "max_new_tokens=8", "threads=1", "checkpoint_every=1")
REWARD = "def score(prompts, responses):\n    return [float(len(response)) for response in responses]\n"


@pytest.fixture
def sft(folder: str, demonstrations: Write, out: str) -> list[str]:
    """A command that works."""
    return ["sft", f"model={folder}", f"demonstrations={demonstrations()}", f"out={out}", *SFT]


@pytest.fixture
def ppo(folder: str, prompts_file: str, tmp_path: Path) -> list[str]:
    """Another one."""
    (tmp_path / "length.py").write_text(REWARD, encoding="utf-8")
    return [
        "ppo",
        f"policy={folder}",
        f"reward=python:{tmp_path / 'length.py'}:score",
        f"prompts={prompts_file}",
        f"out={tmp_path / 'ppo'}",
        *PPO,
    ]


def test_the_folder_of_a_stage_is_no_place_for_a_recipe(refused: Refused, sft: list[str], out: str):
    assert cli.main(sft) == 0
    before = fingerprints.of_path(out)
    assert f"{out}: this folder holds other things" in refused("run", "helpdesk", f"out={out}")
    assert fingerprints.of_path(out) == before


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo", "pretrain"])
def test_divergence(
    stage: str,
    refused: Refused,
    sft: list[str],
    ppo: list[str],
    preferences: Write,
    folder: str,
    tmp_path: Path,
    write_rows: Write,
):
    corpus = write_rows("corpus.jsonl", [{"text": f"where is my parcel {i}?"} for i in range(30)])
    small = [
        "model.hidden_size=16",
        "model.num_layers=1",
        "model.num_heads=2",
        "model.vocab_size=300",
        "steps=9",
        "batch_tokens=64",
        "checkpoint_every=1",
    ]
    commands = {
        "sft": sft,
        "ppo": ppo,
        "reward": [
            "reward",
            f"model={folder}",
            f"preferences={preferences()}",
            "batch_pairs=1",
            "epochs=4",
            f"out={tmp_path / 'reward'}",
        ],
        "pretrain": ["pretrain", f"corpus={corpus}", f"out={tmp_path / 'pretrain'}", *small],
    }
    said = refused(*commands[stage], "lr=1e30", "warmup=0", code=3)
    assert "so training has diverged and stops here" in said
    assert "Lower the learning rate (lr=1e+30)" in said
    place = Path(next(text for text in commands[stage] if text.startswith("out=")).removeprefix("out="))
    assert not (place / "finished.json").exists()
    assert not (place / "model").exists()


def test_a_full_disk_in_the_middle(refused: Refused, ppo: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The disk is full from the sixth checkpoint on; once there is room again, the run ends as if nothing had been."""
    real, calls = os.fsync, 0

    def filling(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    whole = [f"out={tmp_path / 'whole'}" if text.startswith("out=") else text for text in ppo]
    assert cli.main(whole) == 0
    monkeypatch.setattr(os, "fsync", filling)
    said = refused(*ppo)
    assert "the disk is full. Free some space and run the same command again; what was written is intact." in said
    monkeypatch.setattr(os, "fsync", real)
    assert cli.main(ppo) == 0
    for name in ("metrics.jsonl", "samples.jsonl", "finished.json", "models"):
        assert fingerprints.of_path(tmp_path / "ppo" / name) == fingerprints.of_path(tmp_path / "whole" / name)


def test_the_gate_stops_a_model_that_never_ends(refused: Refused, sft: list[str], out: str):
    said = refused(*[text for text in sft if text != "gate=warn"], "gate_share=1.0")
    assert "not ready for RL" in said
    assert f"The model is saved in {out}/model. Go on with it by gate=warn, which trains nothing again" in said
    assert cli.main([*sft, "gate_share=1.0"]) == 0


def test_a_report_on_nothing(refused: Refused, tmp_path: Path, out: str):
    (tmp_path / "nothing").mkdir()
    assert "no stage ran here" in refused("report", f"pipeline={tmp_path / 'nothing'}", f"out={out}")
    assert "there is no such folder" in refused("report", f"pipeline={tmp_path / 'nowhere'}", f"out={out}")


def test_score_needs_responses(refused: Refused, prompts_file: str, tmp_path: Path, out: str):
    (tmp_path / "length.py").write_text(REWARD, encoding="utf-8")
    said = refused("score", f"model=python:{tmp_path / 'length.py'}:score", f"data={prompts_file}", f"out={out}.jsonl")
    assert "score needs responses: demonstrations, comparisons or preferences" in said
