"""Settings of `prefloop doctor`, beside the folder that is looked at."""

import re
from typing import Self

from pydantic import model_validator

from prefloop.config import Config

ROLLOUT = re.compile(r"(\d+):(\d+)")


class DoctorConfig(Config):
    """What is asked of a run or a pipeline."""

    apply: str | None = None
    """File that receives the changed settings: of a pipeline its whole recipe, of a run its config.yaml with another
    out. It must not be there yet."""

    judge: str | None = None
    """A second judge, python:FILE.py:FUNCTION taking (prompts, responses) as lists of strings: whether what the reward
    likes better is better, on the samples that a run logged, and what the reward pays for beyond that."""

    page: str | None = None
    """Folder for a page of it, in English and Chinese (index.html, index.zh.html)."""

    rollout: str | None = None
    """One rollout token by token, as STEP:INDEX: of which step, from 1, and which of its responses, from 0."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rollout is None:
            return self
        if ROLLOUT.fullmatch(self.rollout) is None:
            raise ValueError(
                f"rollout = {self.rollout} is no rollout. Write rollout=STEP:INDEX, for instance rollout=10:0."
            )
        if self.apply is not None or self.judge is not None:
            raise ValueError(
                "rollout shows one response, and neither changes settings nor judges. Leave apply and judge out."
            )
        return self

    @property
    def place(self) -> tuple[int, int]:
        """(step, index) of the rollout that is asked for."""
        step, _, index = (self.rollout or "0:0").partition(":")
        return int(step), int(index)
