"""All that a loop needs to go on, in a folder that is whole or not there; only the newest is kept."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import is_ours, new_folder
from prefloop.run.logs import Logs

State = dict[str, Any]
NAME = re.compile(r"\d{8}")


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
            _write({"state": state, "lengths": lengths, "position": position}, folder / layout.STATE)
        for old in self.kept():
            if old != path:
                remove(old)
        self.position = position

    def restore(self) -> State | None:
        """The newest one's state; None if there is none. Either way the logs are cut back to that moment.

        Raises: UserError if it is damaged, or if the logs are shorter than they were then.
        """
        kept = self.kept()
        if not kept:
            self._logs.cut({})
            return None
        saved = self._read(kept[-1] / layout.STATE)
        self._logs.cut(saved["lengths"])
        self.position = saved["position"]
        return saved["state"]

    def _read(self, path: Path) -> State:
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            if saved.keys() == {"state", "lengths", "position"}:
                return saved
            problem = "other contents than a checkpoint's"
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError) as error:
            problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path}: this checkpoint is damaged ({problem}), so the run cannot go on from it. Put the file back, or "
            f"delete {self._folder} to begin this stage again with the same command."
        )

    def kept(self) -> list[Path]:
        """All checkpoints, oldest first; what somebody else put beside them is not looked at."""
        paths = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(path for path in paths if NAME.fullmatch(path.name) and is_ours(path))

    def drop(self) -> None:
        """Removes all of them, and their folder if nothing else is in it."""
        for path in self.kept():
            remove(path)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()


def _write(state: State, path: Path) -> None:
    """Raises: OSError, where torch has an error of its own around it."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as problem:
        cause = problem.__cause__ or problem.__context__
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        raise cause or problem from None


def remove(folder: Path) -> None:
    """Removes a checkpoint so that a kill in between leaves it whole or gone."""
    doomed = folder.with_name(f".{folder.name}.gone.tmp")
    folder.rename(doomed)
    for path in sorted(doomed.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    doomed.rmdir()
