"""Fingerprints: what an artefact is, in twelve letters, whatever its path or date."""

import hashlib
import json
from pathlib import Path
from typing import Any

from prefloop.errors import UserError
from prefloop.files.atomic import Name

LENGTH = 12


def of_value(value: Any) -> str:
    """Fingerprint of a JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:LENGTH]


def of_path(path: Name) -> str:
    """Fingerprint of a file's bytes, or of the names and bytes of every visible file in a folder.

    Raises: UserError if there is nothing at the path.
    """
    path = Path(path)
    if path.is_file():
        return _file(path)[:LENGTH]
    if not path.is_dir():
        raise UserError(f"{path}: nothing is there. Check the path, or run the stage that writes it first.")
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path)
        if not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()}\0{_file(file)}\n".encode())
    return digest.hexdigest()[:LENGTH]


def _file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
