"""A recipe: a whole pipeline in one YAML file that can be read aloud.

    name: helpdesk                        its name
    seed: 0                               given to every stage that does not set its own
    sft:                                  a stage, in the order in which it runs
      model: pretrain/model               a path that begins with a stage's name is in that stage's folder
      demonstrations: mine.jsonl          any other path is beside the recipe, or in the current folder

    rounds:                               stages that are repeated, from collecting to a gate (turns.py)
    compare:                              of `prefloop compare` alone: its methods, and settings of theirs
    lab:                                  of `prefloop lab overopt` alone: its cells, and settings of theirs

`$base` stands for the recipe's own setting `base`, given on the command line as model=FOLDER, or as base=FOLDER.
"""

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from prefloop import layout, stages
from prefloop.config import Config, at_home
from prefloop.errors import UserError
from prefloop.named import named
from prefloop.notation import COMMAND_LINE, Place, Places, described, overridden, read_yaml
from prefloop.settings import Gated, RunConfig, Tracked
from prefloop.stages import Stage

STAGES: Mapping[str, Stage] = {name: stage for name, stage in stages.STAGES.items() if stage.in_recipe}
"""The stages that may stand in a recipe."""
SHARED = ("seed", "device", "dtype", "threads", "track", "anyway")
"""Settings of a recipe that every stage inherits which has them."""
ALSO = {"model": "base"}
"""Another word for a setting of a recipe -> the setting."""
NOTHING_YET = object()
"""What a word stands for that has nothing to stand for yet: the setting is left out."""
DECIDED = ("out", "pipeline")
"""Settings of a stage that the recipe decides."""


class HeadConfig(RunConfig, Tracked, Gated, defaults={"out": ""}):
    """What a recipe says beside its stages."""

    name: str = ""
    """What it is called."""

    base: str | None = None
    """Model folder (or hub id) that `$base` stands for; model=FOLDER says the same."""


@dataclass(frozen=True)
class Recipe:
    """A recipe with everything resolved."""

    name: str
    out: Path
    settings: Mapping[str, Config]
    """stage -> its settings, in the order of the recipe"""
    values: dict[str, Any]
    """the recipe as it stands after overrides"""
    path: str = ""
    """its file"""
    places: Places = field(default_factory=dict)
    """where each setting was set"""
    typed: tuple[str, ...] = ()
    """what was typed beside its name"""

    def place(self, key: str) -> str:
        """Where a dotted key was set: `file:line`, or the command line."""
        return place_of(key, self.path, self.places)

    def resolved(self, stage: Stage, key: str, value: Any) -> Any:
        """The value of a setting of some stage that runs after those of the recipe; where it is an input, as a path."""
        head = {name: given for name, given in self.values.items() if name in HeadConfig.model_fields}
        context = _Context(self.values, HeadConfig.parse(head, where=self.path), self.out, self.path, self.places)
        return context.input(stage, key, value, list(self.settings))

    def turned(self, turn: "Turn") -> dict[str, Config]:
        """The settings of the stages of one round, in their order. Raises: UserError for what is wrong in them."""
        head = {name: given for name, given in self.values.items() if name in HeadConfig.model_fields}
        head_config = HeadConfig.parse(head, where=self.path)
        context = _Context(self.values, head_config, self.out, self.path, self.places, turn)
        own = [name for name in turn.section if name in STAGES]
        once = [name for name in self.settings if "pipeline" not in STAGES[name].reads]
        return {name: context.settings(STAGES[name], [*once, *own[:number]]) for number, name in enumerate(own)}


@dataclass(frozen=True)
class Turn:
    """The round that settings are resolved for."""

    folder: Path
    """where its stages write"""
    section: Mapping[str, Any]
    """what the recipe says under `rounds:`"""
    words: Mapping[str, str | tuple[str, ...] | None]
    """what `$WORD` stands for; None or () for what is not there yet"""


