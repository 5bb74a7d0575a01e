"""What each method will run: its stages with their settings, all known and checked before the first one starts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.compare.config import CompareConfig
from prefloop.compare.methods import METHODS, Job, Method
from prefloop.errors import UserError
from prefloop.feedback.config import LEARN_FROM_TIES
from prefloop.named import named
from prefloop.rounds.recipe import STAGES, Recipe
from prefloop.running import Step, near, paths
from prefloop.stages import ALIGNING, Stage

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a method may be called: it is a folder."""
NOT_TAKEN_OVER = ("out", "candidates", "collected", "demonstrations", "reference")
"""Settings of the recipe's evaluation that are not those of a method's."""
ITS_OWN = ("out", "policy", "reference", "candidates", "judge", "seed")
"""Settings that make methods comparable: none may have another."""
RESERVED = (
    "name",
    "base",
    "model",
    "out",
    *CompareConfig.model_fields,
    "seed",
    "device",
    "dtype",
    "threads",
    "track",
    "anyway",
    layout.LOG,
)
"""Names that mean something else on the command line."""
SHARED = ("seed", "device", "dtype", "threads", "anyway")
"""Settings of a recipe that every stage of a method inherits which has them."""
LIKEWISE = ("template", "weights", "adapter", "lora", "max_new_tokens")
"""Settings of the recipe's first policy that every stage of a method has alike, which says what is trained and sampled.
"""
EVALUATE = STAGES[layout.EVALUATE]


@dataclass(frozen=True)
class Plan:
    """One method, from its first stage to its evaluation."""

    name: str
    method: str
    steps: tuple[Step, ...]
    evaluation: Step | None
    """None for the model that all begin as, which every evaluation measures beside"""
    rewarded: bool
    """whether it rests on a reward model that the recipe's `reward:` trains"""
    learned: tuple[Path, ...]
    """files of what was said that it, or the reward model that it rests on, learned from"""

    @property
    def kind(self) -> Method:
        """Its row of the table."""
        return METHODS[self.method]


