"""Writing that is whole or not there: to a temporary name, fsync, then rename. What somebody else wrote stays."""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefloop.errors import UserError

Name = str | os.PathLike[str]

WRITTEN = ".written"
"""In a folder that `new_folder` made: the names of what it wrote there. Only such a folder is ever replaced."""
HALF = re.compile(r"\.(?P<name>.+)\.(?P<kind>\d+|old|gone)\.tmp")
"""What a killed process leaves: half a file or folder, a folder about to be replaced, a folder half removed."""

FULL = "the disk is full. Free some space and run the same command again; what was written is intact."
TOO_LARGE = "this process may not write a file so large (`ulimit -f`). Raise that limit and run the same command again."
FORBIDDEN = "no permission to write here."
IN_THE_WAY = "a file or folder is in the way."
TOO_LONG = "this name is longer than the system allows."
NO_NAME = "no file or folder can have this name."
OPEN_FILES = "this process may not open more files (`ulimit -n`). Raise that limit and run the same command again."
BROKEN = "the disk reports a failure. Check it, or take another one."
REFUSALS = {
    errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EFBIG: TOO_LARGE, errno.EACCES: FORBIDDEN, errno.EPERM: FORBIDDEN,
    errno.EROFS: FORBIDDEN, errno.ENOTDIR: IN_THE_WAY, errno.EEXIST: IN_THE_WAY, errno.EISDIR: IN_THE_WAY,
    errno.ELOOP: IN_THE_WAY, errno.ENAMETOOLONG: TOO_LONG, errno.EINVAL: NO_NAME, errno.EMFILE: OPEN_FILES,
    errno.ENFILE: OPEN_FILES, errno.EIO: BROKEN,
}  # fmt: skip
"""What the operating system refuses -> what it means for whoever typed the command."""
CHOOSE = {FORBIDDEN: "Choose another folder with out=DIR.", IN_THE_WAY: "Choose another out=DIR.",
          TOO_LONG: "Choose a shorter out=.", NO_NAME: "Choose another out=."}  # fmt: skip


@contextlib.contextmanager
def writing(path: Name, *, otherwise: str = "") -> Iterator[None]:
    """Turns the operating system's refusals while writing `path` into sentences.

    Args:
        otherwise: what to do instead, for a command that has no out=DIR.
    """
    try:
        yield
    except ValueError as problem:
        if "\0" not in os.fspath(path):
            raise
        raise UserError(f"{os.fspath(path)!r}: {NO_NAME} {otherwise or CHOOSE[NO_NAME]}") from problem
    except OSError as problem:
        said = REFUSALS.get(problem.errno or 0)
        if said is None:
            raise
        raise UserError(f"{_refused(path, problem)}: {said} {_instead(said, otherwise)}".rstrip()) from problem


def _refused(path: Name, problem: OSError) -> Name:
    """The file inside `path` that could not be written, if the system says which."""
    named = problem.filename if isinstance(problem.filename, str) else ""
    half = f".{Path(path).name}.{os.getpid()}.tmp"
    _, found, inside = named.partition(f"{os.sep}{half}{os.sep}")
    return Path(path) / inside if found else path


def _instead(said: str, otherwise: str) -> str:
    return (otherwise or CHOOSE[said]) if said in CHOOSE else ""


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
            with contextlib.suppress(OSError):  # or it would hide why it is there
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
    """A folder that appears under its name only when the block ends well, replacing an older one that was made so.

    Its files may be read by whom the process's umask lets, whoever wrote them.

    Raises: UserError if something else has that name.
    """
    path = Path(path)
    make_folder(path.parent)
    refuse_foreign(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.old.tmp")
    with writing(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            (temporary / WRITTEN).write_text("".join(f"{name}\n" for name in _files(temporary)), encoding="utf-8")
            readable = temporary.stat().st_mode & 0o666
            for name in (*_files(temporary), WRITTEN):
                (temporary / name).chmod(readable)
                _sync_file(temporary / name)
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)
            temporary.rename(path)
            _sync_folder(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def is_ours(folder: Path) -> bool:
    """True if `new_folder` made this folder, and nothing was added since."""
    names = folder / WRITTEN
    if folder.is_symlink() or not names.is_file():
        return False
    return not set(_files(folder)) - set(names.read_text(encoding="utf-8", errors="replace").splitlines())


def refuse_foreign(folder: Path) -> None:
    """Raises: UserError if something is there that `new_folder` did not make, or that holds more than it wrote."""
    if os.path.lexists(folder) and not is_ours(folder):
        raise UserError(
            f"{folder}: something is here that prefloop did not write, and it is left as it is. "
            "Move it away and run the same command again."
        )


def _files(folder: Path) -> list[str]:
    """Names of all files inside a folder but the list of them."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in found if name != WRITTEN)


def remove_leftovers(folder: Name) -> None:
    """Removes what a killed process left half-written, and puts back a folder that it was about to replace."""
    for path in Path(folder).rglob(".*.tmp"):
        half = HALF.fullmatch(path.name)
        if half is None:
            continue
        if half["kind"] == "old" and not path.with_name(half["name"]).exists():
            path.rename(path.with_name(half["name"]))
        elif path.is_dir() and not path.is_symlink():
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
