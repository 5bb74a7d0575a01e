"""What a command has made so far of one file: kept beside it, so that the same command goes on with it."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from prefloop.errors import UserError
from prefloop.files.atomic import Name, make_folder, writing


class Unfinished:
    """JSON values, one a line, in `.NAME.unfinished`; those of another job are thrown away."""

    def __init__(self, path: Name, job: Any) -> None:
        """Args: path: the file that it is for. job: all that the values depend on, as JSON.

        Raises: UserError if another process writes it.
        """
        self.path = _beside(path)
        make_folder(self.path.parent)
        head = json.dumps(job).encode() + b"\n"
        with writing(self.path):
            self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise UserError(
                    f"{path}: another prefloop process writes this file. Wait for it, or use another out=FILE."
                ) from None
            if self._file.readline() != head:
                self._file.seek(0)
                self._file.truncate()
                self._file.write(head)
            self._begin = whole = len(head)
            self._file.seek(whole)
            self.count = 0
            """values that are there"""
            for line in self._file:
                if line.endswith(b"\n"):  # the last one may have been cut off
                    whole, self.count = whole + len(line), self.count + 1
            self._file.seek(whole)
            self._file.truncate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, value: Any) -> None:
        """One more value, which a kill does not take away."""
        with writing(self.path):
            self._file.write(json.dumps(value).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self.count += 1

    def __iter__(self) -> Iterator[Any]:
        self._file.seek(self._begin)
        for line in self._file:
            yield json.loads(line)
        self._file.seek(0, os.SEEK_END)


def drop(path: Name) -> None:
    """Removes what was kept, once the file is there."""
    _beside(path).unlink(missing_ok=True)


def _beside(path: Name) -> Path:
    return Path(path).with_name(f".{Path(path).name}.unfinished")
