"""Is resuming exact? A miniature of the whole recipe, killed again and again at random moments, against an undisturbed
one.

    python benchmarks/resume.py [KILLS] [SEED] [ROUNDS]    a table in Markdown; exit code 1 if a single byte differs

With ROUNDS it is the recipe `rounds` with as many, its lineage and gates included.

Half of the kills fall at a random time, half just before or after a random operation on the disk (fsync, rename,
unlink).
Compared are all files that a run keeps but those that hold paths and times: run.json, timing.json, recipe.yaml.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import killing
import miniature
from prefloop import layout
from prefloop.stages import RUNS


def run(folder: Path, rounds: int) -> None:
    """The miniature, from its first stage to its report, in folder/demo."""
    from prefloop.cli import main

    folder.mkdir(exist_ok=True)
    os.chdir(folder)  # so that the paths in the settings are the same
    whole = ["helpdesk", "out=demo", *miniature.overrides()]
    if main(["run", *(["rounds", *miniature.rounds(out="demo", num=rounds)] if rounds else whole)]):
        raise RuntimeError("the recipe failed")


def main(kills: int, seed: int, rounds: int) -> int:
    """Measures and prints. Returns: the number of files that differ."""
    import transformers  # noqa: F401  (imported once, before the children are forked)

    import prefloop.models.load  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        started = time.perf_counter()
        killing.attempt(lambda: run(whole, rounds), killing.Moment())
        seconds = time.perf_counter() - started
        when = killing.moments(random.Random(seed), seconds=seconds / 8, operations=24)
        count, runs = 0, []
        while count < kills:  # a run that ended before its next kill makes room for another
            runs.append(Path(folder, f"killed-{len(runs)}"))
            count += killing.until_done(lambda: run(runs[-1], rounds), kills=kills - count, when=when)
        print(f"{count} kills, seed {seed}, {len(runs)} runs; an undisturbed one takes {seconds:.1f} s.\n")
        print("| stage | files compared | bytes compared | files that differ |\n|---|---:|---:|---:|")
        total = 0
        stages = [stage for stage in (*RUNS, layout.ROUNDS) if (whole / "demo" / stage).is_dir()]
        for stage in stages:
            kept = killing.files(whole / "demo" / stage)
            differ = [name for out in runs for name in killing.differing(whole / "demo" / stage, out / "demo" / stage)]
            total += len(differ)
            print(f"| {stage} | {len(kept)} | {sum(map(len, kept.values()))} | {len(differ)} |")
    return total


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    sys.exit(1 if main(*(arguments + [20, 0, 0][len(arguments) :])) else 0)
