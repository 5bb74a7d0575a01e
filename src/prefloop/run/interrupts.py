"""Ctrl-C, SIGTERM or SIGHUP ask a run to save and stop at the next safe place; asked twice, it stops at once."""

import contextlib
from types import FrameType

from prefloop import stopping


class Interrupts:
    """Whether somebody asked to stop between `listen` and `close`."""

    def __init__(self, stage: str) -> None:
        """Args: stage: its name, for what is said."""
        self.asked: int | None = None
        """the signal that asked"""
        self.until = "what it has begun is done"
        """the next safe place"""
        self._stage, self._listening = stage, contextlib.ExitStack()

    def listen(self) -> None:
        """Takes the signals over, where Python allows it: in the main thread."""
        self._listening.enter_context(stopping.heard(self._ask))

    def close(self) -> None:
        """Gives them back."""
        self._listening.close()

    def stop_if_asked(self) -> None:
        """Raises: Stopped after a signal."""
        if self.asked is not None:
            raise stopping.Stopped(self.asked)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.stop_if_asked()  # the second time; the last checkpoint is still good
        self.asked = number
        stopping.tell(number, self._stage, f"it saves and stops as soon as {self.until}. Once more stops it at once.")
