"""Bytes of a file of rows: what is packed in it, in which letters, and where it is damaged."""

import codecs
import csv
import difflib
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prefloop.errors import UserError

DATA_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv")
"""Names of files that rows are looked for in, when somebody gives their folder."""
GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive (or a spreadsheet)"), (b"(\xb5/\xfd", "a zstd archive"), (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"), (b"ARROW1", "an Arrow file"), (b"\x89PNG", "an image"), (b"%PDF", "a PDF file"),
    (b"SQLite format 3", "a database"),
)  # fmt: skip
MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip
"""What a file begins with -> its letters."""
DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error)
WRAPPED = ("data", "rows", "examples", "records", "train", "test", "validation")
"""Names under which one JSON document keeps its list of rows."""

Text = bytes | str


class KeyTwice(ValueError):
    """An object of JSON names a key twice; the message is the key."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's names and values, for a decoder. Raises: KeyTwice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        seen: set[str] = set()
        raise KeyTwice(next(key for key, _ in pairs if key in seen or seen.add(key)))
    return row


DECODER = json.JSONDecoder(object_pairs_hook=unique)
"""Of JSON in which no key stands twice."""
LENIENT = json.JSONDecoder()


def twice(problem: KeyTwice) -> str:
    """What to say of a key that stands twice."""
    return f"the key `{problem}` stands twice in one object, and only one can be meant; remove the other."


def existing(path: Path) -> Path:
    """The file. Raises: UserError if it is not there, or is a folder."""
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if _is_data(file))
        hint = f"Give one of its files: {', '.join(inside[:5])}." if inside else "There is no file of rows in it."
        raise UserError(f"{path}: this is a folder, but a file is needed. {hint}")
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        hint = f"Did you mean {path.parent / near[0]}?" if near else "Give the path of an existing file."
        raise UserError(f"{path}: there is no such file. {hint}")
    return path


def _is_data(file: Path) -> bool:
    return file.is_file() and (file.suffix == ".gz" or file.suffix in DATA_SUFFIXES)


class Packed:
    """A file whose bytes are looked at once: how it is packed, what its letters are."""

    def __init__(self, path: Path) -> None:
        """Raises: UserError if it is not there, damaged at its beginning, or holds no text and is not Parquet."""
        self.path = existing(path)
        self.start: int | None = None
        """Byte at which the line begins that `lines` gave last; None where a line cannot be found by its byte."""
        with path.open("rb") as file:
            head = file.read(2048)
        self.is_empty = not head
        self.is_parquet = head.startswith(PARQUET) or path.suffix == ".parquet"
        self.is_zipped = head.startswith(GZIP)
        self.suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
        if self.is_parquet or self.is_empty:
            return
        if path.suffix == ".gz" and not self.is_zipped:
            raise UserError(f"{path}: this is no gzip file, although its name says so; fetch or make it again.")
        if self.is_zipped:
            with gzip.open(path) as file:
                try:
                    head = file.read(2048)
                except DAMAGED as problem:
                    raise UserError(f"{path}: {damage(problem)} at its beginning; fetch or make it again.") from None
        what = next((what for mark, what in OTHERS if head.startswith(mark)), None)
        if what is not None:
            raise UserError(f"{path}: this is {what}, but rows are needed: JSON lines, a JSON list, CSV or Parquet.")
        self.encoding = self._encoding(head)

    def _encoding(self, head: bytes) -> str:
        marked = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
        if marked is not None:
            return marked
        if b"\0" not in head:
            return "utf-8"
        even, odd = head[0:64:2].count(0), head[1:64:2].count(0)
        if max(even, odd) > 8 and min(even, odd) == 0:
            return "utf-16-le" if odd else "utf-16-be"
        raise UserError(f"{self.path}: this is no text: rows are needed as JSON lines, a JSON list, CSV or Parquet.")

    def open(self) -> gzip.GzipFile | io.BufferedReader:
        """The unpacked bytes."""
        return gzip.open(self.path, "rb") if self.is_zipped else self.path.open("rb")

    def lines(self) -> Iterator[tuple[int, Text | UserError]]:
        """(number, line), the last of which may be what is wrong with the file from there on."""
        number, after = 0, 0
        with self.open() as file:
            plain = self.encoding.startswith("utf-8")
            if plain:
                lines: Iterable[Text] = file
                if self.encoding == "utf-8-sig":
                    after = len(file.read(len(codecs.BOM_UTF8)))
            else:
                lines = io.TextIOWrapper(file, encoding=self.encoding, newline="\n")
            numbered = enumerate(lines, start=1)
            while True:
                try:
                    number, line = next(numbered)
                except StopIteration:
                    return
                except DAMAGED as problem:
                    where = f"{self.path}:{number}" if number else str(self.path)
                    after = "after this line" if number else "at its beginning"
                    yield number, UserError(f"{where}: {damage(problem)} {after}; fetch or make it again.")
                    return
                except UnicodeDecodeError:
                    yield number + 1, self.not_text(number + 1)
                    return
                self.start, after = (after if plain and not self.is_zipped else None), after + len(line)
                yield number, line

    def not_text(self, number: int) -> UserError:
        """That a line is not in the letters of the file."""
        name = "UTF-8" if self.encoding.startswith("utf-8") else self.encoding.upper()
        return UserError(f"{self.path}:{number}: this line is not {name} text; save the file as UTF-8.")

    def text(self) -> str:
        """All of it. Raises: UserError if it is damaged or not in the letters that it says."""
        with self.open() as file:
            try:
                data = file.read()
            except DAMAGED as problem:
                raise UserError(f"{self.path}: {damage(problem)}; fetch or make it again.") from None
        try:
            return data.decode(self.encoding)
        except UnicodeDecodeError as problem:
            raise self.not_text(data.count(b"\n", 0, problem.start) + 1) from None

    def table(self) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
        """(line, row) of a table between commas, semicolons or tabs, whose first line names the columns."""
        csv.field_size_limit(sys.maxsize)
        start = 0
        with io.TextIOWrapper(self.open(), encoding=self.encoding.replace("utf-8-sig", "utf-8"), newline="") as file:
            if self.encoding == "utf-8-sig":
                file.read(1)
            try:
                first = file.readline()
                delimiter = max(",;\t", key=first.count)
                names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
                if len(set(names)) < len(names):
                    raise UserError(f"{self.path}:1: a column's name stands twice in the first line; rename one.")
                reader = csv.reader(file, delimiter=delimiter, strict=True)
                start = 2
                for cells in reader:
                    if len(cells) == len(names):
                        yield start, {name: cell for name, cell in zip(names, cells, strict=True) if cell}
                    elif cells:
                        says = f"the row has {len(cells)} cells, but {len(names)} columns are named in the first line."
                        yield start, UserError(f"{self.path}:{start}: {says}")
                    start = reader.line_num + 2
            except csv.Error as problem:
                yield start, UserError(f"{self.path}:{start}: this is not a row of CSV ({problem}); mend its quotes.")
            except UnicodeDecodeError:
                raise UserError(
                    f"{self.path}: this is not UTF-8 text (soon after line {start}); save the file as UTF-8."
                ) from None
            except DAMAGED as problem:
                yield start, UserError(f"{self.path}:{start}: {damage(problem)}; fetch or make it again.")


def damage(problem: Exception) -> str:
    """What is wrong with a gzip file."""
    return "the gzip file is cut off" if isinstance(problem, EOFError) else f"the gzip file is damaged ({problem})"
