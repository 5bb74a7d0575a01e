"""Settings as they are written: YAML files and `key=value`, read so that nothing surprises.

A leaner YAML than most: numbers are decimal, dates are text, `none` is nothing, no tags, every key once. What a value
was typed as is kept beside it, for settings that are text (`out=2024`, `name: no`).
"""

import difflib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from prefloop.errors import UserError

COMMAND_LINE = 0
"""Stands for the line of a key that was set by an override."""
MOST_BYTES = 256 * 1024
MOST_VALUES = 10_000
DEEPEST = 20
TAG = "tag:yaml.org,2002:"


class Place(NamedTuple):
    """Where a value was written, and how."""

    line: int
    """in its file, from 1; or COMMAND_LINE"""
    text: str = ""
    """as it was typed; empty for sections and lists of a file"""
    file: str = ""
    """another one than that of the settings around it; empty for that"""


Places = dict[str, Place]
"""Dotted key -> where it was set."""


class _Loader(yaml.SafeLoader):
    """Only what decides what a plain word stands for; values are made in `_Reading`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own attribute, not shared with its classes


NUMBER = (
    r"[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*(?:[eE][-+]?\d+)?|\.(?:inf|Inf|INF))"
)
for _kind, _words, _first in (
    ("null", r"~|null|Null|NULL|none|None|NONE|", ["~", "n", "N", ""]),
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", list("yYnNtTfFoO")),
    ("int", r"[-+]?\d[\d_]*", list("-+0123456789")),
    ("float", rf"{NUMBER}|\.nan|\.NaN|\.NAN", list("-+0123456789.")),  # 1e-4 is a number, as everybody expects
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"{TAG}{_kind}", re.compile(f"^(?:{_words})$"), _first)


def _scalar(kind: str, text: str) -> Any:
    """The value of one word. Raises: ValueError if it cannot be of that kind."""
    lower = text.lower().replace("_", "")
    if kind == "null":
        return None
    if kind == "bool":
        if lower not in ("yes", "no", "true", "false", "on", "off"):
            raise ValueError(text)
        return lower in ("yes", "true", "on")
    if kind == "int":
        return int(lower)
    if kind == "float":
        return float(re.sub(r"\.(inf|nan)", r"\1", lower))
    return text


class _Reading:
    """Values and places out of the nodes of one YAML text."""

    def __init__(self, at: Callable[[int], str], line_of: Callable[[int], int]) -> None:
        self.places: Places = {}
        self._at, self._line_of, self._left = at, line_of, MOST_VALUES

    def value(self, node: yaml.Node, name: str, depth: int = 0) -> Any:
        """What a node stands for. Raises: UserError for what settings have no use for."""
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise UserError(
                f"{self._at(line)}: this unfolds to more than {MOST_VALUES} values, or is nested deeper than "
                f"{DEEPEST}, as no settings are. Write out what you mean."
            )
        kind = node.tag.removeprefix(TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, name, depth)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.value(inner, f"{name}.{i}", depth + 1) for i, inner in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode) or kind not in ("null", "bool", "int", "float", "str"):
            raise UserError(f"{self._at(line)}: `{node.tag[:40]}` has no meaning in settings; take it away.")
        legal(node.value, self._at(line))
        self.places[name] = Place(self._line_of(line), node.value)
        try:
            return _scalar(kind, node.value)
        except ValueError:
            raise UserError(f"{self._at(line)}: {node.value[:40]!r} is no {kind} that can be read.") from None

    def _mapping(self, node: yaml.MappingNode, name: str, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, inner in node.value:
            line = key.start_mark.line + 1
            if key.tag == f"{TAG}merge":  # what other YAML calls `<<`: settings that those beside it may change
                for source in inner.value if isinstance(inner, yaml.SequenceNode) else [inner]:
                    added = self.value(source, name, depth + 1)
                    merged = {**added, **merged} if isinstance(added, dict) else merged
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{self._at(line)}: a setting's name is one word, not a list or a section.")
            legal(key.value, self._at(line))
            inside = f"{name}.{key.value}" if name else key.value
            if key.value in first:
                raise UserError(f"{self._at(line)}: `{inside}` was already set in line {first[key.value]}; keep one.")
            first[key.value] = line
            own[key.value] = self.value(inner, inside, depth + 1)
            self.places[inside] = Place(self._line_of(line), self.places.get(inside, Place(0)).text)
        return {**merged, **own}


def legal(text: str, place: str) -> None:
    """Raises: UserError for text that no file name and no settings file can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{place}: {text[:40]!r} is not text in UTF-8; rename it, or type it anew.") from None
    if "\0" in text:
        raise UserError(f"{place}: {text[:40]!r} holds a NUL character, which no name or path may; take it away.")


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a YAML text. Raises: YAMLError, and ValueError for what PyYAML forgets to say so of."""
    try:
        return yaml.compose(text, Loader=_Loader)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST}") from None
    except OverflowError as problem:
        raise ValueError(str(problem)) from None


def read_yaml(path: str) -> tuple[dict[str, Any], Places]:
    """A YAML file's mapping, and where each dotted key is set.

    Raises: UserError if the file is missing, is not YAML, repeats a key or is not a mapping.
    """
    text = _text_of(path)
    at = f"{path}:{{}}".format
    try:
        tree = _composed(text)
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        advice = (
            "Indent with spaces, not tabs." if "\\t" in str(problem.problem) else "Settings are lines `key: value`."
        )
        raise UserError(f"{path}:{line}: this is not YAML: {problem.problem}. {advice}") from None
    except (yaml.YAMLError, ValueError) as problem:  # a character that no YAML may hold
        said = str(problem).splitlines()[0] if str(problem) else "unreadable"
        raise UserError(f"{path}: this is not YAML: {said}. Settings are lines `key: value`.") from None
    reading = _Reading(at, lambda line: line)
    values = None if tree is None else reading.value(tree, "")
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected lines `key: value`, found {described(values)}.")
    return values, reading.places


def _text_of(path: str) -> str:
    legal(path, "the command line")
    file = Path(os.path.expanduser(path))
    try:
        if file.is_dir():
            raise UserError(f"{path}: this is a folder; give a YAML file, or settings as key=value.")
        if not file.exists():
            near = difflib.get_close_matches(file.name, [p.name for p in file.parent.glob("*.y*ml")], n=1)
            hint = f" Did you mean {file.parent / near[0]}?" if near else " Give the path of an existing YAML file."
            raise UserError(f"{path}: there is no such file.{hint}")
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            raise UserError(
                f"{path}: settings are a text file of at most {MOST_BYTES // 1024} kB, and this is something else. "
                "Give a YAML file."
            )
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: this is not a text file in UTF-8; give a YAML file.") from None
    except OSError as problem:
        raise UserError(f"{path[:200]}: the file cannot be read: {problem.strerror}.") from None


def described(value: Any) -> str:
    """What was found, in a few words."""
    if isinstance(value, dict):
        return "a section of settings"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:50]}..."


def override(values: dict[str, Any], setting: str, places: Places | None = None) -> str:
    """Sets what `key=value` says. Returns: the key. Raises: UserError if it cannot be set."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UserError(f"`{setting[:80]}` is not a setting; settings are typed key=value, for instance seed=1.")
    key = key.strip()
    legal(setting, "the command line")
    place = values
    *parents, last = key.split(".")
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise UserError(f"`{setting[:80]}`: `{parent}` is a single value, so `{key}` cannot be set inside it.")
    place[last], inside = _typed(text, key)
    if places is not None:
        for name in [name for name in places if name.startswith(f"{key}.")]:
            del places[name]
        places.update(inside)
        places[key] = Place(COMMAND_LINE, text)
        for depth in range(1, len(parents) + 1):
            places.setdefault(".".join(parents[:depth]), Place(COMMAND_LINE))
    return key


