"""Settings of `prefloop skills`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from prefloop.records.skills import OOD
from prefloop.settings import RunConfig, Templated, Weighted
from prefloop.signs import FORGOTTEN, SKILL


class SkillsConfig(RunConfig, Templated, Weighted):
    """Which models, what they are asked, and how much worse they may be."""

    models: dict[str, str]
    """NAME -> model folder: models.before=DIR models.after=DIR. The first is the one that the others are compared
    with."""

    suite: str | None = None
    """Tasks: helpdesk, small (for real models, in English and Chinese), or a file of tasks."""

    num_tasks: int = Field(default=100, ge=0)
    """Tasks of each skill: so many are made of the helpdesk, and of a file or of small the first are taken; 0 takes
    all of these."""

    language: Literal["en", "zh"] = "en"
    """With suite=helpdesk: what its customers speak."""

    texts: str | None = None
    """File of base texts, as pretrain reads them, that no model was trained on: what they surprise a model by is its
    loss."""

    texts_ood: str | None = None
    """File of texts of another kind, for the same out of distribution."""

    num_texts: int = Field(default=500, ge=0)
    """Texts taken from the beginning of each file; 0 takes all."""

    max_drop: dict[str, float] = Field(default_factory=dict)
    """Skill -> most that it may get worse by: max_drop.copying=0.1. Left out, it is 0.1 nats a token of a loss, 0.025
    nats a byte, and 0.05 of any share of tasks."""

    max_new_tokens: int = Field(default=96, ge=1)
    """Most tokens in a response."""

    batch: int = Field(default=128, ge=1, le=100_000)
    """Tasks or texts measured together, and kept together."""

    micro_tokens: int = Field(default=8192, ge=16, le=100_000_000)
    """Most tokens read at once; it does not change the result."""

    @model_validator(mode="after")
    def _something_is_measured(self) -> Self:
        if not self.models:
            raise ValueError("models names none. Give one or several: models.NAME=FOLDER.")
        if self.suite is None and self.texts is None and self.texts_ood is None:
            raise ValueError("nothing is measured. Set suite = helpdesk, small or FILE, or texts = FILE, or both.")
        if "language" in self.model_fields_set and self.suite != "helpdesk":
            raise ValueError("language is of suite = helpdesk, and suite is another. Leave language out.")
        if self.suite == "helpdesk" and not self.num_tasks:
            raise ValueError(
                "num_tasks = 0 takes all of a file, and the helpdesk's tasks are made. Say how many, for instance 100."
            )
        low = next((name for name, most in self.max_drop.items() if most < 0), None)
        if low is not None:
            raise ValueError(
                f"max_drop.{low} = {self.max_drop[low]:g}: what a skill may get worse by is 0 or more. A number of 0 "
                "says that it must not get worse for certain."
            )
        return self

    def limit(self, skill: str) -> float:
        """Most that a skill may get worse by."""
        return self.max_drop.get(skill, FORGOTTEN.get(skill.removesuffix(OOD), SKILL))
