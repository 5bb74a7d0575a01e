"""How a chat template writes an assistant's turn: found out by letting it write one.

    prompt ... <|assistant|> + lead + WORDS + tail + <|end|>

The token after the words is the one with which a response must end: the tokenizer's own end-of-text token is another
one for many models (Gemma: `<eos>`, but turns end with `<end_of_turn>`).
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from prefloop.records import Message

ASKED, SAID, THEN = "quokka", "wombat", "numbat"
"""Words that no template has."""
TALK = (
    Message(role="user", content=ASKED),
    Message(role="assistant", content=SAID),
    Message(role="user", content=THEN),
)
Words = TypeVar("Words", str, list[int])
Render = Callable[[tuple[Message, ...], bool], str]
"""Writes a conversation; True: up to where the assistant speaks next."""


@dataclass(frozen=True)
class Turn:
    """What a template writes around the assistant's words."""

    end: str | None = None
    """the marker that ends the turn; None if there is none"""
    lead: str = ""
    """text between the prompt and the words, for instance a space"""
    tail: str = ""
    """text between the words and the end, for instance a line end"""
    before: str = ""
    """the end of the prompt, from the last user's words on"""
    opened: str = ""
    """text with which the prompt goes on where the finished turn does not, for instance <think>"""

    @classmethod
    def of(cls, render: Render, added: re.Pattern[str], stops: Collection[str]) -> "Turn":
        """Looks at what the template writes.

        Args:
            render: the template.
            added: finds every added token in a text.
            stops: texts of the tokens that are known to end a response.
        """
        prompt, whole, last = render(TALK[:1], True), render(TALK, False), render(TALK[:2], False)
        if not all(word in text for word, text in ((ASKED, prompt), (SAID, whole), (SAID, last), (THEN, whole))):
            return cls()
        before = prompt[prompt.index(ASKED) + len(ASKED) :]
        head = whole[whole.index(ASKED) + len(ASKED) : whole.index(SAID)]
        opened = "" if head.startswith(before) else before[len(shared(before, head)) :]
        lead = head.removeprefix(before) if not opened else ""
        between = whole[whole.index(SAID) + len(SAID) : whole.index(THEN)]
        final = last[last.index(SAID) + len(SAID) :]
        here, there = added.search(between), added.search(final)
        if here and (here[0] in stops or here[0] in final):
            return cls(here[0], lead, between[: here.start()], before, opened)
        if there:
            return cls(there[0], lead, final[: there.start()], before, opened)
        return cls(None, lead, "", before, opened)


def shared(one: Words, other: Words) -> Words:
    """What two texts, or two lists of tokens, begin with."""
    num = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:num]
