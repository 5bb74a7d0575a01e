"""Files that grow line by line, and can be cut back to where a checkpoint left them."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from prefloop import layout
from prefloop.files.atomic import writing
from prefloop.files.tables import jsonl

NAMES = (layout.METRICS, layout.SAMPLES)


class Logs:
    """metrics.jsonl and samples.jsonl of one run; each is made when its first row comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}

    def append(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Adds rows, seen by others at once."""
        path = self._folder / name
        with writing(path):
            if name not in self._files:
                self._files[name] = path.open("ab")
            self._files[name].write(jsonl(rows).encode("utf-8"))
            self._files[name].flush()

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a file."""
        path = self._folder / name
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def lengths(self) -> dict[str, int]:
        """Bytes of each file, all of them safely on disk."""
        for file in self._files.values():
            os.fsync(file.fileno())
        paths = {name: self._folder / name for name in NAMES}
        return {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}

    def cut(self, lengths: Mapping[str, int]) -> None:
        """Cuts each file back to so many bytes, or to nothing."""
        for name in NAMES:
            if (self._folder / name).exists():
                os.truncate(self._folder / name, lengths.get(name, 0))

    def close(self) -> None:
        """Closes the files; what could not be flushed is lost, and `append` has said so."""
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
