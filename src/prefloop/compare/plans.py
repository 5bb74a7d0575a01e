"""What each method will run: its stages with their settings, all known and checked before the first one starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.compare.config import CompareConfig, near
from prefloop.compare.methods import METHODS, Job, Method
from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.named import named
from prefloop.rounds.recipe import STAGES, Recipe
from prefloop.stages import ALIGNING, Stage

OWN_EVALUATION = ("out", "candidates", "collected", "demonstrations", "reference")
"""Settings of the recipe's evaluation that are not taken over."""
SHARED = ("seed", "device", "dtype", "threads", "anyway")
"""Settings of a recipe that every stage of a method inherits which has them."""
EVALUATE = STAGES[layout.EVALUATE]


@dataclass(frozen=True)
class Step:
    """A stage to run in a process of its own."""

    stage: Stage
    config: Config
    given: dict[str, Any]
    """the settings that were given, as they are typed"""

    @property
    def out(self) -> Path:
        """Its folder."""
        return Path(self.given["out"])

    @property
    def typed(self) -> str:
        """The command, as one types it."""
        return " ".join(["prefloop", self.stage.command, *_words(self.given)])


@dataclass(frozen=True)
class Plan:
    """One method, from its first stage to its evaluation."""

    name: str
    method: str
    steps: tuple[Step, ...]
    evaluation: Step | None
    """None for the model that all begin as, which every evaluation measures beside"""
    rewarded: bool
    """Does it rest on the recipe's reward model?"""
    judged: Path | None
    """The file of preferences that it learned from, if it did"""

    @property
    def kind(self) -> Method:
        """Its row of the table."""
        return METHODS[self.method]


def _words(given: Mapping[str, Any], above: str = "") -> list[str]:
    words: list[str] = []
    for name, value in given.items():
        if isinstance(value, dict):
            words += _words(value, f"{above}{name}.")
        elif value is not None:
            told = str(value).lower() if isinstance(value, bool) else value
            words.append(f"{above}{name}={_listed(told)}")
    return words


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_listed(each)}" for name, each in value.items()) + "}"
    return f"[{', '.join(map(_listed, value))}]" if isinstance(value, list | tuple) else str(value)


def head(recipe: Recipe) -> list[Step]:
    """The recipe's stages before its first policy: what all methods begin from."""
    steps: list[Step] = []
    for name, config in recipe.settings.items():
        if name in (*ALIGNING, layout.EVALUATE) or "pipeline" in STAGES[name].reads:
            break
        given = config.model_dump(mode="json", exclude_unset=True)
        steps.append(Step(STAGES[name], config, given))
    return steps


def plans(recipe: Recipe, config: CompareConfig, own: Mapping[str, Any], *, threads: int | None) -> list[Plan]:
    """What will be run for every method.

    Args:
        own: name -> settings of that method, as typed.
        threads: of each stage; None leaves it to the recipe.

    Raises: UserError for what no method has, and for what the recipe lacks.
    """
    for name in own:
        place = recipe.place(f"compare.{name}")
        waits = isinstance(own[name], dict) and (name in METHODS or own[name].get("method") in METHODS)
        if name not in config.methods and not (waits and place != "the command line"):  # in a file it may wait
            raise UserError(
                f"{place}: `{name}` is not among the methods that are compared. "
                f"{near(name, (*config.methods, *CompareConfig.model_fields))} Or add it to methods."
            )
    maker = _Maker(recipe, threads)
    made = [maker.plan(name, own.get(name) or {}) for name in config.methods]
    if not any(plan.evaluation for plan in made):
        raise UserError(f"{recipe.path}: sft is what all methods are compared with. Add another, methods=[sft, dpo].")
    return made


