"""A recipe: a whole pipeline in one YAML file that can be read aloud.

    name: helpdesk                        its name
    seed: 0                               given to every stage that does not set its own
    sft:                                  a stage, in the order in which it runs
      model: pretrain/model               a path that begins with a stage's name is in that stage's folder
      demonstrations: mine.jsonl          any other path is beside the recipe, or in the current folder

`$base` stands for the recipe's own setting `base`, given on the command line as base=FOLDER.
"""

import importlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from prefloop.config import Config, override, read_yaml
from prefloop.errors import UserError

STAGES: dict[str, tuple[str, str]] = {
    "world": ("prefloop.data.config:WorldConfig", "prefloop.data.stage:write"),
    "pretrain": ("prefloop.pretrain.config:PretrainConfig", "prefloop.pretrain.stage:train"),
    "sft": ("prefloop.sft.config:SFTConfig", "prefloop.sft.stage:train"),
    "collect": ("prefloop.collect.config:CollectConfig", "prefloop.collect.stage:collect"),
    "reward": ("prefloop.reward.config:RewardConfig", "prefloop.reward.stage:train"),
    "ppo": ("prefloop.align.config:PPOConfig", "prefloop.align.ppo:train"),
    "reinforce": ("prefloop.align.config:REINFORCEConfig", "prefloop.align.reinforce:train"),
    "evaluate": ("prefloop.evaluate.config:EvaluateConfig", "prefloop.evaluate.stage:evaluate"),
    "report": ("prefloop.report.config:ReportConfig", "prefloop.report.stage:write"),
}
SHARED = ("seed", "device", "dtype", "threads")
"""Settings of a recipe that every stage inherits."""


@dataclass(frozen=True)
class Step:
    """One stage of a recipe, with its settings resolved."""

    stage: str
    config: Config
    function: str


@dataclass(frozen=True)
class Recipe:
    """A recipe with everything resolved."""

    name: str
    out: Path
    steps: tuple[Step, ...]
    values: dict[str, Any]
    """the recipe as it stands after overrides"""


def named(name: str) -> Any:
    """What `module:name` names; the module is imported only now."""
    module, _, attribute = name.partition(":")
    return vars(importlib.import_module(module))[attribute]


def find(name: str) -> str:
    """The path of a recipe file, or of the recipe of that name that comes with prefloop."""
    if Path(name).is_file():
        return name
    own = {
        p.name.removesuffix(".yaml"): str(p)
        for p in resources.files("prefloop.recipes").iterdir()
        if p.name.endswith(".yaml")
    }
    stem = Path(name).name.removesuffix(".yaml")
    if stem in own:
        return own[stem]
    raise UserError(
        f"{name}: there is no such recipe file, and no recipe of that name comes with prefloop. There are: {', '.join(sorted(own))}."
    )


def load(name: str, overrides: Sequence[str]) -> Recipe:
    """Reads a recipe and applies overrides.

    Args:
        name: a file, or the name of a recipe that comes with prefloop.
        overrides: key=value, for instance seed=1, out=DIR, ppo.steps=10.

    Raises: UserError with file, line and remedy.
    """
    path = find(name)
    values, lines = read_yaml(path)
    for text in overrides:
        override(values, text)
    known = {"name", "out", "base", *SHARED, *STAGES}
    for key in values:
        if key not in known:
            raise UserError(
                f"{path}{f':{lines[key]}' if key in lines else ''}: a recipe has no `{key}`. There are: {', '.join(sorted(known))}."
            )
    stages = [key for key in values if key in STAGES]
    if not stages:
        raise UserError(f"{path}: this recipe has no stage. Add for instance `sft:` with its settings.")
    out = Path(str(values.get("out") or values.get("name") or Path(path).stem))
    steps = tuple(_step(stage, values, out, path, lines) for stage in stages)
    return Recipe(str(values.get("name") or Path(path).stem), out, steps, {**values, "out": str(out)})


def _step(stage: str, values: dict[str, Any], out: Path, path: str, lines: dict[str, int]) -> Step:
    section = values[stage] if values[stage] is not None else {}
    if not isinstance(section, dict):
        raise UserError(f"{path}:{lines.get(stage, 1)}: `{stage}` needs settings under it, found {section!r}.")
    config_name, function = STAGES[stage]
    config_class: type[Config] = named(config_name)
    inherited = {key: values[key] for key in SHARED if key in values and key in config_class.model_fields}
    words = {
        key for key, field in config_class.model_fields.items() if typing.get_origin(field.annotation) is typing.Literal
    }  # never paths
    given = {
        key: value if key in words else _resolved(value, values, out, Path(path).parent, f"{path}: {stage}.{key}")
        for key, value in section.items()
    }
    if stage == "report":
        inherited |= {
            "pipeline": str(out),
            "language": (values.get("world") or {}).get("language", "en"),
            "title": str(values.get("name") or ""),
        }
    own_lines = {key.removeprefix(f"{stage}."): line for key, line in lines.items() if key.startswith(f"{stage}.")}
    settings = {**inherited, "out": str(out / stage), **given}
    return Step(stage, config_class.parse(settings, where=f"{path}: {stage}", lines=own_lines), function)


def _resolved(value: Any, values: dict[str, Any], out: Path, beside: Path, place: str) -> Any:
    """A setting's value with stage names, `$base` and files beside the recipe turned into paths."""
    if not isinstance(value, str):
        return value
    if value == "$base":
        if not values.get("base"):
            raise UserError(
                f"{place}: this recipe starts from a model of yours. Add base=FOLDER, or base=HUB/ID where there is a network."
            )
        return str(values["base"])
    if value.split("/")[0] in STAGES and value.split("/")[0] in values:
        return str(out / value)
    python = "python:" if value.startswith("python:") else ""
    file, colon, function = value.removeprefix(python).partition(".py:")
    own = beside / (f"{file}.py" if colon else value.removeprefix(python))
    if own.is_file() and not Path(file + (".py" if colon else "")).is_file():
        return f"{python}{own}{colon[3:]}{function}"
    return value
