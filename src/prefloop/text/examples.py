"""Conversations with responses, as tokens that fit the model's context; what does not fit is counted, never hidden."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from prefloop.errors import RowRefused, UserError
from prefloop.files.foreign import read_prompts
from prefloop.files.places import located
from prefloop.records import Message, Prompt
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
            raise UserError(
                f"{file}: no prompt leaves room for max_new_tokens = {room} in the context of {codec.context}. Lower "
                "it."
            )
        left_out = len(records) - len(kept)
        if left_out:
            say(f"{left_out} of {len(records)} prompts of {file} leave no room for a response and are left out.")
        return cls(tuple(record for record, _ in kept), tuple(ids for _, ids in kept), left_out)


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


def examples(codec: Codec, rows: Sequence[tuple[Sequence[Message], str]], *, where: str) -> tuple[list[Example], int]:
    """Examples of those rows that fit the context.

    Returns: the examples, and how many rows were too long. Raises: UserError if none fits, or with file and line if the
    chat template does not take one.
    """
    try:
        prompts = codec.prompts([messages for messages, _ in rows])
    except RowRefused as problem:
        raise located(problem, [where]) from None
    responses = codec.responses([response for _, response in rows])
    made = [Example(*both) for both in zip(prompts, responses, strict=True)]
    kept = [example for example in made if example.length <= codec.context]
    if not kept:
        shortest = min(example.length for example in made)
        raise UserError(
            f"{where}: every one of the {len(made)} rows is longer than the model's context of {codec.context} tokens "
            f"(the shortest has {shortest}). Use a model with a longer context, or shorter rows."
        )
    return kept, len(made) - len(kept)
