"""Fingerprints: what an artefact is, in twelve letters, whatever its path or date."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import Name

LENGTH = 12
_IMPORTED = re.compile(r"^\s*(?:from|import)\s+(?:\w*\.)*(\w+)", re.MULTILINE)
"""The module that a line of Python imports, without the packages that it lies in."""


def of_value(value: Any) -> str:
    """Fingerprint of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:LENGTH]


def is_address(text: Name) -> bool:
    """Whether that is the address of a server, and no path."""
    return isinstance(text, str) and text.startswith(("http://", "https://"))


def of_path(path: Name) -> str:
    """Fingerprint of a file's bytes, or of the names and bytes of every visible file in a folder; of a Python file also
    of those beside it that it imports; of a server's address the address alone, since what answers there cannot be
    known.

    Of a finished stage's folder only what it wrote for others counts: not when, where and how long it ran.

    Raises: UserError if there is nothing at the path, or if it cannot be read.
    """
    if is_address(path):
        return of_value(path)
    path = Path(path)
    try:
        if path.is_file():
            return (_program(path) if path.suffix == ".py" else _file(path))[:LENGTH]
        if path.is_dir():
            return _folder(path)
    except OSError as problem:
        raise UserError(f"{problem.filename or path}: this cannot be read ({problem.strerror}).") from problem
    except ValueError:  # a NUL in its name
        raise UserError(f"{str(path)!r}: no file or folder can have this name. Check the path.") from None
    if path.exists():
        raise UserError(f"{path}: this is neither a file nor a folder. Give one.")
    raise UserError(f"{path}: nothing is there. Check the path, or run the stage that writes it first.")


def _program(file: Path) -> str:
    """Of a Python file alone, its bytes; else of it and all files beside it that it imports, directly or not."""
    found: dict[Path, str] = {}
    waiting = [file]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found[here] = _file(here)
            named = _IMPORTED.findall(here.read_text(encoding="utf-8", errors="replace"))
            waiting += [beside for name in named if (beside := file.with_name(f"{name}.py")).is_file()]
    if len(found) == 1:
        return found[file]
    listed = [found.pop(file), *(f"{other.name}\0{found[other]}" for other in sorted(found))]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def _folder(folder: Path) -> str:
    digest, outputs = hashlib.sha256(), outputs_of(folder)
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = file.relative_to(folder)
        counts = outputs is None or not outputs.isdisjoint({name, *name.parents})
        if counts and not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()}\0{_file(file)}\n".encode())
    return digest.hexdigest()[:LENGTH]


def outputs_of(folder: Path) -> frozenset[Path] | None:
    """Names of the files and folders that a finished stage wrote; None for any other folder."""
    card, finished = folder / layout.CARD, folder / layout.FINISHED
    if not (card.is_file() and finished.is_file()):
        return None
    try:
        return frozenset(map(Path, json.loads(finished.read_bytes())["outputs"]))
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{finished}: this is not as prefloop writes it. Run the stage that wrote {folder} again."
        ) from None


def _file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
