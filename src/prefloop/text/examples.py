"""Conversations with responses, as tokens that fit the model's context; what does not fit is counted, never hidden."""

from collections.abc import Sequence
from dataclasses import dataclass

from prefloop.errors import UserError
from prefloop.records import Message
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


def examples(codec: Codec, rows: Sequence[tuple[Sequence[Message], str]], *, where: str) -> tuple[list[Example], int]:
    """Examples of those rows that fit the context.

    Returns: the examples, and how many rows were too long. Raises: UserError if none fits.
    """
    made = [Example(codec.prompt_ids(messages), codec.response_ids(response)) for messages, response in rows]
    kept = [example for example in made if example.length <= codec.context]
    if not kept:
        shortest = min(example.length for example in made)
        raise UserError(
            f"{where}: every one of the {len(made)} rows is longer than the model's context of {codec.context} tokens "
            f"(the shortest has {shortest}). Use a model with a longer context, or shorter rows."
        )
    return kept, len(made) - len(kept)
