"""Reading a prompt: from the customer's text alone to its language, topic, mood and slots.

A text is read as its `units` (words in English, characters in Chinese), in which known phrases are found by `scan`.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from prefloop.world.languages import table
from prefloop.world.vocabulary import SAFE_TOPICS, TOPICS, UNSAFE_TOPICS, key

_APOSTROPHES = str.maketrans("", "", "'’‘`")
_WORD = re.compile(r"[a-z]+|[0-9]+|[^\W_]")
_CHARACTER = re.compile(r"[0-9]+|[^\W_]")
_CHINESE = re.compile(r"[㐀-鿿]")


@dataclass(frozen=True)
class Ticket:
    """What a prompt says. A part that the text does not give is empty."""

    language: str
    """`en` or `zh`."""
    topic: str
    """A name in TOPICS."""
    mood: str
    """A name in MOODS."""
    order: str
    """Four digits."""
    item: str
    """What was bought."""
    name: str
    """The customer's name."""
    city: str
    """The city named."""

    @property
    def unsafe(self) -> bool:
        """True if the right response is a refusal."""
        return self.topic in UNSAFE_TOPICS

    def slots(self) -> dict[str, str]:
        """The value of each of SLOTS."""
        return {"order": self.order, "item": self.item, "name": self.name, "city": self.city}


@dataclass(frozen=True)
class Phrase:
    """Neighbouring units by which something is known."""

    units: tuple[str, ...]
    """The words or characters."""
    kind: str
    """What it is: a slot, request, mood, action, ..."""
    owner: str
    """The slot's value, or the topic or mood to which it belongs, or nothing."""


Hit = tuple[int, Phrase]
"""Where the first unit of a phrase stands, and the phrase."""
Index = tuple[dict[str, Phrase], dict[tuple[str, str], tuple[Phrase, ...]]]
"""Phrases of one unit by that unit, longer ones by their first two."""


def language_of(text: str) -> str:
    """`zh` if the text has any Chinese character, else `en`."""
    return "en" if text.isascii() or not _CHINESE.search(text) else "zh"


def normal(text: str) -> str:
    """The text with full-width letters and digits as their plain selves."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def units(text: str, language: str) -> list[str]:
    """The text's words (en) or characters (zh), lower case, without spaces and punctuation.

    A run of digits is one unit, and so is any letter of a foreign script.
    """
    text = normal(text).lower()
    if language == "zh":
        return _CHARACTER.findall(text)
    return _WORD.findall(text.translate(_APOSTROPHES) if "'" in text or not text.isascii() else text)


def index(phrases: Iterable[Phrase]) -> Index:
    """Phrases in the form in which `scan` looks them up."""
    single: dict[str, Phrase] = {}
    longer: dict[tuple[str, str], tuple[Phrase, ...]] = {}
    for phrase in phrases:
        if len(phrase.units) == 1:
            single[phrase.units[0]] = phrase
        else:
            first, second, *_ = phrase.units
            longer[first, second] = (*longer.get((first, second), ()), phrase)
    return single, longer


def scan(words: list[str], phrases: Index) -> list[Hit]:
    """Every occurrence of the phrases in a text's units: single units first, then in order."""
    single, longer = phrases
    hits = [(start, single[word]) for start, word in enumerate(words) if word in single]
    for start, pair in [(start, pair) for start, pair in enumerate(pairwise(words)) if pair in longer]:
        for phrase in longer[pair]:
            if tuple(words[start : start + len(phrase.units)]) == phrase.units:
                hits.append((start, phrase))
    return hits


@cache
def values(language: str) -> tuple[Phrase, ...]:
    """The phrase of every item, name and city."""
    every = table(language).all_values
    return tuple(Phrase(tuple(units(value, language)), slot, value) for slot in every for value in sorted(every[slot]))


@cache
def _prompt_index(language: str) -> Index:
    spoken = table(language)
    phrases = list(values(language))
    for name, case in spoken.cases.items():
        for template in case.requests + case.borderline + case.ood:
            phrases.append(Phrase(tuple(units(key(template), language)), "request", name))
    for mood, templates in spoken.moods.items():
        phrases.extend(Phrase(tuple(units(key(template), language)), "mood", mood) for template in templates)
    return index(phrases)


@lru_cache(maxsize=8192)
def read(prompt: str) -> Ticket:
    """The ticket of a prompt. Any text is read; what it does not say is left empty.

    Of two topics the unsafe one counts: an unsafe request contains the words of safe ones.
    """
    language = language_of(prompt)
    words = units(prompt, language)
    owners: dict[str, list[str]] = {}
    for _, phrase in scan(words, _prompt_index(language)):
        owners.setdefault(phrase.kind, []).append(phrase.owner)
    asked = owners.get("request", [""])
    topic = asked[0] if len(asked) == 1 else next(name for name in UNSAFE_TOPICS + SAFE_TOPICS if name in asked)
    order = next((word for word in words if len(word) == 4 and word.isdecimal()), "")
    mood, item, name, city = (owners.get(kind, [""])[0] for kind in ("mood", "item", "name", "city"))
    needs_city = topic and TOPICS[topic].city
    return Ticket(language, topic, mood, order, item, name, city if needs_city else "")
