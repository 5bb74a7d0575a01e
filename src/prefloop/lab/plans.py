"""What the lab will run: reward models, policies and the best of n of each seed, all known before the first starts.

lab/held_out.jsonl                    preferences on which all reward models are measured
lab/models/layers-N/                  pretrain and sft of a model with so many layers
lab/rewards/KIND/SEED/                preferences.jsonl and the reward run; cells that differ in their use share one
lab/CELL/SEED/                        the policy's run and its evaluation
lab/best-of/SEED-.../                 what the rewards of that seed choose among the same responses
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.lab.config import CELLS, Cell, LabConfig
from prefloop.named import named
from prefloop.rounds.recipe import STAGES, Recipe
from prefloop.running import Step, head, near
from prefloop.stages import ALIGNING, Stage
from prefloop.stages import STAGES as ALL

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a cell may be called: it is a folder."""
SHARED = ("device", "dtype", "threads")
"""Settings of a recipe that every stage of the lab inherits which has them."""
LIKEWISE = ("template", "weights", "adapter", "lora", "max_new_tokens", "temperature")
"""Settings of the recipe's evaluation or first policy that every stage of the lab has alike."""
REWARDS, MODELS = "rewards", "models"
NUM_HELD_OUT = 300
"""Preferences on which reward models are measured."""
STEPS, SAVE_EVERY = 40, 4
"""Of a policy, if nothing else is asked for: without a charge it is 30 nats away by then."""
BEST_OF = ALL["best-of"]


@dataclass(frozen=True)
class Planned:
    """A reward model that is made with one seed."""

    name: str
    """its folder inside the lab's"""
    pairs: int | None
    flips: float
    seed: int
    step: Step

    @property
    def preferences(self) -> Path:
        """What it learns from."""
        return self.step.out.parent / layout.PREFERENCES

    @property
    def model(self) -> Path:
        """What comes of it."""
        return self.step.out / layout.MODEL


@dataclass(frozen=True)
class Trial:
    """A cell with one seed."""

    name: str
    """its folder inside the lab's"""
    cell: str
    seed: int
    reward: Planned
    policy: Step
    evaluation: Step


@dataclass(frozen=True)
class Plans:
    """Everything that is run."""

    recipe: Recipe
    config: LabConfig
    out: Path
    cells: Mapping[str, Cell]
    seeds: tuple[int, ...]
    head: list[Step]
    """the recipe's stages that all rests on"""
    models: Mapping[str, tuple[Step, ...]]
    """name -> stages that make a model with other layers"""
    rewards: Mapping[str, Planned]
    trials: Mapping[str, Trial]
    preferences: str
    """the recipe's"""
    held_out: str | None
    """the recipe's"""
    best_of: "Chosen"

    @property
    def steps(self) -> list[tuple[str, Step]]:
        """Where each stage's settings are told of, and the stage."""
        made = [(name, step) for name, steps in self.models.items() for step in steps]
        made += [(planned.name, planned.step) for planned in self.rewards.values()]
        return made + [(t.name, step) for t in self.trials.values() for step in (t.policy, t.evaluation)]


@dataclass(frozen=True)
class Chosen:
    """How the best of n is measured."""

    recipe: Recipe
    out: Path
    given: Mapping[str, Any]

    def step(self, seed: int, rewards: Mapping[str, Mapping[str, Any]]) -> Step:
        """The stage for one seed. Args: rewards: name -> model and how it is combined."""
        told = zlib.crc32(repr(sorted(rewards.items())).encode())
        folder = self.out / BEST_OF.name / f"{seed}-{told:08x}"
        return _made(self.recipe, BEST_OF, {**self.given, "seed": seed, "reward": dict(rewards), "out": str(folder)})


def _made(recipe: Recipe, stage: Stage, given: dict[str, Any], where: str = "") -> Step:
    settings: type[Config] = named(stage.settings or "")
    prefix = f"{layout.LAB}.{where or stage.name}."
    return Step(stage, settings.parse(given, where=recipe.path, places=recipe.places, prefix=prefix), given)


def plans(recipe: Recipe, config: LabConfig, own: Mapping[str, Any], *, threads: int | None) -> Plans:
    """What will be run.

    Args:
        own: settings of cells and of stages by their names, as typed.
        threads: of each stage; None leaves it to the recipe.

    Raises: UserError for what no cell has, and for what the recipe lacks.
    """
    maker = _Maker(recipe, config, own, threads)
    seeds = tuple(int(recipe.values.get("seed", 0)) + index for index in range(config.seeds))
    rewards: dict[str, Planned] = {}
    trials: dict[str, Trial] = {}
    for name, cell in maker.cells.items():
        for seed in seeds:
            planned = maker.reward(cell, seed, name)
            rewards.setdefault(planned.name, planned)
            trials[f"{name}/{seed}"] = maker.trial(name, cell, seed, rewards[planned.name])
    layers = sorted({cell.layers for cell in maker.cells.values() if cell.layers is not None})
    return Plans(
        recipe=recipe,
        config=config,
        out=maker.out,
        cells=maker.cells,
        seeds=seeds,
        head=[step for step in head(recipe) if step.stage.name != layout.REWARD],
        models={f"{MODELS}/layers-{num}": maker.larger(num) for num in layers},
        rewards=rewards,
        trials=trials,
        preferences=maker.needed("preferences"),
        held_out=maker.there.get("held_out"),
        best_of=Chosen(recipe, maker.out, maker.chosen()),
    )


