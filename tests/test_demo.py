"""The demo in miniature, through the command line: one command, a report, and nothing done twice.

What the numbers are worth is measured by the real demo (docs/results); here they must only be there.
"""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import miniature
from prefloop.files import fingerprints

STAGES = ("world", "pretrain", "sft", "collect", "reward", "ppo", "evaluate")
LEARNS_TO_SPEAK = {
    "world.num_documents": "1500",
    "world.num_demonstrations": "400",
    "world.num_collect": "40",
    "pretrain.steps": "160",
    "pretrain.practice_steps": "40",
    "pretrain.batch_tokens": "1536",
    "pretrain.evaluate_every": "40",
    "pretrain.checkpoint_every": "40",
    "pretrain.model.hidden_size": "48",
    "pretrain.model.num_layers": "2",
    "pretrain.model.intermediate_size": "96",
    "pretrain.model.vocab_size": "1024",
    "sft.epochs": "2",
    "collect.max_new_tokens": "48",
    "evaluate.max_new_tokens": "48",
}
"""Enough of it that responses differ in what they are truly worth."""


def prefloop(folder: Path, *arguments: str) -> tuple[str, float]:
    """Runs the command in a folder. Returns: what it printed, and its seconds."""
    started = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "prefloop.cli", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, time.perf_counter() - started


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """The folder in which the miniature ran, the command's arguments, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    arguments = ["run", "helpdesk", "out=demo", *miniature.overrides(**LEARNS_TO_SPEAK)]
    said, seconds = prefloop(folder, *arguments)
    assert seconds < 90
    return folder, arguments, said


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def test_one_command_writes_a_report(demo: tuple[Path, list[str], str]):
    folder, _, said = demo
    assert "Report: demo/report/index.html" in said
    assert "prefloop chat demo" in said
    page = (folder / "demo" / "report" / "index.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page


def test_the_summary_has_every_number(demo: tuple[Path, list[str], str]):
    summary = read(demo[0] / "demo" / "report" / "summary.json")
    for who in ("sft", "final"):
        numbers = {name: summary[who][name] for name in ("utility", "satisfied", "harmful", "over_refusal")}
        assert all(isinstance(value, float) and math.isfinite(value) for value in numbers.values()), (who, numbers)
    assert summary["final"]["kl_nats"] >= 0
    won = summary["final"]["win_rate"]
    assert 0 <= won["low"] <= won["mean"] <= won["high"] <= 1
    proxy = summary["reward_model"]
    assert all(
        0 <= proxy[name] <= 1
        for name in ("accuracy", "bayes_accuracy", "length_only_accuracy", "annotator_agreement", "ece")
    ), proxy
    assert set(STAGES) <= set(summary["seconds"])
    assert summary["seconds"]["total"] == pytest.approx(sum(summary["seconds"][stage] for stage in STAGES))
    assert summary["peak_rss_mb"] > 100
    assert summary["seed"] == 0


def test_every_input_is_what_its_producer_wrote(demo: tuple[Path, list[str], str]):
    root = demo[0] / "demo"
    checked = 0
    for stage in STAGES:
        for name, artefact in read(root / stage / "run.json")["inputs"].items():
            path = demo[0] / artefact["path"]
            assert artefact["fingerprint"] == fingerprints.of_path(path), (
                f"{stage} read {name}, which has changed since"
            )
            producer, *rest = path.relative_to(root).parts
            outputs = read(root / producer / "finished.json")["outputs"]
            if "/".join(rest) in outputs or rest == ["model"]:
                wrote = next(o for o in outputs.values() if o["path"] == "/".join(rest))
                assert wrote["fingerprint"] == artefact["fingerprint"], f"{stage}: {name}"
                checked += 1
    assert checked >= 12  # the rest are whole folders: collect, ppo/models


def test_a_second_call_skips_everything_and_changes_nothing(demo: tuple[Path, list[str], str]):
    folder, arguments, _ = demo
    kept = [folder / "demo" / stage for stage in STAGES]
    before = [fingerprints.of_path(path) for path in kept]
    summary = (folder / "demo" / "report" / "summary.json").read_bytes()
    said, seconds = prefloop(folder, *arguments)
    for stage in STAGES:
        assert any(stage in line and "skipped" in line for line in said.splitlines()), stage
    assert seconds < 30  # importing torch and transformers on a busy machine
    assert [fingerprints.of_path(path) for path in kept] == before
    assert (folder / "demo" / "report" / "summary.json").read_bytes() == summary


def test_other_settings_are_refused_and_nothing_is_damaged(demo: tuple[Path, list[str], str]):
    from prefloop import cli

    folder, arguments, _ = demo
    before = fingerprints.of_path(folder / "demo")
    absolute = [f"out={folder / 'demo'}" if text.startswith("out=") else text for text in arguments]
    assert cli.main([*absolute, "ppo.steps=2"]) == 2
    assert fingerprints.of_path(folder / "demo") == before


def test_the_helpdesk_speaks_chinese(tmp_path: Path):
    said, _ = prefloop(tmp_path, "run", "helpdesk", "out=zh", "world.language=zh", *miniature.overrides())
    assert "Report: zh/report/index.html" in said
    page = (tmp_path / "zh" / "report" / "index.html").read_text(encoding="utf-8")
    assert 'lang="zh' in page
    demonstration = json.loads(
        (tmp_path / "zh" / "world" / "demonstrations.jsonl").read_text(encoding="utf-8").splitlines()[0]
    )
    assert any("\u4e00" <= letter <= "\u9fff" for letter in demonstration["messages"][0]["content"])
