"""Settings of learning from what was said of responses, whatever it is, and whatever learns."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from prefloop.config import LEFT
from prefloop.settings import Trained

LEARN_FROM_TIES = ("auto", "votes", "rao_kupper", "davidson", "pair_classifier")
"""Objectives to which a pair without a majority says something."""


class FeedbackConfig(Trained):
    """What is learned from, what is held out, and how what was said teaches."""

    BELONGS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "label_smoothing": ("bradley_terry",),
        "flip_rate": ("robust",),
        "margin_per_strength": ("bradley_terry", "hinge"),
        "divisor": ("all_pairs",),
        "annotators": ("votes",),
    }
    """Setting -> the objectives that it is one of."""

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

    objective: str = "auto"
    """How what was said of responses teaches; auto is what suits the file."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Of bradley_terry: share by which a decision is believed less than said."""

    flip_rate: float | None = Field(default=None, gt=0, lt=0.5)
    """Of robust, which needs it: share of the decisions that are believed to be the wrong way round."""

    margin_per_strength: float = Field(default=0.0, ge=0)
    """Of bradley_terry and hinge: score units by which the chosen response must be ahead for each step of the strength
    stated (1 slightly, 2 clearly, 3 much better)."""

    divisor: Literal["pairs", "all"] = "pairs"
    """Of all_pairs: what the sum over a ranking's pairs is divided by: the pairs told apart, or all K (K - 1) / 2."""

    center_coef: float = Field(default=0.0, ge=0)
    """Charge for the mean squared raw score, which holds scores near 0: pairs and rankings leave open what is added."""

    annotators: Literal["same", "learned"] = "same"
    """Of votes: whether all annotators judge alike, or how well each of them does, and how much the left side and the
    longer response sway them, is learned with the scores."""

    trust: dict[str, float] | None = None
    """What rows count in training, beside 1: by who judged them (person, simulated, model) and by tag, for instance
    trust.model=0.3. Of a row with votes of several kinds it is the mean of theirs."""

    on_bad: Literal["stop", "skip"] = "stop"
    """What to do with bad rows, such as an empty chosen text: stop at the first, or skip them, print each and count
    them."""

    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts held out if there is no held_out file."""

    split_seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    """Decides which prompts are held out; None is seed. With it runs of several seeds are measured by the same
    prompts."""

    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the prompts to learn from that are learned from; what is held out stays the same, and a smaller share is
    part of a larger one."""

    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over the preferences. More than one overfits soon."""

    batch_pairs: int = Field(default=LEFT, ge=1)
    """Preferences in an update; left out, what suits the model."""

    @property
    def split_by(self) -> int:
        """The seed that decides which prompts are held out."""
        return self.seed if self.split_seed is None else self.split_seed

    @property
    def axes(self) -> tuple[str | None, bool]:
        """The axis of ratings that is learned, None for the main one; and whether each is, by itself."""
        return None, False

    @model_validator(mode="after")
    def _trusts_a_little(self) -> Self:
        for name, weight in (self.trust or {}).items():
            if not weight > 0:
                raise ValueError(
                    f"trust.{name} = {weight:g}: what counts nothing is better left out of the file. Give a number "
                    "above 0."
                )
        return self

    @model_validator(mode="after")
    def _fits_its_objective(self) -> Self:
        if self.objective == "robust" and self.flip_rate is None:
            raise ValueError("objective = robust needs flip_rate, the share of decisions believed wrong: 0.1, say.")
        if self.replay is None and self.replay_share != type(self).model_fields["replay_share"].default:
            raise ValueError(
                "replay_share is a share of replay = FILE, which is not given. Give it, or leave this out."
            )
        if self.objective != "auto":
            self.check(self.objective)
        return self

    def check(self, objective: str) -> None:
        """Raises: ValueError for a setting that is none of an objective's."""
        offered = get_args(type(self).model_fields["objective"].annotation)
        for name, own in self.BELONGS.items():
            if dict(self)[name] == type(self).model_fields[name].default or objective in own:
                continue
            if not set(own) & set(offered):
                raise ValueError(f"{name} does nothing with objective = {objective}. Leave it out.")
            raise ValueError(
                f"{name} is a setting of objective = {' or '.join(own)}, but here objective = {objective}. "
                "Leave it out, or change the objective."
            )
        if self.undecided is not None and objective not in LEARN_FROM_TIES:
            instead = ", or set objective = votes" if "votes" in offered else ""
            raise ValueError(
                f"undecided pairs have no majority, so objective = {objective} learns nothing from them. Leave "
                f"undecided out{instead}."
            )
