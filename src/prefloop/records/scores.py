"""Scores: what a reward model says of a response."""

from typing import Annotated

from pydantic import Field

from prefloop.records.record import Record, Text


class Score(Record):
    """A reward model's number for one response (written by `prefloop score`)."""

    id: Text
    """The row's id."""
    score: float
    """Reward units: shifted and scaled so that SFT demonstrations have mean 0 and deviation 1."""
    members: tuple[float, ...] | None = None
    """Of an ensemble: the score of each member."""
    disagreement: float | None = Field(default=None, ge=0)
    """Of an ensemble: how far its members are apart, their deviation in reward units."""
    outlier: float | None = Field(default=None, ge=0, le=1)
    """Share of the responses that the model knows which are less unusual to it, where it was noted."""


class EmbeddedScore(Score):
    """The same, and where the reward model sees prompt and response (written by `prefloop score embed=true`)."""

    embedding: Annotated[tuple[float, ...], Field(min_length=1)]
    """Only distances between embeddings of one model mean anything."""


class EnsembleCard(Record):
    """`ensemble.json`: by it a folder is known as several reward models, which lie in `members/`."""

    num: int = Field(ge=2, le=1000)
    """How many there are."""
