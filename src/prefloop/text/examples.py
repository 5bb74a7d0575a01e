"""Conversations with responses, as tokens that fit the model's context; what does not fit is counted, never hidden."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from prefloop.errors import RowRefused, UserError
from prefloop.files.foreign import read_prompts
from prefloop.files.index import Lazy, Rows
from prefloop.files.places import located
from prefloop.records import Demonstration, Message, Prompt
from prefloop.text.codec import Codec


@dataclass(frozen=True)
class Example:
    """A prompt and its response in tokens."""

    prompt: list[int]
    """template up to where the assistant speaks"""
    response: list[int]
    """the response and the end-of-text token"""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.response)


@dataclass(frozen=True)
class FittingPrompts:
    """The prompts of a file that leave room for a response."""

    records: tuple[Prompt, ...]
    ids: tuple[list[int], ...]
    """their tokens"""
    num_left_out: int

    @classmethod
    def of(cls, codec: Codec, file: str, *, room: int, say: Callable[[str], None], num: int = 0) -> Self:
        """Reads the file's first `num` prompts, or all, and says how many leave less than `room` tokens.

        Raises: UserError if none leaves room.
        """
        records = read_prompts(file, say=say).records
        records = records[: num or len(records)]
        try:
            encoded = list(zip(records, codec.prompts([record.messages for record in records]), strict=True))
        except RowRefused as problem:
            raise located(problem, [file]) from None
        kept = [(record, ids) for record, ids in encoded if len(ids) + room <= codec.context]
        if not kept:
            raise _no_room(file, room, codec.context)
        left_out = len(records) - len(kept)
        _tell_left_out(left_out, len(records), file, say)
        return cls(tuple(record for record, _ in kept), tuple(ids for _, ids in kept), left_out)


@dataclass(frozen=True)
class Asked:
    """What is asked, as text and in tokens."""

    messages: tuple[Message, ...]
    tokens: list[int]
    tags: tuple[str, ...]
    id: str = ""
    """of the prompt"""


class Pool(Lazy[Asked]):
    """The prompts of a file that leave room for a response, read when they are asked for; 8 bytes each till then."""

    def __init__(
        self, codec: Codec, file: str, *, room: int, say: Callable[[str], None], kept: Path | None = None
    ) -> None:
        """Reads and tokenises all once, for their lengths, and says how many leave less than `room` tokens.

        Args: kept: see `files.index.Rows`. Raises: UserError if none leaves room.
        """
        self._codec, self._file = codec, file
        how = [codec.name, codec.fingerprint]
        self._rows = Rows(file, Prompt, say=say, kept=kept, noted=self._noted, how=how)
        lengths = self._rows.columns.pop("length")
        self._places = np.flatnonzero(lengths + room <= codec.context).astype(np.uint32)
        if not len(self._places):
            raise _no_room(file, room, codec.context)
        self.longest = int(lengths[self._places].max())
        """tokens in the longest"""
        self.num_left_out = len(lengths) - len(self._places)
        """prompts that leave no room"""
        _tell_left_out(self.num_left_out, len(lengths), file, say)

    def __len__(self) -> int:
        return len(self._places)

    def take(self, numbers: Sequence[int]) -> list[Asked]:
        """Some prompts, in the order asked for."""
        rows = self._rows.take([int(self._places[number]) for number in numbers])
        return [Asked(row.messages, ids, row.tags, row.id) for row, ids in zip(rows, self._tokens(rows), strict=True)]

    def _tokens(self, rows: Sequence[Prompt]) -> list[list[int]]:
        try:
            return self._codec.prompts([row.messages for row in rows])
        except RowRefused as problem:
            raise located(problem, [self._file]) from None

    def _noted(self, rows: Sequence[Prompt]) -> dict[str, np.ndarray]:
        return {"length": np.array([len(ids) for ids in self._tokens(rows)], dtype=np.uint32)}


def _no_room(file: str, room: int, context: int) -> UserError:
    return UserError(
        f"{file}: no prompt leaves room for max_new_tokens = {room} in the context of {context}. Lower it."
    )


def _tell_left_out(left_out: int, num: int, file: str, say: Callable[[str], None]) -> None:
    if left_out:
        say(f"{left_out} of {num} prompts of {file} leave no room for a response and are left out.")


class Examples(Lazy[Example]):
    """The demonstrations of a file that fit the context, in tokens when they are asked for; 8 bytes each till then."""

    def __init__(self, codec: Codec, file: str, *, say: Callable[[str], None], kept: Path | None = None) -> None:
        """Reads and tokenises all once, for their lengths. Args: kept: see `files.index.Rows`.

        Raises: UserError if none fits, or with file and line if the chat template does not take one.
        """
        self._codec, self._file = codec, file
        how = [codec.name, codec.fingerprint]
        self._rows = Rows(file, Demonstration, say=say, kept=kept, noted=self._noted, how=how)
        lengths = self._rows.columns.pop("length")
        self._places = np.flatnonzero(lengths <= codec.context).astype(np.uint32)
        self.num_too_long = len(lengths) - len(self._places)
        """demonstrations that do not fit"""
        self.lengths = lengths[self._places]
        """(n,) tokens in each"""
        if not len(self._places):
            raise UserError(
                f"{file}: every one of the {len(lengths)} rows is longer than the model's context of {codec.context} "
                f"tokens (the shortest has {int(lengths.min())}). Use a model with a longer context, or shorter rows."
            )

    def __len__(self) -> int:
        return len(self._places)

    def take(self, numbers: Sequence[int] | np.ndarray) -> list[Example]:
        """Some examples, in the order asked for."""
        return self._made(self._rows.take(self._places[np.asarray(numbers, dtype=np.int64)].tolist()))

    def only(self, numbers: np.ndarray) -> "Examples":
        """Those of these numbers, in that order."""
        few = copy(self)
        few._places, few.lengths = self._places[numbers], self.lengths[numbers]
        return few

    def _made(self, rows: Sequence[Demonstration]) -> list[Example]:
        try:
            prompts = self._codec.prompts([row.messages for row in rows])
        except RowRefused as problem:
            raise located(problem, [self._file]) from None
        return list(map(Example, prompts, self._codec.responses([row.response for row in rows])))

    def _noted(self, rows: Sequence[Demonstration]) -> dict[str, np.ndarray]:
        return {"length": np.array([example.length for example in self._made(rows)], dtype=np.uint32)}


@dataclass
class Cuts:
    """What prompts and responses lost to fit a context; see `fitted`."""

    num: int = 0
    """prompts with a response that were looked at"""
    prompts: int = 0
    """of them those whose prompt lost its beginning"""
    responses: int = 0
    """and those whose response lost its end"""

    def fitted(self, prompt: list[int], response: list[int], context: int) -> list[int]:
        """The same as the function, counted."""
        self.num += 1
        self.prompts += len(prompt) + min(len(response), context - 1) > context
        self.responses += len(response) >= context
        return fitted(prompt, response, context)

    def add(self, others: "Cuts") -> None:
        """Counts others in."""
        self.num += others.num
        self.prompts += others.prompts
        self.responses += others.responses

    def sentence(self, context: int) -> str:
        """What was cut; empty if nothing was."""
        lost = [(self.prompts, "prompts lost their beginning"), (self.responses, "responses lost their end")]
        told = " and ".join(f"{count} {what}" for count, what in lost if count)
        return told and f"of {self.num} prompts with a response, {told} to fit the context of {context} tokens."


def fitted(prompt: list[int], response: list[int], context: int) -> list[int]:
    """Prompt and response cut to the context: the prompt loses its beginning, the response at last its end.

    The response keeps its last token, which ends it, and the prompt keeps its last token.
    """
    response = response if len(response) < context else [*response[: context - 2], response[-1]]
    return [*prompt[max(0, len(prompt) + len(response) - context) :], *response]
