"""Numbered parts, each whole or not there, of a stage whose work is many independent pieces."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.files.atomic import write_json


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
        return [json.loads(self.path(index).read_bytes()) for index in range(count)]
