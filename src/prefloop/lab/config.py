"""Settings of `prefloop lab overopt`, on its command line or under `lab:` in a recipe."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from prefloop.config import Config


class Cell(Config):
    """How a reward model is made, and how a policy is optimised against it."""

    pairs: int | None = Field(default=500, ge=8)
    """Preferences that it learns from, drawn by the seed; those of a smaller number are among those of a larger one.
    None takes all."""

    flips: float = Field(default=0.25, ge=0, le=0.5)
    """Share of them that is turned round, drawn by the seed."""

    layers: int | None = Field(default=None, ge=1, le=1000)
    """Layers of the model that it begins as, which is pretrained and fine-tuned as the recipe's own but for that; None
    takes the recipe's."""

    model: str | None = None
    """Another model folder (or hub id) that it begins as."""

    members: int = Field(default=1, ge=1, le=64)
    """Reward models, each with a seed of its own; several are an ensemble."""

    combine: Literal["mean", "min", "variance"] = "mean"
    """Of an ensemble: how its members' scores become one, as of `ppo`."""

    variance_coef: float = Field(default=0.5, ge=0)
    """With combine=variance: what a unit of the members' variance costs, in reward units."""

    kl_coef: float = Field(default=0.0, ge=0)
    """Charge for each nat of drift."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.combine != "mean" and self.members == 1:
            raise ValueError(
                f"combine = {self.combine} needs an ensemble, but members = 1. Set members = 5, or leave it out."
            )
        if self.layers is not None and self.model is not None:
            raise ValueError(
                f"layers = {self.layers} makes a model, and model = {self.model} is one. Leave one of them out."
            )
        if self.combine != "variance" and self.variance_coef != type(self).model_fields["variance_coef"].default:
            raise ValueError(
                f"variance_coef does nothing with combine = {self.combine}. Leave it out, or set combine = variance."
            )
        return self


CELLS: Mapping[str, dict[str, Any]] = {
    "one": {},
    "mean": {"members": 5},
    "min": {"members": 5, "combine": "min"},
    "variance": {"members": 5, "combine": "variance"},
    "charged": {"kl_coef": 0.1},
    "few": {"pairs": 125},
    "many": {"pairs": 2000},
    "clean": {"flips": 0.0},
    "shallow": {"layers": 1},
    "deep": {"layers": 4},
}
"""Name -> settings of a cell: each differs from the first in one thing."""
DEFAULT = ("one", "mean", "min", "variance", "charged", "few", "many", "clean")
"""What is run if nothing else is asked for: all that needs no other model."""


class LabConfig(Config):
    """Which cells are run, with how many seeds, and how they are measured."""

    cells: tuple[str, ...] = Field(default=DEFAULT, min_length=1)
    """Cells, in the order of the page: names of the table in docs/stages/lab.md, or names of your own with settings as
    NAME.pairs=50. What the others are ahead of is the first."""

    seeds: int = Field(default=4, ge=1, le=1000)
    """How often each cell is run: with the recipe's seed and those that follow."""

    jobs: int = Field(default=0, ge=0, le=64)
    """Stages that run at the same time, each with one thread if there are several; 0 is one for each core."""

    algorithm: Literal["rloo", "ppo", "reinforce", "grpo"] = "rloo"
    """What optimises a policy."""

    best_of: int = Field(default=64, ge=2, le=10_000)
    """The largest n whose best is told."""

    num_prompts: int = Field(default=256, ge=16)
    """Validation prompts on which each policy that was kept is measured."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        again = next((name for name in self.cells if self.cells.count(name) > 1), None)
        if again is not None:
            raise ValueError(f"cells has {again} twice. Call the second one by a name of its own.")
        return self
