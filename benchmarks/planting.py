"""Planting one mistake: an exact replacement in a copy of the checkout, in which its tests run."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutant:
    """One planted mistake."""

    name: str
    file: str
    """inside src/prefloop"""
    old: str
    """stands exactly once in the file"""
    new: str
    tests: str
    """files or folders inside tests/, in the order in which they run"""


def planted(file: str, tests: str, *rows: tuple[str, str, str]) -> list[Mutant]:
    """Mutants of one file; each row is (name, old, new)."""
    return [Mutant(f"{file}: {name}", file, old, new, tests) for name, old, new in rows]


def copied(place: Path) -> Path:
    """The checkout as it is now, without the page."""
    for name in ("src", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "web"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def survives(mutant: Mutant, checkout: Path) -> bool:
    """Plants a mutant in a copy and runs its tests. Returns: True if they all pass."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        shutil.copytree(checkout, place)
        file = place / "src" / "prefloop" / mutant.file
        file.write_text(mutated(mutant), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
        tests = [f"tests/{name}" for name in mutant.tests.split()]
        environment = {**os.environ, "PYTHONPATH": str(place / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, *tests], cwd=place, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(
            f"{mutant.name}: pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.returncode == 0


def mutated(mutant: Mutant) -> str:
    """The file with the mistake in it. Raises: ValueError if what it replaces does not stand there exactly once."""
    text = (ROOT / "src" / "prefloop" / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}, not once"
        )
    return text.replace(mutant.old, mutant.new)