def _typed(text: str, key: str) -> tuple[Any, Places]:
    """What a value on the command line stands for: YAML if it is any, otherwise the text itself."""
    if not text:
        return "", {}
    if len(text) > MOST_BYTES:
        raise UserError(f"the command line: `{key}` is {len(text)} characters long; no setting is.")
    try:
        tree = _composed(text)
    except (yaml.YAMLError, ValueError):
        return text, {}
    if tree is None:
        return text.strip(), {}  # only a comment, in YAML
    if isinstance(tree, yaml.ScalarNode) and tree.style is None and tree.tag == f"{TAG}str":
        return text.strip(), {}  # ` #` begins no comment here
    reading = _Reading(lambda line: f"the command line: `{key}`", lambda line: COMMAND_LINE)
    return reading.value(tree, key), reading.places


def overridden(values: dict[str, Any], places: Places, settings: Sequence[str]) -> list[str]:
    """Sets all overrides. Returns: their keys. Raises: UserError if one is set twice."""
    keys: list[str] = []
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key in keys:
            raise UserError(f"the command line: `{key}` is set twice; keep one.")
        clash = next(
            (other for other in keys if f"{other}.".startswith(f"{key}.") or f"{key}.".startswith(f"{other}.")), ""
        )
        if clash:
            raise UserError(f"the command line: `{key}` and `{clash}` set the same thing; keep one.")
        keys.append(override(values, setting, places))
    return keys
