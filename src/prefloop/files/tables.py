"""Records in and out: JSONL, JSON, CSV and Parquet, packed or not, with `file:line: sentence` for every bad row."""

import difflib
import gzip
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from prefloop.config import should_be
from prefloop.errors import UserError
from prefloop.files.atomic import Name, write_bytes
from prefloop.files.decoding import DECODER, LENIENT, WRAPPED, KeyTwice, Packed, Text, twice

R = TypeVar("R", bound=BaseModel)
Row = tuple[int, dict[str, Any]]


def read_rows(path: Name) -> Iterator[Row]:
    """(line number, row) of a file of JSON lines, a JSON list, CSV or Parquet; lines and Parquet are streamed.

    Raises: UserError at the first row that is not a JSON object.
    """
    for number, row in each_row(path):
        if isinstance(row, UserError):
            raise row
        yield number, row


def each_row(path: Name) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """Like `read_rows`, but goes on after a bad line: its place holds the error with the sentence.

    The number is the line's; in a JSON list or Parquet it is the row's.

    Raises: UserError if there is no such file, or if it is not of the kind that its suffix says.
    """
    yield from rows_of(Packed(Path(path)))


def rows_of(packed: Packed) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """The same of a file that is open; `packed.start` says where the row's line begins, if it has one."""
    if packed.is_parquet:
        yield from _parquet_rows(packed.path)
    elif packed.is_empty:
        return
    elif packed.suffix in (".csv", ".tsv"):
        yield from packed.table()
    elif packed.suffix == ".json":
        yield from _json_rows(packed)
    else:
        yield from _jsonl_rows(packed)


def _jsonl_rows(packed: Packed) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    is_first = True
    for number, line in packed.lines():
        if isinstance(line, UserError):
            yield number, line
        elif line.strip():
            row = _object(packed, number, line)
            if is_first and isinstance(row, UserError) and _is_document(packed, line):
                yield from _json_rows(packed)
                return
            is_first = False
            yield number, row


def _object(packed: Packed, number: int, line: Text) -> dict[str, Any] | UserError:
    place = f"{packed.path}:{number}"
    try:
        row = DECODER.decode(line.decode("utf-8") if isinstance(line, bytes) else line)
    except UnicodeDecodeError:
        return packed.not_text(number)
    except KeyTwice as problem:
        return UserError(f"{place}: {twice(problem)}")
    except ValueError as problem:
        return UserError(f"{place}: this line is not JSON ({problem}); every line must be one object.")
    except RecursionError:
        return UserError(f"{place}: this line is nested too deeply; every line must be one plain object.")
    return row if isinstance(row, dict) else _not_an_object(packed.path, number, row)


def _not_an_object(path: Path, number: int, row: Any) -> UserError:
    return UserError(f"{path}:{number}: expected an object {{...}}, found {type(row).__name__}; give it field names.")


def _is_document(packed: Packed, line: Text) -> bool:
    """Whether the file is one JSON document of rows, whatever its suffix says, and not that first line by itself."""
    try:
        first = LENIENT.decode(line.decode("utf-8") if isinstance(line, bytes) else line)
    except (ValueError, RecursionError):
        first = None
    if isinstance(first, dict):
        return False
    try:
        whole = LENIENT.decode(packed.text())
    except (ValueError, RecursionError, UserError):
        return False
    return isinstance(whole, dict) or _is_list_of_objects(whole)


def _is_list_of_objects(whole: Any) -> bool:
    return isinstance(whole, list) and bool(whole) and all(isinstance(row, dict) for row in whole)


