"""A run: one folder with its settings, command, inputs, metrics, samples and checkpoints; exact to resume.

    config.yaml     the resolved settings                       metrics.jsonl   one line per logged step
    run.json        command, versions, seed, inputs             samples.jsonl   what the model wrote on the way
    finished.json   written last: outputs and result            checkpoints/    whole folders, newest kept
    timing.json     seconds and memory, summed over sessions (never in metrics: they differ each time)

Kill it at any moment and run the same command again: a finished stage is recognised and skipped, a broken one goes
on from its last checkpoint, and what it then writes is bit-identical to an uninterrupted run with the same threads.
"""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import resource
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import filelock
import torch
import yaml

import prefloop
from prefloop.config import RunConfig
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.atomic import make_folder, new_folder, remove_leftovers, write_json, write_text, writing
from prefloop.files.tables import jsonl
from prefloop.run.progress import Progress

State = dict[str, Any]
LOGS = ("metrics.jsonl", "samples.jsonl")
WHERE_NOT_WHAT = ("out", "device", "threads", "page")  # settings that do not make it another run
ALL_THREADS = torch.get_num_threads()  # torch asks OMP_NUM_THREADS, then which cores this process may use
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "safetensors")


class Run:
    """One stage's folder, open for work. Use it as `with Run(...) as run:`."""

    def __init__(self, stage: str, config: RunConfig, *, inputs: dict[str, str | None]) -> None:
        """Opens (or continues) the folder `config.out`.

        Args:
            stage: the stage's name.
            config: its settings.
            inputs: name -> path of everything that the stage reads; None entries are left out.

        Raises: UserError if the folder belongs to another run, or to this one with other settings or inputs.
        """
        self.stage, self.config = stage, config
        self.folder = Path(config.out)
        self.inputs = {
            k: {"path": p, "fingerprint": fingerprints.of_path(p)} for k, p in inputs.items() if p is not None
        }
        self._identity = _identity(stage, config, self.inputs)
        self._interrupted = False
        self._saved_at = 0
        self._logs: dict[str, Any] = {}
        self._started = time.perf_counter()
        self._previous_handler: Any = None
        torch.set_num_threads(config.threads or ALL_THREADS)
        self._claim()
        self.progress = Progress(stage)

    # -- opening and closing ------------------------------------------------------------------------------------

    def _claim(self) -> None:
        """Checks that the folder is empty or ours, and writes config.yaml and run.json."""
        card = self.folder / "run.json"
        if self.folder.is_dir() and not card.is_file():
            foreign = sorted(p.name for p in self.folder.iterdir() if not p.name.startswith("."))
            if foreign:
                raise UserError(
                    f"{self.folder}: this folder holds other things ({', '.join(foreign[:3])}), and no prefloop run. "
                    "Choose another out=DIR."
                )
        make_folder(self.folder)
        self._lock = filelock.FileLock(self.folder / ".lock")
        try:
            with writing(self.folder):
                self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"{self.folder}: another prefloop process is working here. Wait for it, or use another out=DIR."
            ) from None
        remove_leftovers(self.folder)
        if self.finished:  # and perhaps killed before it could tidy up
            self._tidy()
        if card.is_file():
            self._recognise(json.loads(card.read_text(encoding="utf-8")))
        else:  # first of all files: a folder without it is not ours
            write_json(card, self._card())
        settings = self.folder / "config.yaml"
        if not settings.is_file():
            write_text(
                settings, yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            )

    def _recognise(self, before: dict[str, Any]) -> None:
        """Raises: UserError if the folder's card is another run's."""
        difference = _difference(before["identity"], self._identity)
        if difference:
            self._lock.release()
            raise UserError(
                f"{self.folder}: this folder belongs to another run: {difference}. "
                "Use another out=DIR, or delete the folder to start again."
            )
        if before["threads"] != torch.get_num_threads() and not self.finished:
            print(
                f"{self.folder}: begun with {before['threads']} threads, going on with {torch.get_num_threads()}: "
                f"the result will be as good, but not bit-identical. For that, set threads={before['threads']}.",
                file=sys.stderr,
            )

    def _card(self) -> dict[str, Any]:
        """What run.json says."""
        return {
            "stage": self.stage,
            "command": shlex.join(["prefloop", *sys.argv[1:]]),
            "seed": self.config.seed,
            "threads": torch.get_num_threads(),
            "versions": versions(),
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
            "config": self.config.model_dump(mode="json"),
            "inputs": self.inputs,
            "identity": self._identity,
        }

    def __enter__(self) -> Self:
        if not self.finished and _in_main_thread():
            self._previous_handler = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: object) -> None:
        self.progress.close()
        if self._previous_handler is not None:
            signal.signal(signal.SIGINT, self._previous_handler)
        for file in self._logs.values():
            with contextlib.suppress(
                OSError
            ):  # only what could not be flushed is left in it, and `_append` has said so
                file.close()
        if kind is None or not issubclass(kind, UserError):
            self._add_time()
        self._lock.release()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:  # asked twice: stop at once, the last checkpoint is still good
            raise KeyboardInterrupt
        self._interrupted = True

    @property
    def interrupted(self) -> bool:
        """True once the user pressed Ctrl-C: save and stop at the next safe place."""
        return self._interrupted

    def stop_if_interrupted(self) -> None:
        """For stages whose every written part is already safe. Raises: KeyboardInterrupt after Ctrl-C."""
        if self._interrupted:
            raise KeyboardInterrupt

    # -- what the stage writes ----------------------------------------------------------------------------------

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Appends one line to metrics.jsonl. Raises: UserError if a loss or a gradient is not a number."""
        self.refuse_nan(step, metrics)
        clean = {k: (v if math.isfinite(v) else None) for k, v in metrics.items()}
        self._append("metrics.jsonl", [{"step": step, **clean}])

    def refuse_nan(self, step: int, metrics: dict[str, float]) -> None:
        """Raises: UserError if a loss or a gradient is not a number, before such weights reach a checkpoint."""
        bad = [k for k, v in metrics.items() if not math.isfinite(v) and k.startswith(("loss/", "grad/"))]
        if bad:
            raise UserError(
                f"{self.folder}: {bad[0]} became {metrics[bad[0]]} in step {step}, so training has diverged and stops here. "
                f"The last good checkpoint is kept. Lower the learning rate (lr={self.config.model_dump().get('lr', '...')}) "
                "or set dtype=float32, with another out=DIR."
            )

    def sample(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows to samples.jsonl."""
        self._append("samples.jsonl", rows)

    def _append(self, name: str, rows: list[dict[str, Any]]) -> None:
        with writing(self.folder / name):
            if name not in self._logs:
                self._logs[name] = (self.folder / name).open("ab")
            self._logs[name].write(jsonl(rows).encode("utf-8"))
            self._logs[name].flush()

    # -- checkpoints --------------------------------------------------------------------------------------------

    def checkpoint(self, position: int, state: Callable[[], State], *, every: int) -> None:
        """Saves when `position` (a count of updates) is due, or when the user pressed Ctrl-C.

        Args:
            position: updates done so far.
            state: makes everything that the loop needs to go on: tensors, generators, counters.
            every: save each time position has reached another multiple of it, which it may jump over; 0 saves only on Ctrl-C.

        Raises: KeyboardInterrupt after saving, if the user pressed Ctrl-C.
        """
        if self._interrupted or (every and position // every > self._saved_at // every):
            self.save(position, state())
        self.stop_if_interrupted()

    def save(self, position: int, state: State) -> None:
        """Writes a checkpoint folder, whole or not at all, and removes the older ones."""
        lengths = {}
        for name in LOGS:
            if name in self._logs:
                os.fsync(self._logs[name].fileno())
            lengths[name] = (self.folder / name).stat().st_size if (self.folder / name).exists() else 0
        path = self.folder / "checkpoints" / f"{position:08d}"
        with new_folder(path) as folder:
            torch.save({"state": state, "lengths": lengths, "position": position}, folder / "state.pt")
        for old in self._checkpoints():
            if old != path:
                _remove(old)
        self._saved_at = position

    def restore(self) -> State | None:
        """The last checkpoint's state, with the logs cut back to that moment; None if there is none."""
        found = self._checkpoints()
        saved = torch.load(found[-1] / "state.pt", map_location="cpu", weights_only=True) if found else None
        for name in LOGS:
            path = self.folder / name
            if path.exists():
                os.truncate(path, saved["lengths"][name] if saved else 0)
        if saved:
            self._saved_at = saved["position"]
            self.progress.note(f"going on from update {saved['position']}")
        return saved["state"] if saved else None

    def _checkpoints(self) -> list[Path]:
        folder = self.folder / "checkpoints"
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []

    def parts(self, count: int) -> Iterator[int]:
        """The numbers of the parts not written yet, for stages that work part by part (see `write_part`)."""
        for index in range(count):
            if not self.part(index).exists():
                self.stop_if_interrupted()
                yield index

    def part(self, index: int) -> Path:
        """Where part `index` is written."""
        return self.folder / "parts" / f"{index:06d}.json"

    def write_part(self, index: int, value: Any) -> None:
        """Writes one part, whole or not at all."""
        write_json(self.part(index), value)

    def read_parts(self, count: int) -> list[Any]:
        """All parts, in order."""
        return [json.loads(self.part(index).read_text(encoding="utf-8")) for index in range(count)]

    # -- the end ------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """True if this very run has already ended well."""
        return (self.folder / "finished.json").is_file()

    @property
    def result(self) -> dict[str, Any]:
        """The numbers that a finished run reported."""
        return json.loads((self.folder / "finished.json").read_text(encoding="utf-8"))["result"]

    def finish(self, *, outputs: dict[str, str], result: dict[str, Any]) -> None:
        """Marks the run as done: fingerprints of what it wrote, and its headline numbers; drops the checkpoints."""
        self._add_time()
        described = {k: {"path": p, "fingerprint": fingerprints.of_path(self.folder / p)} for k, p in outputs.items()}
        write_json(self.folder / "finished.json", {"outputs": described, "result": result})
        self._tidy()

    def _tidy(self) -> None:
        """Removes what only an unfinished run needs."""
        _remove(self.folder / "checkpoints")
        _remove(self.folder / "parts")

    def _add_time(self) -> None:
        path = self.folder / "timing.json"
        if self.finished or not self.folder.is_dir():
            return
        before = (
            json.loads(path.read_text(encoding="utf-8"))
            if path.exists()
            else {"seconds": 0.0, "peak_rss_mb": 0.0, "sessions": 0}
        )
        now = time.perf_counter()
        write_json(path, {
            "seconds": round(before["seconds"] + now - self._started, 3),
            "peak_rss_mb": round(max(before["peak_rss_mb"], peak_rss_mb()), 1),
            "sessions": before["sessions"] + 1,
        })  # fmt: skip
        self._started = now


def versions() -> dict[str, str]:
    """Versions of Python, prefloop and the packages that numbers depend on."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"prefloop": prefloop.__version__, "python": platform.python_version(), **packages}


def peak_rss_mb() -> float:
    """Most memory that this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _identity(stage: str, config: RunConfig, inputs: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What makes a run this run: the stage, its settings, and its inputs by content rather than by path."""
    dumped = config.model_dump(mode="json")
    settings = {
        k: v for k, v in dumped.items() if k not in WHERE_NOT_WHAT and v not in [i["path"] for i in inputs.values()]
    }
    return {"stage": stage, "settings": settings, "inputs": {k: i["fingerprint"] for k, i in inputs.items()}}


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between two identities, in words; empty if nothing does."""
    if before["stage"] != now["stage"]:
        return f"it was written by the stage `{before['stage']}`, not `{now['stage']}`"
    words = []
    for key in sorted({*before["settings"], *now["settings"]}):
        old, new = before["settings"].get(key), now["settings"].get(key)
        if old != new:
            words.append(f"`{key}` was {json.dumps(old)} and is now {json.dumps(new)}")
    for key in sorted({*before["inputs"], *now["inputs"]}):
        old, new = before["inputs"].get(key), now["inputs"].get(key)
        if old != new:
            words.append(f"the input `{key}` had the fingerprint {old} and now has {new}")
    return "; ".join(words)


def _remove(folder: Path) -> None:
    """Removes a folder so that a kill in between leaves it whole or gone."""
    if not folder.exists():
        return
    doomed = folder.with_name(f".{folder.name}.gone.tmp")
    folder.rename(doomed)
    for path in sorted(doomed.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    doomed.rmdir()


def _in_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()
