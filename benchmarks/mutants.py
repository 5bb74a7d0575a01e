"""Planted mistakes, each of which some test must notice: prints those that survive.

    python benchmarks/mutants.py [PART OF A NAME ...]

A mutant is one exact replacement in one file of `src/prefloop`. It is planted in a copy of the checkout, and the tests
named with it run there until the first of them fails. What survives shows a law that no test watches.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from planted import LEARNING, Mutant
from planted_drift import DRIFT
from planted_env import ENV
from planted_groups import GROUPS
from planted_judging import JUDGING
from planted_rounds import ROUNDS
from planted_shared import SHARED

ROOT = Path(__file__).parents[1]
MUTANTS = [*LEARNING, *DRIFT, *ENV, *GROUPS, *JUDGING, *ROUNDS, *SHARED]


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


def main() -> None:
    """Runs those whose name holds one of the arguments, or all."""
    chosen = [m for m in MUTANTS if not sys.argv[1:] or any(part in m.name for part in sys.argv[1:])]
    for mutant in chosen:
        mutated(mutant)  # all of them, before the first minute is spent
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        checkout = copied(Path(folder))
        outcomes = list(pool.map(lambda mutant: survives(mutant, checkout), chosen))
    survivors = [mutant.name for mutant, alive in zip(chosen, outcomes, strict=True) if alive]
    print(
        "| planted | noticed | survived |\n|---|---|---|\n"
        f"| {len(chosen)} | {len(chosen) - len(survivors)} | {len(survivors)} |"
    )
    for name in survivors:
        print(f"survived: {name}")
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
