"""The folder as the doctor reads it: the runs in it, their settings, rows and samples, an evaluation, a health card.

Nothing is written there, and nothing is locked: a run may go on meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.config import Config
from prefloop.defaults import TABLES, usual_lr
from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.files.tables import each_row
from prefloop.named import named
from prefloop.notation import read_yaml
from prefloop.records import Finished, RunCard
from prefloop.records.cards import Card
from prefloop.records.evaluations import Evaluation
from prefloop.records.lineages import Lineage
from prefloop.report.pipeline import as_number
from prefloop.stages import ALIGNING, RUNS, STAGES

Row = dict[str, Any]
Numbers = Mapping[str, float | None]


@dataclass(frozen=True)
class Ran:
    """A run."""

    folder: Path
    card: RunCard
    finished: Finished | None
    """None if it has not come to its end"""
    rows: Sequence[Numbers]
    """of metrics.jsonl; what is no number is None"""
    samples: Sequence[Row]

    @property
    def stage(self) -> str:
        """Which stage it is a run of."""
        return self.card.stage

    @cached_property
    def settings(self) -> type[Config] | None:
        """The class of its settings, as they are today; None for a stage that is no more."""
        stage = STAGES.get(self.stage)
        return None if stage is None or stage.settings is None else named(stage.settings)

    def has(self, key: str) -> bool:
        """Whether its stage has such a setting."""
        return self.settings is not None and key in self.settings.model_fields

    def value(self, key: str) -> Any:
        """A setting as the run had it: what was chosen for it where it was left open, the default of today where an
        older version wrote none."""
        assert self.settings is not None  # it has the setting
        default = self.settings.model_fields[key].default
        given = self.card.config.get(key, default)
        return self.card.chosen.get("settings", {}).get(key) if given is None and default is None else given

    @property
    def given(self) -> dict[str, Any]:
        """Its settings as the class of today can take them."""
        assert self.settings is not None  # it has settings
        found = {key: value for key, value in self.card.config.items() if key in self.settings.model_fields}
        if found.get("adapter") == "none":
            found.pop("lora", None)  # which says nothing then, and may not be said
        return found

    @cached_property
    def usual_lr(self) -> float | None:
        """The learning rate that suits a model of the policy's size; None if that is not known any more."""
        path = self.card.config.get("policy")
        if self.settings is None or "lr" not in TABLES.get(self.stage, {}) or not isinstance(path, str):
            return None
        if not Path(path).is_dir():  # nothing is fetched to say it
            return None
        from prefloop.costs.subject import learner  # with transformers, which takes seconds

        try:
            settings: Any = self.settings.parse(self.given, where=f"{self.folder}/{layout.SETTINGS}")
            return usual_lr(self.stage, learner(settings, path))
        except (UserError, OSError):
            return None

    def policies(self) -> list[tuple[int, Path]]:
        """(step, folder) of the policies that it kept and that are there."""
        kept = [(layout.step_of(path.name), path) for path in layout.policies(self.folder)]
        return [(step, path) for step, path in kept if step is not None]


@dataclass(frozen=True)
class Patient:
    """What is looked at: a run, or a pipeline of them."""

    folder: Path
    ran: Sequence[Ran]
    recipe: Mapping[str, Any] | None
    """the recipe as it ran; None of a single run"""
    evaluation: Evaluation | None
    health: Card | None
    """of the reward model"""
    lineage: Lineage | None = None
    """of a pipeline with rounds"""

    def run(self, *stages: str) -> Ran | None:
        """The run of one of these stages, if there is one."""
        return next((ran for ran in self.ran if ran.stage in stages), None)

    @property
    def aligning(self) -> Ran | None:
        """The run that trained the policy."""
        return self.run(*ALIGNING)

    @property
    def is_pipeline(self) -> bool:
        """Whether it is a pipeline's folder."""
        return self.recipe is not None


def read(folder: str) -> Patient:
    """Reads a run's folder, or a pipeline's. Raises: UserError if it is neither, or if a file in it is damaged."""
    root = Path(folder)
    if not root.is_dir():
        raise UserError(
            f"{folder}: there is no such folder. Give the folder of a run, or of what `prefloop run` wrote."
        )
    alone = (root / layout.CARD).is_file()
    path = root / layout.ROUNDS / layout.LINEAGE
    lineage = read_document(path, Lineage) if path.is_file() else None
    last = [root / layout.ROUNDS / each.name for each in lineage.rounds[-1:]] if lineage is not None else []
    places = [root, *last]
    runs = [root] if alone else [at / name for at in places for name in RUNS if (at / name / layout.CARD).is_file()]
    if not runs:
        raise UserError(
            f"{folder}: this is no run (there is no {layout.CARD}), and no pipeline of runs (no */{layout.CARD}). Give "
            "the folder that a stage or `prefloop run` wrote as out."
        )
    recipe = root / layout.RECIPE
    ran = [_ran(path) for path in runs]
    return Patient(
        folder=root,
        ran=ran,
        recipe=None if alone else read_yaml(str(recipe))[0] if recipe.is_file() else {},
        evaluation=_first(ran, layout.EVALUATE, layout.EVALUATION, Evaluation),
        lineage=lineage,
        health=_first(ran, layout.REWARD, f"{layout.MODEL}/{layout.MODEL_CARD}", Card),
    )


def _first(ran: Sequence[Ran], stage: str, name: str, record: Any) -> Any:
    """What the run of a stage wrote under a name, if it did."""
    path = next((each.folder / name for each in ran if each.stage == stage), None)
    return read_document(path, record, constants=[]) if path is not None and path.is_file() else None


def _ran(folder: Path) -> Ran:
    finished = folder / layout.FINISHED
    done = read_document(finished, Finished, constants=[]) if finished.is_file() else None
    rows = _rows(folder / layout.METRICS, whole=done is not None)
    return Ran(
        folder=folder,
        card=read_document(folder / layout.CARD, RunCard, constants=[]),
        finished=done,
        rows=[{name: as_number(value) for name, value in row.items()} for row in rows],
        samples=_rows(folder / layout.SAMPLES, whole=done is not None),
    )


def _rows(path: Path, *, whole: bool) -> list[Row]:
    """The rows of a file, none if it is not there. Args: whole: False for one that may be growing, whose last line may
    be half there."""
    found = list(each_row(path)) if path.is_file() else []
    rows: list[Row] = []
    for place, (_, row) in enumerate(found):
        if not isinstance(row, UserError):
            rows.append(row)
        elif whole or place < len(found) - 1:
            raise row
    return rows
