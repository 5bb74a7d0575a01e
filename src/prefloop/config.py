"""Settings: frozen, strict, self-describing; read from YAML and `key=value`, refused with a sentence.

A field's docstring is its help text, its error message and its row in the docs.
"""

import copy
import difflib
import os
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from prefloop import presets
from prefloop.errors import UserError
from prefloop.notation import COMMAND_LINE, Place, Places, described, overridden, read_yaml
from prefloop.stages import stage_of

LEFT: Any = None
"""The default of a setting that is left to prefloop, which chooses once it knows the model (see defaults.py)."""
LARGEST = 10**9
"""No count is larger, unless its field says so."""
SHOULD_BE = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "list_type": "a list",
    "tuple_type": "a list, for instance [a, b]",
    "model_type": "a section with settings of its own",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "text of at least {min_length} letters",
    "string_too_long": "text of at most {max_length} letters",
}
"""What validation found wrong -> what it should be."""
SAYS_IT_ITSELF = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "literal_error")


class Config(BaseModel):
    """Base of every stage's settings."""

    leading: typing.ClassVar[tuple[str, ...]] = ()
    """Settings that help tells of first among those that may be left out."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

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

    @model_validator(mode="before")
    @classmethod
    def _none_is_left_out(cls, values: Any) -> Any:
        """Where the default is None, giving None is to give nothing."""
        if not isinstance(values, dict):
            return values
        free = {name for name, field in cls.model_fields.items() if field.default is None}
        return {name: value for name, value in values.items() if value is not None or name not in free}

    @classmethod
    def load(cls, path: str | None, overrides: Sequence[str] = ()) -> Self:
        """The settings in a YAML file (or none) with `key=value` overrides applied.

        Raises: UserError naming file, line, key and remedy.
        """
        values, places = ({}, {}) if path is None else read_yaml(path)
        overridden(values, places, overrides)
        return cls.parse(values, where=path or "the command line", places=places)

    @classmethod
    def parse(cls, values: dict[str, Any], *, where: str, places: Places | None = None, prefix: str = "") -> Self:
        """The settings in a plain mapping.

        Args:
            where: the file that they are from.
            places: where in it each dotted key is set.
            prefix: what stands before their names there, for instance `ppo.` in a recipe.

        Raises: UserError naming file, line, key and remedy.
        """
        values, places = _with_preset(cls, values, where, places or {}, prefix)
        told = _Told(cls, where, places, prefix)
        values = told.as_meant(cls, values, "")
        try:
            settings = cls.model_validate(frozen(values))
        except ValidationError as problem:
            raise UserError(told.sentence(problem)) from None
        told.check_counts(settings, "")
        return settings

    def extras(self) -> Mapping[str, str]:
        """Extra packages that these settings need: extra -> the setting that needs it."""
        return {}


def _with_preset(
    cls: type[Config], values: dict[str, Any], where: str, places: Places, prefix: str
) -> tuple[dict[str, Any], Places]:
    """The values with those of the preset that they name below them, and where each was set."""
    name = values.get("preset")
    if "preset" not in cls.model_fields or not isinstance(name, str):
        return values, places
    preset = presets.read(stage_of(cls), name, beside=where)
    needed = {key for key, field in cls.model_fields.items() if field.is_required()}
    presets.refuse_inputs(preset, {*needed, "preset"})
    places = {**{f"{prefix}{key}": place for key, place in preset.places.items()}, **places}
    return {**presets.below(values, preset.values), "preset": preset.name}, places


def frozen(value: Any) -> Any:
    """The same value with every list turned into a tuple, as frozen settings hold them."""
    if isinstance(value, dict):
        return {key: frozen(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(frozen(inner) for inner in value)
    return value


class _Told:
    """What was written for some settings, and what is said about it."""

    def __init__(self, config: type[BaseModel], where: str, places: Places, prefix: str) -> None:
        self._config, self._where, self._places, self._prefix = config, where, places, prefix

    def as_meant(self, config: type[BaseModel], values: dict[str, Any], above: str) -> dict[str, Any]:
        """The values, with text where text is asked for and YAML made it a number, and `~` as the home folder.

        Raises: UserError if a needed text is empty.
        """
        meant = dict(values)
        for name, field in config.model_fields.items():
            value, key = meant.get(name), f"{above}{name}"
            inner, annotation = section(field.annotation), field.annotation
            several = entries(annotation)
            if inner is not None and isinstance(value, dict):
                meant[name] = self.as_meant(inner, value, f"{key}.")
            elif several is not None and isinstance(value, dict):
                meant[name] = {
                    own: self.as_meant(several, given, f"{key}.{own}.") if isinstance(given, dict) else given
                    for own, given in value.items()
                }
            elif name in meant and (_is_text(annotation) or several is not None):
                meant[name] = self._text(value, key, optional=type(None) in typing.get_args(annotation))
                if meant[name] == "" and field.is_required():
                    raise UserError(
                        f"{self._place([key])}: `{self._prefix}{key}` is empty. {about(field, name)}".rstrip()
                    )
            elif isinstance(value, list | tuple) and any(map(_is_text, typing.get_args(_without_none(annotation)))):
                meant[name] = [self._text(item, f"{key}.{i}", optional=False) for i, item in enumerate(value)]
        return meant

    def _text(self, value: Any, key: str, *, optional: bool) -> Any:
        typed = self._places.get(f"{self._prefix}{key}", Place(COMMAND_LINE)).text
        if not isinstance(value, str) and typed and not (value is None and (optional or typed == "null")):
            value = typed.strip()
        return at_home(value) if isinstance(value, str) else value

    def check_counts(self, settings: BaseModel, above: str) -> None:
        """Raises: UserError for a whole number beyond what any count can be."""
        for name, field in type(settings).model_fields.items():
            value, key = dict(settings)[name], f"{above}{name}"
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, BaseModel):
                    self.check_counts(item, f"{key}.")
                elif isinstance(item, int) and abs(item) > LARGEST and not _has_limit(field.metadata):
                    raise UserError(
                        f"{self._place([key])}: `{self._prefix}{key}` should be at most {LARGEST}, but is "
                        f"{described(item)}. {about(field, name)}".rstrip()
                    )

    def sentence(self, problem: ValidationError) -> str:
        """The first error of a failed validation as one sentence with place, key and remedy."""
        errors: list[Any] = [{**error, "loc": _without_marks(error["loc"])} for error in problem.errors()]
        unknown = [error for error in errors if error["type"] == "extra_forbidden"]
        error = unknown[0] if unknown else _either(errors)  # a mistyped required key is both: name the typo
        loc = [str(part) for part in error["loc"]]
        key = self._prefix + ".".join(loc)
        place = self._place([".".join(loc[:depth]) for depth in range(len(loc), 0, -1)])
        if error["type"] == "extra_forbidden":
            return f"{place}: no setting is called `{key}`. {self._nearest(error['loc'])}"
        if error["type"] == "missing":
            return self._needed(errors)
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] == "value_error" and not loc:
            return f"{self._place(self._mentioned(message), whole=True)}: {message}"
        if error["type"] == "value_error":
            return f"{place}: `{key}`: {message}"
        return f"{place}: `{key}` {self._wrong(error)}. {self._about(error['loc'])}".rstrip()

    def _needed(self, errors: Sequence[Any]) -> str:
        """Says what is missing: the first setting in the order of `--help`, and which others."""
        missing = [error["loc"] for error in errors if error["type"] == "missing"]
        above = missing[0][:-1]
        inner = self._inner(above) or self._config
        names = [name for name in in_order(inner) if (*above, name) in missing]
        key, *others = [self._prefix + ".".join(map(str, (*above, name))) for name in names]
        more = f" So is {', '.join(others)}." if others else ""
        place = self._place([".".join(map(str, above))] if above else [])
        return f"{place}: the setting `{key}` is needed. Add {key}=..., {self._about((*above, names[0]))}{more}"

    def _wrong(self, error: Any) -> str:
        found = described(error["input"])
        if error["type"] == "model_type":
            inner = self._inner(error["loc"])
            names = ", ".join(inner.model_fields) if inner else ""
            return f"is a section with settings of its own ({names}), but here it is {found}"
        words = should_be(error)
        return f"{words}, but is {found}" if words else f"cannot be {found}"

    def _place(self, names: Sequence[str], *, whole: bool = False) -> str:
        """Where the first of these keys that was written is; the command line if it is one of several.

        Args:
            whole: True if the fault lies between the keys, so that any of them may be the last one typed.
        """
        found = [self._places[self._prefix + name] for name in names if self._prefix + name in self._places]
        found += [self._places[self._prefix[:-1]]] if self._prefix[:-1] in self._places else []
        if not found:
            return self._where
        line = COMMAND_LINE if whole and any(p.line == COMMAND_LINE for p in found) else found[0].line
        return "the command line" if line == COMMAND_LINE else f"{found[0].file or self._where}:{line}"

    def _mentioned(self, message: str) -> list[str]:
        words = re.findall(r"\w+", message)
        return [word for word in dict.fromkeys(words) if word in self._config.model_fields]

    def _nearest(self, loc: Sequence[Any]) -> str:
        inner = self._inner(loc[:-1])
        names = sorted(inner.model_fields) if inner else []
        near = difflib.get_close_matches(str(loc[-1]), names, n=1)
        if near:
            return f"Did you mean `{near[0]}`?"
        return f"There are: {', '.join(names)}." if names else "Remove it."

    def _about(self, loc: Sequence[Any]) -> str:
        inner = self._inner(loc[:-1])
        field = inner.model_fields.get(str(loc[-1])) if inner and loc else None
        return about(field, str(loc[-1])) if field else ""

    def _inner(self, loc: Sequence[Any]) -> type[BaseModel] | None:
        """The settings class that a path of keys leads to, if it leads to one."""
        here: type[BaseModel] | None = self._config
        several: type[BaseModel] | None = None
        for part in loc:
            if isinstance(part, int):
                continue  # one of several sections
            if several is not None:
                here, several = several, None  # whatever it is called
                continue
            if here is None or str(part) not in here.model_fields:
                return None
            annotation = here.model_fields[str(part)].annotation
            here, several = section(annotation), entries(annotation)
        return here


def _either(errors: Sequence[Any]) -> Any:
    """The first error; of a value that may be one of several kinds, as `true | auto`, all that is told of it in one."""
    first, *above = errors[0], *errors[0]["loc"][:-1]
    if not above or not str(first["loc"][-1]).startswith(("bool", "literal[")):
        return first
    ways = [should_be(each).removeprefix("should be ") for each in errors if [*each["loc"][:-1]] == above]
    return {**first, "loc": tuple(above), "type": "literal_error", "msg": f"Input should be {' or '.join(ways)}"}


def should_be(error: Any) -> str:
    """What validation wants instead, without its own jargon: `should be a number`; empty if that cannot be said."""
    says = error["msg"].removeprefix("Input should be ") if error["type"] in SAYS_IT_ITSELF else None
    words = SHOULD_BE.get(error["type"], says)
    return f"should be {words.format(**error.get('ctx', {}))}" if words else ""


def about(field: Any, name: str) -> str:
    """What a field is for, behind its name."""
    return f"{name}: {field.description}" if field.description else ""


def at_home(text: str) -> str:
    """The text with a leading `~` as the home folder, in a path or in `python:FILE.py:FUNCTION`."""
    scheme = "python:" if text.startswith("python:") else ""
    return scheme + os.path.expanduser(text.removeprefix(scheme))


def section(annotation: Any) -> type[BaseModel] | None:
    """The settings class inside `Inner`, `Inner | None` or `tuple[Inner, ...]`; None for a plain value."""
    options = typing.get_args(annotation) or (annotation,)
    return next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)


ONE, SEVERAL = "(one)", "(several)"
"""Marks that validation puts into the path of a key: of one value in place of a mapping, and of the mapping."""


def one_or_several(value: Any) -> str:
    """Which of the two is given, for pydantic's Discriminator."""
    return SEVERAL if isinstance(value, dict) else ONE