def place_of(key: str, path: str, places: Places) -> str:
    """Where a dotted key, or what is around it, was set: `file:line`, or the command line."""
    parts = key.split(".")
    found = next((places[k] for n in range(len(parts), 0, -1) if (k := ".".join(parts[:n])) in places), None)
    if found is None:
        return path
    return "the command line" if found.line == COMMAND_LINE else f"{found.file or path}:{found.line}"


def find(name: str) -> str:
    """The path of a recipe file, or of the recipe of that name that comes with prefloop."""
    if Path(at_home(name)).exists() or len(name) > 255:
        return name
    files = [Path(str(file)) for file in resources.files("prefloop.recipes").iterdir()]
    own = {file.stem: str(file) for file in files if file.suffix == ".yaml"}
    stem = Path(name).name.removesuffix(".yaml")
    if stem in own:
        return own[stem]
    near = difflib.get_close_matches(stem, own, n=1)
    raise UserError(
        f"{name}: there is no such recipe file, and no recipe of that name comes with prefloop. "
        + (f"Did you mean {near[0]}? " if near else "")
        + f"There are: {', '.join(sorted(own))}."
    )


def load(name: str, overrides: Sequence[str]) -> Recipe:
    """Reads a recipe and applies overrides.

    Args:
        name: a file, or the name of a recipe that comes with prefloop.
        overrides: key=value, for instance seed=1, out=DIR, ppo.steps=10.

    Raises: UserError with file, line and remedy.
    """
    path = find(name)
    values, places = read_yaml(path)
    own = [key for key in values if key in STAGES]
    typed = overridden(values, places, overrides)
    _check_keys(values, path, places)
    _one_word(values, path, places)
    for key in typed:
        stage = key.split(".")[0]
        if stage in STAGES and stage not in own:
            has = f"It has: {', '.join(own)}." if own else f"Add `{stage}:` to the file."
            raise UserError(f"the command line: `{key}`: the recipe {name} has no stage `{stage}`. {has}")
    said = HeadConfig.parse(
        {key: value for key, value in values.items() if key in HeadConfig.model_fields}, where=path, places=places
    )
    if "out" in values and not said.out:
        raise UserError(f"{place_of('out', path, places)}: `out` is empty. Give the folder that the recipe writes.")
    title = said.name or Path(path).stem
    context = _Context(values, said, Path(said.out or title), path, places)
    settings = {key: context.settings(STAGES[key], own[:number]) for number, key in enumerate(own)}
    if not settings:
        raise UserError(f"{path}: this recipe has no stage. Add for instance `sft:` with its settings.")
    for key in own[:-1]:
        if "pipeline" in STAGES[key].reads:
            raise UserError(
                f"{context.place(key)}: `{key}` tells of all that ran, so it comes last. Move it to the end."
            )
    kept = {**values, **{key: dict(said)[key] for key in ("name", "base") if key in values}, "out": str(context.out)}
    return Recipe(title, context.out, settings, kept, path, places, tuple(overrides))


def typed_keys(name: str, section: str = layout.COMPARE) -> list[str]:
    """Keys that a recipe has by itself: what begins otherwise on the command line of `compare` is a method's, and so of
    another command with a section of its own."""
    values, _ = read_yaml(find(name))
    own = values.get(section)
    stages_of_it = [key for key in values if key in STAGES and not (isinstance(own, dict) and key in own)]
    return [*({"name", "out", "base", *ALSO, *SHARED, section}), *stages_of_it]


def _check_keys(values: dict[str, Any], path: str, places: Places) -> None:
    keys = sorted({"name", "out", "base", layout.COMPARE, layout.LAB, layout.ROUNDS, *ALSO, *SHARED, *STAGES})
    for key in values:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            having = [name for name in values if name in STAGES and key in _class(STAGES[name]).model_fields]
            if having:
                hint = f"It is a setting of its stages: type {' or '.join(f'{name}.{key}' for name in having)}=... "
            raise UserError(
                f"{place_of(key, path, places)}: a recipe has no `{key}`. {hint}There are: {', '.join(keys)}."
            )


