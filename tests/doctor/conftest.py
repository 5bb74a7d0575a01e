"""Folders as runs and pipelines leave them, written by hand, for the doctor to look at."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefloop.align.config import PPOConfig
from prefloop.config import Config
from prefloop.records import Finished, RunCard
from prefloop.records.runs import Identity
from prefloop.stages import stage_of

Row = dict[str, Any]
CALM: Row = {
    "scores/mean": 1.0, "rewards/kl": 1.0, "rollouts/length": 20.0, "rollouts/finished": 1.0, "entropy/mean": 1.0,
    "ratio/clipped": 0.1, "ratio/kl": 0.001, "ratio/first_error": 0.0, "advantages/std": 1.0, "grad/norm": 1.0,
    "loss/policy": 0.0, "loss/value": 1.0, "values/explained_variance": 0.5,
}  # fmt: skip
"""A step in which nothing is wrong."""


def rows(num: int, **changes: Callable[[int], float | None]) -> list[Row]:
    """Steps from 1, calm but for some metrics (with `_` for `/`), each a function of the step."""
    made = [{"step": step, **CALM} for step in range(1, num + 1)]
    for name, value in changes.items():
        for row in made:
            row[name.replace("_", "/", 1)] = value(row["step"])
    return made


def said(step: int, response: str, score: float = 0.0) -> Row:
    """A row of samples.jsonl."""
    return {"step": step, "prompt": f"prompt of {step}", "response": response, "score": score, "kl": 0.0}


def jsonl(path: Path, some: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")


def write_run(
    config: Config,
    metrics: Sequence[Row],
    *,
    samples: Sequence[Row] = (),
    finished: bool = True,
    result: Mapping[str, Any] = {},
    chosen: Mapping[str, Any] = {},
    without: Sequence[str] = (),
    diverged: str = "",
) -> Path:
    """A run's folder. Args: chosen: of what its settings left open; without: settings that its version did not have."""
    values = {key: value for key, value in config.model_dump(mode="json").items() if key not in without}
    folder, stage = Path(values["out"]), stage_of(type(config))
    folder.mkdir(parents=True)
    card = RunCard(
        stage=stage,
        command=f"prefloop {stage}",
        seed=0,
        threads=1,
        versions={},
        machine={},
        config=values,
        inputs={},
        identity=Identity(stage=stage, settings={}, inputs={}),
        chosen={"settings": dict(chosen)} if chosen else {},
        diverged=diverged,
    )
    (folder / "run.json").write_text(card.model_dump_json(), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    jsonl(folder / "metrics.jsonl", metrics)
    jsonl(folder / "samples.jsonl", samples)
    if finished:
        (folder / "finished.json").write_text(Finished(outputs={}, result=dict(result)).model_dump_json())
    return folder


def keep_policies(folder: Path, *steps: int) -> None:
    """Empty policies, as far as their names go."""
    for step in steps:
        path = folder / "models" / f"step-{step:06d}"
        path.mkdir(parents=True)
        (path / "config.json").write_text("{}")


def everything(folder: Path) -> dict[str, tuple[str, int]]:
    """Each file with its content and when it was written."""
    return {
        path.relative_to(folder).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def ppo(tmp_path: Path) -> Callable[..., PPOConfig]:
    """Settings of a PPO run; its inputs are not there, for nobody reads them."""

    def make(**own: Any) -> PPOConfig:
        needed = {"policy": "sft/model", "reward": "python:reward.py:score", "prompts": "prompts.jsonl"}
        return PPOConfig(**{"out": str(tmp_path / "run"), **needed, "lr": 3e-4, "kl_coef": 0.05, **own})

    return make
