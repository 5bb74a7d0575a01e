"""Writing that is whole or not there: to a temporary name, fsync, then rename."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefloop.errors import UserError

Name = str | os.PathLike[str]


@contextlib.contextmanager
def writing(path: Name, *, otherwise: str = "") -> Iterator[None]:
    """Turns the operating system's refusals while writing `path` into sentences.

    Args:
        otherwise: what to do instead, for a command that has no out=DIR.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{path}: the disk is full. Free some space and run the same command again; what was written is intact."
            ) from problem
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(
                f"{path}: no permission to write here. {otherwise or 'Choose another folder with out=DIR.'}"
            ) from problem
        if problem.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise UserError(
                f"{path}: a file or folder is in the way. {otherwise or 'Choose another out=DIR.'}"
            ) from problem
        raise


def make_folder(path: Name, *, otherwise: str = "") -> Path:
    """The folder, made if it is not there."""
    with writing(path, otherwise=otherwise):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def write_bytes(path: Name, data: bytes) -> None:
    """Writes a whole file or nothing; an older file of that name stays intact until the rename."""
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def write_text(path: Name, text: str) -> None:
    """Writes a whole UTF-8 file or nothing."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Name, value: Any) -> None:
    """Writes a whole JSON file, keys in the order given, or nothing. NaN and infinity are refused by JSON itself."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Name) -> Iterator[Path]:
    """A folder that appears under its name only when the block ends well, replacing an older one."""
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.old.tmp")
    with writing(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    _sync_file(file)
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)
            temporary.rename(path)
            _sync_folder(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Name) -> None:
    """Removes what a killed process left half-written, and puts back a folder that it was about to replace."""
    for path in Path(folder).rglob(".*.tmp"):
        name = path.name.removeprefix(".").removesuffix(".tmp").rpartition(".")
        if name[2] == "old" and not path.with_name(name[0]).exists():
            path.rename(path.with_name(name[0]))
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened, and the rename itself is durable enough
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
