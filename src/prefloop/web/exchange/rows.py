"""Rows of files that a lead brings in, of .jsonl, .json, .csv and Parquet; and what becomes of those that are wrong.

Nothing is held but a row: a packed file is unpacked bit by bit, a JSON list is read object by object, and what is
larger than the settings allow (`imports`) is a sentence.
"""

import codecs
import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import ValidationError

from prefloop.errors import UserError
from prefloop.files.decoding import DAMAGED, KeyTwice, unique
from prefloop.files.tables import shown, without_nulls
from prefloop.web.body import check_storable
from prefloop.web.config import ImportConfig

OnBad = Literal["stop", "skip"]
Found = Iterator[tuple[int, dict[str, Any] | UserError]]
SHOWN = 100
"""Problems told."""
REASONS = 30
"""Reasons told."""
PIECE = 1 << 16
"""Letters read together of a JSON list."""
PARQUET_BYTES = 1 << 26
"""Bytes of a column that a few rows of Parquet may take."""


@dataclass
class LeftOut:
    """Rows that are wrong."""

    on_bad: OnBad
    number: int = 0
    problems: list[str] = field(default_factory=list)
    """the first sentences"""
    reasons: Counter[str] = field(default_factory=Counter)
    """the sentences without what differs from row to row"""

    def leave(self, problem: str) -> None:
        """Leaves a row out. Raises: UserError with the sentence if the whole file is to be refused."""
        if self.on_bad == "stop":
            raise UserError(problem)
        self.number += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)
        reason = re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "…", problem.partition(": ")[2])[:200]
        self.reasons[reason if reason in self.reasons or len(self.reasons) < REASONS else "other reasons"] += 1

    def counted(self) -> dict[str, Any]:
        """How many rows are left out, why, and the first sentences, for the answer."""
        return {"left_out": self.number, "reasons": dict(self.reasons.most_common()), "problems": self.problems}


def look_at(path: Path, bad: LeftOut, look: Callable[[dict[str, Any], str], None], limits: ImportConfig) -> None:
    """Looks at every row; what is wrong is raised, or left out."""
    for number, row in rows(path, limits):
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UserError):
                raise row
            check_storable(row)
            check_texts(row, limits, place)
            look(row, place)
        except UserError as problem:
            bad.leave(str(problem))
        except ValidationError as problem:  # of a record
            bad.leave(f"{place}: {first_of(problem)}")
        except ValueError as problem:  # of a text that cannot be kept
            bad.leave(f"{place}: {problem}")


def first_of(problem: ValidationError) -> str:
    """The first thing that is wrong, in a few words."""
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where and f'`{where}`: '}{first['msg'].removeprefix('Value error, ')}"[:200]


def check_texts(row: dict[str, Any], limits: ImportConfig, place: str) -> None:
    """Raises: UserError with the place if a text is too long."""
    waiting: list[tuple[str, Any]] = list(row.items())
    while waiting:
        name, here = waiting.pop()
        if isinstance(here, str) and len(here) > limits.text_letters:
            says = f"`{name[:80]}` has {len(here)} letters, and a text may have {limits.text_letters}"
            raise UserError(f"{place}: {says} (imports.text_letters); shorten it.")
        if isinstance(here, dict):
            waiting += [(str(key), value) for key, value in here.items()]
        elif isinstance(here, list):
            waiting += [(name, value) for value in here]


# -- files ------------------------------------------------------------------------------------------------------------


def rows(path: Path, limits: ImportConfig) -> Found:
    """(line, row or what is wrong) of a file; the first line of a .csv names its columns.

    Raises: UserError if the rest of the file cannot be read, or nothing is in it.
    """
    empty = True
    for each in _rows(path, limits):
        empty = False
        yield each
    if empty:
        raise UserError(f"{path.name}: the file has no rows.")


