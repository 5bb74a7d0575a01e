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


class EmbeddedScore(Score):
    """The same, and where the reward model sees prompt and response (written by `prefloop score embed=true`)."""

    embedding: Annotated[tuple[float, ...], Field(min_length=1)]
    """Only distances between embeddings of one model mean anything."""
