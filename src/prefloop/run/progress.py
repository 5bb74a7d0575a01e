"""What to see of a run while it goes on: a bar at a terminal, elsewhere a line every half minute."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from prefloop.printing import say

EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class Progress:
    """The bar or the lines of one stage, on standard error."""

    def __init__(self, stage: str) -> None:
        """Nothing is shown before `start`."""
        self.stage = stage
        self._bar: Bar | None = None
        self._lines: Lines | None = None

    def start(self, total: int, done: int = 0, *, unit: str = "update") -> None:
        """Shows that `done` of `total` units are there.

        Args:
            unit: what is counted: one turn of the stage's loop.
        """
        self.close()
        if not _at_terminal():
            self._lines = Lines(self.stage, total, done, unit)
            return
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
        if self._lines is not None:
            self._lines.advance(units, numbers)
        if self._bar is not None:
            note = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self._bar.update(self._task, advance=units, note=note) if note else self._bar.update(
                self._task, advance=units
            )

    def note(self, text: str) -> None:
        """One line for people who watch."""
        say(f"{self.stage}: {text}", to=sys.stderr)

    def close(self) -> None:
        """Takes the bar away."""
        self._lines = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Lines:
    """`ppo step 12/30 · score 0.61 · kl 1.2 · 3.4 s/step · 1 min left`, every `EVERY` seconds, and at the end of a run
    that had one."""

    def __init__(self, stage: str, total: int, done: int, unit: str) -> None:
        """Args: total, done: units; unit: what one is called."""
        self._stage, self._total, self._done, self._unit = stage, total, done, unit
        self._first, self._began = done, time.monotonic()
        self._said = self._began

    def advance(self, units: int, numbers: dict[str, float]) -> None:
        """Counts, and says it if it is time."""
        self._done += units
        now = time.monotonic()
        last = self._done >= self._total and self._said > self._began
        if now - self._said >= EVERY or last:
            self._said = now
            say(self._line(now, numbers), to=sys.stderr)

    def _line(self, now: float, numbers: dict[str, float]) -> str:
        each = (now - self._began) / max(1, self._done - self._first)
        left = f"{span((self._total - self._done) * each)} left" if self._done < self._total else "done"
        parts = [f"{name} {value:.3g}" for name, value in numbers.items()]
        head = f"{self._stage} {self._unit} {self._done}/{self._total}"
        return " · ".join([head, *parts, f"{each:.2g} s/{self._unit}", left])


def span(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _at_terminal() -> bool:
    """True if somebody sees standard error as it comes."""
    return sys.stderr is not None and sys.stderr.isatty()