def _json_rows(packed: Packed) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """Of a list of objects, an object with such a list in it, or one object; or of lines, whatever the suffix says."""
    path, text, packed.start = packed.path, packed.text(), None
    if not text.strip():
        return
    try:
        whole = DECODER.decode(text)
    except KeyTwice as problem:
        yield from _rows_one_by_one(path, text, problem)
        return
    except (ValueError, RecursionError) as problem:
        if text.lstrip()[:1] == "{":
            yield from _jsonl_rows(packed)
            return
        if isinstance(problem, RecursionError):
            raise UserError(
                f"{path}: this is nested too deeply; save a list of plain objects, or one per line as .jsonl."
            ) from None
        raise UserError(f"{path}: this is not JSON ({problem}); save one object per line as .jsonl.") from None
    if isinstance(whole, dict):
        lists = [name for name in WRAPPED if _is_list_of_objects(whole.get(name))]
        if len(lists) > 1:
            raise UserError(f"{path}: this holds several lists ({', '.join(lists)}); save the one you mean by itself.")
        whole = whole[lists[0]] if lists else [whole]
    if not isinstance(whole, list):
        raise UserError(f"{path}: expected a list of objects; or save one object per line as .jsonl.")
    for number, row in enumerate(whole, start=1):
        yield number, row if isinstance(row, dict) else _not_an_object(path, number, row)


def _rows_one_by_one(path: Path, text: str, problem: KeyTwice) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """The rows of a list of which some have a key twice."""
    start = len(text) - len(text.lstrip())
    if text[start] != "[":
        raise UserError(f"{path}: {twice(problem)}")
    place, number = start + 1, 0
    while True:
        place += len(text[place:]) - len(text[place:].lstrip(" \t\r\n,"))
        if text[place] == "]":
            return
        number += 1
        try:
            row, place = DECODER.raw_decode(text, place)
        except KeyTwice as again:
            _, place = LENIENT.raw_decode(text, place)
            yield number, UserError(f"{path}:{number}: {twice(again)}")
        else:
            yield number, row if isinstance(row, dict) else _not_an_object(path, number, row)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow  # a third of a second, and only for Parquet
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                names, columns = batch.schema.names, [_cells(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, {name: without_nulls(cell) for name, cell in zip(names, cells, strict=True)}
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as problem:
        wrong = f"this is not a Parquet file ({problem})" if number == 0 else f"damaged after row {number} ({problem})"
        raise UserError(f"{path}: {wrong}.") from None


def _cells(column: Any) -> list[Any]:
    """A column's values; as text where Python has no such value (a time in nanoseconds, a year 20000)."""
    try:
        return column.to_pylist()
    except (ValueError, OverflowError, ImportError):
        return column.cast("string").to_pylist()


def without_nulls(value: Any) -> Any:
    """The same value without the nulls by which Parquet fills the fields that an inner object does not have."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


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
        message = error["msg"].removeprefix("Value error, ").removesuffix(".") + "."
        return f"`{key}`: {message}" if key else message
    wanted = should_be(error)
    return (
        f"`{key}` {wanted}, but is {shown(error['input'])}."
        if wanted
        else f"`{key}` cannot be {shown(error['input'])}."
    )


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


def write_columns(path: Name, columns: Mapping[str, tuple[str, Sequence[Any]]]) -> None:
    """Writes a Parquet file whole or not at all. Args: columns: name -> type in Arrow's words, int32 say, and cells."""
    import pyarrow  # see _parquet_rows
    import pyarrow.parquet

    made = {name: pyarrow.array(cells, pyarrow.type_for_alias(kind)) for name, (kind, cells) in columns.items()}
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(made), sink)
    write_bytes(path, sink.getvalue())


def write_in_turn(path: Name, parts: Iterable[Sequence[dict[str, Any]]]) -> None:
    """Writes rows part by part, as the suffix says, under a name that is not the file's own yet (see `outputs`)."""
    path = Path(path)
    with path.open("wb") as file:
        if path.suffix == ".parquet":
            import pyarrow  # see _parquet_rows
            import pyarrow.parquet

            tables = (pyarrow.Table.from_pylist(rows) for rows in parts)
            first = next(tables)
            with pyarrow.parquet.ParquetWriter(file, first.schema) as writer:
                for table in itertools.chain([first], tables):
                    writer.write_table(table)
        elif path.suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                for rows in parts:
                    packed.write(jsonl(rows).encode("utf-8"))
        else:
            for rows in parts:
                file.write(jsonl(rows).encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def jsonl(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as JSONL text."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
