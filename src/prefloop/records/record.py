"""What every record has in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]
PLAIN = frozenset({str, int, float, bool, type(None)})
"""Types that hold nothing else."""


class Record(BaseModel):
    """Something on disk: frozen, no unknown fields, no NaN, no silent conversions except list -> tuple."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        return tupled(values)


def tupled(value: Any) -> Any:
    """The same value, its lists made tuples all the way down; as fast as can be, for every row of a file comes by."""
    if isinstance(value, dict):
        for inner in value.values():
            if type(inner) not in PLAIN:
                return {key: inner if type(inner) in PLAIN else tupled(inner) for key, inner in value.items()}
        return value
    if isinstance(value, list | tuple):
        return tuple([inner if type(inner) in PLAIN else tupled(inner) for inner in value])
    return value
