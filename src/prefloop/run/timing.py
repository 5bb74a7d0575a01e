"""Seconds and memory, summed over sessions; never among the metrics, for they differ each time."""

import resource
import sys
import time
from pathlib import Path

from prefloop import layout
from prefloop.files.documents import read_document, write_document
from prefloop.records import Timing


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self, folder: Path) -> None:
        self._path, self._since = folder / layout.TIMING, time.perf_counter()

    def add_session(self) -> None:
        """Adds what this session took to timing.json."""
        before = read_document(self._path, Timing) if self._path.exists() else Timing()
        since, self._since = self._since, time.perf_counter()
        write_document(
            self._path,
            Timing(
                seconds=round(before.seconds + self._since - since, 3),
                peak_rss_mb=round(max(before.peak_rss_mb, peak_rss_mb()), 1),
                sessions=before.sessions + 1,
            ),
        )


def peak_rss_mb() -> float:
    """Most memory that this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