def plans(recipe: Recipe, config: CompareConfig, own: Mapping[str, Any], *, threads: int | None) -> list[Plan]:
    """What will be run for every method.

    Args:
        own: name -> settings of that method, as typed.
        threads: of each stage; None leaves it to the recipe.

    Raises: UserError for what no method has, and for what the recipe lacks.
    """
    for name in own:
        place = recipe.place(f"compare.{name}")
        waits = isinstance(own[name], dict) and own[name].get("method", name) in [*METHODS]
        if name not in config.methods and not (waits and place != "the command line"):  # in a file it may wait
            raise UserError(
                f"{place}: `{name}` is not among the methods that are compared. "
                f"{near(name, (*config.methods, *CompareConfig.model_fields))} Or add it to methods."
            )
    for name in config.methods:
        if not NAME.fullmatch(name) or name in RESERVED:
            raise UserError(
                f"{recipe.place('compare.methods')}: a method cannot be called {name!r}: its name is a folder's, of "
                "letters, digits, `_`, `-` and `.`, and none of the recipe's own words. Choose another."
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
        self._stages = stages
        aligning = [given for name, given in stages.items() if name in ALIGNING]
        teaching = [given for given in (*aligning, *stages.values()) if "preferences" in given]
        taught = next((given for given in teaching if "held_out" in given), next(iter(teaching), {}))
        self._likewise = {
            name: given[name] for given in (self._evaluate, *reversed(aligning)) for name in LIKEWISE if name in given
        }
        trained = f"{stages[layout.REWARD]['out']}/{layout.MODEL}" if layout.REWARD in stages else None
        self._there: dict[str, Any] = {
            "policy": self._evaluate["reference"],
            "preferences": taught.get("preferences"),
            "held_out": taught.get("held_out"),
            "undecided": taught.get("undecided"),
            "reward": next((given["reward"] for given in aligning if "reward" in given), trained),
            "prompts": next((given["prompts"] for given in aligning if "prompts" in given), None),
            "asked": stages.get(layout.COLLECT, {}).get("prompts"),
        }
        self._there["prompts"] = self._there["prompts"] or self._there["asked"]
        rests = paths(self._there["reward"])
        self._trained = any(Path(model).is_relative_to(recipe.out / layout.REWARD) for model in rests)

    def plan(self, name: str, own: Any) -> Plan:
        """One method's. Args: own: its settings as typed."""
        recipe, where = self._recipe, f"compare.{name}"
        own = dict(self._section(own, where))
        method = own.pop("method", name)
        if not isinstance(method, str) or method not in METHODS or (name == "sft") != (method == "sft"):
            raise UserError(
                f"{recipe.place('compare.methods')}: there is no method called `{method}`"
                f"{'' if method == name else f' that could be called `{name}`'}. "
                f"{near(str(method), tuple(METHODS))} Or say which it is a variant of: {name}.method=dpo."
            )
        kind, folder = METHODS[method], recipe.out / layout.COMPARE / name
        several = len(kind.jobs) != 1
        evaluated = self._section(own.pop(layout.EVALUATE, {}), f"{where}.evaluate") if kind.evaluated else {}
        steps: list[Step] = []
        for job in kind.jobs:
            mine = self._section(own.pop(job.stage, {}), f"{where}.{job.stage}") if several else own
            steps.append(self._step(job, mine, folder, method, f"{where}.{job.stage}" if several else where))
        if own and several:
            names = (*(job.stage for job in kind.jobs), *([layout.EVALUATE] if kind.evaluated else []))
            bad = next(iter(own))
            has = (
                f"{near(bad, names)} For instance {name}.{names[0]}.SETTING=VALUE." if names else "It has no settings."
            )
            raise UserError(f"{recipe.place(f'{where}.{bad}')}: the method `{method}` has no `{bad}`. {has}")
        needed = [value for job in kind.jobs for value in job.settings.values()] + [*kind.evaluated.values()]
        rests = "$reward" in needed and self._trained
        learned = [step.given for step in steps if "preferences" in step.given and step.stage.name != layout.COLLECT]
        if rests:
            learned.append(self._stages[layout.REWARD])
        if method == "kto":
            learned = [{"preferences": self._there["preferences"]}]
        return Plan(
            name,
            method,
            tuple(steps),
            self._evaluation(kind, evaluated, folder, method, where) if method != "sft" else None,
            rewarded=rests,
            learned=tuple(
                Path(given[key]) for given in learned for key in ("preferences", "undecided") if given.get(key)
            ),
        )

    def _section(self, own: Any, where: str) -> Mapping[str, Any]:
        """Settings of a method as a mapping that leaves alone what makes methods comparable. Raises: UserError."""
        name = where.removeprefix("compare.")
        if not isinstance(own, dict):
            raise UserError(f"{self._recipe.place(where)}: `{name}` needs settings, for instance {name}.lr=1e-4.")
        bad = next((key for key in ITS_OWN if key in own), None)
        if bad is not None:
            raise UserError(
                f"{self._recipe.place(f'{where}.{bad}')}: `{name}.{bad}` is the same for all methods, or they could "
                "not be compared. Leave it out."
            )
        return own

    def _step(self, job: Job, own: Mapping[str, Any], folder: Path, method: str, where: str) -> Step:
        """A stage of a method: the recipe's settings of that stage but for what it reads, the table's, the user's.

        A variant of a stage (ipo, filtered) takes none of the recipe's, which may be those of another one.
        """
        stage = STAGES[job.stage]
        aside = {"out", *stage.takes, *job.settings}
        variant = (
            any(not str(value).startswith("$") for value in job.settings.values()) and len(METHODS[method].jobs) == 1
        )
        inherited = {} if variant else self._stages.get(job.stage, {})
        fields = named(stage.settings or "").model_fields
        given = {name: value for name, value in self._likewise.items() if name in fields}
        given |= {name: value for name, value in inherited.items() if name not in aside}
        given |= self._shared(stage)
        if inherited.get("by") is not None and "by" in stage.takes:  # who judges is no input but a choice
            given["by"] = inherited["by"]
            if given["by"] == "people" and "by" not in own:
                raise UserError(
                    f"{self._recipe.place(where)}: in this recipe people judge, and `{method}` is about another judge. "
                    f"Say which: {where.removeprefix('compare.')}.by=model and so on, or leave {method} out of methods."
                )
        for name, value in job.settings.items():
            if (found := self._named(value, folder, method)) is not None:
                given[name] = found if stage.name in ALIGNING else _unconstrained(found)
        if own.get("objective", LEARN_FROM_TIES[0]) not in LEARN_FROM_TIES:
            given.pop("undecided", None)
        mine = {key: self._recipe.resolved(stage, key, value) for key, value in own.items()}
        return self._made(stage, {**given, **mine, "out": str(folder / job.stage)}, where)

    def _shared(self, stage: Stage) -> dict[str, Any]:
        fields = named(stage.settings or "").model_fields
        shared = {name: value for name, value in self._recipe.values.items() if name in SHARED and name in fields}
        return shared | ({} if self._threads is None else {"threads": self._threads})

    def _evaluation(self, kind: Method, own: Mapping[str, Any], folder: Path, method: str, where: str) -> Step:
        given = {name: value for name, value in self._evaluate.items() if name not in NOT_TAKEN_OVER}
        for name, value in kind.evaluated.items():
            given[name] = _unconstrained(self._named(value, folder, method))
        given |= self._shared(EVALUATE)
        given |= {"reference": self._there["policy"], "candidates": self._named(kind.policy, folder, method)}
        mine = {key: self._recipe.resolved(EVALUATE, key, value) for key, value in own.items()}
        return self._made(EVALUATE, {**given, **mine, "out": str(folder / layout.EVALUATE)}, f"{where}.evaluate")

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
        if name == "own":
            return str(folder / inside)
        thumbs, name = name == "thumbs", "preferences" if name == "thumbs" else name
        found = self._there[name]
        if found is None and name not in ("held_out", "undecided"):
            raise UserError(
                f"{self._recipe.path}: the method `{method}` needs {LACKING[name]}, and this recipe has none. "
                f"Add it, or leave {method} out of methods."
            )
        return str(folder / layout.THUMBS) if thumbs else found


def _unconstrained(reward: Any) -> Any:
    """Several rewards without the constraints that are for a policy in training; anything else as it is."""
    if not isinstance(reward, dict):
        return reward
    return {
        name: {key: value for key, value in part.items() if key != "at_least"} if isinstance(part, dict) else part
        for name, part in reward.items()
    }


LACKING = {
    "policy": "a model to begin as",
    "preferences": "preferences (`preferences:` under `reward:` or `dpo:`)",
    "reward": "a reward (`reward:` as a stage, or under `ppo:`)",
    "prompts": "prompts (`prompts:` under `ppo:` or `collect:`)",
    "asked": "prompts whose responses are judged (`prompts:` under `collect:`)",
}
"""What a recipe may lack -> how it is told."""
