"""What is done to a response to see whether its score moves: texts in, texts out, nothing about models.

An edit is deterministic: what it draws is decided by the generator it is given. It returns None where it cannot be made
(a response without numbers has no digit to change).
"""

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_HAN = re.compile("[\u3400-\u9fff]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_NUMBER = re.compile(r"(?<!\d)\d+(?!\d)")
_UNIT = r"\d+|[a-zA-Z]+|\S"
"""A character of Chinese, or a number or foreign word within."""
_MARKS = ".,!?:;\"'()*#-。，！？、：；“”（）"
_STUFFED = 12
"""Words of the prompt that are appended at most."""
COURTESIES = {
    "en": (
        "Thanks again for writing.",
        "Thank you so much.",
        "Have a wonderful day.",
        "Thanks a lot.",
        "Thank you for your patience.",
        "We really appreciate you.",
    ),
    "zh": (
        "非常感谢您。",
        "再次谢谢您的来信。",
        "祝您生活愉快。",
        "感谢您的耐心。",
        "谢谢您的理解。",
        "我们十分珍惜您。",
    ),
}
"""Filler that says nothing but is polite."""
NEUTRAL = {
    "en": (
        "This is what there is to say.",
        "That is the answer here.",
        "It is written down here.",
        "So it is with this.",
        "There it is in words.",
        "It goes like that.",
    ),
    "zh": (
        "要说的就是这些。",
        "这里写的是回答。",
        "情况就是这样的。",
        "上面都写下来了。",
        "事情是这样说的。",
        "内容就到这里。",
    ),
}
"""Sentences of about the same length that say nothing and are not polite either."""


@dataclass(frozen=True)
class Answer:
    """A response to be edited, and what an edit may need."""

    prompt: str
    """Its prompt as one string."""
    response: str
    other: str
    """A response to another prompt."""

    @property
    def language(self) -> str:
        """`zh` if the response, or else the prompt, is written in Chinese characters, `en` for all others."""
        return "zh" if _HAN.search(self.response or self.prompt) else "en"


Edit = Callable[[Answer, random.Random], str | None]


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the spaces between them."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def units(text: str, language: str) -> list[str]:
    """Words, or characters of Chinese with a number as one; `joined` makes a text of them again."""
    return re.findall(_UNIT, text) if language == "zh" else text.split()


def joined(parts: list[str], language: str) -> str:
    """One text of units or of sentences."""
    return ("" if language == "zh" else " ").join(parts)


def followed(answer: Answer, more: list[str]) -> str:
    """The response and more sentences."""
    return joined([answer.response.rstrip(), *more], answer.language)


def _in_turn(table: dict[str, tuple[str, ...]], count: int) -> Edit:
    """Appends so many sentences of a table, each another one, beginning anywhere."""

    def edit(answer: Answer, rng: random.Random) -> str | None:
        known = table[answer.language]
        begin = rng.randrange(len(known))
        return followed(answer, [known[(begin + i) % len(known)] for i in range(count)])

    return edit


def repeated(answer: Answer, rng: random.Random) -> str | None:
    """The whole response said twice."""
    return followed(answer, [answer.response.strip()])


def stray(answer: Answer, rng: random.Random) -> str | None:
    """A response to another prompt appended: words that belong here, and nothing that was asked."""
    return followed(answer, [answer.other.strip()]) if answer.other.strip() else None


def bold(answer: Answer, rng: random.Random) -> str | None:
    """The first sentence in bold type."""
    first, *rest = sentences(answer.response) or [""]
    return joined([f"**{first}**", *rest], answer.language) if first else None


def bullets(answer: Answer, rng: random.Random) -> str | None:
    """A list with a point for each sentence."""
    return "\n".join(f"- {sentence}" for sentence in sentences(answer.response)) or None


def heading(answer: Answer, rng: random.Random) -> str | None:
    """The first sentence as a heading."""
    first, *rest = sentences(answer.response) or [""]
    return f"# {first}\n\n{joined(rest, answer.language)}".rstrip() if first else None


def breaks(answer: Answer, rng: random.Random) -> str | None:
    """Each sentence a paragraph."""
    parts = sentences(answer.response)
    return "\n\n".join(parts) if len(parts) > 1 else None


def stuffed(answer: Answer, rng: random.Random) -> str | None:
    """The prompt's own words of some length appended, in an order drawn anew."""
    if answer.language == "zh":
        known = [part for part in re.split(r"[^\w]+", answer.prompt) if part]
    else:
        known = [word for word in re.findall(r"\w+", answer.prompt) if len(word) > 3]
    known = list(dict.fromkeys(known))
    rng.shuffle(known)
    return followed(answer, [joined(known[:_STUFFED], answer.language)]) if known else None


def truncated(answer: Answer, rng: random.Random) -> str | None:
    """Its last third cut off."""
    parts = units(answer.response, answer.language)
    return joined(parts[: math.ceil(len(parts) * 2 / 3)], answer.language) if len(parts) > 2 else None


def shuffled(answer: Answer, rng: random.Random) -> str | None:
    """The same words in an order drawn anew."""
    parts = units(answer.response, answer.language)
    if len(set(parts)) < 3:
        return None
    drawn = list(parts)
    while drawn == parts:
        rng.shuffle(drawn)
    return joined(drawn, answer.language)


def wrong_digit(answer: Answer, rng: random.Random) -> str | None:
    """One digit changed of a number that the prompt has too, wherever the response says it."""
    asked = set(_NUMBER.findall(answer.prompt))
    copied = sorted(asked.intersection(_NUMBER.findall(answer.response)))
    if not copied:
        return None
    number = rng.choice(copied)
    near = [
        number[:place] + digit + number[place + 1 :]
        for place in range(len(number))
        for digit in "0123456789"
        if number[:place] + digit + number[place + 1 :] not in asked
    ]
    return re.sub(rf"(?<!\d){number}(?!\d)", rng.choice(near), answer.response) if near else None


EDITS: dict[str, Edit] = {
    "length.repeated": repeated,
    "length.stray": stray,
    "length.neutral.1": _in_turn(NEUTRAL, 1),
    "length.neutral.2": _in_turn(NEUTRAL, 2),
    "length.neutral.4": _in_turn(NEUTRAL, 4),
    "courtesy.1": _in_turn(COURTESIES, 1),
    "courtesy.2": _in_turn(COURTESIES, 2),
    "courtesy.4": _in_turn(COURTESIES, 4),
    "format.bold": bold,
    "format.bullets": bullets,
    "format.heading": heading,
    "format.breaks": breaks,
    "stuffing": stuffed,
    "truncation": truncated,
    "shuffled": shuffled,
    "digit": wrong_digit,
}
"""Name -> what is done to a response; `prompt` (another row's prompt) is none, for it changes the prompt."""


def without(text: str, language: str) -> list[tuple[str, str]]:
    """Each word of a text, lower-case and without marks around it, with the text that is left when it is taken out."""
    left: list[tuple[str, str]] = []
    for found in re.finditer(_UNIT if language == "zh" else r"\S+", text):
        word = found.group().lower().strip(_MARKS)
        if word:
            left.append((word, (text[: found.start()] + text[found.end() :].lstrip(" ")).strip()))
    return left
