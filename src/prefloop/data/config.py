"""Settings of `prefloop data preview`, and of the helpdesk's files (`data world`; `world:` in a recipe)."""

from typing import Literal

from pydantic import Field

from prefloop.settings import RunConfig, Templated


class PreviewConfig(Templated):
    """What `prefloop data preview` shows."""

    rows: int = Field(default=3, ge=1)
    """Examples shown."""


class WorldConfig(RunConfig):
    """How much of the helpdesk is written to disk, and in which language."""

    language: Literal["en", "zh"] = "en"
    """English or Chinese."""

    num_documents: int = Field(default=20000, ge=2, le=10_000_000)
    """Documents of raw text for pretraining."""

    num_practice: int = Field(default=12000, ge=2, le=10_000_000)
    """Documents of random words that share an order number, to practise copying on before anything else."""

    num_demonstrations: int = Field(default=5000, ge=2, le=10_000_000)
    """Replies written by the mixture of agents, from careless to expert."""

    num_collect: int = Field(default=2000, ge=1, le=10_000_000)
    """Prompts for collecting preferences."""

    num_ppo: int = Field(default=10000, ge=1, le=10_000_000)
    """Prompts for PPO; they need no responses."""

    num_validation: int = Field(default=300, ge=1, le=10_000_000)
    """Prompts for choosing between checkpoints."""

    num_test: int = Field(default=1000, ge=1, le=10_000_000)
    """Prompts for the final numbers."""

    num_ood: int = Field(default=500, ge=1, le=10_000_000)
    """Prompts with paraphrases and slot values that training never sees."""
