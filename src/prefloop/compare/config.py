"""Settings of `prefloop compare`, on its command line or under `compare:` in a recipe."""

from typing import Self

from pydantic import Field, model_validator

from prefloop.compare.methods import DEFAULT
from prefloop.config import Config


class CompareConfig(Config):
    """Which methods are compared, and how many at once."""

    methods: tuple[str, ...] = Field(default=DEFAULT, min_length=1)
    """Methods, in the order of the page: names of the table in docs/stages/compare.md, or names of your own, of which
    NAME.method says what they are."""

    at_once: int = Field(default=0, ge=0, le=64)
    """Methods that run at the same time, each with one thread if there are several; 0 is one for each core where the
    recipe pretrains its model itself, which is small, and else one with all cores."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        again = next((name for name in self.methods if self.methods.count(name) > 1), None)
        if again is not None:
            raise ValueError(
                f"methods has {again} twice. Call the second one by a name of its own, and set NAME.method={again}."
            )
        return self
