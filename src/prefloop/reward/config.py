"""Settings of `prefloop reward`."""

from typing import Literal

from pydantic import Field, model_validator

from prefloop.settings import Adapted, Batched, Optimised, Templated, Trained


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

    labels: Literal["votes", "majority"] = "votes"
    """What a preference teaches: each annotator's choice with its strength, or only the decision of the majority."""

    on_bad: Literal["stop", "skip"] = "stop"
    """What to do with bad rows, such as an empty chosen text: stop at the first, or skip them, print each and count
    them."""

    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts held out if there is no held_out file."""

    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over the preferences. More than one overfits soon."""

    batch_pairs: int = Field(default=64, ge=1)
    """Preferences in an update."""

    @model_validator(mode="after")
    def _undecided_have_votes_only(self) -> "RewardConfig":
        if self.undecided is not None and self.labels == "majority":
            raise ValueError(
                "undecided pairs have no majority, so labels = majority learns nothing from them. Leave undecided out, "
                "or set labels = votes."
            )
        return self
