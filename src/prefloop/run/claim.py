"""Whose folder: empty or a run's before work begins, and nobody else's while it lasts."""

from pathlib import Path

import filelock

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import make_folder, remove_leftovers, writing


class Claim:
    """A run's folder, held until `release`."""

    def __init__(self, folder: Path) -> None:
        """Raises: UserError if the folder holds other things, cannot be written, or another process works there."""
        if folder.is_dir() and not (folder / layout.CARD).is_file():
            foreign = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
            if foreign:
                raise UserError(
                    f"{folder}: this folder holds other things ({', '.join(foreign[:3])}), and no prefloop run. "
                    "Choose another out=DIR."
                )
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