def _rows(path: Path, limits: ImportConfig) -> Found:
    kind = path.name.lower().removesuffix(".gz")
    if kind.endswith(".parquet"):
        yield from _parquet(path, limits)
        return
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        source = _Bounded(file, path.name, limits)
        head = source.peek()
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(f"{path.name}: this is UTF-16 text; save the file as UTF-8.")
        if kind.endswith(".csv"):
            yield from _csv(source, path.name, limits)
        elif head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            yield from _json_list(source, path.name, limits)
        else:
            yield from _lines(source, path.name, limits)


class _Bounded:
    """A file that is read in pieces, as far as it may be large."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, name: str, limits: ImportConfig) -> None:
        self._file, self._name, self._left = file, name, limits.unpacked_mb * 10**6
        self._limits, self._head = limits, b""

    def peek(self) -> bytes:
        """The beginning, which is read again."""
        self._head = self._take(lambda: self._file.read(PIECE))
        return self._head

    def line(self, most: int) -> bytes:
        """A line, or its first `most` bytes."""
        if b"\n" in self._head[:most] or len(self._head) >= most:
            end = self._head.find(b"\n", 0, most) + 1 or most
            line, self._head = self._head[:end], self._head[end:]
            return line
        line, self._head = self._head, b""
        return line + self._take(lambda: self._file.readline(most - len(line)))

    def piece(self, most: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if self._head:
            part, self._head = self._head[:most], self._head[most:]
            return part
        return self._take(lambda: self._file.read(most))

    def _take(self, read: Callable[[], bytes]) -> bytes:
        try:
            part = read()
        except DAMAGED as problem:
            raise UserError(f"{self._name}: the gzip file is damaged ({problem}); fetch or make it again.") from None
        self._left -= len(part)
        if self._left < 0:
            most = self._limits.unpacked_mb
            says = f"unpacked, the file is larger than {most} million bytes (imports.unpacked_mb); split it."
            raise UserError(f"{self._name}: {says}")
        return part


_DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_constant=lambda _: None)
"""NaN and infinities are no JSON: they count as nothing, which a column that needs a number refuses."""


def _lines(source: _Bounded, name: str, limits: ImportConfig) -> Found:
    most, number = limits.row_kb * 1000, 0
    while line := source.line(most + 1):
        number += 1
        if len(line) > most:
            while line and not line.endswith(b"\n"):
                line = source.line(PIECE)
            yield number, _too_long(name, number, limits)
        elif line.strip():
            yield number, _object(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, f"{name}:{number}")


def _too_long(name: str, number: int, limits: ImportConfig) -> UserError:
    says = f"the row has more than {limits.row_kb} thousand bytes (imports.row_kb); shorten it."
    return UserError(f"{name}:{number}: {says}")


def _object(line: bytes, place: str) -> dict[str, Any] | UserError:
    try:
        row = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        return UserError(f"{place}: this line is not UTF-8 text; save the file as UTF-8.")
    except KeyTwice as problem:
        return UserError(f"{place}: {_twice(problem)}")
    except ValueError as problem:
        return UserError(f"{place}: this line is not JSON ({problem}); every line must be one object.")
    except RecursionError:
        return UserError(f"{place}: this line is nested too deeply; every line must be one plain object.")
    return row if isinstance(row, dict) else _no_object(row, place)


def _twice(problem: KeyTwice) -> str:
    return f"the key {shown(str(problem))} comes twice in one object; which is meant? Keep one."


def _no_object(row: Any, place: str) -> UserError:
    return UserError(f"{place}: expected an object {{...}}, found {type(row).__name__}; give it field names.")


def _json_list(source: _Bounded, name: str, limits: ImportConfig) -> Found:
    """The objects of one list, each read as far as it goes."""
    decode, size = codecs.getincrementaldecoder("utf-8-sig")(), PIECE
    text, place, number, is_over = "", 0, 0, False
    while True:
        match = re.compile(r"[\s,]*" if number else r"\s*\[?[\s,]*").match(text, place)
        place = match.end() if match else place
        if place < len(text) and text[place] == "]":
            return
        try:
            if place >= len(text):
                raise json.JSONDecodeError("it ends before its list does", text, place)
            row, end = _DECODER.raw_decode(text, place)
            number, place, size = number + 1, end, PIECE
            yield number, row if isinstance(row, dict) else _no_object(row, f"{name}:{number}")
            text, place = (text[place:], 0) if place > PIECE else (text, place)
            continue
        except RecursionError:
            raise UserError(f"{name}:{number + 1}: this is nested too deeply; give plain objects.") from None
        except json.JSONDecodeError as problem:
            is_cut = "Unterminated" in problem.msg or problem.pos >= len(text) - 10
            if is_over or not is_cut:
                says = f"this is not JSON ({problem.msg}); save one object per line as .jsonl."
                raise UserError(f"{name}:{number + 1}: {says}") from None
        except KeyTwice as problem:
            raise UserError(f"{name}:{number + 1}: {_twice(problem)}") from None
        except ValueError as problem:  # a number of too many digits
            raise UserError(f"{name}:{number + 1}: {problem}") from None
        if len(text) - place > limits.row_kb * 1000:
            raise _too_long(name, number + 1, limits)
        part = source.piece(size)
        try:
            text, place = text[place:] + decode.decode(part, final=not part), 0
        except UnicodeDecodeError:
            raise UserError(f"{name}:{number + 1}: this is not UTF-8 text; save the file as UTF-8.") from None
        is_over, size = not part, 2 * size


def _csv(source: _Bounded, name: str, limits: ImportConfig) -> Found:
    csv.field_size_limit(limits.text_letters)
    most = limits.row_kb * 1000

    def lines() -> Iterator[str]:
        first = True
        while line := source.line(most + 1):
            if len(line) > most:
                raise UserError(str(_too_long(name, reader.line_num + 1, limits)))
            yield line.decode("utf-8-sig" if first else "utf-8")
            first = False

    reader = csv.DictReader(lines(), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError:
            says = f"this is not UTF-8 text (soon after line {reader.line_num}); save the file as UTF-8."
            raise UserError(f"{name}: {says}") from None
        except csv.Error as problem:
            says = f"this is not a row of CSV ({problem}); mend its quotes."
            if "field larger" in str(problem):
                says = f"a cell has more than {limits.text_letters} letters (imports.text_letters); shorten it."
            yield reader.line_num, UserError(f"{name}:{reader.line_num}: {says}")
            return
        if None in row or None in row.values():
            says = "the row has not as many cells as the first line; mend it."
            if len(reader.fieldnames or ()) == 1 and ";" in str(reader.fieldnames):
                says = "the columns are parted by semicolons; save the file with commas."
            yield reader.line_num, UserError(f"{name}:{reader.line_num}: {says}")
        else:
            yield reader.line_num, {key.strip(): value for key, value in row.items()}


def _parquet(path: Path, limits: ImportConfig) -> Found:
    import pyarrow  # a third of a second, and only for Parquet
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            meta = file.metadata
            groups = [meta.row_group(n) for n in range(meta.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > limits.unpacked_mb * 10**6:
                says = f"unpacked, the file is larger than {limits.unpacked_mb} million bytes (imports.unpacked_mb)"
                raise UserError(f"{path.name}: {says}; split it.")
            sizes = [group.column(n).total_uncompressed_size for group in groups for n in range(group.num_columns)]
            together = max(1, min(256, PARQUET_BYTES // max([1, *sizes])))  # a text may be as large as its column
            number = 0
            for batch in file.iter_batches(batch_size=together):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {key: without_nulls(value) for key, value in row.items()}
    except (pyarrow.ArrowException, OSError) as problem:
        says = str(problem).partition("\n")[0][:200]
        raise UserError(f"{path.name}: this is not a Parquet file ({says}).") from None
