"""Settings of `prefloop sft`."""

from typing import ClassVar, Literal

from pydantic import Field

from prefloop.settings import Adapted, Batched, Optimised, Templated, Trained


class SFTConfig(Trained, Templated, Batched, Adapted, Optimised):
    """Everything that changes what supervised fine-tuning does."""

    AFTERWARDS: ClassVar[tuple[str, ...]] = ("gate", "gate_share", "gate_prompts", "gate_max_new_tokens")

    model: str
    """Model folder (or hub id) to start from."""

    demonstrations: str
    """File of demonstrations, in any form that `prefloop data check` names."""

    epochs: int = Field(default=2, ge=1, le=1000)
    """Passes over the demonstrations."""

    batch_tokens: int = Field(default=2048, ge=16)
    """Tokens in an update, packed without padding and without leaks."""

    validation: float = Field(default=0.05, gt=0, lt=1)
    """Share of the demonstrations held out for the validation loss."""

    gate: Literal["stop", "warn"] = "stop"
    """What to do if the model is not ready for RL: does not end its responses by itself, or writes template markers."""

    gate_share: float = Field(default=0.9, ge=0, le=1)
    """Share of sampled responses that must end by themselves, and share that must be free of template markers."""

    gate_prompts: int = Field(default=64, ge=1)
    """Held-out prompts sampled for the gate."""

    gate_max_new_tokens: int = Field(default=0, ge=0)
    """Length limit of the gate's responses; 0 takes twice what 95 % of the held-out responses need."""