def _one_word(values: dict[str, Any], path: str, places: Places) -> None:
    """Puts what was said in another word under the setting. Raises: UserError if both were given."""
    for word, key in ALSO.items():
        if word in values:
            if key in values:
                raise UserError(
                    f"{place_of(word, path, places)}: `{word}` and `{key}` are two words for one setting, and both are "
                    f"given. Leave one out."
                )
            values[key] = values.pop(word)
            if word in places:
                places[key] = places.pop(word)


def _class(stage: Stage) -> type[Config]:
    return named(stage.settings or "")


@dataclass(frozen=True)
class _Context:
    """What the settings of a recipe's stages are resolved against."""

    values: dict[str, Any]
    head: HeadConfig
    out: Path
    path: str
    places: Places
    turn: Turn | None = None

    def place(self, key: str) -> str:
        """Where a key was set."""
        return place_of(f"{self.prefix}{key}", self.path, self.places)

    @property
    def prefix(self) -> str:
        """What stands before a stage's name in a key."""
        return f"{layout.ROUNDS}." if self.turn else ""

    @property
    def folder(self) -> Path:
        """Where the stages write."""
        return self.turn.folder if self.turn else self.out

    def settings(self, stage: Stage, earlier: Sequence[str]) -> Config:
        """The settings of one stage, after those of the stages in `earlier`."""
        name = stage.name
        given_section = (self.turn.section if self.turn else self.values)[name]
        section = {} if given_section is None else given_section
        if not isinstance(section, dict):
            raise UserError(f"{self.place(name)}: `{name}` needs settings under it, found {described(section)}.")
        for key in DECIDED:
            if key in section:
                where = self.place(f"{name}.{key}")
                raise UserError(
                    f"{where}: `{self.prefix}{name}.{key}`: in a recipe every stage has the folder of its name inside "
                    "the recipe's. Take it away here; out=DIR moves the whole."
                )
        config_class = _class(stage)
        shared = [key for key in SHARED if key in self.values and key in config_class.model_fields]
        inherited: dict[str, Any] = {key: self.values[key] for key in shared}
        if "pipeline" in stage.reads:
            world = self.values.get("world")
            language = world.get("language", "en") if isinstance(world, dict) else "en"
            inherited |= {"pipeline": str(self.out), "language": language, "title": self.head.name}
        asked = {key: self._if_there(value, f"{name}.{key}") for key, value in section.items()}
        read = {key: self.input(stage, key, value, earlier) for key, value in asked.items()}
        given = {key: value for key, value in read.items() if value is not NOTHING_YET}
        prefix = f"{self.prefix}{name}."
        places = self.places | {f"{prefix}{key}": self.places.get(key, Place(COMMAND_LINE)) for key in shared}
        places |= {key: place for key, place in self.places.items() if key.startswith(prefix)}
        settings = {**inherited, "out": str(self.folder / name), **given}
        return config_class.parse(settings, where=self.path, places=places, prefix=prefix)

    def input(self, stage: Stage, key: str, value: Any, earlier: Sequence[str]) -> Any:
        """The value of a setting; where it, or one in its section, is an input, resolved."""
        if key in stage.takes:
            return self._resolved(value, f"{stage.name}.{key}", earlier)
        if not isinstance(value, dict):
            return value
        inside = {name for name in value if f"{key}.{name}" in stage.takes}
        inside -= {"model"} if value.get("base_url") is not None else set()  # a name at an endpoint, and no path
        return {
            name: self._resolved(part, f"{stage.name}.{key}.{name}", earlier) if name in inside else part
            for name, part in value.items()
        }

    def _resolved(self, value: Any, key: str, earlier: Sequence[str]) -> Any:
        """A setting's value with stage names, `$base` and files beside the recipe turned into paths."""
        if isinstance(value, list):
            found = [self._resolved(part, key, earlier) for part in value]
            several = [part if isinstance(part, list) else [part] for part in found if part is not NOTHING_YET]
            return list(itertools.chain.from_iterable(several))
        if isinstance(value, dict):  # several models by their names, or several rewards, each with its model
            named = {name: self._named(part, f"{key}.{name}", earlier) for name, part in value.items()}
            return {name: part for name, part in named.items() if part is not NOTHING_YET}
        if not isinstance(value, str):
            return value
        if value.startswith("$"):
            return self._word(value, key, earlier)
        stage, _, inside = value.rstrip("/").partition("/")
        if self.turn and stage in self.turn.section and stage in STAGES:
            self._check_written(stage, inside, key, earlier)
            return str(self.turn.folder / value)
        if stage in STAGES and stage in self.values:
            self._check_written(stage, inside, key, earlier)
            return str(self.out / value)
        value = at_home(value)
        python = "python:" if value.startswith("python:") else ""
        file, colon, function = value.removeprefix(python).partition(".py:")
        own = Path(self.path).parent / (f"{file}.py" if colon else value.removeprefix(python))
        if own.is_file() and not Path(file + (".py" if colon else "")).is_file():
            return f"{python}{own}{colon[3:]}{function}"
        return value

    def _named(self, part: Any, key: str, earlier: Sequence[str]) -> Any:
        """One of several inputs that have names."""
        if isinstance(part, dict) and "model" in part:
            return {**part, "model": self._resolved(part["model"], f"{key}.model", earlier)}
        return self._resolved(part, key, earlier) if isinstance(part, str) else part

    def _if_there(self, value: Any, key: str) -> Any:
        """Of `VALUE if $WORD` the value, where the word has something to stand for; any other value as it is."""
        if self.turn is None or not isinstance(value, str) or " if $" not in value:
            return value
        given, _, word = value.rpartition(" if $")
        return yaml.safe_load(given) if self._stands_for(f"${word}", key) else NOTHING_YET

    def _word(self, value: str, key: str, earlier: Sequence[str]) -> Any:
        """What `$WORD`, or `$WORD or PATH`, stands for."""
        word, _, otherwise = value.partition(" or ")
        if word == "$base" or self.turn is None:
            return self._base(value, key)
        found = self._stands_for(word, key)
        if found:
            return list(found) if isinstance(found, tuple) else found
        return self._resolved(otherwise.strip(), key, earlier) if otherwise else NOTHING_YET

    def _stands_for(self, word: str, key: str) -> str | tuple[str, ...] | None:
        """What a word of a round stands for, if there is something yet. Raises: UserError if there is no such word."""
        assert self.turn is not None  # words are of rounds
        if word[1:] not in self.turn.words:
            near = difflib.get_close_matches(word[1:], self.turn.words, n=1)
            hint = f"Did you mean ${near[0]}? " if near else ""
            there = ", ".join(f"${name}" for name in ("base", *self.turn.words))
            raise UserError(f"{self.place(key)}: `{key}`: there is no `{word}`. {hint}There are: {there}.")
        return self.turn.words[word[1:]]

    def _base(self, value: str, key: str) -> str:
        if value != "$base":
            raise UserError(
                f"{self.place(key)}: `{key}`: there is no `{value}`; only `$base` stands for something, the folder "
                "given as model=FOLDER. Write $base, or the path itself."
            )
        if not self.head.base:
            raise UserError(
                f"{self.place(key)}: `{key}`: this recipe starts from a model of yours. "
                "Add model=FOLDER (or FILE.gguf), or model=HUB/ID where there is a network."
            )
        return self.head.base

    def _check_written(self, stage: str, inside: str, key: str, earlier: Sequence[str]) -> None:
        """Raises: UserError if that stage has not run by then, or writes no such thing."""
        if stage not in earlier:
            raise UserError(
                f"{self.place(key)}: `{key}`: the stage `{stage}` has not run by then; stages run in the order of the "
                f"recipe. Move `{stage}:` up, or give the path of something that is there."
            )
        written = layout.WRITTEN.get(stage, ())
        if inside and not any(fnmatch(inside, pattern) for pattern in written):
            near = difflib.get_close_matches(inside, written, n=1)
            hint = f"Did you mean {stage}/{near[0]}?" if near else f"It writes: {', '.join(written)}."
            raise UserError(f"{self.place(key)}: `{key}`: the stage `{stage}` writes no `{inside}`. {hint}")
