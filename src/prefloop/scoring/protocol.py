"""What every scorer offers: one verb, `score`, and `detailed` where it matters what a score is made of.

Shapes: B responses, E members of an ensemble.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from prefloop.records import Message, Prompt

Conversation = Sequence[Message]
Tags = Sequence[Sequence[str]]
"""Of each prompt its tags; empty where they are not known."""
Place = tuple[int, float]
"""Characters of a response up to there, and the reward units that are paid at the token which writes the last of
them."""


@dataclass(frozen=True)
class Scored:
    """What a scorer says of B responses; all of it in float32, on the CPU."""

    scores: Tensor
    """(B,) reward units"""
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    """name -> (B,) reward units: what the scores are the sum of, bit for bit as `summed` adds; empty where a score is
    one number"""
    components: "Mapping[str, Scored]" = field(default_factory=dict)
    """name of a part -> what the scorer behind it said, before it was weighted"""
    outlier: Tensor | None = None
    """(B,) share of the responses that the reward model knows which are less unusual to it, in [0, 1]; None if it
    cannot tell"""
    limited: Tensor | None = None
    """(B,) reward units: the scores, no higher than the responses that the reward model knows reach; None if it cannot
    tell"""
    members: Tensor | None = None
    """(B, E) reward units, of each member of an ensemble"""
    disagreement: Tensor | None = None
    """(B,) reward units, the deviation of the members' scores; None without an ensemble"""
    placed: Sequence[Sequence[Place]] = ()
    """of each response what of its score is paid within it, and where; the rest is paid at its end. Empty where all
    is"""


def taken(several: Sequence[Scored], rows: Sequence[int]) -> Scored:
    """Some rows of what one scorer said at several times. Args: rows: counted through all of them."""
    where, first = torch.tensor(rows), several[0]

    def some(tensors: Sequence[Tensor | None]) -> Tensor | None:
        there = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(there)[where] if there else None

    return Scored(
        torch.cat([said.scores for said in several])[where],
        {name: torch.cat([said.parts[name] for said in several])[where] for name in first.parts},
        {name: taken([said.components[name] for said in several], rows) for name in first.components},
        outlier=some([said.outlier for said in several]),
        limited=some([said.limited for said in several]),
        members=some([said.members for said in several]),
        disagreement=some([said.disagreement for said in several]),
        placed=_some_placed(several, rows),
    )


def _some_placed(several: Sequence[Scored], rows: Sequence[int]) -> Sequence[Sequence[Place]]:
    if not any(said.placed for said in several):
        return ()
    each = [place for said in several for place in (said.placed or [()] * len(said.scores))]
    return [each[row] for row in rows]


class Scorer(Protocol):
    """Anything that gives one number to a response, which is text: it need not share the policy's tokenizer."""

    name: str

    @property
    def tells_outliers(self) -> bool:
        """Whether it tells how unusual a response is to it."""
        ...

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> Tensor:
        """(B,) scores in reward units, on the CPU."""
        ...

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The same scores, with all that is known of them. By their tags prompts of a domain of which a reward model
        has a column are scored by that."""
        ...


def of_several(scorer: Scorer, prompts: Sequence[Prompt], responses: Sequence[str], *, copies: int) -> Scored:
    """What a scorer says of `copies` responses to each prompt, those of a prompt standing together."""
    each = [prompt for prompt in prompts for _ in range(copies)]
    return scorer.detailed([prompt.messages for prompt in each], responses, [prompt.tags for prompt in each])


def joined(parts: Sequence[Scored]) -> Scored:
    """What was said of some responses after the other, where nothing but scores and places is known. At least one."""
    placed = [part.placed or [()] * len(part.scores) for part in parts]
    whole = [places for some in placed for places in some]
    return Scored(torch.cat([part.scores for part in parts]), placed=whole if any(whole) else ())


def summed(parts: Mapping[str, Tensor]) -> Tensor:
    """(B,) float32: the parts of a score added in float64, in their order, and rounded once."""
    added = [part.cpu().double() for part in parts.values()]
    return functools.reduce(torch.add, added).float()
