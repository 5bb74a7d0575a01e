"""Files that grow line by line, and can be cut back to where a checkpoint left them."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import write_text, writing
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

    def replace(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Writes a file anew, whole or not at all."""
        if name in self._files:
            self._files.pop(name).close()
        write_text(self._folder / name, jsonl(rows))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a file. Raises: UserError with file and line if one is damaged."""
        path, rows = self._folder / name, []
        lines = path.read_bytes().splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except ValueError as problem:
                raise UserError(f"{path}:{number}: this line is damaged ({problem}). {self._remedy()}") from None
        return rows

    def lengths(self) -> dict[str, int]:
        """Bytes of each file, all of them safely on disk."""
        for name, file in self._files.items():
            with writing(self._folder / name):
                os.fsync(file.fileno())
        paths = {name: self._folder / name for name in NAMES}
        return {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}

    def cut(self, lengths: Mapping[str, int]) -> None:
        """Cuts each file back to so many bytes, or to nothing. Raises: UserError if one is shorter already."""
        paths = {name: self._folder / name for name in NAMES}
        sizes = {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}
        for name, path in paths.items():
            size, length = sizes[name], lengths.get(name, 0)
            if size < length:
                raise UserError(
                    f"{path}: this file has {size} bytes, but had {length} when the last checkpoint was written: "
                    f"somebody shortened it. {self._remedy()}"
                )
        for name, path in paths.items():
            if sizes[name] > lengths.get(name, 0):
                with writing(path):
                    os.truncate(path, lengths.get(name, 0))

    def _remedy(self) -> str:
        return f"Put it back, or delete {self._folder / layout.CHECKPOINTS} to begin this stage again."

    def close(self) -> None:
        """Closes the files; what could not be flushed is lost, and `append` has said so."""
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
