"""Records of a file by number: one pass checks every row and notes where it begins; rows are read again when needed.

    JSON lines in UTF-8                                       each row where it stands in the file
    gz, Parquet, CSV, one JSON document, grouped rows         a copy of the records, one a line, in the run's folder

In memory are 4 bytes a record, and the columns that the caller asks for. What the pass found is kept in the run's
folder, so that a run that goes on does not pass over the file again.
"""

import json
import os
import shutil
import tempfile
import weakref
from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, TypeVar
from zipfile import BadZipFile

import numpy as np

import prefloop
from prefloop.errors import UserError
from prefloop.files.atomic import Name, make_folder, writing
from prefloop.files.decoding import existing
from prefloop.files.foreign import OnBad, Reading, Say, concluded
from prefloop.records import Record

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Columns = Mapping[str, np.ndarray]
Noted = Callable[[Sequence[R]], Columns]
"""What is noted of some records beside their place: columns of that many numbers."""
TOGETHER = 1024
"""Records that are noted at once."""


class Lazy(Sequence[T], Generic[T]):
    """Items that are read when they are asked for, many at once: by `take`."""

    @abstractmethod
    def take(self, numbers: Sequence[int]) -> list[T]:
        """Some items, in the order asked for."""

    def __getitem__(self, number: Any) -> Any:
        """An item, or a list of them for a slice."""
        if isinstance(number, slice):
            return self.take(range(*number.indices(len(self))))
        return self.take([range(len(self))[number]])[0]

    def __iter__(self) -> Iterator[T]:
        """All of them, a few in memory at a time."""
        for begin in range(0, len(self), TOGETHER):
            yield from self.take(range(begin, min(begin + TOGETHER, len(self))))


