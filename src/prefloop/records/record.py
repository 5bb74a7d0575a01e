"""What every record has in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefloop.config import frozen

Text = Annotated[str, Field(min_length=1)]


class Record(BaseModel):
    """Something on disk: frozen, no unknown fields, no silent conversions except list -> tuple."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        return frozen(values)