class _Maker:
    """Makes plans out of a recipe."""

    def __init__(self, recipe: Recipe, config: LabConfig, own: Mapping[str, Any], threads: int | None) -> None:
        self._recipe, self._config, self._threads = recipe, config, threads
        self.out = recipe.out / layout.LAB
        self._algorithm = STAGES[config.algorithm]
        self._own = {name: self._section(own.get(name), name) for name in (config.algorithm, BEST_OF.name)}
        self.cells = self._cells({name: given for name, given in own.items() if name not in self._own})
        stages = {
            name: settings.model_dump(mode="json", exclude_unset=True) for name, settings in recipe.settings.items()
        }
        self._stages = stages
        self._evaluate = stages.get(layout.EVALUATE, {})
        if self._evaluate.get("judge") != "gold":
            raise UserError(
                f"{recipe.place(f'{layout.EVALUATE}.judge')}: the lab holds proxies against the truth, which the gold "
                "program alone knows. It needs a recipe of the helpdesk with `judge: gold` under `evaluate:`."
            )
        aligning = [given for name, given in stages.items() if name in ALIGNING]
        taught = next((given for given in (stages.get(layout.REWARD, {}), *aligning) if "preferences" in given), {})
        self._likewise = {
            name: given[name] for given in (self._evaluate, *reversed(aligning)) for name in LIKEWISE if name in given
        }
        prompts = [given["prompts"] for given in (*aligning, stages.get(layout.COLLECT, {})) if "prompts" in given]
        self.there: dict[str, str | None] = {
            "policy": self._evaluate.get("reference"),
            "preferences": taught.get("preferences"),
            "held_out": taught.get("held_out"),
            "demonstrations": stages.get(layout.REWARD, {}).get("demonstrations"),
            "prompts": next(iter(prompts), None),
        }

    def needed(self, name: str) -> str:
        """Something of the recipe's. Raises: UserError if it has none."""
        found = self.there[name]
        if found is None:
            raise UserError(f"{self._recipe.path}: the lab needs {LACKING[name]}, and this recipe has none. Add it.")
        return found

    def _section(self, given: Any, name: str) -> dict[str, Any]:
        """Settings under a name. Raises: UserError if they are none."""
        if given is None:
            return {}
        if not isinstance(given, dict):
            place = self._recipe.place(f"{layout.LAB}.{name}")
            raise UserError(f"{place}: `{name}` needs settings under it, for instance {name}.SETTING=VALUE.")
        return dict(given)

    def _cells(self, own: Mapping[str, Any]) -> dict[str, Cell]:
        """Every cell that was asked for."""
        names, reserved = (
            self._config.cells,
            {*ALL, *LabConfig.model_fields, REWARDS, MODELS, layout.LOG, "seed", "out"},
        )
        for name in own:
            if name not in names and (
                self._recipe.place(f"{layout.LAB}.{name}") == "the command line" or name not in CELLS
            ):
                raise UserError(
                    f"{self._recipe.place(f'{layout.LAB}.{name}')}: `{name}` is not among the cells that are run. "
                    f"{near(name, (*names, *LabConfig.model_fields, *self._own))} Or add it to cells."
                )
        for name in names:
            if not NAME.fullmatch(name) or name in reserved:
                raise UserError(
                    f"{self._recipe.place(f'{layout.LAB}.cells')}: a cell cannot be called {name!r}: its name is a "
                    "folder's, of letters, digits, `_`, `-` and `.`, and no stage's or setting's. Choose another."
                )
            if name not in CELLS and name not in own:
                raise UserError(
                    f"{self._recipe.place(f'{layout.LAB}.cells')}: there is no cell called `{name}`. "
                    f"{near(name, tuple(CELLS))} Or say what it is: {name}.pairs=50."
                )
        made: dict[str, Cell] = {}
        for name in names:
            given = {**CELLS.get(name, {}), **self._section(own.get(name), name)}
            prefix = f"{layout.LAB}.{name}."
            made[name] = Cell.parse(given, where=self._recipe.path, places=self._recipe.places, prefix=prefix)
        return made

    def reward(self, cell: Cell, seed: int, where: str) -> Planned:
        """The reward model of a cell with one seed; what differs in its use alone has the same."""
        kind = f"pairs-{'all' if cell.pairs is None else cell.pairs}-flips-{cell.flips:g}-members-{cell.members}"
        model = self.needed("policy") if cell.model is None else cell.model
        if cell.layers is not None:
            kind += f"-layers-{cell.layers}"
            model = str(self.out / MODELS / f"layers-{cell.layers}" / layout.SFT / layout.MODEL)
        elif cell.model is not None:
            kind += f"-model-{zlib.crc32(cell.model.encode()):08x}"
        folder = self.out / REWARDS / kind / str(seed)
        given = self._inherited(STAGES[layout.REWARD], {"members"})
        given |= {"model": model, "preferences": str(folder / layout.PREFERENCES), "members": cell.members}
        if self.there["held_out"] is not None:
            given["held_out"] = str(self.out / layout.HELD_OUT)
        if self.there["demonstrations"] is not None:
            given["demonstrations"] = self.there["demonstrations"]
        given |= {"seed": seed, "out": str(folder / layout.REWARD)}
        step = _made(self._recipe, STAGES[layout.REWARD], given, where)
        return Planned(f"{REWARDS}/{kind}/{seed}", cell.pairs, cell.flips, seed, step)

    def trial(self, name: str, cell: Cell, seed: int, reward: Planned) -> Trial:
        """The policy of a cell with one seed, and its evaluation."""
        folder, stage = self.out / name / str(seed), self._algorithm
        used = combined(cell, reward.model)
        if "kl_coef" in self._own[stage.name]:
            raise UserError(
                f"{stage.name}.kl_coef would make all cells alike; it is a cell's own: {name}.kl_coef=VALUE."
            )
        given = {"steps": STEPS, "save_every": SAVE_EVERY, **self._inherited(stage, {"combine", "variance_coef"})}
        given |= {"anyway": True, "kl_coef": cell.kl_coef, **self._own[stage.name]}
        given |= {"policy": self.needed("policy"), "prompts": self.needed("prompts"), "seed": seed}
        model = {"reward": used["model"], **{key: value for key, value in used.items() if key != "model"}}
        policy = _made(self._recipe, stage, {**given, **model, "out": str(folder / stage.name)}, stage.name)
        measured = self._inherited(STAGES[layout.EVALUATE], {"combine", "variance_coef", "ood_prompts", "base"})
        measured |= {key: self._evaluate[key] for key in ("reference", "validation_prompts", "test_prompts")}
        measured |= {"candidates": str(folder / stage.name), "num_validation": self._config.num_prompts, "num_test": 1}
        measured |= {"num_arena": 0, "num_audit": 0, "num_samples": 0, "seed": int(self._recipe.values.get("seed", 0))}
        measured |= {**model, "out": str(folder / layout.EVALUATE)}
        return Trial(
            f"{name}/{seed}", name, seed, reward, policy, _made(self._recipe, STAGES[layout.EVALUATE], measured)
        )

    def larger(self, layers: int) -> tuple[Step, ...]:
        """Stages that make a model with so many layers. Raises: UserError if the recipe makes none."""
        steps: list[Step] = []
        folder = self.out / MODELS / f"layers-{layers}"
        for name in ("pretrain", layout.SFT):
            if name not in self._stages:
                raise UserError(
                    f"{self._recipe.path}: layers = {layers} is of a model that is pretrained and fine-tuned, but this "
                    f"recipe has no `{name}:`. Give a model folder instead: NAME.model=FOLDER."
                )
            given = {**self._stages[name], "out": str(folder / name)}
            if name == "pretrain":
                given["model"] = {**given.get("model", {}), "num_layers": layers}
            else:
                given["model"] = str(folder / "pretrain" / layout.MODEL)
            steps.append(_made(self._recipe, STAGES[name], given))
        return tuple(steps)

    def chosen(self) -> dict[str, Any]:
        """Settings of the best of n that all seeds share."""
        asked = {"responses_per_prompt": self._config.best_of, "num_prompts": min(128, self._config.num_prompts)}
        given = {**self._inherited(BEST_OF, set()), **asked, **self._own[BEST_OF.name]}
        return {**given, "policy": self.needed("policy"), "prompts": self._evaluate["validation_prompts"]}

    def _inherited(self, stage: Stage, but: set[str]) -> dict[str, Any]:
        """The recipe's settings of a stage, but for what it reads and those of `but`, and what all share."""
        fields = named(stage.settings or "").model_fields
        aside = {"out", "seed", *stage.takes, *but}
        given = {name: value for name, value in self._likewise.items() if name in fields}
        given |= {name: value for name, value in self._stages.get(stage.name, {}).items() if name not in aside}
        given |= {name: value for name, value in self._recipe.values.items() if name in SHARED and name in fields}
        return given | ({} if self._threads is None else {"threads": self._threads})


def combined(cell: Cell, model: Path) -> dict[str, Any]:
    """A cell's reward as settings of who asks it: the model, and of an ensemble how it is combined."""
    used: dict[str, Any] = {"model": str(model)}
    if cell.members > 1:
        used["combine"] = cell.combine
    if cell.combine == "variance":
        used["variance_coef"] = cell.variance_coef
    return used


LACKING = {
    "policy": "a model to begin as (`reference:` under `evaluate:`)",
    "preferences": "preferences (`preferences:` under `reward:`)",
    "prompts": "prompts (`prompts:` under `ppo:` or `collect:`)",
}
"""What a recipe may lack -> how it is told."""
