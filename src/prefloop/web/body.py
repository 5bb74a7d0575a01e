"""What comes and goes over the network: strict bodies, texts and numbers that can be stored and sent again."""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

DEEPEST = 20
"""Lists and objects inside each other."""


class Body(BaseModel):
    """Base of what comes over the network: strict, nothing unknown, no text that cannot be stored."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _can_be_stored(cls, values: Any) -> Any:
        check_storable(values)
        return values


def is_deep(value: Any) -> bool:
    """True if more than DEEPEST lists and objects are inside each other."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for here in level
            if isinstance(here, dict | list)
            for inner in (here.values() if isinstance(here, dict) else here)
        ]
    return any(isinstance(here, dict | list) for here in level)


def check_storable(value: Any) -> None:
    """Raises: ValueError if a text has a NUL or half a character, a number is not finite, or it is nested too deep."""
    if is_deep(value):
        raise ValueError(f"lists and objects are nested deeper than {DEEPEST} levels; send something flatter")
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str):
            if "\0" in here or any("\ud800" <= letter <= "\udfff" for letter in here):
                raise ValueError("a text holds a NUL or half a character; remove it")
        elif isinstance(here, float) and not math.isfinite(here):
            raise ValueError("a number in it is not finite, which JSON does not know; leave it out")
        elif isinstance(here, dict):
            waiting += [*here.keys(), *here.values()]
        elif isinstance(here, list):
            waiting += here


def finite(value: float | None, digits: int = 6) -> float | None:
    """A number that JSON can hold; None for what is not one."""
    return None if value is None or not math.isfinite(value) else round(float(value), digits)
