"""Settings of `prefloop revise`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prefloop.asking.config import AskedConfig
from prefloop.settings import RunConfig, SamplingConfig, Templated, Weighted

MODEL, SIMULATED, PYTHON = "model", "simulated", "python:"
"""Who may revise."""


class ReviserConfig(AskedConfig, defaults={"temperature": 1.0, "max_new_tokens": 256, "timeout": 120.0}):
    """A model that criticises and revises, and how it is asked."""

    WORD: ClassVar[str] = "reviser"

    model: str | None = None
    """With base_url the model's name there; without it a model folder, which writes here; none is the model that wrote
    the drafts."""

    @model_validator(mode="after")
    def _is_named_where_it_must_be(self) -> Self:
        if self.base_url is not None and self.model is None:
            raise ValueError(f"base_url = {self.base_url} needs the model's name there. Add model, such as model=NAME.")
        return self


class ReviseConfig(RunConfig, Templated, Weighted, SamplingConfig):
    """Everything that changes what is drafted and how it is revised."""

    model: str
    """Model folder that writes the drafts."""

    prompts: str
    """File of prompts."""

    principles: str | tuple[str, ...] = ("helpful", "harmless", "honest")
    """Principles to draw from: names of those that come with prefloop (helpful, harmless, honest, law, medicine,
    education) or YAML files, one or a list."""

    principles_language: Literal["auto", "en", "zh"] = "auto"
    """In which language it is asked, and built-in principles are taken: auto is the prompt's."""

    by: str = MODEL
    """Who criticises and revises: a `model`, as `reviser` says; `simulated`, somebody of the helpdesk, for its prompts
    only; or a function, python:FILE.py:FUNCTION, of (prompts, drafts, names of principles) that returns revisions."""

    reviser: ReviserConfig | None = None
    """With by=model: the model that revises; left out, the one that wrote the drafts revises them itself."""

    reviser_seconds: float = Field(default=600.0, gt=0, le=1_000_000)
    """With a function: most seconds for one call."""

    skill: Annotated[float, Field(ge=0, le=1)] = 0.8
    """With by=simulated: the share of the drafts that are mended as the principle asks; the rest is left as it is, or
    edited carelessly."""

    rounds: int = Field(default=1, ge=1, le=16)
    """Revisions in a row, each by a principle of its own."""

    num_prompts: int = Field(default=0, ge=0)
    """Prompts taken from the file's beginning; 0 takes all."""

    held_out: float = Field(default=0.1, ge=0, lt=1)
    """Share of the prompts that give no demonstrations, and whose pairs are kept for validation."""

    batch_prompts: int = Field(default=128, ge=1, le=100_000)
    """Prompts drafted, and revised, together."""

    @model_validator(mode="after")
    def _somebody_revises(self) -> Self:
        if self.by not in (MODEL, SIMULATED) and not self.by.startswith(PYTHON):
            raise ValueError(
                f"by = {self.by}: nobody is called that. Type by=model, by=simulated, or by=python:FILE.py:FUNCTION."
            )
        if self.reviser is not None and self.by != MODEL:
            raise ValueError(
                f"reviser says which model revises, but by = {self.by}. Set by = model, or leave reviser out."
            )
        if "skill" in self.model_fields_set and self.by != SIMULATED:
            raise ValueError(f"skill is the simulated reviser's, and by = {self.by}. Leave skill out.")
        if not self.principles:
            raise ValueError("principles names none. Give one, such as principles=harmless.")
        return self

    @property
    def named_principles(self) -> tuple[str, ...]:
        """The principles as a list."""
        return (self.principles,) if isinstance(self.principles, str) else self.principles
