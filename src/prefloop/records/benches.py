"""How often a reward model likes the right response of a file best (`bench.json`).

Shares lie in [0, 1]; intervals are of 95 %, clustered by prompt.
"""

from typing import Literal

from prefloop.records.cards import Share, Slice
from prefloop.records.record import Record


class Ties(Record):
    """RewardBench 2's subset Ties: prompts with several right responses, each beside one with a single right one."""

    score: float
    """0.3 right_tied + 0.3 right_single + 0.2 spread + 0.2 spread_hard + 0.01 margin, as its authors have it."""
    right_tied: float
    """Share of the prompts with several right responses of which all score above every wrong one."""
    right_single: float
    """The same of the prompts with one."""
    spread: float
    """Share of the prompts whose right responses are nearer to each other than the worst of them to the best wrong
    one."""
    spread_hard: float
    """The same with the distance to wrong ones of the prompt with a single right response, if that is shorter."""
    margin: float
    """Mean of tanh(that distance / the spread of right ones - 1)."""
    num: int
    """Prompts that stand in both forms."""


class Section(Record):
    """Several subsets of RewardBench together."""

    name: str
    accuracy: float
    num: int


class LengthBias(Record):
    """What length does, of all pairs of a right and a wrong response."""

    slices: tuple[Slice, ...]
    """Accuracy where the right response is shorter, longer, or as long, in characters."""
    longer_liked: Share | None
    """Of pairs of two lengths those whose longer response scores higher; equal scores count half."""
    longer_right: float | None
    """Of the same pairs those whose longer response is the right one."""


class Bench(Record):
    """A reward model on a file."""

    judge: str
    """The reward model, as it was named."""
    data: str
    """The file."""
    num: int
    """Rows counted; those of Ties are not in `accuracy`."""
    num_prompts: int
    accuracy: Share | None
    """Of rows whose highest score a right response has; where several share it, the part of them that are right."""
    chance: float | None
    """What a coin gets on the same rows."""
    num_equal: int
    """Rows whose highest score right and wrong responses share."""
    subsets: tuple[Slice, ...]
    """In the order of the file: the subsets of a benchmark, or tags, which may overlap."""
    sections: tuple[Section, ...]
    """Of RewardBench: accuracy over all rows of the section's subsets, math-prm counted as often as code."""
    ties: Ties | None
    average: float | None
    """Of the sections (RewardBench), or of the subsets and Ties (RewardBench 2): each counts the same."""
    follows: Literal["RewardBench", "RewardBench 2"] | None
    """Whose subsets these are."""
    lengths: LengthBias
    undecided: int
    """Rows in which no response is better than another, which are not counted."""
    same: int
    """Pairs whose responses are the same once cut to the reward model's context, which are not counted."""
    bad: int
    """Rows that could not be read."""
    cut: int
    """Prompts with a response that lost something to fit the context."""
