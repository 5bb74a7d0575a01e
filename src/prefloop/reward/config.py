"""Settings of `prefloop reward`."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from prefloop.config import LEFT
from prefloop.settings import Adapted, Batched, Optimised, Templated, Trained

Objective = Literal[
    "auto", "votes", "bradley_terry", "robust", "hinge", "rao_kupper", "davidson", "plackett_luce", "all_pairs",
    "pair_classifier", "regression", "ordinal", "thumbs",
]  # fmt: skip
LEARN_FROM_TIES = ("auto", "votes", "rao_kupper", "davidson", "pair_classifier")
"""Objectives to which a pair without a majority says something."""
BELONGS: Mapping[str, tuple[str, ...]] = {
    "label_smoothing": ("bradley_terry",),
    "flip_rate": ("robust",),
    "margin_per_strength": ("bradley_terry", "hinge"),
    "divisor": ("all_pairs",),
    "axis": ("ordinal", "regression"),
    "annotators": ("votes",),
}
"""Setting -> the objectives that it is one of."""


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

    replay: str | None = None
    """File of what was learned from in earlier rounds, some of which is learned from again, so that it is not
    forgotten."""

    replay_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of it among all that is learned from; which rows, the seed draws."""

    demonstrations: str | None = None
    """SFT demonstrations, whose scores are shifted and scaled to mean 0 and deviation 1; without it the chosen
    responses."""

    objective: Objective = "auto"
    """How what was said of responses teaches; auto is what suits the file: pairs by each annotator's vote with its
    strength (votes), rankings as a whole (plackett_luce), ratings as levels (ordinal), thumbs one by one (thumbs).
    docs/stages/reward.md has them all in a table."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Of bradley_terry: share by which a decision is believed less than said."""

    flip_rate: float | None = Field(default=None, gt=0, lt=0.5)
    """Of robust, which needs it: share of the decisions that are believed to be the wrong way round."""

    margin_per_strength: float = Field(default=0.0, ge=0)
    """Of bradley_terry and hinge: score units by which the chosen response must be ahead for each step of the strength
    stated (1 slightly, 2 clearly, 3 much better)."""

    divisor: Literal["pairs", "all"] = "pairs"
    """Of all_pairs: what the sum over a ranking's pairs is divided by: the pairs told apart, or all K (K - 1) / 2."""

    axis: str | None = None
    """Of ordinal and regression: the axis of the ratings that is learned; left out, the main one (overall or
    helpfulness), or the mean of all."""

    center_coef: float = Field(default=0.0, ge=0)
    """Charge for the mean squared raw score, which holds scores near 0: pairs and rankings leave open what is added."""

    heads: Literal["one", "axes", "domains", "annotators", "members"] = "one"
    """Columns on one trunk: one score; one for each axis; a common one and one for each domain (tags domain:NAME or
    topic:NAME), or for each annotator or group (votes, tags group:NAME); or members of an ensemble."""

    num_members: int | None = Field(default=None, ge=2, le=64)
    """Of heads=members: how many; 4 if left out."""

    shrinkage: float | None = Field(default=None, ge=0)
    """Of heads=domains and heads=annotators: how many votes of its own weigh as much as that a column does not differ
    from the common one; 20 if left out."""

    annotators: Literal["same", "learned"] = "same"
    """Of votes: whether all annotators judge alike, or how well each of them does, and how much the left side and the
    longer response sway them, is learned with the scores."""

    on_bad: Literal["stop", "skip"] = "stop"
    """What to do with bad rows, such as an empty chosen text: stop at the first, or skip them, print each and count
    them."""

    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts held out if there is no held_out file."""

    split_seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    """Decides which prompts are held out; None is seed. With it runs of several seeds are measured by the same
    prompts."""

    members: int = Field(default=1, ge=1, le=1000)
    """Reward models trained, each with a seed of its own; more than one make an ensemble, written as one folder."""

    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the prompts to learn from that are learned from; what is held out stays the same, and a smaller share is
    part of a larger one."""

    curve: bool = False
    """Trains on an eighth, a quarter and half of the prompts first, for an exact learning curve: nearly twice the time.
    Without it the curve is that of one model in its first pass."""

    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over the preferences. More than one overfits soon."""

    batch_pairs: int = Field(default=LEFT, ge=1)
    """Preferences in an update; left out, what suits the model."""

    head_lr: float = Field(default=LEFT, gt=0)
    """Peak learning rate of the head, which begins at zero; left out, what suits the model."""

    @model_validator(mode="after")
    def _one_curve(self) -> "RewardConfig":
        if self.curve and self.members > 1:
            raise ValueError("a learning curve is of one model. Leave curve out, or members.")
        return self

    @property
    def split_by(self) -> int:
        """The seed that decides which prompts are held out."""
        return self.seed if self.split_seed is None else self.split_seed

    @model_validator(mode="after")
    def _fits_its_objective(self) -> "RewardConfig":
        if self.objective == "robust" and self.flip_rate is None:
            raise ValueError("objective = robust needs flip_rate, the share of decisions believed wrong: 0.1, say.")
        if self.replay is None and self.replay_share != type(self).model_fields["replay_share"].default:
            raise ValueError(
                "replay_share is a share of replay = FILE, which is not given. Give it, or leave this out."
            )
        if self.objective != "auto":
            self.check(self.objective)
        return self

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
        for name, own in BELONGS.items():
            if dict(self)[name] != type(self).model_fields[name].default and objective not in own:
                raise ValueError(
                    f"{name} is a setting of objective = {' or '.join(own)}, but here objective = {objective}. "
                    "Leave it out, or change the objective."
                )
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
        if self.undecided is not None and objective not in LEARN_FROM_TIES:
            raise ValueError(
                f"undecided pairs have no majority, so objective = {objective} learns nothing from them. Leave "
                "undecided out, or set objective = votes."
            )

    @model_validator(mode="before")
    @classmethod
    def _labels_were_renamed(cls, values: Any) -> Any:
        if isinstance(values, dict) and "labels" in values:
            now = "bradley_terry" if values["labels"] == "majority" else "votes"
            raise ValueError(f"what a preference teaches is now called objective: write objective={now}.")
        return values
