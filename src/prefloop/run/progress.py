"""A bar with time left and the two or three numbers that matter; quiet when not at a terminal."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from prefloop.printing import printable


class Progress:
    """The bar of one stage on standard error."""

    def __init__(self, stage: str) -> None:
        """Nothing is shown before `start`."""
        self.stage = stage
        self._bar: Bar | None = None

    def start(self, total: int, done: int = 0) -> None:
        """Shows a bar of `total` units, `done` of them already there."""
        if not sys.stderr.isatty():
            return
        self.close()
        columns = (
            TextColumn("{task.description:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task(self.stage, total=total, completed=done, note="")

    def advance(self, units: int = 1, **numbers: float) -> None:
        """Moves on, showing the numbers by name."""
        if self._bar is not None:
            note = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self._bar.update(self._task, advance=units, note=note) if note else self._bar.update(
                self._task, advance=units
            )

    def note(self, text: str) -> None:
        """One line for people who watch."""
        if sys.stderr.isatty():
            print(printable(f"{self.stage}: {text}"), file=sys.stderr)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
