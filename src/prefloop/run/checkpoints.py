"""All that a loop needs to go on, in a folder that is whole or not there; only the newest is kept."""

from pathlib import Path
from typing import Any

import torch

from prefloop import layout
from prefloop.files.atomic import new_folder
from prefloop.run.logs import Logs

State = dict[str, Any]


class Checkpoints:
    """The checkpoints of one run. A position is a count of optimiser updates."""

    def __init__(self, folder: Path, logs: Logs) -> None:
        """Logs are cut back when a checkpoint is restored, so that they end with it."""
        self._folder, self._logs = folder / layout.CHECKPOINTS, logs
        self.position = 0
        """of the newest one"""

    def is_due(self, position: int, *, every: int) -> bool:
        """True once `position` has reached or passed another multiple of `every`; never if that is 0."""
        return every > 0 and position // every > self.position // every

    def save(self, position: int, state: State) -> None:
        """Writes a checkpoint and removes the older ones."""
        path = self._folder / f"{position:08d}"
        lengths = self._logs.lengths()
        with new_folder(path) as folder:
            torch.save({"state": state, "lengths": lengths, "position": position}, folder / layout.STATE)
        for old in self._kept():
            if old != path:
                remove(old)
        self.position = position

    def restore(self) -> State | None:
        """The newest one's state; None if there is none. Either way the logs are cut back to that moment."""
        kept = self._kept()
        if not kept:
            self._logs.cut({})
            return None
        saved = torch.load(kept[-1] / layout.STATE, map_location="cpu", weights_only=True)
        self._logs.cut(saved["lengths"])
        self.position = saved["position"]
        return saved["state"]

    def _kept(self) -> list[Path]:
        paths = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(path for path in paths if not path.name.startswith("."))


def remove(folder: Path) -> None:
    """Removes a folder so that a kill in between leaves it whole or gone."""
    if not folder.exists():
        return
    doomed = folder.with_name(f".{folder.name}.gone.tmp")
    folder.rename(doomed)
    for path in sorted(doomed.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    doomed.rmdir()
