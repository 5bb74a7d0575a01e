"""What can be known before the first stage of a recipe runs: that what every stage needs is there, and of the kind."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.extras import check_extra
from prefloop.files.foreign import SERVES
from prefloop.files.forms import recognise
from prefloop.records import Demonstration, Preference, Prompt
from prefloop.rounds import turns
from prefloop.rounds.recipe import STAGES, Recipe
from prefloop.settings import models_of

RECORDS = {"prompts": Prompt, "demonstrations": Demonstration, "preferences": Preference}
"""Kind of data that can come in other people's forms -> its record."""
WORDS = {"critic": ("shared", "separate", "reward-model")}
"""Setting -> words that stand there for no path."""


def check(recipe: Recipe) -> None:
    """Raises: UserError for what would stop a later stage after the earlier ones have worked for hours."""
    for name, config in recipe.settings.items():
        check_stage(recipe, name, config, name)
    for name, config in turns.first_and_later(recipe):
        check_stage(recipe, name, config, f"{layout.ROUNDS}.{name}")


def check_stage(recipe: Recipe, name: str, config: Config, where: str) -> None:
    """The same of one stage. Args: where: the key under which its settings stand. Raises: UserError."""
    for extra, what in config.extras().items():
        check_extra(extra, f"{where}.{what}")
    for setting, kind in STAGES[name].takes.items():
        value = _given(config, setting)
        named = models_of(value, setting) if kind == "reward" else {setting: value}
        if isinstance(value, tuple | Mapping) and kind != "reward":
            several = value.items() if isinstance(value, Mapping) else enumerate(value)
            named = {f"{setting}.{place}": one for place, one in several}
        for key, path in named.items():
            if path is None or kind == "named" or _is_inside(recipe, path) or path == _default(config, setting):
                continue
            if path in WORDS.get(setting, ()):
                continue
            try:
                _check(name, setting, kind, path, config)
            except UserError as problem:
                raise UserError(f"{recipe.place(f'{where}.{key}')}: `{where}.{key}`: {problem}") from None


def _default(config: Config, setting: str) -> Any:
    """The default of a setting; None for one of a section."""
    field = type(config).model_fields.get(setting)
    return field.default if field else None


def _given(config: Config, setting: str) -> Any:
    """What a setting is, with a dot one of a section; None where there is none, or its model is at an endpoint."""
    section, dot, name = setting.partition(".")
    value = dict(config)[section]
    if not dot or value is None:
        return value
    elsewhere = name == "model" and dict(value)["base_url"] is not None
    return None if elsewhere else dict(value)[name]


def _is_inside(recipe: Recipe, path: str) -> bool:
    """True for what an earlier stage of the recipe writes, and for the recipe's own folder."""
    return Path(path) == recipe.out or any(
        Path(path).is_relative_to(recipe.out / stage)
        for stage in (*recipe.settings, layout.COMPARE, layout.LAB, layout.ROUNDS)
    )


def _check(stage: str, setting: str, kind: str, value: str, config: Config) -> None:
    if kind == "file":
        named = {what for what, how in STAGES[stage].reads.items() if f"{setting}=" in how.split(", ")}
        kinds = named & RECORDS.keys()
        file = Path(value)
        if not file.is_file():
            near = difflib.get_close_matches(file.name, [p.name for p in file.parent.glob("*") if p.is_file()], n=1)
            hint = f"Did you mean {file.parent / near[0]}?" if near else "Give the path of an existing file."
            raise UserError(f"{value}: there is no such file. {hint}")
        if kinds:
            what = recognise(value).what
            if what not in named and not any(RECORDS[kind] in SERVES.get(what, ()) for kind in kinds):
                raise UserError(f"{value}: this file holds {what}, but {' or '.join(sorted(kinds))} are needed.")
    elif kind == "folder":
        if not Path(value).is_dir():
            raise UserError(f"{value}: there is no such folder. Check the path.")
    elif kind == "environment":
        from prefloop.scoring.named import environment_as

        environment_as(value)
    elif kind == "reward" or value.startswith("python:"):
        from prefloop.scoring.named import check_reward

        check_reward(value)
    elif kind != "judge":
        from prefloop.scoring.named import check_model

        check_model(value)
