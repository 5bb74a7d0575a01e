"""What a response copies from its prompt, and copies of it in which one such thing is wrong: hard negatives."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from prefloop.records import Prompt

_NUMBER = re.compile(r"\d{2,}")
_WORD = re.compile(r"[^\W\d_]{3,}")
_RARE = 0.05
"""A word that more prompts than this have is none that a customer fills in."""


@dataclass(frozen=True)
class Facts:
    """What differs from prompt to prompt, by which a wrong word is exchanged for the right one."""

    names: tuple[str, ...]
    """written with a capital"""
    things: tuple[str, ...]

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> Self:
        """The words that few of the prompts have."""
        counts = Counter(word for prompt in prompts for word in {*_WORD.findall(_asked(prompt))})
        rare = sorted(word for word, count in counts.items() if 1 < count <= max(2, _RARE * len(prompts)))
        return cls(
            names=tuple(word for word in rare if word[0].isupper()),
            things=tuple(word for word in rare if not word[0].isupper()),
        )

    def altered(self, prompt: Prompt, response: str, rng: random.Random) -> str | None:
        """The response with one copied number, name or thing changed wherever it stands; None if it copies nothing."""
        asked = _asked(prompt)
        numbers = sorted({*_NUMBER.findall(response)} & {*_NUMBER.findall(asked)})
        copied = {*_WORD.findall(response)} & {*_WORD.findall(asked)}
        kinds = [
            [(number, _other_digit(number, rng)) for number in numbers],
            *(
                [(word, rng.choice(rest)) for word in sorted(copied & {*pool}) if (rest := self._rest(pool, asked))]
                for pool in (self.names, self.things)
            ),
        ]
        kinds = [kind for kind in kinds if kind]
        if not kinds:
            return None
        old, new = rng.choice(rng.choice(kinds))
        return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new, response)

    def _rest(self, pool: Sequence[str], asked: str) -> list[str]:
        return [word for word in pool if word not in asked]


def _asked(prompt: Prompt) -> str:
    return "\n".join(message.content for message in prompt.messages)


def _other_digit(number: str, rng: random.Random) -> str:
    place = rng.randrange(len(number))
    digit = rng.choice([digit for digit in "0123456789" if digit != number[place]])
    return number[:place] + digit + number[place + 1 :]
