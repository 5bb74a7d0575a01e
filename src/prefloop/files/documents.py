"""Files that hold one record: `run.json`, `finished.json`, `timing.json` and their like."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from prefloop.config import should_be
from prefloop.errors import UserError
from prefloop.files.atomic import Name, write_json

R = TypeVar("R", bound=BaseModel)


def read_document(path: Name, record: type[R], *, constants: list[str] | None = None) -> R:
    """The record in a JSON file.

    Args:
        constants: receives each NaN and Infinity, which is read as null then.

    Raises: UserError with file, what is wrong and what to type, if it is damaged.
    """
    mend = f"Put back the file as its stage wrote it, or delete {Path(path).parent} and run that stage again."
    try:
        value = json.loads(Path(path).read_bytes(), parse_constant=None if constants is None else constants.append)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{path}: this is not JSON ({problem}). {mend}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected an object {{...}}, but this is a {type(value).__name__}. {mend}")
    try:
        return record.model_validate(value)
    except UnicodeEncodeError as problem:  # half a character, in a name that a message would quote
        raise UserError(f"{path}: this is not text ({problem}). {mend}") from None
    except ValidationError as problem:
        error = problem.errors()[0]
        field = ".".join(str(part) for part in error["loc"])
        said = error["msg"].removeprefix("Value error, ")
        wrong = {"extra_forbidden": "is not known here", "missing": "is missing", "value_error": f": {said}"}
        says = wrong.get(error["type"]) or should_be(error) or "cannot be so"
        raise UserError(f"{path}: this is not as prefloop writes it (`{field}` {says}). {mend}") from None


def write_document(path: Name, record: BaseModel) -> None:
    """Writes a record as JSON, fields in the order of its class, whole or not at all."""
    write_json(path, record.model_dump(mode="json"))
