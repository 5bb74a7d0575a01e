"""Records in and out: JSONL, JSONL.gz and Parquet, with `file:line: sentence` for every bad row."""

import difflib
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from prefloop.errors import UserError
from prefloop.files.atomic import Name, write_bytes

R = TypeVar("R", bound=BaseModel)
Row = tuple[int, dict[str, Any]]


def read_rows(path: Name) -> Iterator[Row]:
    """(line number, row) of a JSONL, JSONL.gz, JSON-list or Parquet file, streamed.

    Raises: UserError at the first row that is not a JSON object.
    """
    for number, row in each_row(path):
        if isinstance(row, UserError):
            raise row
        yield number, row


def each_row(path: Name) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """Like `read_rows`, but goes on after a bad line: its place holds the error with the sentence.

    Raises: UserError if there is no such file, or if it is not of the kind that its suffix says.
    """
    path = Path(path)
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        hint = f"Did you mean {path.parent / near[0]}?" if near else "Give the path of an existing file."
        raise UserError(f"{path}: there is no such file. {hint}")
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
    elif path.suffix == ".json":
        yield from _json_rows(path)
    else:
        yield from _jsonl_rows(path)


def _jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        lines = enumerate(file, start=1)
        number = 0
        while True:
            try:
                number, line = next(lines)
            except StopIteration:
                return
            except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
                damage = f"the gzip file is damaged after this line ({problem}); fetch or make it again."
                yield number, UserError(f"{path}:{number}: {damage}")
                return
            if line.strip():
                yield number, _object(path, number, line)


def _object(path: Path, number: int, line: bytes) -> dict[str, Any] | UserError:
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        return UserError(f"{path}:{number}: this line is not UTF-8 text; save the file as UTF-8.")
    except ValueError as problem:
        return UserError(f"{path}:{number}: this line is not JSON ({problem}); every line must be one object.")
    except RecursionError:
        return UserError(f"{path}:{number}: this line is nested too deeply; every line must be one plain object.")
    return row if isinstance(row, dict) else _not_an_object(path, number, row)


def _not_an_object(path: Path, number: int, row: Any) -> UserError:
    return UserError(f"{path}:{number}: expected an object {{...}}, found {type(row).__name__}; give it field names.")


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    data = path.read_bytes()
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as problem:
        if data.lstrip()[:1] == b"{":  # one object per line, whatever the suffix says
            yield from _jsonl_rows(path)
            return
        if isinstance(problem, RecursionError):
            raise UserError(
                f"{path}: this is nested too deeply; save a list of plain objects, or one per line as .jsonl."
            ) from None
        raise UserError(f"{path}: this is not JSON ({problem}); save one object per line as .jsonl.") from None
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of objects; or save one object per line as .jsonl.")
    for number, row in enumerate(rows, start=1):
        yield number, row if isinstance(row, dict) else _not_an_object(path, number, row)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow  # a third of a second, and only for Parquet
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as problem:
        raise UserError(f"{path}: this is not a Parquet file ({problem}).") from None
    number = 0
    with file:
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield number, {name: _without_nulls(value) for name, value in row.items()}


def _without_nulls(value: Any) -> Any:
    """The same value without the nulls by which Parquet fills the fields that an inner object does not have."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def read_records(path: Name, record: type[R]) -> list[R]:
    """Every row of a file as a record of the given kind; ids, where there are any, must be unique.

    Raises: UserError with file, line, field and remedy at the first bad row, or if there is none at all.
    """
    records: list[R] = []
    seen: dict[str, int] = {}
    for number, row in read_rows(path):
        records.append(as_record(row, record, f"{path}:{number}"))
        identity = row.get("id")
        if isinstance(identity, str):
            first = seen.setdefault(identity, number)
            if first != number:
                raise UserError(
                    f"{path}:{number}: the id {identity!r} was already used in line {first}; make ids unique."
                )
    if not records:
        raise UserError(f"{path}: the file has no rows; expected one {record.__name__.lower()} per line.")
    return records


def as_record(row: dict[str, Any], record: type[R], place: str) -> R:
    """One row as a record. Raises: UserError that starts with `place` and names the field."""
    try:
        return record.model_validate(row)
    except ValidationError as problem:
        raise UserError(f"{place}: {_row_sentence(problem, record)}") from None


def _row_sentence(problem: ValidationError, record: type[BaseModel]) -> str:
    errors = problem.errors()
    unknown = [error for error in errors if error["type"] == "extra_forbidden"]
    error = unknown[0] if unknown else errors[0]  # a mistyped required field is both: name the typo
    key = ".".join(str(part) for part in error["loc"])
    kind = record.__name__.lower()
    if error["type"] == "missing":
        return f"a {kind} needs `{key}`, which is not there; add it."
    if error["type"] == "extra_forbidden":
        if len(error["loc"]) > 1:
            return f"a {kind} has no field `{key}`; remove it or correct its name."
        near = difflib.get_close_matches(key, list(record.model_fields), n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"its fields are {', '.join(record.model_fields)}."
        return f"a {kind} has no field `{key}`; {hint}"
    if error["type"] == "string_too_short":
        return f"`{key}` is empty; give it text or remove the row."
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        return f"`{key}` is {shown(error['input'])}, but must be {context['expected']}."
    if error["type"] == "too_short":
        return f"`{key}` has {context['actual_length']} items, but needs at least {context['min_length']}."
    if error["type"] == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        return f"`{key}`: {message}" if key else message
    message = error["msg"].removeprefix("Input should be ")
    return f"`{key}` should be {message}, but is {shown(error['input'])}."


def shown(value: Any) -> str:
    """A value as an error message shows it: its Python form, cut after forty letters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def write_records(path: Name, records: Iterable[BaseModel]) -> int:
    """Writes records whole or not at all, as the suffix says (.jsonl, .jsonl.gz, .parquet). Returns their number."""
    path = Path(path)
    rows = [record.model_dump(mode="json") for record in records]
    if path.suffix == ".parquet":
        import pyarrow  # see _parquet_rows
        import pyarrow.parquet

        sink = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
        write_bytes(path, sink.getvalue())
    else:
        text = jsonl(rows).encode("utf-8")
        write_bytes(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return len(rows)


def jsonl(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as JSONL text."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
