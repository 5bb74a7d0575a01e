"""The line that says which of some stages has run, and how long that took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefloop import layout
from prefloop.printing import say


@contextmanager
def told(place: str, name: str, out: Path) -> Iterator[bool]:
    """Says it once the block has ended well. Args: place: which of how many. out: the stage's folder.

    Yields: whether it had finished before.
    """
    before, started = (out / layout.FINISHED).is_file(), time.perf_counter()
    yield before
    say(f"[{place}] {name:<9} {'done before, skipped' if before else f'{time.perf_counter() - started:6.1f} s'}")
