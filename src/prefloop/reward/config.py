"""Settings of `prefloop reward`."""

from typing import Literal

from pydantic import Field, model_validator

from prefloop.config import RunConfig


class RewardConfig(RunConfig):
    """Everything that changes what a reward model learns."""

    model: str
    """Model folder (or hub id) to start from, normally the SFT model."""

    preferences: str
    """File of preferences: ours, TRL's, or Anthropic's chosen/rejected as it is."""

    held_out: str | None = None
    """File of preferences for validation; without it a share of `preferences` is held out, whole prompts at a time."""

    undecided: str | None = None
    """File of pairs without a majority, as `collect` writes it: their votes are learned from too."""

    demonstrations: str | None = None
    """SFT demonstrations, whose scores are shifted and scaled to mean 0 and deviation 1; without it the chosen responses."""

    labels: Literal["votes", "majority"] = "votes"
    """What a preference teaches: each annotator's choice with its strength, or only the decision of the majority."""

    on_bad: Literal["stop", "skip"] = "stop"
    """What to do with bad rows, such as an empty chosen text: stop at the first, or skip them, print each and count them."""

    template: str | None = None
    """Chat template, if the model folder records none."""

    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts held out if there is no held_out file."""

    epochs: int = Field(default=1, ge=1)
    """Passes over the preferences. More than one overfits soon."""

    batch_pairs: int = Field(default=64, ge=1)
    """Preferences in an update."""

    micro_tokens: int = Field(default=16384, ge=16)
    """Most tokens in memory at once; a larger batch is split, which does not change the result."""

    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate (AdamW, cosine)."""

    warmup: float = Field(default=0.05, ge=0, le=1)
    """Share of the updates over which the learning rate rises."""

    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay."""

    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients longer than this are shortened to it."""

    checkpoint_every: int = Field(default=50, ge=0)
    """Updates between checkpoints; 0 for none but on Ctrl-C."""

    @model_validator(mode="after")
    def _undecided_have_votes_only(self) -> "RewardConfig":
        if self.undecided is not None and self.labels == "majority":
            raise ValueError(
                "undecided pairs have no majority, so labels = majority learns nothing from them. Leave undecided out, or set labels = votes."
            )
        return self
