"""What every scorer offers: one verb, `score`."""

from collections.abc import Sequence
from typing import Protocol

import torch

from prefloop.records import Message

Conversation = Sequence[Message]


class Scorer(Protocol):
    """Anything that gives one number to a response, which is text: it need not share the policy's tokenizer."""

    name: str

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) scores in reward units, on the CPU."""
        ...
