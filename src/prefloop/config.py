"""Settings: frozen, strict, self-describing; read from YAML and `key=value`, refused with a sentence.

A field's docstring is its help text, its error message and its row in the docs.
"""

import copy
import difflib
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from prefloop.errors import UserError

COMMAND_LINE = 0
"""Stands for the line of a key that was set by an override."""


class Config(BaseModel):
    """Base of every stage's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def __init_subclass__(cls, *, defaults: Mapping[str, Any] | None = None) -> None:
        """Args: defaults: other defaults for inherited settings: `class Mine(Shared, defaults={"lr": 1e-4})`."""

    @classmethod
    def __pydantic_init_subclass__(cls, *, defaults: Mapping[str, Any] | None = None, **_: Any) -> None:
        for field in cls.model_fields.values():
            field.description = " ".join((field.description or "").split()) or None  # in one line
        for name, value in (defaults or {}).items():
            cls.model_fields[name] = inherited = copy.copy(cls.model_fields[name])
            inherited.default = value
        if defaults:
            cls.model_rebuild(force=True)

    @classmethod
    def load(cls, path: str | None, overrides: Sequence[str] = ()) -> Self:
        """The settings in a YAML file (or none) with `key=value` overrides applied.

        Raises: UserError naming file, line, key and remedy.
        """
        values, lines = ({}, {}) if path is None else read_yaml(path)
        for text in overrides:
            lines[override(values, text)] = COMMAND_LINE
        return cls.parse(values, where=path or "the command line", lines=lines)

    @classmethod
    def parse(cls, values: dict[str, Any], *, where: str, lines: dict[str, int] | None = None) -> Self:
        """The settings in a plain mapping; `where` and `lines` name the file and the line of each dotted key.

        Raises: UserError naming file, line, key and remedy.
        """
        try:
            return cls.model_validate(frozen(values))
        except ValidationError as problem:
            raise UserError(sentence(cls, problem, where, lines or {})) from None


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as everybody expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*(?:[eE][-+]?\d+)?|\.inf|\.nan)$"
    ),
    list("-+0123456789."),
)


def parse_yaml(text: str) -> Any:
    """The value that a piece of YAML stands for."""
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


def read_yaml(path: str) -> tuple[dict[str, Any], dict[str, int]]:
    """A YAML file's mapping, and the line of each dotted key.

    Raises: UserError if the file is missing, is not YAML, repeats a key or is not a mapping.
    """
    file = Path(path)
    if not file.is_file():
        near = difflib.get_close_matches(file.name, [p.name for p in file.parent.glob("*.y*ml")], n=1)
        hint = f" Did you mean {file.parent / near[0]}?" if near else " Give the path of an existing YAML file."
        raise UserError(f"{path}: there is no such file.{hint}")
    try:
        text = file.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=_Loader)
        values = parse_yaml(text)
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise UserError(
            f"{path}:{line}: this is not YAML: {problem.problem}. Settings are lines `key: value`."
        ) from None
    except yaml.YAMLError as problem:  # a character that no YAML may hold
        raise UserError(f"{path}: this is not YAML: {problem}. Settings are lines `key: value`.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: this is not a text file in UTF-8; give a YAML file.") from None
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected lines `key: value`, found a {type(values).__name__}.")
    lines: dict[str, int] = {}
    _note_lines(tree, "", lines, path)
    return values, lines


def _note_lines(node: Any, prefix: str, lines: dict[str, int], path: str) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if name in lines:
            raise UserError(
                f"{path}:{key.start_mark.line + 1}: `{name}` was already set in line {lines[name]}; keep one."
            )
        lines[name] = key.start_mark.line + 1
        _note_lines(value, f"{name}.", lines, path)


def override(values: dict[str, Any], setting: str) -> str:
    """Sets what `key=value` says, and returns the key."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UserError(f"`{setting}` is not a setting; settings are typed key=value, for instance seed=1.")
    try:
        value = parse_yaml(text) if text else ""
    except yaml.YAMLError:
        value = text
    place = values
    *parents, last = key.split(".")
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise UserError(f"`{setting}`: `{parent}` is a single value, so `{key}` cannot be set inside it.")
    place[last] = value
    return key


