"""Rows of files that a lead brings in, of .jsonl, .json, .csv and Parquet; and what becomes of those that are wrong."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from prefloop.errors import UserError
from prefloop.files.tables import each_row
from prefloop.web.body import check_storable

OnBad = Literal["stop", "skip"]
SHOWN = 100
"""Problems told."""
LONGEST_FIELD = 1_000_000
"""Letters in a cell of CSV."""


@dataclass
class LeftOut:
    """Rows that are wrong."""

    on_bad: OnBad
    number: int = 0
    problems: list[str] = field(default_factory=list)
    """the first sentences"""

    def leave(self, problem: str) -> None:
        """Leaves a row out. Raises: UserError with the sentence if the whole file is to be refused."""
        if self.on_bad == "stop":
            raise UserError(problem)
        self.number += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)

    def counted(self) -> dict[str, Any]:
        """How many rows are left out and the first sentences, for the answer."""
        return {"left_out": self.number, "problems": self.problems}


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
    """(line, row or what is wrong) of a file; the first line of a .csv names its columns."""
    if path.suffix.lower() != ".csv":
        yield from each_row(path)
        return
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError:
                says = f"this is not UTF-8 text (soon after line {reader.line_num}); save the file as UTF-8."
                raise UserError(f"{path.name}: {says}") from None
            except csv.Error as problem:
                says = f"this is not a row of CSV ({problem}); mend its quotes."
                yield reader.line_num, UserError(f"{path.name}:{reader.line_num}: {says}")
                return
            if None in row or None in row.values():
                says = "the row has not as many cells as the first line; mend it."
                yield reader.line_num, UserError(f"{path.name}:{reader.line_num}: {says}")
            else:
                yield reader.line_num, {key.strip(): value for key, value in row.items()}


def look_at(path: Path, bad: LeftOut, look: Callable[[dict[str, Any], str], None]) -> None:
    """Looks at every row; what is wrong is raised, or left out."""
    for number, row in rows(path):
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UserError):
                raise UserError(str(row).replace(f"{path}:", f"{path.name}:"))
            check_storable(row)
            look(row, place)
        except UserError as problem:
            bad.leave(str(problem))
        except ValidationError as problem:  # of a record
            bad.leave(f"{place}: {_first_of(problem)}")
        except ValueError as problem:  # of a text that cannot be kept
            bad.leave(f"{place}: {problem}")


def _first_of(problem: ValidationError) -> str:
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where and f'`{where}`: '}{first['msg'].removeprefix('Value error, ')}"[:200]
