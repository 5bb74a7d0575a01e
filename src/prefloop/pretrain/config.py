"""Settings of `prefloop pretrain`."""

from typing import Self

from pydantic import Field, model_validator

from prefloop.config import Config
from prefloop.settings import Batched, Optimised, RunConfig


class ArchitectureConfig(Config):
    """A Llama to be trained from scratch."""

    hidden_size: int = Field(default=128, ge=8, le=65_536)
    """Width."""

    num_layers: int = Field(default=2, ge=1, le=1000)
    """Transformer layers."""

    num_heads: int = Field(default=2, ge=1, le=1024)
    """Attention heads; must divide the width. Few wide heads learn to copy sooner than many narrow ones."""

    intermediate_size: int = Field(default=384, ge=8, le=1_000_000)
    """Width inside the feed-forward layers."""

    context: int = Field(default=256, ge=16, le=10_000_000)
    """Most tokens that the model can read."""

    vocab_size: int = Field(default=2048, ge=300, le=10_000_000)
    """Tokens in the byte-level BPE vocabulary (256 bytes and 5 special tokens among them)."""


class PretrainConfig(
    RunConfig, Batched, Optimised, defaults={"lr": 3e-3, "weight_decay": 0.1, "checkpoint_every": 100}
):
    """Everything that changes what pretraining does."""

    corpus: str
    """Text to learn from: .jsonl with a field `text` for each document, or .txt (one document, cut to the context)."""

    practice: str | None = None
    """Text learned before the corpus, in the same forms: lines that repeat themselves teach a small model to copy."""

    practice_steps: int = Field(default=400, ge=0)
    """Updates spent on the practice text, out of `steps`."""

    practice_tokens: int = Field(default=1024, ge=16)
    """Tokens in an update on the practice text; many small updates teach copying sooner than few large ones."""

    model: ArchitectureConfig = ArchitectureConfig()
    """The model."""

    template: str = "turns"
    """Chat template recorded in the tokenizer for later stages."""

    steps: int = Field(default=1000, ge=1, le=100_000_000)
    """Most updates, practice included."""

    batch_tokens: int = Field(default=1536, ge=16)
    """Tokens in an update."""

    validation: float = Field(default=0.02, gt=0, lt=1)
    """Share of the documents held out."""

    evaluate_every: int = Field(default=100, ge=1)
    """Updates between looks at the held-out documents."""

    patience: int = Field(default=5, ge=1)
    """Stop after this many looks without a better held-out loss; the best weights are restored."""

    @model_validator(mode="after")
    def _leaves_time_for_the_corpus(self) -> Self:
        if self.practice is not None and self.practice_steps >= self.steps:
            raise ValueError(
                f"practice_steps = {self.practice_steps} leaves none of the steps = {self.steps} for the corpus. "
                f"Try practice_steps = {self.steps // 4}, or more steps."
            )
        return self
