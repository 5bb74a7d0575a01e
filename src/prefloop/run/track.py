"""Every row of metrics.jsonl once more in a tracker that the user chose; whatever becomes of it, the run goes on.

tracker.json remembers which run this is to a tracker, and the last step that each was given: after a kill nothing is
told twice, and what one has missed is told first.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prefloop import layout
from prefloop.extras import check_extra
from prefloop.settings import RunConfig, Tracked

PROJECT = "prefloop"


@dataclass(frozen=True)
class Opened:
    """A run in a tracker."""

    log: Callable[[int, dict[str, float]], object]
    """keeps the numbers of a step"""
    close: Callable[[bool], object]
    """waits until all is kept; told whether the stage ended well"""


class Track:
    """The tracker of one run, if its settings name one."""

    def __init__(self, config: RunConfig, folder: Path, note: Callable[[str], None]) -> None:
        """Args: note: says a sentence. Raises: UserError, with what to type, if the tracker is not installed."""
        self._settings, self._folder, self._note = config.model_dump(mode="json"), folder, note
        self._tracker = config.track if isinstance(config, Tracked) else "none"
        self._opened: Opened | None = None
        if self._tracker != "none":
            check_extra(self._tracker, f"track={self._tracker}")

    def go_on(self, rows: list[dict[str, Any]]) -> None:
        """Opens it, where these rows of metrics.jsonl are kept; those that it has not seen are told now."""
        if self._tracker == "none":
            return
        with self._or_without():
            path, kept = self._folder / layout.TRACKER, rows[-1]["step"] if rows else 0
            known = json.loads(path.read_bytes()) if path.exists() else {"id": uuid.uuid4().hex, "told": {}}
            self._id, self._told = known["id"], known["told"]
            if self._tracker == "tensorboard":  # forgets what comes after the rows that are kept
                self._told[self._tracker] = min(kept, self._told.get(self._tracker, 0))
            name = "/".join(self._folder.resolve().parts[-2:])
            self._opened = OPEN[self._tracker](self._folder, name, self._id, self._settings, kept)
        for row in rows:
            self.log(row)

    def log(self, row: Mapping[str, Any]) -> None:
        """Tells it a row, unless it has that step already."""
        if self._opened is None or row["step"] <= self._told.get(self._tracker, 0):
            return
        with self._or_without():
            numbers = {name: value for name, value in row.items() if name != "step" and value is not None}
            self._opened.log(row["step"], numbers)
            self._told[self._tracker] = row["step"]
            new = self._folder / f".{layout.TRACKER}.0.tmp"  # renamed without fsync: there are many rows
            new.write_text(json.dumps({"id": self._id, "told": self._told}), encoding="utf-8")
            new.replace(self._folder / layout.TRACKER)

    def close(self, *, well: bool) -> None:
        """Waits until it has everything. Args: well: whether the stage ended without an error or an interrupt."""
        opened, self._opened = self._opened, None
        if opened is not None:
            with self._or_without():
                opened.close(well)

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        """Whatever the tracker raises becomes a sentence, and the run goes on without it."""
        try:
            yield
        except Exception as problem:
            self._opened = None
            why = (str(problem).strip() or type(problem).__name__).splitlines()[0].rstrip(".")
            said = f"track={self._tracker} failed ({why}). The run goes on without it"
            self._note(f"{said}; {layout.METRICS} has every row.")


def _tensorboard(folder: Path, name: str, id: str, settings: dict[str, Any], kept: int) -> Opened:
    """Event files in RUN/tensorboard. What earlier sessions wrote of steps after `kept` is hidden."""
    from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]

    events = folder / layout.TENSORBOARD
    session = f".{len(list(events.glob('*'))):04d}"  # or one begun in the same second writes over the last one's file
    writer = SummaryWriter(str(events), purge_step=kept + 1, filename_suffix=session)
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    writer.add_text("settings", "    " + text.replace("\n", "\n    "), kept + 1)  # indented: shown as it stands

    def log(step: int, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return Opened(log, lambda well: writer.close())


def _wandb(folder: Path, name: str, id: str, settings: dict[str, Any], kept: int) -> Opened:
    """A run at W&B, or in RUN/wandb with WANDB_MODE=offline."""
    os.environ.setdefault("WANDB_LOGIN_TIMEOUT", "60")  # seconds: nobody waits longer for an answer at the terminal
    import wandb  # pyright: ignore[reportMissingImports]

    run = wandb.init(project=PROJECT, dir=str(folder), id=id, name=name, config=settings, resume="allow")
    return Opened(lambda step, numbers: run.log(numbers, step=step), lambda well: run.finish(exit_code=int(not well)))


def _trackio(folder: Path, name: str, id: str, settings: dict[str, Any], kept: int) -> Opened:
    """A run in Trackio's own folder, or where TRACKIO_SPACE_ID says."""
    import trackio  # pyright: ignore[reportMissingImports]

    unique = f"{name} {id[:6]}"  # it knows a run by its name alone
    trackio.init(project=PROJECT, name=unique, config=settings, resume="allow", embed=False)
    return Opened(lambda step, numbers: trackio.log(numbers, step=step), lambda well: trackio.finish())


def _swanlab(folder: Path, name: str, id: str, settings: dict[str, Any], kept: int) -> Opened:
    """A run at SwanLab, or in RUN/swanlog with SWANLAB_MODE=offline."""
    import swanlab  # pyright: ignore[reportMissingImports]

    quiet = swanlab.Settings(interactive=False)  # asks nothing at the terminal
    where = str(folder / "swanlog")
    swanlab.init(project=PROJECT, name=name, config=settings, log_dir=where, id=id, resume="allow", settings=quiet)
    return Opened(
        lambda step, numbers: swanlab.log(numbers, step=step),
        lambda well: swanlab.finish(state="success" if well else "aborted"),
    )


OPEN = {"tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio, "swanlab": _swanlab}
"""What `track=` may name -> how it is opened."""