def _without_marks(loc: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(part for part in loc if part not in (ONE, SEVERAL))


def entries(annotation: Any) -> type[BaseModel] | None:
    """The settings class inside `Annotated[Text | dict[str, Inner], ...]`, which may be None too; else None."""
    if typing.get_origin(annotation) is dict:
        return section(typing.get_args(annotation)[1])
    inside = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        inside = inside[:1]
    return next((found for option in inside if (found := entries(option)) is not None), None)


def _without_none(annotation: Any) -> Any:
    """The annotation without `| None` and without what `Annotated` adds."""
    origin, options = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _without_none(options[0])
    if origin in (typing.Union, types.UnionType):
        rest = [option for option in options if option is not type(None)]
        return _without_none(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _is_text(annotation: Any) -> bool:
    """True for text, and for a choice between words."""
    plain = _without_none(annotation)
    words = typing.get_args(plain) if typing.get_origin(plain) is typing.Literal else ()
    return plain is str or (bool(words) and all(isinstance(word, str) for word in words))


def _has_limit(metadata: Sequence[Any]) -> bool:
    return any(type(limit).__name__ in ("Le", "Lt", "Interval") for limit in metadata)


def settings_help(heading: str, config: type[BaseModel]) -> str:
    """What `--help` prints: the heading, then every setting with its default and its docstring, needed ones first."""
    return "\n".join([heading.rstrip(), "", *_settings(config, "")])


def in_order(config: type[BaseModel]) -> list[str]:
    """The names of the settings: what is needed, what is of the stage's own folder, what it shares with others."""
    folders = {
        name: c.__module__.rpartition(".")[0]
        for c in reversed(config.__mro__)
        for name in vars(c).get("__annotations__", {})
    }
    own, leading = config.__module__.rpartition(".")[0], config.leading if issubclass(config, Config) else ()

    def place(name: str) -> tuple[bool, ...]:
        return not config.model_fields[name].is_required(), folders.get(name) != own, name not in leading

    return sorted(config.model_fields, key=place)


def _settings(config: type[BaseModel], prefix: str) -> list[str]:
    lines: list[str] = []
    for name in in_order(config):
        field = config.model_fields[name]
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
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_typed, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value) if value == "" else str(value)
