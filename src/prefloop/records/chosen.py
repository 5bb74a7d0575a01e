"""What a stage says of the prompts that it chose."""

from pydantic import Field

from prefloop.records.record import Record, Text


class Chosen(Record):
    """Why one prompt was chosen (written by `prefloop choose`, a row for each of its prompts)."""

    id: Text
    """The prompt's."""
    why: Text
    """What brought it in: random, disagreement, diversity, or floor."""
    inclusion: float = Field(gt=0, le=1)
    """Probability with which it was to be chosen; 1 / inclusion is how many prompts of the pool it stands for."""
    learned: float | None = Field(default=None, ge=0)
    """Nats that a judgement of two responses to it would teach the reward, where one looked at it."""
