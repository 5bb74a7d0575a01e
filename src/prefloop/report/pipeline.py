"""The pipeline folder as the report reads it: what ran, on what, with which numbers."""

import math
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, TypeVar

from pydantic import BaseModel

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.documents import read_document
from prefloop.files.tables import read_rows
from prefloop.notation import read_yaml
from prefloop.records import Artefact, Finished, RunCard, Timing
from prefloop.records.cards import Card
from prefloop.records.evaluations import Evaluation
from prefloop.records.gates import Gate
from prefloop.records.lineages import Lineage
from prefloop.records.skills import Skills
from prefloop.stages import ALIGNING, RUNS

R = TypeVar("R", bound=BaseModel)
Row = dict[str, Any]

LARGEST = 1e300
POLICY = "policy"
"""Stands for the stage that trained the policy, whichever algorithm it was."""


@dataclass(frozen=True)
class Stage:
    """One stage that ran; `finished` is None if it never came to its end."""

    name: str
    card: RunCard
    finished: Finished | None
    timing: Timing | None
    metrics: tuple[Row, ...]

    @property
    def outputs(self) -> dict[str, Artefact]:
        """What the stage wrote."""
        return self.finished.outputs if self.finished else {}

    @property
    def seconds(self) -> float | None:
        """What it took, if that was written down."""
        return self.timing.seconds if self.timing else None

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
    card: Card | None
    """The health card of the reward model that was trained here."""
    samples: tuple[Row, ...]
    """Samples that the stage which trains the policy logged on its way."""
    not_numbers: dict[str, int]
    """File -> how many of its numbers are NaN or infinite, where any are."""
    reward_folder: Path = Path(layout.REWARD)
    """Where the reward model's stage ran, inside the folder."""
    lineage: Lineage | None = None
    """Its rounds; the stages above are then those of the round that selected the policy of now."""
    gates: dict[str, Gate] = field(default_factory=dict)
    """Round -> what its gate said, as far as that is there."""
    skills: dict[str, Skills] = field(default_factory=dict)
    """Round -> what its policy still can, as far as that was measured."""

    def stage(self, name: str) -> Stage | None:
        """The stage of that name, if it ran; `policy` stands for the one that trained the policy."""
        names = ALIGNING if name == POLICY else (name,)
        return next((self.stages[each] for each in names if each in self.stages), None)

    @property
    def begins_from_sft(self) -> bool:
        """Whether what the final model is compared with is an SFT model, as far as can be told."""
        sft = self.stages.get("sft")
        if self.evaluation is not None:
            reference = self.evaluation.compared[0]
            parts = PurePath(reference.path).parts
            return _wrote(sft, reference.fingerprint) or parts[-2:] == (layout.SFT, layout.MODEL)
        aligning = self.stage(POLICY)
        policy = aligning.card.inputs.get("policy") if aligning else None
        return policy is None or sft is None or _wrote(sft, policy.fingerprint)

    @property
    def is_judged_by_its_reward(self) -> bool:
        """Whether the score that judges is known to be the very one that was optimised."""
        aligning, evaluated = self.stage(POLICY), self.stages.get("evaluate")
        optimised, judging = _rewards(aligning), _rewards(evaluated)
        return bool(optimised) and optimised == judging


def _rewards(stage: Stage | None) -> dict[str, str]:
    """Fingerprints of the rewards that a stage was given: of `reward`, or of each `reward.NAME`."""
    inputs = stage.card.inputs.items() if stage else ()
    return {name: artefact.fingerprint for name, artefact in inputs if name.partition(".")[0] == "reward"}


def _wrote(stage: Stage | None, fingerprint: str) -> bool:
    return stage is not None and fingerprint in [artefact.fingerprint for artefact in stage.outputs.values()]


def as_number(value: Any) -> float | None:
    """The value if it is a number that can be drawn, else None: NaN, infinity and what is nearly that are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST < value < LARGEST:
        return None
    return float(value)


def read(folder: str) -> Pipeline:
    """Reads a pipeline folder. Raises: UserError if it is not one, or if a file in it is damaged."""
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{folder}: there is no such folder. Give pipeline=DIR, the folder that `prefloop run` wrote.")
    lost: dict[str, int] = {}
    lineage = _document(root / layout.ROUNDS / layout.LINEAGE, Lineage, lost)
    at = {name: _place(root, name, lineage) for name in RUNS}
    ran = {name: _stage(at[name], lost) for name in RUNS if (at[name] / layout.CARD).is_file()}
    if not ran:
        raise UserError(
            f"{folder}: no stage ran here (no */run.json). Give pipeline=DIR, the folder that `prefloop run` wrote."
        )
    recipe = root / layout.RECIPE
    values = read_yaml(str(recipe))[0] if recipe.is_file() else {}
    return Pipeline(
        folder=root,
        name=str(values.get("name") or root.resolve().name),
        recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else "",
        recipe_fingerprint=fingerprints.of_path(recipe) if recipe.is_file() else None,
        stages=ran,
        evaluation=_document(at[layout.EVALUATE] / layout.EVALUATION, Evaluation, lost),
        card=_document(at[layout.REWARD] / layout.MODEL / layout.MODEL_CARD, Card, lost),
        samples=next((rows for name in ALIGNING if (rows := _rows(at[name] / layout.SAMPLES, lost))), ()),
        not_numbers={name: num for name, num in lost.items() if num},
        reward_folder=at[layout.REWARD].relative_to(root),
        lineage=lineage,
        gates=_of_rounds(root, lineage, f"{layout.GATE}/{layout.GATED}", Gate, lost),
        skills=_of_rounds(root, lineage, f"skills/{layout.SKILLS}", Skills, lost),
    )


def _of_rounds(root: Path, lineage: Lineage | None, name: str, record: type[R], lost: dict[str, int]) -> dict[str, R]:
    """Round -> one of its documents, where it is there."""
    found = {
        each.name: _document(root / layout.ROUNDS / each.name / name, record, lost)
        for each in (lineage.rounds if lineage else ())
    }
    return {name: document for name, document in found.items() if document is not None}


def _place(root: Path, name: str, lineage: Lineage | None) -> Path:
    """Where a stage ran: once, or in the last round that selected a policy; if none did, in the last decided one."""
    line = lineage.line(lineage.head) if lineage else ()
    chosen = next((each for each in reversed(line) if each.decision == "ship"), line[-1] if line else None)
    inside = root / layout.ROUNDS / chosen.name / name if chosen else root / name
    return inside if inside.is_dir() else root / name


def _stage(folder: Path, lost: dict[str, int]) -> Stage:
    return Stage(
        name=folder.name,
        card=read_document(folder / layout.CARD, RunCard),
        finished=_document(folder / layout.FINISHED, Finished, lost),
        timing=_document(folder / layout.TIMING, Timing, lost),
        metrics=_rows(folder / layout.METRICS, lost),
    )


def _document(path: Path, record: type[R], lost: dict[str, int]) -> R | None:
    if not path.is_file():
        return None
    constants: list[str] = []
    document = read_document(path, record, constants=constants)
    lost[f"{path.parent.name}/{path.name}"] = len(constants)
    return document


def _rows(path: Path, lost: dict[str, int]) -> tuple[Row, ...]:
    rows = tuple(row for _, row in read_rows(path)) if path.is_file() else ()
    values = [value for row in rows for value in row.values() if isinstance(value, float)]
    lost[f"{path.parent.name}/{path.name}"] = sum(not math.isfinite(value) for value in values)
    return rows
