"""Signals that ask to stop: Ctrl-C, SIGTERM (docker stop, the time limit of a cluster), SIGHUP (a closed terminal)."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "the end of the terminal (SIGHUP)"}
"""Signal -> how it is called to people; not every system has all of them."""


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; where Ctrl-C alone has another meaning, this has not."""

    def __init__(self, number: int) -> None:
        """Args: number: the signal's."""
        super().__init__()
        self.number = number


def exit_code(stop: KeyboardInterrupt) -> int:
    """What the shell is told: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


@contextlib.contextmanager
def heard(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Calls `handler` for each of these signals while the block runs; those that whoever started us ignores stay so.

    Process 1 of a container, too, hears SIGTERM then, which the system would not end by itself. Outside the main
    thread, where Python allows no handlers, nothing changes.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]
        before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def at_once(number: int, frame: FrameType | None) -> None:
    """A handler that stops where we are. Raises: KeyboardInterrupt after Ctrl-C, as Python itself; Stopped else."""
    raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)


def tell(number: int, stage: str, what: str) -> None:
    """Says from within a handler, where printing could get into itself, that a signal was heard."""
    name = NAMES.get(signal.Signals(number).name, signal.Signals(number).name)
    if sys.stderr is not None:
        sys.stderr.flush()
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, f"\n{stage}: heard {name}; {what}\n".encode())
