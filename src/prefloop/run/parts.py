"""Numbered parts, each whole or not there, of a stage whose work is many independent pieces."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import write_json

NAME = re.compile(r"\d{6}\.json")


class Parts:
    """The parts of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / layout.PARTS

    def path(self, index: int) -> Path:
        """Where part `index` is written."""
        return self._folder / layout.part(index)

    def missing(self, count: int) -> Iterator[int]:
        """Numbers of the parts that are not written yet."""
        return (index for index in range(count) if not self.path(index).exists())

    def write(self, index: int, value: Any) -> None:
        """Writes one part."""
        write_json(self.path(index), value)

    def read(self, count: int) -> list[Any]:
        """All parts, in order."""
        return [self.read_one(index) for index in range(count)]

    def read_one(self, index: int) -> Any:
        """One part. Raises: UserError if it is damaged."""
        path = self.path(index)
        try:
            return json.loads(path.read_bytes())
        except ValueError as problem:
            raise UserError(
                f"{path}: this part is damaged ({problem}). Delete it: the same command makes it again, and it alone."
            ) from None

    def kept(self) -> list[Path]:
        """All parts that are written."""
        paths = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(path for path in paths if NAME.fullmatch(path.name))

    def drop(self) -> None:
        """Removes all of them, and their folder if nothing else is in it."""
        for path in self.kept():
            path.unlink()
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()
