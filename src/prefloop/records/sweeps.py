"""Sweeps of weights: what several rewards trade against each other."""

from pydantic import Field

from prefloop.records.evaluations import Interval
from prefloop.records.record import Record


class SweepPoint(Record):
    """What comes of one weight."""

    weight: float
    """Of the reward that is varied."""
    parts: dict[str, Interval]
    """Name of each reward -> its mean score, in its own units, of the responses that were taken."""


class Sweep(Record):
    """`sweep.json`: written by `prefloop sweep`."""

    vary: str
    """The reward whose weight is varied."""
    best_of: int = Field(ge=2)
    """Responses to each prompt, of which the best is taken."""
    num_prompts: int = Field(ge=1)
    points: tuple[SweepPoint, ...]
    """In the order of the weights asked for."""
