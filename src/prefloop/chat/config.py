"""Settings of `prefloop chat`."""

from typing import Literal

from pydantic import Field

from prefloop.chat.words import Language
from prefloop.settings import SamplingConfig, Weighted


class ChatConfig(Weighted, SamplingConfig):
    """How the models in a conversation speak."""

    temperature: float = Field(default=0.7, ge=0)
    """Divides the logits; 0 takes the likeliest token every time. Evaluation samples at 1."""

    max_new_tokens: int = Field(default=256, ge=1)
    """Most tokens in an answer; less where the model's context is nearly full."""

    memory: Literal["auto", "on", "off"] = "auto"
    """Whether earlier turns are read again: auto does so but for the helpdesk's models, which only saw single
    questions."""

    seed: int = 0
    """Decides every random choice; two models get the same random numbers."""

    language: Language = "en"
    """Language of what chat itself says."""

    template: str | None = None
    """Chat template, if the model folder records none."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where tensors live: auto takes CUDA, then MPS, then CPU."""
