"""What this machine has: memory that is free, of the machine and of the container that we are in."""

import contextlib
import ctypes
import mmap
import os
import resource
import sys
from pathlib import Path

import torch

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
MAPS = Path("/proc/self/maps")
HOLES = 2**28
"""Bytes; giving back less than this would cost more than it is worth."""


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take on a device.

    On a CPU the least of what the system has available, what the container's limit leaves (cgroup, version 2 or 1), and
    what the limits of this process leave (ulimit -v).
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return max(0, min(_available(), _of_container(), _of_process()))


def whole_memory(device: torch.device) -> int:
    """Bytes that this process might have on a device if nobody else, nor itself, had any: the same from run to run."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [_total(), *(most for folder in _groups() for most, *_ in _limits(folder))]
    return min(limits if limit == resource.RLIM_INFINITY else [*limits, limit])


def room(device: torch.device, gigabytes: float = 0.0) -> float:
    """Bytes that this process may hold in all: what a setting says, or with 0 what it holds and what is free."""
    return gigabytes * 1e9 if gigabytes else free_memory(device) + held_memory(device)


def held_memory(device: torch.device) -> int:
    """Bytes that this process holds on a device now; on a CPU with interpreter and libraries."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    return _numbers(PROC / "self" / "status", "VmRSS") or peak_memory(device)


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process has held on a device; on a CPU since it began, with interpreter and libraries."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def give_back() -> None:
    """Returns memory that was freed to the system, where the C library keeps it otherwise (glibc).

    Weights that were loaded in float32 and are held in bfloat16 leave holes that nothing else fits into.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


class Heap:
    """The holes that tensors of changing sizes leave between those that stay: memory that was freed and that the C
    library keeps, in which the next, larger ones do not fit. Within an hour they can be more than all that is used."""

    def __init__(self) -> None:
        self._closed = 0

    def close(self, device: torch.device) -> None:
        """Gives the holes back if the process holds `HOLES` more than when they were last closed. Call it before much
        is taken anew, a micro-batch for instance; of a device other than a CPU torch takes care itself."""
        if device.type != "cpu":
            return
        held = held_memory(device)
        if held - self._closed < HOLES:
            self._closed = min(self._closed, held)
            return
        give_back()
        self._closed = held_memory(device)


heap = Heap()
"""This process's."""


def is_mapped(tensor: torch.Tensor) -> bool:
    """True if a tensor's numbers are pages of a file, or may be where the system does not say."""
    return not MAPS.is_file() or _in_file(tensor.data_ptr(), tensor.data_ptr() + 1)


def drop_pages(address: int, num_bytes: int) -> None:
    """Gives back memory that is mapped from a file and that nobody writes to, until it is read again. Other memory
    stays as it is."""
    size = mmap.PAGESIZE
    first, last = -(-address // size) * size, (address + num_bytes) // size * size
    if last > first and MAPS.is_file() and _in_file(first, last):
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def _in_file(first: int, last: int) -> bool:
    """Whether these addresses of our memory are mapped from one file."""
    for line in MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        span, _, _, _, node, *_ = line.split(maxsplit=5)
        start, end = (int(address, 16) for address in span.split("-"))
        if start <= first < end:
            return last <= end and node != "0"
    return False


def _available() -> int:
    """What the system could give without swapping; where it does not say, what it has in all."""
    return _numbers(PROC / "meminfo", "MemAvailable") or _total()


def _total() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _numbers(file: Path, name: str) -> int:
    """The kilobytes behind `name:` in a file of /proc, as bytes; 0 where there is no such file."""
    if not file.is_file():
        return 0
    lines = (line.split() for line in file.read_text(encoding="ascii", errors="replace").splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[:1] == [f"{name}:"]), 0)


def _of_container() -> int:
    """What the tightest of the control groups that we are in leaves; their cache of files can be given back."""
    left = [sys.maxsize]
    for folder in _groups():
        for most, used, cache in _limits(folder):
            held = int(_word(folder / used) or 0)
            left.append(most - held + sum(_statistic(folder / "memory.stat", name) for name in cache))
    return min(left)


def _limits(folder: Path) -> list[tuple[int, str, tuple[str, str]]]:
    """Limits that a control group's folder sets, and where it says what is used and what of that is cache of files."""
    found = []
    for limit, used, cache in (
        ("memory.max", "memory.current", ("inactive_file", "active_file")),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
    ):
        most = _word(folder / limit)
        if most.isdigit() and int(most) < 2**60:
            found.append((int(most), used, cache))
    return found


def _groups() -> list[Path]:
    """Our control group's folder and those above it, of version 2 or of version 1's memory controller."""
    file = PROC / "self" / "cgroup"
    found: list[Path] = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = CGROUPS / "memory" if controllers else CGROUPS
        inner = Path(path.lstrip("/"))
        found += [root / part for part in (inner, *inner.parents)]
    return found or [CGROUPS]


def _word(file: Path) -> str:
    return file.read_text(encoding="ascii").strip() if file.is_file() else ""


def _statistic(file: Path, name: str) -> int:
    words = (line.split() for line in _word(file).splitlines())
    return next((int(number) for key, number in words if key == name), 0)


def _of_process() -> int:
    """What the limit on this process's address space leaves."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - _numbers(PROC / "self" / "status", "VmSize")
