"""What the machine has, on a file system made for it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from prefloop.models import machine

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 16 GiB available, in no container."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {16 * GIB // 1024} kB\n")
    (proc / "self" / "status").write_text(f"VmSize: 500 kB\nVmRSS: {GIB // 1024} kB\n")
    monkeypatch.setattr(machine, "PROC", proc)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    return tmp_path


def _written(folder: Path, files: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def test_without_a_container_it_is_what_the_system_has(system: Path):
    assert machine.free_memory(CPU) == 16 * GIB
    assert machine.held_memory(CPU) == GIB


V2 = {
    "memory.max": 4 * GIB,
    "memory.current": 3 * GIB,
    "memory.stat": f"anon 5\ninactive_file {GIB}\nactive_file {GIB}",
}
V1 = {
    "memory.limit_in_bytes": 4 * GIB,
    "memory.usage_in_bytes": 3 * GIB,
    "memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\ntotal_active_file {GIB}",
}
NONE = {"memory.max": "max", "memory.current": 3 * GIB}
CONTAINERS = [
    ("0::/job/step", "job/step", V2, 3 * GIB),
    ("0::/job/step", "job", V2, 3 * GIB),  # the limit of the group above binds too
    ("0::/job/step", "job", NONE, 16 * GIB),
    ("8:cpu:/x\n4:memory:/job\n0::/", "memory/job", V1, 3 * GIB),
    ("0::/elsewhere", "", V2, 3 * GIB),  # inside a container its own group is the root
]


@pytest.mark.parametrize(("ours", "folder", "files", "free"), CONTAINERS)
def test_a_container_limits(system: Path, ours: str, folder: str, files: dict[str, object], free: int):
    (system / "proc" / "self" / "cgroup").write_text(f"{ours}\n")
    _written(system / "cgroup" / folder, files)
    assert machine.free_memory(CPU) == free
    assert machine.whole_memory(CPU) == min(machine._total(), machine._total() if files is NONE else 4 * GIB)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_has_some():
    assert 2**20 < machine.free_memory(CPU) < 2**50
    assert 2**20 < machine.held_memory(CPU) <= 1.1 * machine.peak_memory(CPU)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_holes_are_given_back():
    """Every other of many small blocks is freed: none of them at the heap's end, so only trimming returns them."""
    blocks = [torch.ones(25_000) for _ in range(1000)]  # 100 kB each, below what is mapped by itself
    full = machine.held_memory(CPU)
    del blocks[::2]
    machine.give_back()
    assert machine.held_memory(CPU) < full - 40e6
    assert len(blocks) == 500


READ_BETWEEN_HOLES = """
import sys, torch
from prefloop.models import machine
from prefloop.models.device import placement
from prefloop.models.load import causal
from prefloop.models.stream import ResponseStream

network = causal(sys.argv[1], placement("cpu", "float32"))

def read():
    network.logprobs(ResponseStream.of([[1, 2]], [[3]], network.device), temperature=1.0)
    return machine.held_memory(network.device)

stay, before = [], read()
for _ in range(2):  # the first time, the C library maps what is so large; the second time, it has learned not to
    pass_away = [(torch.ones(2**18), stay.append(torch.ones(2**8)))[0] for _ in range(2 * machine.HOLES // 2**20)]
    del pass_away
print(before, machine.held_memory(network.device), read())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries keep nothing")
def test_reading_gives_back_what_tensors_of_other_sizes_left_between_those_that_stay(folder: str):
    command = [sys.executable, "-c", READ_BETWEEN_HOLES, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, holes, closed = map(int, done.stdout.split())
    assert holes > before + 0.9 * machine.HOLES
    assert closed < before + 0.1 * machine.HOLES


def test_few_holes_are_left_alone_and_less_held_counts_from_there(monkeypatch: pytest.MonkeyPatch):
    held, given = iter([5, 6, 5, 9, 8, 3, 6, 8, 4]), list[int]()
    monkeypatch.setattr(machine, "HOLES", 4)
    monkeypatch.setattr(machine, "held_memory", lambda device: next(held))
    monkeypatch.setattr(machine, "give_back", lambda: given.append(1))
    heap = machine.Heap()
    counts = []
    for _ in range(6):
        heap.close(CPU)
        counts.append(len(given))
    assert counts == [1, 1, 2, 2, 2, 3]
    heap.close(torch.device("cuda"))
    assert len(given) == 3
