"""The law of a run: killed at any moment and started again, it ends with the same bytes as if it had not been.

Files that a run keeps: weights, configs, metrics, samples, records, results. Leftovers would show as well.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import killing
import miniature
from prefloop.files.forms import recognise
from prefloop.stages import RUNS, STAGES

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


KILLED = [stage for stage in RUNS if stage not in ("kto", "cpl", "offline")]
"""Those that are left out save and go on by the same functions as dpo, and have tests of their own."""


def test_every_stage_survives_kills_bit_for_bit(tmp_path: Path):
    program = [sys.executable, str(Path(killing.__file__)), str(tmp_path), "0", "8", *KILLED]
    done = subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, tuple[int, list[str]]] = json.loads(done.stdout)
    assert {stage: names for stage, (_, names) in outcomes.items()} == {stage: [] for stage in KILLED}
    assert sum(kills for kills, _ in outcomes.values()) >= 15
    # what was compared is what counts
    assert "model/model.safetensors" in killing.files(tmp_path / "killed" / "pretrain")
    assert "metrics.jsonl" in killing.files(tmp_path / "killed" / "ppo")
    for stage in ("world", "collect"):  # the whole run is here: it wrote what the table of stages says
        outputs = [tmp_path / "whole" / stage / name for name in killing.files(tmp_path / "whole" / stage)]
        rows = [path for path in outputs if path.suffix == ".jsonl" and path.stat().st_size]
        assert {recognise(path).what for path in rows} == set(STAGES[stage].writes)


def test_a_ppo_checkpoint_falls_inside_a_step():
    """The law above would be weak without it: 3 updates between checkpoints, 4 updates in a step."""
    settings = dict(text.split("=") for text in miniature.overrides())
    updates = (
        int(settings["ppo.epochs"]) * int(settings["ppo.rollouts_per_step"]) // int(settings["ppo.minibatch_size"])
    )
    assert updates % int(settings["ppo.checkpoint_every"])


def test_a_difference_would_be_seen(tmp_path: Path):
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(text)
    assert killing.differing(tmp_path / "a", tmp_path / "b") == ["metrics.jsonl"]


def test_ctrl_c_saves_says_so_and_goes_on(tmp_path: Path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(json.dumps({"text": f"where is my parcel number {i}?"}) + "\n" for i in range(40)), encoding="utf-8"
    )
    out = tmp_path / "run"
    size = [
        f"model.{key}={value}"
        for key, value in {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 300}.items()
    ]
    settings = [
        "pretrain",
        f"corpus={corpus}",
        f"out={out}",
        "steps=400",
        "batch_tokens=64",
        "checkpoint_every=0",
        "patience=99",
        "threads=1",
        *size,
    ]
    command = [sys.executable, "-m", "prefloop.cli", *settings]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and (
        not (out / "metrics.jsonl").is_file() or (out / "metrics.jsonl").read_bytes().count(b"\n") < 3
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; what a stage had begun is saved. Go on with the same command: prefloop pretrain" in said
    assert "Traceback" not in said
    assert list((out / "checkpoints").iterdir())
    before = (out / "metrics.jsonl").read_bytes()
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, timeout=120)
    after = (out / "metrics.jsonl").read_bytes()
    assert after.startswith(before)
    assert [json.loads(line)["step"] for line in after.splitlines()] == list(range(1, 401))