class _Maker:
    """Makes plans out of a recipe."""

    def __init__(self, recipe: Recipe, threads: int | None) -> None:
        self._recipe, self._threads = recipe, threads
        if layout.EVALUATE not in recipe.settings:
            raise UserError(
                f"{recipe.path}: this recipe has no `evaluate:`, which says on what prompts and by whom policies are "
                "judged. Add it."
            )
        self._evaluate = recipe.settings[layout.EVALUATE].model_dump(mode="json", exclude_unset=True)
        stages = {name: config.model_dump(mode="json", exclude_unset=True) for name, config in recipe.settings.items()}
        aligning = [given for name, given in stages.items() if name in ALIGNING]
        taught = next((given for given in (*aligning, *stages.values()) if "held_out" in given), {})
        taught = taught or next((given for given in stages.values() if "preferences" in given), {})
        self._there: dict[str, Any] = {
            "policy": self._evaluate["reference"],
            "preferences": taught.get("preferences"),
            "held_out": taught.get("held_out"),
            "undecided": taught.get("undecided"),
            "reward": next((given["reward"] for given in aligning if "reward" in given), None)
            or (f"{stages[layout.REWARD]['out']}/{layout.MODEL}" if layout.REWARD in stages else None),
            "prompts": next((given["prompts"] for given in aligning if "prompts" in given), None),
            "asked": stages.get(layout.COLLECT, {}).get("prompts"),
        }
        self._there["prompts"] = self._there["prompts"] or self._there["asked"]

    def plan(self, name: str, own: Any) -> Plan:
        """One method's. Args: own: its settings as typed."""
        recipe, where = self._recipe, f"compare.{name}"
        if not isinstance(own, dict):
            raise UserError(f"{recipe.place(where)}: `{name}` needs settings, for instance {name}.lr=1e-4.")
        own = dict(own)
        method = own.pop("method", name)
        if method not in METHODS:
            raise UserError(
                f"{recipe.place('compare.methods')}: there is no method called `{method}`. "
                f"{near(str(method), tuple(METHODS))} Or say which it is a variant of: {name}.method=dpo."
            )
        kind, folder = METHODS[method], self._recipe.out / layout.COMPARE / name
        evaluated = own.pop(layout.EVALUATE, {}) if len(kind.jobs) != 1 else {}
        steps: list[Step] = []
        for job in kind.jobs:
            alone = len(kind.jobs) == 1
            mine = own if alone else own.pop(job.stage, {})
            steps.append(self._step(job, mine, folder, method, where if alone else f"{where}.{job.stage}"))
        if own and len(kind.jobs) != 1:
            names = (*(job.stage for job in kind.jobs), *([layout.EVALUATE] if kind.evaluated else []))
            bad = next(iter(own))
            has = f"{near(bad, names)} For instance {name}.{names[0]}.seed=1." if names else "It has no settings."
            raise UserError(f"{recipe.place(f'{where}.{bad}')}: the method `{method}` has no `{bad}`. {has}")
        named_in = [value for job in kind.jobs for value in job.settings.values()] + [*kind.evaluated.values()]
        return Plan(
            name,
            method,
            tuple(steps),
            self._evaluation(kind, evaluated, folder, method, where) if method != "sft" else None,
            rewarded="$reward" in named_in,
            judged=self._judged(kind, steps, "$reward" in named_in),
        )

    def _judged(self, kind: Method, steps: Sequence[Step], rewarded: bool) -> Path | None:
        if steps and steps[0].stage.name == layout.COLLECT:
            return steps[0].out / layout.PREFERENCES
        if rewarded or kind.family == "direct":
            file = self._there["preferences"]
            return None if file is None else Path(str(file))
        return None

    def _step(self, job: Job, own: Any, folder: Path, method: str, where: str) -> Step:
        """A stage of a method: the recipe's settings of that stage but for what it reads, the table's, the user's."""
        stage = STAGES[job.stage]
        if not isinstance(own, dict):
            raise UserError(f"{self._recipe.place(where)}: `{where}` needs settings under it.")
        aside = {"out", *stage.takes, *job.settings}
        of_stage = self._recipe.settings.get(job.stage)
        inherited = of_stage.model_dump(mode="json", exclude_unset=True) if of_stage else {}
        given = {name: value for name, value in inherited.items() if name not in aside}
        given |= self._shared(stage)
        if "by" in inherited and "by" in stage.takes:  # who judges is no input but a choice
            given["by"] = inherited["by"]
        for name, value in job.settings.items():
            if (found := self._named(value, folder, method)) is not None:
                given[name] = found
        if "objective" in own:
            given.pop("undecided", None)  # not every objective learns from them; whoever wants them gives them
        return self._made(stage, {**given, **own, "out": str(folder / job.stage)}, where)

    def _shared(self, stage: Stage) -> dict[str, Any]:
        fields = named(stage.settings or "").model_fields
        shared = {name: value for name, value in self._recipe.values.items() if name in SHARED and name in fields}
        return shared | ({} if self._threads is None else {"threads": self._threads})

    def _evaluation(self, kind: Method, own: Mapping[str, Any], folder: Path, method: str, where: str) -> Step:
        given = {name: value for name, value in self._evaluate.items() if name not in OWN_EVALUATION}
        given |= {name: self._named(value, folder, method) for name, value in kind.evaluated.items()}
        given |= self._shared(EVALUATE)
        given |= {"reference": self._there["policy"], "candidates": self._named(kind.policy, folder, method)}
        return self._made(EVALUATE, {**given, **own, "out": str(folder / layout.EVALUATE)}, f"{where}.evaluate")

    def _made(self, stage: Stage, given: dict[str, Any], where: str) -> Step:
        config = named(stage.settings or "").parse(
            given, where=self._recipe.path, places=self._recipe.places, prefix=f"{where}."
        )
        return Step(stage, config, given)

    def _named(self, value: Any, folder: Path, method: str) -> Any:
        """What a value of the table stands for. Raises: UserError if the recipe has no such thing."""
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        name, _, inside = value[1:].partition("/")
        if name in ("thumbs", "own"):
            return str(folder / (inside or layout.THUMBS))
        found = self._there[name]
        if found is None and name not in ("held_out", "undecided"):
            raise UserError(
                f"{self._recipe.path}: the method `{method}` needs {LACKING[name]}, and this recipe has none. Add it, "
                f"or leave {method} out of methods."
            )
        return found


LACKING = {
    "policy": "a model to begin as",
    "preferences": "preferences (`preferences:` under `reward:` or `dpo:`)",
    "reward": "a reward (`reward:` as a stage, or under `ppo:`)",
    "prompts": "prompts (`prompts:` under `ppo:` or `collect:`)",
    "asked": "prompts whose responses are judged (`prompts:` under `collect:`)",
}
"""What a recipe may lack -> how it is told."""
