"""The pipeline folder as the report reads it: what ran, on what, with which numbers."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from prefloop import layout
from prefloop.config import read_yaml
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import as_record, read_rows
from prefloop.report.evaluation import Evaluation, Loose
from prefloop.stages import RUNS

_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")
Row = dict[str, Any]


class Artefact(Loose):
    """A file or folder that a stage read or wrote."""

    path: str = ""
    fingerprint: str = ""


class Started(Loose):
    """run.json."""

    command: str = ""
    seed: int | None = None
    versions: dict[str, Any] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    threads: int | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, Artefact] = Field(default_factory=dict)


class Finished(Loose):
    """finished.json."""

    outputs: dict[str, Artefact] = Field(default_factory=dict)
    result: dict[str, Any] = Field(default_factory=dict)


class Timing(Loose):
    """timing.json."""

    seconds: float | None = None
    peak_rss_mb: float | None = None
    sessions: int | None = None


@dataclass(frozen=True)
class Stage:
    """One stage that ran; `finished` is None if it never came to its end."""

    name: str
    started: Started
    finished: Finished | None
    timing: Timing
    metrics: tuple[Row, ...]

    @property
    def outputs(self) -> dict[str, Artefact]:
        """What the stage wrote."""
        return self.finished.outputs if self.finished else {}

    def result(self, name: str) -> float | None:
        """A number among the stage's results, or None."""
        return as_number(self.finished.result.get(name)) if self.finished else None

    def series(self, name: str) -> list[tuple[float, float]]:
        """(step, value) of a metric, where it is a number."""
        pairs = ((as_number(row.get("step")), as_number(row.get(name))) for row in self.metrics)
        return [(step, value) for step, value in pairs if step is not None and value is not None]

    def last(self, name: str) -> float | None:
        """The last logged number of a metric, or None."""
        values = self.series(name)
        return values[-1][1] if values else None


@dataclass(frozen=True)
class Pipeline:
    """Everything the report knows."""

    folder: Path
    name: str
    recipe: str
    """The text of recipe.yaml, empty if there is none."""
    recipe_fingerprint: str | None
    stages: dict[str, Stage]
    evaluation: Evaluation | None
    samples: tuple[Row, ...]
    """Samples that PPO logged on its way."""
    not_numbers: dict[str, int] = field(default_factory=dict)
    """Not-a-number values found, by file."""


def as_number(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read(folder: str) -> Pipeline:
    """Reads a pipeline folder. Raises: UserError if it is not one, or if a file in it is damaged."""
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{folder}: there is no such folder. Give pipeline=DIR, the folder that `prefloop run` wrote.")
    lost: dict[str, int] = {}
    ran = {name: _stage(root / name, lost) for name in RUNS if (root / name / layout.CARD).is_file()}
    if not ran:
        raise UserError(
            f"{folder}: no stage ran here (no */run.json). Give pipeline=DIR, the folder that `prefloop run` wrote."
        )
    recipe = root / layout.RECIPE
    has_recipe = recipe.is_file()
    values = read_yaml(str(recipe))[0] if has_recipe else {}
    return Pipeline(
        folder=root,
        name=cleaned_text(str(values.get("name") or root.resolve().name)),
        recipe=cleaned_text(recipe.read_text(encoding="utf-8")) if has_recipe else "",
        recipe_fingerprint=fingerprints.of_path(recipe) if has_recipe else None,
        stages=ran,
        evaluation=_evaluation(root / layout.EVALUATE / layout.EVALUATION, lost),
        samples=_rows(root / layout.PPO / layout.SAMPLES, lost),
        not_numbers={name: num for name, num in lost.items() if num},
    )


def _stage(folder: Path, lost: dict[str, int]) -> Stage:
    finished = folder / layout.FINISHED
    timing = folder / layout.TIMING
    return Stage(
        name=folder.name,
        started=as_record(_object(folder / layout.CARD, lost), Started, str(folder / layout.CARD)),
        finished=as_record(_object(finished, lost), Finished, str(finished)) if finished.is_file() else None,
        timing=as_record(_object(timing, lost), Timing, str(timing)) if timing.is_file() else Timing(),
        metrics=_rows(folder / layout.METRICS, lost),
    )


def _evaluation(path: Path, lost: dict[str, int]) -> Evaluation | None:
    return as_record(_object(path, lost), Evaluation, str(path)) if path.is_file() else None


def _rows(path: Path, lost: dict[str, int]) -> tuple[Row, ...]:
    if not path.is_file():
        return ()
    rows = [cleaned(row) for _, row in read_rows(path)]
    lost[f"{path.parent.name}/{path.name}"] = sum(num for _, num in rows)
    return tuple(row for row, _ in rows)


def _object(path: Path, lost: dict[str, int]) -> Row:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as problem:
        raise UserError(f"{path}: this is not JSON ({problem}). Run the stage that writes it again.") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected an object {{...}}, found {type(value).__name__}. Run its stage again.")
    value, num = cleaned(value)
    lost[f"{path.parent.name}/{path.name}"] = num
    return value


def cleaned(value: Any) -> tuple[Any, int]:
    """The value with NaN and infinity as None and text made printable; and how many numbers were lost."""
    if isinstance(value, float) and not math.isfinite(value):
        return None, 1
    if isinstance(value, str):
        return cleaned_text(value), 0
    if isinstance(value, list):
        pairs = [cleaned(inner) for inner in value]
        return [inner for inner, _ in pairs], sum(num for _, num in pairs)
    if isinstance(value, dict):
        items = {cleaned_text(str(key)): cleaned(inner) for key, inner in value.items()}
        return {key: inner for key, (inner, _) in items.items()}, sum(num for _, num in items.values())
    return value, 0


def cleaned_text(text: str) -> str:
    """The text with lone surrogates, control and direction-override characters made visible as U+FFFD."""
    return _UNSEEN.sub("\ufffd", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
