"""Settings of `prefloop reward`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from prefloop.config import LEFT
from prefloop.feedback.config import FeedbackConfig
from prefloop.settings import Adapted, Batched, Optimised, Templated

Objective = Literal[
    "auto", "votes", "bradley_terry", "robust", "hinge", "rao_kupper", "davidson", "plackett_luce", "all_pairs",
    "pair_classifier", "regression", "ordinal", "thumbs",
]  # fmt: skip
MARKED = ("ordinal", "regression")
"""Objectives of ratings."""


class RewardConfig(FeedbackConfig, Templated, Adapted, Batched, Optimised, defaults={"weight_decay": 0.01}):
    """Everything that changes what a reward model learns."""

    BELONGS: ClassVar[Mapping[str, tuple[str, ...]]] = {**FeedbackConfig.BELONGS, "axis": MARKED}

    model: str
    """Model folder (or hub id) to start from, normally the SFT model."""

    demonstrations: str | None = None
    """SFT demonstrations, whose scores are shifted and scaled to mean 0 and deviation 1; without it the chosen
    responses."""

    objective: Objective = "auto"  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower, and frozen
    """How what was said of responses teaches; auto is what suits the file: pairs by each annotator's vote with its
    strength (votes), rankings as a whole (plackett_luce), ratings as levels (ordinal), thumbs one by one (thumbs).
    docs/stages/reward.md has them all in a table."""

    axis: str | None = None
    """Of ordinal and regression: the axis of the ratings that is learned; left out, the main one (overall or
    helpfulness), or the mean of all."""

    heads: Literal["one", "axes", "domains", "annotators", "members"] = "one"
    """Columns on one trunk: one score; one for each axis; a common one and one for each domain (tags domain:NAME or
    topic:NAME), or for each annotator or group (votes, tags group:NAME); or members of an ensemble."""

    num_members: int | None = Field(default=None, ge=2, le=64)
    """Of heads=members: how many; 4 if left out."""

    shrinkage: float | None = Field(default=None, ge=0)
    """Of heads=domains and heads=annotators: how many votes of its own weigh as much as that a column does not differ
    from the common one; 20 if left out."""

    members: int = Field(default=1, ge=1, le=1000)
    """Reward models trained, each with a seed of its own; more than one make an ensemble, written as one folder."""

    curve: bool = False
    """Trains on an eighth, a quarter and half of the prompts first, for an exact learning curve: nearly twice the time.
    Without it the curve is that of one model in its first pass."""

    head_lr: float = Field(default=LEFT, gt=0)
    """Peak learning rate of the head, which begins at zero; left out, what suits the model."""

    @model_validator(mode="after")
    def _one_curve(self) -> "RewardConfig":
        if self.curve and self.members > 1:
            raise ValueError("a learning curve is of one model. Leave curve out, or members.")
        return self

    @property
    def axes(self) -> tuple[str | None, bool]:
        """See `FeedbackConfig`."""
        return self.axis, self.heads == "axes"

    @model_validator(mode="after")
    def _fits_its_heads(self) -> "RewardConfig":
        for name, kinds in (("num_members", ("members",)), ("shrinkage", ("domains", "annotators"))):
            if dict(self)[name] is not None and self.heads not in kinds:
                raise ValueError(
                    f"{name} is a setting of heads = {' or '.join(kinds)}, but here heads = {self.heads}. Leave it "
                    "out, or change heads."
                )
        if self.heads != "one" and self.annotators == "learned":
            raise ValueError(
                "annotators = learned is for one score of everybody's. Leave it out, or leave heads out; heads = "
                "annotators gives each a column."
            )
        if self.heads == "axes" and self.axis is not None:
            raise ValueError(
                "axis names the one axis that is learned, but heads = axes learns all. Leave axis out, or heads."
            )
        if self.heads != "one" and self.objective == "pair_classifier":
            raise ValueError(
                "objective = pair_classifier reads two responses at once and has one head. Leave heads out, or change "
                "the objective."
            )
        return self

    def check(self, objective: str) -> None:
        """Raises: ValueError for a setting that is none of an objective's."""
        super().check(objective)
        if objective == "thumbs" and self.heads == "axes":
            raise ValueError(
                "thumbs are of no axis, so objective = thumbs has one score. Leave heads out, or give ratings."
            )
        if self.objective == "pair_classifier" and self.members > 1:
            raise ValueError(
                "objective = pair_classifier gives scores that compare within a prompt only, so members = "
                f"{self.members} have nothing to agree on. Leave members out, or choose another objective."
            )
        if self.objective == "pair_classifier" and self.demonstrations is not None:
            raise ValueError(
                "demonstrations put scores on a scale, but what objective = pair_classifier learns are log-odds of "
                "pairs already. Leave demonstrations out."
            )

    @model_validator(mode="before")
    @classmethod
    def _labels_were_renamed(cls, values: Any) -> Any:
        if isinstance(values, dict) and "labels" in values:
            now = "bradley_terry" if values["labels"] == "majority" else "votes"
            raise ValueError(f"what a preference teaches is now called objective: write objective={now}.")
        return values
