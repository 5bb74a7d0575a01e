"""Whose folder: empty or a run's before work begins, and nobody else's while it lasts."""

import json
from collections.abc import Iterable
from pathlib import Path

import filelock

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import make_folder, remove_leftovers, writing
from prefloop.files.fingerprints import is_address
from prefloop.files.outputs import is_inside

BOOKKEEPING = (layout.CARD, layout.SETTINGS, layout.TIMING)
"""What a run writes before it has done anything."""


class Claim:
    """A run's folder, held until `release`."""

    def __init__(self, folder: Path, *, inputs: Iterable[str] = ()) -> None:
        """Args: inputs: paths that the run reads.

        Raises: UserError if the folder holds other things, lies inside an input, cannot be written, or if another
        process works there.
        """
        with writing(folder):
            _refuse_foreign(folder)
        for name in inputs:
            if not is_address(name) and is_inside(folder, name):
                raise UserError(f"out={folder}: this is inside {name}, which is read. Choose another out=DIR.")
        make_folder(folder)
        self._lock = filelock.FileLock(folder / layout.RUN_LOCK)
        try:
            with writing(folder):
                self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"{folder}: another prefloop process is working here. Wait for it, or use another out=DIR."
            ) from None
        remove_leftovers(folder)

    def release(self) -> None:
        """Lets others work in the folder."""
        self._lock.release()


def _refuse_foreign(folder: Path) -> None:
    """Raises: UserError if the folder holds things and is no run's."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in names if not name.startswith(".")]
    if foreign and not _is_card(folder / layout.CARD):
        raise UserError(
            f"{folder}: this folder holds other things ({', '.join(foreign[:3])}), and no prefloop run. "
            "Choose another out=DIR."
        )


def _is_card(path: Path) -> bool:
    """False if no run.json is there, or one of another program; a damaged one is told apart by whoever reads it."""
    if not path.is_file():
        return False
    try:
        card = json.loads(path.read_bytes())
    except ValueError:
        return True
    return not isinstance(card, dict) or not card or "identity" in card or "stage" in card
