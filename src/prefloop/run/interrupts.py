"""Ctrl-C asks a run to save and stop at the next safe place; asked twice, it stops at once."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Whether the user pressed Ctrl-C between `listen` and `close`."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def listen(self) -> None:
        """Takes Ctrl-C over, where Python allows it: in the main thread."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def close(self) -> None:
        """Gives Ctrl-C back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def stop_if_asked(self) -> None:
        """Raises: KeyboardInterrupt after Ctrl-C."""
        if self.asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.stop_if_asked()  # the second time; the last checkpoint is still good
        self.asked = True
