"""Wrong inputs of every kind (tests/wrong_cases.py), each through the command line: what becomes of them, as a table.

    python benchmarks/wrong_inputs.py            all of them
    python benchmarks/wrong_inputs.py WORD       only those with the word in them, each with its sentence

Counted are tracebacks (or "this is a fault of prefloop"), hangs, inputs that changed, inputs that were accepted, and
sentences that do not name what is wrong.
"""

import contextlib
import hashlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from prefloop import cli
from wrong_cases import Case, cases, inputs

SECONDS = 20
"""Of computing, after which a command counts as hanging."""
KEPT = ("in", "hurt", "kept")


class Outcome(NamedTuple):
    """What became of it: '' if all is as it should be, otherwise which fault."""

    fault: str
    said: str
    seconds: float


def fingerprint(*folders: Path) -> str:
    """Of the names and bytes of everything in these folders."""
    digest = hashlib.sha256()
    for file in sorted(path for folder in folders for path in folder.rglob("*") if path.name != ".lock"):
        digest.update(f"{file}\0".encode())
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


class Hangs(BaseException):
    """A command took too long."""


def _over(*_: Any) -> None:
    raise Hangs


def outcome(case: Case, folder: Path) -> Outcome:
    """Runs a case in the folder that holds `in`, and looks at what it said and left."""
    kept = [folder / name for name in KEPT]
    before, started = fingerprint(*kept), time.perf_counter()
    said = io.StringIO()
    handler = signal.signal(signal.SIGVTALRM, _over)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    code: int | None = None
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = cli.main(case.arguments)
    except Hangs:
        return Outcome("hangs", "", SECONDS)
    except BaseException as problem:
        return Outcome("traceback", repr(problem)[:300], 0.0)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
        seconds = time.perf_counter() - started
        for left in folder.iterdir():
            if left.name not in KEPT and left.is_dir():
                shutil.rmtree(left)
            elif left.name not in KEPT:
                left.unlink()
    words = said.getvalue()
    sentences = [line for line in words.splitlines() if line.startswith("prefloop: ")]
    if fingerprint(*kept) != before:
        return Outcome("changed an input", words, seconds)
    if code == cli.OURS_TO_MEND or "Traceback" in words:
        return Outcome("traceback", words, seconds)
    if code == 0:
        return Outcome("accepted", words, seconds)
    if code not in (1, 2, cli.DIVERGED) or (code != 1 and len(sentences) != 1):
        return Outcome("no sentence", words, seconds)
    if code != 1 and (case.says not in sentences[0] or "Input should be" in words):
        return Outcome("blames something else", words, seconds)
    return Outcome("", words, seconds)


def main(word: str = "") -> None:
    """Runs all and prints the table."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.chdir(folder)
        every = cases(*inputs(folder / "in"))
        counts: Counter[tuple[str, str]] = Counter()
        started = time.perf_counter()
        for case in every:
            if word and word not in f"{case.stage} {case.what} {' '.join(case.arguments)}":
                continue
            became = outcome(case, folder)
            counts[case.stage, became.fault] += 1
            if became.fault or word:
                said = became.said.strip().replace("\n", " | ")
                typed = " ".join(case.arguments)[:300]
                print(
                    f"{became.fault or 'well'}: {typed}\n    wants: {case.says!r}\n    said:  {said[:400]}",
                    file=sys.stderr,
                )
        faults = ["traceback", "hangs", "changed an input", "accepted", "no sentence", "blames something else"]
        print(f"| stage | wrong inputs | {' | '.join(faults)} |\n|---|{'---|' * (len(faults) + 1)}")
        for stage in [*dict.fromkeys(stage for stage, _ in counts), "all"]:
            total: Counter[str] = Counter()
            for (where, fault), n in counts.items():
                if stage in (where, "all"):
                    total[fault] += n
            print(f"| {stage} | {sum(total.values())} | {' | '.join(str(total[fault]) for fault in faults)} |")
        print(f"\n{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:2])
