"""Revisions: what a model wrote, how it was criticised by a principle, and what became of it."""

from pydantic import Field

from prefloop.records.conversations import Conversation
from prefloop.records.record import Record, Text


class Step(Record):
    """One critique and one revision."""

    principle: Text
    """The name of the principle that was drawn."""
    critique: str
    """What was said of the text before, as it was said; empty if none was asked for."""
    revision: str
    """What was written in its place."""
    failures: tuple[str, ...] = ()
    """Of each answer that could not be used why: refused, empty, malformed, unfinished or too_long."""
    failure: str = ""
    """Why there is no revision, however often it was asked for; empty if there is one."""


class Revised(Record):
    """A prompt, what a model answered, and its revisions in a row."""

    id: Text
    """The prompt's id."""
    messages: Conversation
    """The prompt's conversation."""
    draft: str
    """What the model answered; empty if it answered nothing."""
    finished: bool = True
    """False if the draft ran into the token limit."""
    steps: tuple[Step, ...] = ()
    """The revisions, each of the text before it."""
    revision: str | None = Field(default=None, min_length=1)
    """The last text; None if a step failed, or there was no draft: the prompt is left out."""
    reviser: Text
    """Who revised: `model:` and its name or fingerprint, `simulated`, or a function."""
    held_out: bool = False
    """Whether the prompt is kept for validation."""
    tags: tuple[str, ...] = ()
    """The prompt's tags."""

    @property
    def cut_off(self) -> bool:
        """Whether its last text is the draft as it was cut off: nothing to imitate."""
        return not self.finished and self.revision == self.draft
