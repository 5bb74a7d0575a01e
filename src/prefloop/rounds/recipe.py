"""A recipe: a whole pipeline in one YAML file that can be read aloud.

    name: helpdesk                        its name
    seed: 0                               given to every stage that does not set its own
    sft:                                  a stage, in the order in which it runs
      model: pretrain/model               a path that begins with a stage's name is in that stage's folder
      demonstrations: mine.jsonl          any other path is beside the recipe, or in the current folder

`$base` stands for the recipe's own setting `base`, given on the command line as base=FOLDER.
"""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from prefloop import stages
from prefloop.config import Config, override, read_yaml
from prefloop.errors import UserError
from prefloop.named import named
from prefloop.stages import Stage

STAGES: Mapping[str, Stage] = {name: stage for name, stage in stages.STAGES.items() if stage.in_recipe}
"""The stages that may stand in a recipe."""
SHARED = ("seed", "device", "dtype", "threads")
"""Settings of a recipe that every stage inherits."""


@dataclass(frozen=True)
class Recipe:
    """A recipe with everything resolved."""

    name: str
    out: Path
    settings: Mapping[str, Config]
    """stage -> its settings, in the order of the recipe"""
    values: dict[str, Any]
    """the recipe as it stands after overrides"""


def find(name: str) -> str:
    """The path of a recipe file, or of the recipe of that name that comes with prefloop."""
    if Path(name).is_file():
        return name
    files = [Path(str(file)) for file in resources.files("prefloop.recipes").iterdir()]
    own = {file.stem: str(file) for file in files if file.suffix == ".yaml"}
    stem = Path(name).name.removesuffix(".yaml")
    if stem in own:
        return own[stem]
    raise UserError(
        f"{name}: there is no such recipe file, and no recipe of that name comes with prefloop. "
        f"There are: {', '.join(sorted(own))}."
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
    keys = {"name", "out", "base", *SHARED, *STAGES}
    for key in values:
        if key not in keys:
            place = f"{path}:{lines[key]}" if key in lines else path
            raise UserError(f"{place}: a recipe has no `{key}`. There are: {', '.join(sorted(keys))}.")
    out = Path(str(values.get("out") or values.get("name") or Path(path).stem))
    settings = {key: _settings(STAGES[key], values, out, path, lines) for key in values if key in STAGES}
    if not settings:
        raise UserError(f"{path}: this recipe has no stage. Add for instance `sft:` with its settings.")
    return Recipe(str(values.get("name") or Path(path).stem), out, settings, {**values, "out": str(out)})


def _settings(stage: Stage, values: dict[str, Any], out: Path, path: str, lines: dict[str, int]) -> Config:
    name = stage.name
    section = values[name] if values[name] is not None else {}
    if not isinstance(section, dict):
        raise UserError(f"{path}:{lines.get(name, 1)}: `{name}` needs settings under it, found {section!r}.")
    config_class: type[Config] = named(stage.settings or "")
    fields = config_class.model_fields
    inherited = {key: values[key] for key in SHARED if key in values and key in fields}
    if "pipeline" in stage.reads:
        language = (values.get("world") or {}).get("language", "en")
        inherited |= {"pipeline": str(out), "language": language, "title": str(values.get("name") or "")}
    choices = {key for key, field in fields.items() if typing.get_origin(field.annotation) is typing.Literal}
    given = {
        key: value if key in choices else _resolved(value, values, out, Path(path).parent, f"{path}: {name}.{key}")
        for key, value in section.items()
    }
    own_lines = {key.removeprefix(f"{name}."): line for key, line in lines.items() if key.startswith(f"{name}.")}
    settings = {**inherited, "out": str(out / name), **given}
    return config_class.parse(settings, where=f"{path}: {name}", lines=own_lines)


def _resolved(value: Any, values: dict[str, Any], out: Path, beside: Path, place: str) -> Any:
    """A setting's value with stage names, `$base` and files beside the recipe turned into paths."""
    if not isinstance(value, str):
        return value
    if value == "$base":
        if not values.get("base"):
            raise UserError(
                f"{place}: this recipe starts from a model of yours. "
                "Add base=FOLDER, or base=HUB/ID where there is a network."
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
