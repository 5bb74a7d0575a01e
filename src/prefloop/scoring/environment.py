"""A Python class as an environment: it answers the policy between its turns, and pays it for each.

It is somebody else's code, as a function that scores is, and what it does wrong ends in a sentence with its line. What
it says is to be decided by the conversation and the seed that it is given, so that a run that goes on after a kill
plays what it would have played.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from prefloop.errors import UserError
from prefloop.records import Message
from prefloop.scoring.function import PythonFunction
from prefloop.scoring.said import number

NEEDS = (
    "it has a method respond(conversations, seeds) that returns one (text, reward) for each conversation, (None, "
    "reward) where it is over"
)


class Answer(NamedTuple):
    """What an environment says to a turn of the policy."""

    text: str | None
    """the user's next turn; None if the conversation is over"""
    reward: float
    """reward units, for the policy's last turn"""


class PythonEnvironment(PythonFunction):
    """A class in somebody's Python file, made once."""

    def __init__(self, spec: str, *, seconds: float) -> None:
        """Loads the file and makes the class's one object. Args and errors: see `PythonFunction`."""
        super().__init__(spec, needs=NEEDS, each="(text, reward)", seconds=seconds, setting="env_seconds")

    def _found(self, thing: Any) -> Callable[..., Any]:
        name = self._function
        if not isinstance(thing, type):
            raise UserError(f"{self._given}: there is no class called `{name}`; {self._needs}.")
        made = self._guarded(thing, f"`{name}()`")
        try:
            method = operator.attrgetter("respond")(made)
        except AttributeError:
            method = None
        if not callable(method):
            raise UserError(f"{self._given}: `{name}` has no method called `respond`; {self._needs}.")
        self._function = f"{name}.respond"
        return method

    def respond(self, conversations: Sequence[Sequence[Message]], seeds: Sequence[int]) -> list[Answer]:
        """What it says to the last turn of each, the policy's. Args: seeds: of each rollout, the same at every turn.

        Raises: UserError for whatever it does wrong.
        """
        turns = [[{"role": m.role, "content": m.content} for m in messages] for messages in conversations]
        said = self.listed(turns, seeds)
        found = [
            self._answer(value, messages[-1].content) for value, messages in zip(said, conversations, strict=False)
        ]
        if len(said) != len(conversations):
            raise UserError(
                f"{self.name}: returned {len(said)} answers to {len(conversations)} conversations; return one (text, "
                "reward) for each."
            )
        return found

    def _answer(self, value: Any, turn: str) -> Answer:
        if not isinstance(value, list | tuple) or len(value) != 2 or not isinstance(value[0], str | None):
            raise UserError(
                f"{self.name}: returned {repr(value)[:60]} to the turn {turn[:60]!r}; return (text, reward), or (None, "
                "reward) where the conversation is over."
            )
        text, reward = value
        if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(
                f"{self.name}: answered the turn {turn[:60]!r} with half a character (a lone surrogate), which no text "
                "can hold; return text that can be encoded as UTF-8."
            )
        if text is not None and not text.strip():
            raise UserError(
                f"{self.name}: said nothing to the turn {turn[:60]!r}; return a text with something in it, or None "
                "where the conversation is over."
            )
        return Answer(text, number(reward, turn, name=self.name))
