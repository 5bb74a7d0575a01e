"""Settings of `prefloop plan` that are not the stage's own."""

import re
from typing import Self

from pydantic import model_validator

from prefloop.config import Config

ON = re.compile(r"(?:(\d+) ?x ?)?(\d+(?:\.\d+)?) ?(?:GB|gb)?")


class PlanConfig(Config):
    """What a plan is asked beside the settings of a stage."""

    on: str | None = None
    """Accelerators that are not here, for instance on="8 x 80 GB": whether one of them holds it, and how many hours it
    takes; none is this machine, of which memory= (of a stage that trains) says how much may be taken."""

    @model_validator(mode="after")
    def _is_understood(self) -> Self:
        if self.on is not None and ON.fullmatch(self.on.strip()) is None:
            raise ValueError(f'on = {self.on} should say how many and how large, for instance on="8 x 80 GB".')
        return self

    @property
    def accelerators(self) -> tuple[int, float]:
        """How many, and gigabytes of each; (0, 0) for this machine."""
        found = ON.fullmatch((self.on or "").strip())
        return (0, 0.0) if found is None else (int(found[1] or 1), float(found[2]))
