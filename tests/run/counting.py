"""A stage that counts, for tests of what all stages have in common."""

import json
from pathlib import Path
from typing import Any

import torch

from prefloop.run import Run
from prefloop.settings import RunConfig


class CountConfig(RunConfig):
    """A stage that counts."""

    data: str = ""
    """A file."""

    lr: float = 1e-3
    """Named in the sentence about divergence."""


def opened(config: CountConfig, stage: str = "count") -> Run:
    """The run of these settings."""
    return Run(config, inputs={"data": config.data, "nothing": None}, stage=stage)


def changed(config: CountConfig, **settings: Any) -> CountConfig:
    """The same settings but for some."""
    return config.model_copy(update=settings)


def count(config: CountConfig, *, until: int, stop_at: int | None = None) -> int:
    """A stage as all are: restore, then log and save after each update. Returns: where it began."""
    with opened(config) as run:
        if run.finished:
            return until
        saved = run.restore()
        begin = done = saved["done"] if saved else 0
        while done < until:
            done += 1
            run.log(done, {"loss/train": 1.0 / done})
            run.sample([{"step": done, "response": "hi"}])
            if done == stop_at:
                raise RuntimeError("pulled the plug")
            run.checkpoint(done, lambda done=done: {"done": done, "tensor": torch.arange(done)}, every=2)
        (run.folder / "model.txt").write_text(str(done), encoding="utf-8")
        run.finish(outputs=["model.txt"], result={"last": done})
    return begin


def steps(config: CountConfig) -> list[int]:
    """Steps in metrics.jsonl."""
    return [
        json.loads(line)["step"]
        for line in (Path(config.out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def contents(config: CountConfig) -> dict[Path, bytes]:
    """Every file of a run's folder."""
    return {p: p.read_bytes() for p in Path(config.out).rglob("*") if p.is_file()}