def frozen(value: Any) -> Any:
    """The same value with every list turned into a tuple, as frozen settings hold them."""
    if isinstance(value, dict):
        return {key: frozen(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(frozen(inner) for inner in value)
    return value


def sentence(config: type[BaseModel], problem: ValidationError, where: str, lines: dict[str, int]) -> str:
    """The first error of a failed validation as one sentence with place, key and remedy."""
    errors = problem.errors()
    unknown = [error for error in errors if error["type"] == "extra_forbidden"]
    error = unknown[0] if unknown else errors[0]  # a mistyped required key is both: name the typo
    key = ".".join(str(part) for part in error["loc"])
    above = [".".join(str(part) for part in error["loc"][:depth]) for depth in range(len(error["loc"]), 0, -1)]
    line = next((lines[name] for name in above if name in lines), None)
    place = where if line is None else "the command line" if line == COMMAND_LINE else f"{where}:{line}"
    if error["type"] == "extra_forbidden":
        inner = _inner(config, error["loc"][:-1])
        names = sorted(inner.model_fields) if inner else []
        near = difflib.get_close_matches(str(error["loc"][-1]), names, n=1)
        others = f"There are: {', '.join(names)}." if names else "Remove it."
        hint = f"Did you mean `{near[0]}`?" if near else others
        return f"{place}: no setting is called `{key}`. {hint}"
    if error["type"] == "invalid_key":
        return f"{place}: no setting is called `{key}`. Settings have names of letters."
    if error["type"] == "missing":
        return f"{place}: the setting `{key}` is needed. Add {key}=..., {_about(config, error['loc'])}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if error["type"] == "value_error":
        return f"{place}: {f'`{key}`: ' if key else ''}{message}"
    return f"{place}: `{key}` should be {message}, but is {error['input']!r}. {_about(config, error['loc'])}".rstrip()


def _inner(config: type[BaseModel], loc: Sequence[Any]) -> type[BaseModel] | None:
    """The settings class that a path of keys leads to, if it leads to one."""
    here: type[BaseModel] | None = config
    for part in loc:
        if isinstance(part, int):
            continue  # one of several sections
        if here is None or str(part) not in here.model_fields:
            return None
        here = section(here.model_fields[str(part)].annotation)
    return here


def section(annotation: Any) -> type[BaseModel] | None:
    """The settings class inside `Inner`, `Inner | None` or `tuple[Inner, ...]`; None for a plain value."""
    options = typing.get_args(annotation) or (annotation,)
    return next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)


def _about(config: type[BaseModel], loc: Sequence[Any]) -> str:
    inner = _inner(config, loc[:-1])
    field = inner.model_fields.get(str(loc[-1])) if inner and loc else None
    return f"{loc[-1]}: {field.description}" if field and field.description else ""


def settings_help(heading: str, config: type[BaseModel]) -> str:
    """What `--help` prints: the heading, then every setting with its default and its docstring."""
    return "\n".join([heading.rstrip(), "", *_settings(config, "")])


def _settings(config: type[BaseModel], prefix: str) -> list[str]:
    lines: list[str] = []
    for name, field in config.model_fields.items():
        inner = section(field.annotation)
        if inner is not None and not field.is_required():
            lines += [f"  {prefix}{name}: {field.description}", *_settings(inner, f"{prefix}{name}.")]
            continue
        default = "needed" if field.is_required() else f"default {_as_typed(field.default)}"
        lines += [f"  {prefix}{name}  ({default})", f"      {field.description}"]
    return lines


def _as_typed(value: Any) -> str:
    """A default as one would type it on the command line."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else repr(value) if value == "" else str(value)