class Rows(Lazy[R]):
    """The records of a file, read when they are asked for."""

    def __init__(
        self,
        path: Name,
        record: type[R],
        *,
        on_bad: OnBad = "stop",
        say: Say = print,
        kept: Path | None = None,
        noted: Noted[R] | None = None,
        how: Any = None,
    ) -> None:
        """Passes over the file once, or reads what an earlier pass over the same file kept.

        Args:
            on_bad, say: see `files.foreign.read_prompts`.
            kept: where a copy of the records and what the pass found are kept, without suffix; None to keep nothing.
            noted: what else to note of each record; in `columns` afterwards.
            how: what those columns depend on beside the file, as JSON.

        Raises: UserError: see `read_prompts`; or if the file changes meanwhile.
        """
        self.path = path
        self._reading = Reading(path, record)
        self._record, self._copy = record, None
        self._stamp, self._last = _stamp(path), (-1, list[R]())
        self.columns: dict[str, np.ndarray] = {}
        identity = [os.path.realpath(path), self._stamp, record.__name__, on_bad, how, prefloop.__version__]
        if kept is None or not self._restore(kept, identity, say):
            self._pass(kept, on_bad, say, noted)
        if kept is not None:
            self._save(kept, identity)

    def __len__(self) -> int:
        return len(self._starts)

    def take(self, numbers: Sequence[int]) -> list[R]:
        """Some records, in the order asked for. Raises: UserError if the file has changed."""
        taken: list[R] = []
        try:
            with open(self._copy or self.path, "rb") as file:
                if self._copy is None and _stamp_of(os.fstat(file.fileno())) != self._stamp:
                    raise _changed(self.path)
                for number in numbers:
                    start, before = self._start(number), 0
                    while number > before and self._start(number - before - 1) == start:
                        before += 1
                    taken.append(self._line(file, start)[before])
        except (OSError, IndexError):
            raise _changed(self._copy or self.path) from None
        return taken

    def _line(self, file: Any, start: int) -> list[R]:
        """All records of the line that begins there; those of the last line are at hand."""
        begun, records = self._last
        if begun == start:
            return records
        file.seek(start)
        line = file.readline()
        try:
            if self._copy is None:
                records = self._reading.again(line)
            else:
                records = [self._record.model_validate_json(line)]
        except ValueError:  # as JSON it was good before
            raise _changed(self._copy or self.path) from None
        self._last = start, records
        return records

    def _start(self, number: int) -> int:
        return (bisect_right(self._wraps, number) << 32) | int(self._starts[number])

    def _pass(self, kept: Path | None, on_bad: OnBad, say: Say, noted: Noted[R] | None) -> None:
        """Reads the whole file, and notes every record."""
        starts, columns = array("I"), list[Columns]()
        problems: list[str] = []
        self._wraps: list[int] = []
        few: list[R] = []
        reading = self._reading
        with ExitStack() as files:
            copy = None
            for _, outcome in reading:
                if isinstance(outcome, UserError):
                    problems.append(str(outcome))
                    continue
                start = reading.start
                if copy is None and (start is None or self._copy):
                    self._copy = (kept or self._borrowed()).with_suffix(".jsonl")
                    copy = files.enter_context(_written(self._copy))
                if copy is not None:
                    start = copy.tell()
                    copy.write(outcome.model_dump_json().encode() + b"\n")
                assert start is not None
                self._wraps += [len(starts)] * ((start >> 32) - len(self._wraps))
                starts.append(start & 0xFFFFFFFF)
                few.append(outcome)
                if noted is not None and len(few) == TOGETHER:
                    columns.append(noted(few))
                    few = []
            if noted is not None and few:
                columns.append(noted(few))
        if _stamp(self.path) != self._stamp:
            raise _changed(self.path)
        reading.forget()
        self.problems = tuple(problems)
        self.notes = concluded(reading, problems, len(starts), on_bad=on_bad, say=say)
        self._starts = np.frombuffer(starts, dtype=np.uint32)
        if columns:
            self.columns = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}

    def _borrowed(self) -> Path:
        """A place for a copy that is gone with this object."""
        folder = tempfile.mkdtemp(prefix="prefloop-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder) / "rows"

    def _save(self, kept: Path, identity: list[Any]) -> None:
        """Keeps what the pass found beside the copy."""
        known = {"identity": identity, "problems": self.problems, "notes": self.notes, "copied": self._copy is not None}
        arrays = {"starts": self._starts, "wraps": np.array(self._wraps, dtype=np.int64), **self.columns}
        make_folder(kept.parent)
        path, half = kept.with_suffix(".npz"), kept.with_suffix(".half.npz")
        with writing(path):
            np.savez(half, known=np.array(json.dumps(known)), **arrays)
            half.replace(path)

    def _restore(self, kept: Path, identity: list[Any], say: Say) -> bool:
        """What an earlier pass kept, if it was over the same file, in the same way."""
        try:
            with np.load(kept.with_suffix(".npz")) as file:
                arrays = {name: file[name] for name in file.files}
            known = json.loads(str(arrays.pop("known")))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # not there, or damaged
            return False
        copy = kept.with_suffix(".jsonl")
        if known["identity"] != json.loads(json.dumps(identity)) or (known["copied"] and not copy.is_file()):
            return False
        self._copy = copy if known["copied"] else None
        self._starts, self._wraps = arrays.pop("starts"), arrays.pop("wraps").tolist()
        self.columns, self.problems, self.notes = arrays, tuple(known["problems"]), tuple(known["notes"])
        for note in self.notes:
            say(note)
        return True


def _written(path: Path) -> Any:
    make_folder(path.parent)
    with writing(path):
        return path.open("wb")


def _stamp(path: Name) -> list[int]:
    """By what a file is known to be as it was: its size, and when it was changed last."""
    return _stamp_of(existing(Path(path)).stat())


def _stamp_of(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns]


def _changed(path: Name) -> UserError:
    return UserError(
        f"{path}: this file changed while it was read. Put it back as it was and run the same command again, which "
        "goes on from the last checkpoint; or run with the new file and another out=DIR."
    )
