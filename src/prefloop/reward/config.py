"""Settings of `prefloop reward`."""

from typing import Any, Literal

from pydantic import Field, model_validator

from prefloop.config import LEFT
from prefloop.settings import Adapted, Batched, Optimised, Templated, Trained

LEARNS_FROM_TIES = ("auto", "votes")
"""Objectives to which a pair without a majority says something."""


class RewardConfig(Trained, Templated, Adapted, Batched, Optimised, defaults={"weight_decay": 0.01}):
    """Everything that changes what a reward model learns."""

    model: str
    """Model folder (or hub id) to start from, normally the SFT model."""

    preferences: str
    """File of preferences, rankings, ratings or thumbs, in any form that `prefloop data check` names."""

    held_out: str | None = None
    """File of preferences for validation; without it a share of `preferences` is held out, whole prompts at a time."""

    undecided: str | None = None
    """File of pairs without a majority, as `collect` writes it: their votes are learned from too."""

    demonstrations: str | None = None
    """SFT demonstrations, whose scores are shifted and scaled to mean 0 and deviation 1; without it the chosen
    responses."""

    objective: Literal["auto", "votes", "bradley_terry", "plackett_luce"] = "auto"
    """How what was said of responses teaches; auto is what suits the file: pairs by each annotator's vote with its
    strength (votes), rankings as a whole (plackett_luce). bradley_terry learns from the decisions alone."""

    on_bad: Literal["stop", "skip"] = "stop"
    """What to do with bad rows, such as an empty chosen text: stop at the first, or skip them, print each and count
    them."""

    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts held out if there is no held_out file."""

    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over the preferences. More than one overfits soon."""

    batch_pairs: int = Field(default=LEFT, ge=1)
    """Preferences in an update; left out, what suits the model."""

    head_lr: float = Field(default=LEFT, gt=0)
    """Peak learning rate of the head, which begins at zero; left out, what suits the model."""

    @model_validator(mode="after")
    def _undecided_have_votes_only(self) -> "RewardConfig":
        if self.undecided is not None and self.objective not in LEARNS_FROM_TIES:
            raise ValueError(
                f"undecided pairs have no majority, so objective = {self.objective} learns nothing from them. Leave "
                "undecided out, or set objective = votes."
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _labels_were_renamed(cls, values: Any) -> Any:
        if isinstance(values, dict) and "labels" in values:
            now = "bradley_terry" if values["labels"] == "majority" else "votes"
            raise ValueError(f"what a preference teaches is now called objective: write objective={now}.")
        return values
