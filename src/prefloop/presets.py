"""Presets: settings that belong together under one name, each with where its number comes from.

    prefloop ppo preset=tldr policy=... reward=... prompts=... out=...      recipes/presets/ppo.tldr.yaml
    prefloop ppo preset=mine.yaml ...                                       a file of one's own

A preset is a YAML file of a stage's settings, which are the defaults below what is typed. What stands behind `#` in the
line of a setting is its source, and is copied to where the run's settings are. It says how to train, never on what.
"""

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from prefloop.errors import UserError
from prefloop.notation import Place, Places, read_yaml

SOURCE = re.compile(r"^(?P<name>\w+):[^#]*#\s*(?P<source>.+?)\s*$")
"""A line of a preset with a source."""


@dataclass(frozen=True)
class Preset:
    """A preset that was read."""

    name: str
    """as it is typed: its name, or the path of its file"""
    path: str
    values: dict[str, Any]
    places: Places
    """where in the file each dotted key is"""
    sources: Mapping[str, str]
    """setting -> where its number comes from"""
    heading: str
    """what the file says of itself in its first line"""


def names(stage: str) -> list[str]:
    """What presets of a stage come with prefloop."""
    files = [Path(str(file)).name for file in resources.files("prefloop.recipes").joinpath("presets").iterdir()]
    begin, end = f"{stage}.", ".yaml"
    return sorted(file[len(begin) : -len(end)] for file in files if file.startswith(begin) and file.endswith(end))


def read(stage: str, name: str, *, beside: str = "") -> Preset:
    """The preset of that name, or that file. Args: beside: a file in whose folder it may be too.

    Raises: UserError if there is none, naming those there are.
    """
    known = names(stage)
    if name in known:
        path = str(resources.files("prefloop.recipes").joinpath("presets", f"{stage}.{name}.yaml"))
    else:
        name = path = _own(stage, name, known, beside)
    values, places = read_yaml(path)
    lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    found = [match for line in lines if (match := SOURCE.match(line))]
    heading = next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), "")
    places = {key: Place(place.line, place.text, path) for key, place in places.items()}
    return Preset(name, path, values, places, {match["name"]: match["source"] for match in found}, heading)


def _own(stage: str, name: str, known: list[str], beside: str) -> str:
    """The path of a preset of one's own."""
    for path in (Path(os.path.expanduser(name)), Path(beside).parent / name):
        if len(name) < 256 and path.is_file():
            return str(path)
    near = difflib.get_close_matches(name, known, n=1)
    raise UserError(
        f"preset={name[:80]}: no preset of {stage} is called so, and there is no such file. "
        + (f"Did you mean {near[0]}? " if near else "")
        + (f"There are: {', '.join(known)}. " if known else "")
        + "One of your own is a YAML file of settings: preset=FILE.yaml."
    )


def refuse_inputs(preset: Preset, inputs: Collection[str]) -> None:
    """Raises: UserError for a preset that says what a run reads or where it writes. Args: inputs: such settings."""
    for name in preset.values:
        if name in inputs:
            raise UserError(
                f"{preset.path}:{preset.places[name].line}: a preset says how a stage trains, not on what: take "
                f"`{name}` out of it, and type it."
            )


def below(values: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and of the preset what they do not say; section by section."""
    both = {
        name: below(value, preset[name]) if isinstance(value, dict) and isinstance(preset.get(name), dict) else value
        for name, value in values.items()
    }
    return {**preset, **both}
