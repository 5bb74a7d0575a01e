"""Seconds and memory, summed over sessions; never among the metrics, for they differ each time."""

import resource
import sys
import time
from pathlib import Path

import torch

from prefloop import layout
from prefloop.files.documents import read_document, write_document
from prefloop.records import Timing


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / layout.TIMING
        self._since, self._cpu_since = time.perf_counter(), time.process_time()
        self.expected_mb = 0.0
        self.device = "cpu"

    def add_session(self) -> None:
        """Adds what this session took to timing.json."""
        before = read_document(self._path, Timing) if self._path.exists() else Timing()
        since, self._since = self._since, time.perf_counter()
        cpu_since, self._cpu_since = self._cpu_since, time.process_time()
        write_document(
            self._path,
            Timing(
                seconds=round(before.seconds + self._since - since, 3),
                cpu_seconds=round(before.cpu_seconds + self._cpu_since - cpu_since, 3),
                peak_rss_mb=round(max(before.peak_rss_mb, peak_rss_mb()), 1),
                peak_mb=round(max(before.peak_mb, peak_mb(self.device)), 1),
                expected_mb=round(self.expected_mb or before.expected_mb, 1),
                sessions=before.sessions + 1,
            ),
        )

    def sentence(self) -> str:
        """The peak of this session beside what was expected."""
        peak = peak_mb(self.device)
        return f"memory: peak {peak * 2**20 / 1e9:.2f} GB, {self.expected_mb * 2**20 / 1e9:.2f} GB were expected"


def peak_rss_mb() -> float:
    """Most memory that this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def peak_mb(device: str) -> float:
    """Most memory that tensors of this process have held on a device, in MB; on a CPU all that the process has."""
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else peak_rss_mb()
