"""Single files that a command writes where the user says: never over what prefloop did not write, never over an input.

How one knows: beside each such file lies a small hidden one, `.NAME.written`, with the fingerprint of what was written.
A file without it, or one that was changed since, is somebody's, and stays. The note is written before the file takes
its place, so that a kill in between leaves what is known.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.atomic import Name, write_text, writing


@contextlib.contextmanager
def output(
    path: Name, *, inputs: Iterable[Name] = (), suffixes: tuple[str, ...] = (), otherwise: str = ""
) -> Iterator[Path]:
    """The block in which a command makes the file `path`; it is refused before the work begins.

    Args:
        inputs: files and folders that the command reads.
        suffixes: how the file's name may end; () for any.
        otherwise: what to do instead, for a command that has no out=FILE.

    Yields: the name under which the block writes; the file takes its place once the block has ended well.

    Raises: UserError if the file may not be written.
    """
    check_output(path, inputs=inputs, suffixes=suffixes, otherwise=otherwise)
    new = Path(path).with_name(f".new.{os.getpid()}.{Path(path).name}")
    try:
        yield new
        check_output(path, otherwise=otherwise)  # somebody may have put a file there since
        fingerprint = fingerprints.of_path(new)
        before = [fingerprints.of_path(path)] if os.path.exists(path) else []
        write_text(_note(path), "\n".join([*before, fingerprint, ""]))
        with writing(path, otherwise=otherwise):
            new.replace(path)
        write_text(_note(path), fingerprint + "\n")
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def check_output(
    path: Name, *, inputs: Iterable[Name] = (), suffixes: tuple[str, ...] = (), otherwise: str = ""
) -> None:
    """Raises: UserError if `path` is no place for an output: see `output`."""
    instead = otherwise or "Choose another out=FILE."
    if suffixes and not os.fspath(path).endswith(suffixes):
        raise UserError(f"{path}: what is written here is {' or '.join(suffixes)}; give out= a name that ends so.")
    with writing(path, otherwise=instead):
        mode = os.lstat(path).st_mode if os.path.lexists(path) else None
        for name in inputs:
            if is_same(path, name):
                raise UserError(f"{path}: this is also read, as {name}, and would be lost. {instead}")
            if is_inside(path, name):
                raise UserError(f"{path}: this is inside {name}, which is read and stays as it is. {instead}")
        if mode is None:
            return
        if not stat.S_ISREG(mode):
            kind = "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "device"
            raise UserError(f"{path}: this is a {kind}, not a file. {instead}")
        if not was_written(path):
            raise UserError(
                f"{path}: this file is there already, and prefloop did not write it as it is now. "
                f"{instead.rstrip('.')}, or move it away."
            )


def was_written(path: Name) -> bool:
    """True if a file is as prefloop wrote it."""
    note = _note(path)
    return note.is_file() and fingerprints.of_path(path) in note.read_text(encoding="utf-8", errors="replace").split()


def note_written(path: Name) -> None:
    """Remembers that prefloop wrote a file."""
    write_text(_note(path), fingerprints.of_path(path) + "\n")


def is_same(one: Name, other: Name) -> bool:
    """True if two paths lead to one thing, by whatever spelling or link."""
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def is_inside(path: Name, folder: Name) -> bool:
    """True if a path, which need not be there yet, leads into a folder."""
    if not os.path.isdir(folder):
        return False
    return any(is_same(parent, folder) for parent in Path(os.path.realpath(path)).parents)


def _note(path: Name) -> Path:
    return Path(path).with_name(f".{Path(path).name}.written")
