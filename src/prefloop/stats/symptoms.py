"""What is wrong with what a model writes, as it can be seen from the words alone: it repeats itself, copies, collapses.

Every number is a share in [0, 1] over some responses together. Not one of them says by itself that a model is ill: a
thanks may be short, an address is copied. What counts is how it changes from what the model wrote before.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache

from prefloop.stats.text import distinct_n, repetition, tokens, words

LATE = 3
"""Tokens from which on a response has not ended at once, the one that ends it counted."""
GRAM = 3
"""Words in a row that are looked for in the prompt: fewer stand in any two texts about one thing."""
ONE_SCRIPT = {"CJK": "HAN", "HIRAGANA": "HAN", "KATAKANA": "HAN", "BOPOMOFO": "HAN", "KATAKANA-HIRAGANA": "HAN"}
"""Scripts that are written in one text: Japanese has three."""
WIDTHS = ("FULLWIDTH", "HALFWIDTH", "MATHEMATICAL")
"""First words of a letter's name that say how it is drawn; the script follows."""


def symptoms(prompts: Sequence[str], responses: Sequence[str], ids: Sequence[Sequence[int]]) -> dict[str, float]:
    """Name -> share, of a step's responses.

    Args:
        prompts: what each answers, as text.
        responses: as text.
        ids: the tokens of each, the one that ends it included.

    Returns: nothing without responses.
    """
    if not responses:
        return {}
    num, said = len(responses), [words(text) for text in responses]
    return {
        "repetition": repetition(said),
        "distinct_2": distinct_n(said, 2),
        "first_token": max(Counter(one[0] for one in ids if one).values(), default=0) / num,
        "empty": sum(not text.strip() for text in responses) / num,
        "at_once": sum(len(one) < LATE for one in ids) / num,
        "copied": copied(prompts, responses),
        "other_script": other_script(prompts, responses),
        "top_word": top_word(responses)[1],
    }


def copied(prompts: Sequence[str], responses: Sequence[str]) -> float:
    """Share of the responses' runs of `GRAM` words that stand in their prompt too, in small letters and without marks;
    0 if no response has so many words."""
    there = total = 0
    for prompt, response in zip(prompts, responses, strict=True):
        grams = _grams(response)
        if grams:
            asked = set(_grams(prompt))
            there += sum(gram in asked for gram in grams)
            total += len(grams)
    return there / total if total else 0.0


def other_script(prompts: Sequence[str], responses: Sequence[str]) -> float:
    """Share of the responses' letters that are of a script of which their prompt has no letter; 0 without letters.
    Responses to prompts without letters are left out."""
    foreign = total = 0
    for prompt, response in zip(prompts, responses, strict=True):
        known = scripts(prompt).keys()
        if known:
            own = scripts(response)
            total += own.total()
            foreign += sum(num for script, num in own.items() if script not in known)
    return foreign / total if total else 0.0


def top_word(responses: Sequence[str]) -> tuple[str, float]:
    """The word that is written most often, and which share of all words it is; marks are no words."""
    counted = Counter(word for text in responses for word in _plain(text))
    word, num = max(counted.items(), key=lambda each: each[1], default=("", 0))
    return word, num / max(1, counted.total())


def scripts(text: str) -> Counter[str]:
    """Script -> how many letters of a text are of it."""
    found = Counter[str]()
    for letter, num in Counter(text).items():
        script = script_of(letter)
        if script:
            found[script] += num
    return found


@cache
def script_of(letter: str) -> str:
    """The script of a letter, by its name in Unicode; empty for what is no letter."""
    if not letter.isalpha():
        return ""
    parts = unicodedata.name(letter, "UNNAMED").split()
    first = parts[1] if parts[0] in WIDTHS and len(parts) > 1 else parts[0]
    return ONE_SCRIPT.get(first, first)


def _plain(text: str) -> list[str]:
    return [token for token in tokens(text) if token[0].isalnum()]


def _grams(text: str) -> list[tuple[str, ...]]:
    said = _plain(text)
    return [tuple(said[i : i + GRAM]) for i in range(len(said) - GRAM + 1)]
