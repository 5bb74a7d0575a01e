"""Principles: the sentences by which a model criticises, revises and compares responses. Files, and those built in.

    principles:
      - name: no_false_promises            what it is called in results and tags
        critique: Name every promise ...   how a response is criticised by it
        revision: Rewrite the response ... how it is rewritten
        comparison: Which response ...     how two are compared
        tags: [honest]                     free words; the helpdesk's simulated reviser knows the names of its axes

The ones that come with prefloop are there in English and in Chinese, under the same names; a file of one's own is used
as it is for any prompt.
"""

import difflib
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Self

from prefloop.asking.spoken import Language, language_of
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.notation import Places, described, read_yaml
from prefloop.records import Message

LANGUAGES: tuple[Language, ...] = ("en", "zh")
AUTO = "auto"
"""The language of the prompt."""
LONGEST_NAME = 60
"""Letters."""


@dataclass(frozen=True)
class Principle:
    """One principle, in one language."""

    name: str
    """what it is called"""
    critique: str
    """the sentence by which a response is criticised"""
    revision: str
    """the sentence by which it is rewritten"""
    comparison: str
    """the sentence by which two are compared"""
    tags: tuple[str, ...] = ()


TEXTS = {
    "name": "what it is called in results",
    "critique": "the sentence by which a response is criticised",
    "revision": "the sentence by which it is rewritten",
    "comparison": "the sentence by which two responses are compared",
}
"""What every principle needs."""
_KEYS = tuple(f.name for f in fields(Principle))


@dataclass(frozen=True)
class Principles:
    """Principles to draw from, under the same names in each language."""

    by_language: Mapping[Language, tuple[Principle, ...]]
    language: Language | None
    """the one that is used; None takes the prompt's"""
    files: tuple[str, ...] = field(default=())
    """those that are not built in"""

    @classmethod
    def of(cls, named: Sequence[str], *, language: str = AUTO) -> Self:
        """Those of files, or of the names of built-in ones. Raises: UserError with file, line and remedy."""
        places: dict[str, str] = {}
        found: dict[Language, list[Principle]] = {each: [] for each in LANGUAGES}
        files = []
        for name in named:
            own = len(name) < 256 and Path(name).is_file()
            files += [name] if own else []
            for each in LANGUAGES:
                path = name if own else built_in(name, each)
                read = principles_of(path)
                if each == LANGUAGES[0]:
                    _add_places(places, read)
                found[each] += [principle for principle, _ in read]
        chosen: Language | None = "en" if language == "en" else "zh" if language == "zh" else None
        by_language: dict[Language, tuple[Principle, ...]] = {each: tuple(found[each]) for each in LANGUAGES}
        return cls(by_language, chosen, tuple(files))

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called, in the order of the files."""
        return tuple(principle.name for principle in self.by_language[LANGUAGES[0]])

    def tags_of(self, name: str) -> tuple[str, ...]:
        """The tags of a principle. Raises: KeyError if there is none of that name."""
        return {principle.name: principle.tags for principle in self.by_language[LANGUAGES[0]]}[name]

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of every word of them."""
        whole = {each: [asdict(principle) for principle in rows] for each, rows in self.by_language.items()}
        return fingerprints.of_value([whole, self.language])

    def language_for(self, messages: Sequence[Message]) -> Language:
        """In which language a conversation is asked about."""
        return self.language or language_of(messages)

    def drawn(self, place: str) -> str:
        """The name of one of them, decided by a place in words alone."""
        return random.Random(f"principle {place}").choice(self.names)

    def named(self, name: str, messages: Sequence[Message]) -> Principle:
        """The principle of that name in the language of a conversation. Raises: KeyError if there is none."""
        rows = self.by_language[self.language_for(messages)]
        return {principle.name: principle for principle in rows}[name]


def shipped() -> tuple[str, ...]:
    """The names of the principles that come with prefloop."""
    folder = resources.files("prefloop.principles") / "en"
    return tuple(sorted(Path(str(file)).stem for file in folder.iterdir()))


def built_in(name: str, language: Language) -> str:
    """The file of principles that come with prefloop. Raises: UserError if none are called so."""
    names = shipped()
    if name not in names:
        beside = [path.name for path in Path(name).parent.glob("*.y*ml")] if len(name) < 256 else []
        near = difflib.get_close_matches(Path(name).name, [*names, *beside], n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise UserError(
            f"`principles` names {name}: there is no such file, and no principles of that name come with prefloop. "
            f"{hint}There are: {', '.join(names)}; or give a YAML file of your own."
        )
    return str(resources.files("prefloop.principles") / language / f"{name}.yaml")


def principles_of(path: str) -> list[tuple[Principle, str]]:
    """The principles in a file, each with the place where it begins. Raises: UserError with file, line and remedy."""
    values, places = read_yaml(path)
    _known(values, ("principles",), path, places, "", "a principles file")
    rows = values.get("principles")
    if not rows:
        raise UserError(
            f"{path}: this file holds no principle. Write `principles:`, and under it `- name: ...` with "
            f"{', '.join(list(TEXTS)[1:])}."
        )
    if not isinstance(rows, list):
        where = _where(path, places, ["principles"])
        raise UserError(f"{where}: `principles` should be a list of `- name: ...`, but is {described(rows)}.")
    found = [_read(row, f"principles.{number}", path, places) for number, row in enumerate(rows)]
    _add_places({}, found)
    return found


def _read(row: Any, above: str, path: str, places: Places) -> tuple[Principle, str]:
    written = [name for name in places if name == above or name.startswith(f"{above}.")]
    place = _where(path, places, sorted(written, key=lambda name: places[name].line))
    if not isinstance(row, dict):
        raise UserError(f"{place}: a principle is {', '.join(TEXTS)}, each in a line, but here is {described(row)}.")
    _known(row, _KEYS, path, places, f"{above}.", "a principle")
    called = f"the principle {row['name']!r}" if row.get("name") else "a principle"
    texts = {}
    for key, what in TEXTS.items():
        text = _text(row.get(key), places, f"{above}.{key}")
        at = _where(path, places, [f"{above}.{key}", *sorted(written)]) if key in row else place
        if text is None:
            raise UserError(f"{at}: {called} has no text for `{key}`, {what}. Write it.")
        texts[key] = text
    name, at = texts["name"], _where(path, places, [f"{above}.name"])
    if len(name) > LONGEST_NAME or any(letter.isspace() for letter in name):
        raise UserError(
            f"{at}: a principle cannot be called {name[:80]!r}: a name is one word of at most {LONGEST_NAME} letters, "
            "for instance no_false_promises."
        )
    return Principle(**texts, tags=_tags(row.get("tags"), above, path, places)), place


def _tags(tags: Any, above: str, path: str, places: Places) -> tuple[str, ...]:
    words = [_text(tag, places, f"{above}.tags.{i}") for i, tag in enumerate(tags)] if isinstance(tags, list) else []
    if tags is not None and (not isinstance(tags, list) or not all(words)):
        where = _where(path, places, [f"{above}.tags"])
        raise UserError(f"{where}: `tags` should be a list of words, for instance [honest], but is {described(tags)}.")
    return tuple(word for word in words if word)


def _text(value: Any, places: Places, key: str) -> str | None:
    """What was written, also where YAML takes it for something else than text; None if nothing was."""
    if isinstance(value, dict | list) or value is None:
        return None
    return (value if isinstance(value, str) else places[key].text).strip() or None


def _known(row: Mapping[str, Any], keys: Sequence[str], path: str, places: Places, above: str, what: str) -> None:
    """Raises: UserError for a key that means nothing."""
    for key in row:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(keys)}."
            raise UserError(f"{_where(path, places, [f'{above}{key}'])}: {what} has no `{key}`. {hint}")


def _add_places(before: dict[str, str], read: Sequence[tuple[Principle, str]]) -> None:
    """Notes where each is. Raises: UserError if two have one name."""
    for principle, place in read:
        if principle.name in before:
            raise UserError(
                f"{place}: two principles are called {principle.name!r}, the other at {before[principle.name]}. Give "
                "each a name of its own."
            )
        before[principle.name] = place


def _where(path: str, places: Places, keys: Sequence[str]) -> str:
    line = next((places[key].line for key in keys if key in places), None)
    return path if line is None else f"{path}:{line}"
