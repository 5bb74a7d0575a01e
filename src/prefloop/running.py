"""Runs stages in processes of their own, so that time and memory are each one's own; killed, all goes on."""

import contextlib
import difflib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prefloop import layout, stopping
from prefloop.config import Config, frozen
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.atomic import make_folder, write_text
from prefloop.files.documents import read_document
from prefloop.printing import say
from prefloop.records import Finished, RunCard
from prefloop.rounds.recipe import STAGES, Recipe
from prefloop.rounds.told import told
from prefloop.stages import ALIGNING, Stage

COMMAND = (sys.executable, "-m", "prefloop")
LOOK_EVERY = 0.2
"""Seconds between two looks at what has ended."""


@dataclass(frozen=True)
class Step:
    """A stage to run in a process of its own."""

    stage: Stage
    config: Config
    given: dict[str, Any]
    """the settings that were given, as they are typed"""

    @property
    def out(self) -> Path:
        """Its folder."""
        return Path(self.given["out"])

    @property
    def typed(self) -> str:
        """The command, as one types it."""
        return " ".join(["prefloop", self.stage.command, *map(shlex.quote, _words(self.given))])


def _words(given: Mapping[str, Any], above: str = "") -> list[str]:
    words: list[str] = []
    for name, value in given.items():
        if isinstance(value, dict):
            words += _words(value, f"{above}{name}.")
        else:
            told = {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else value
            words.append(f"{above}{name}={_listed(told)}")
    return words


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_listed(each)}" for name, each in value.items()) + "}"
    return f"[{', '.join(map(_listed, value))}]" if isinstance(value, list | tuple) else str(value)


def head(recipe: Recipe) -> list[Step]:
    """The recipe's stages that need no policy of its: what all methods begin from."""
    steps: list[Step] = []
    aside = set[Path]()
    for name, config in recipe.settings.items():
        given, stage = config.model_dump(mode="json", exclude_unset=True), STAGES[name]
        inputs = [Path(value) for key in stage.takes for value in paths(given.get(key))]
        later = any(path.is_relative_to(folder) for path in inputs for folder in aside)
        if later or name in (*ALIGNING, layout.EVALUATE) or "pipeline" in stage.reads:
            aside.add(recipe.out / name)
            continue
        steps.append(Step(stage, config, given))
    return steps


def paths(value: Any) -> list[str]:
    """What an input of a stage names: one thing, or several rewards' models."""
    if isinstance(value, dict):
        return [str(part["model"]) for part in value.values()]
    return [value] if isinstance(value, str) else []


def near(name: str, names: tuple[str, ...]) -> str:
    """A hint for a mistyped name."""
    found = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean `{found[0]}`?" if found else f"There are: {', '.join(names)}."


def is_finished(step: Step) -> bool:
    """True for a run that is plainly done: the same settings, inputs with the same content, outputs with their sizes.

    Whatever else there may be is for the stage itself to say, in a process of its own; this spares the seconds that one
    takes to begin.
    """
    if not (step.out / layout.FINISHED).is_file() or not (step.out / layout.CARD).is_file():
        return False
    card, made = read_document(step.out / layout.CARD, RunCard), read_document(step.out / layout.FINISHED, Finished)
    if frozen(step.config.model_dump(mode="json")) != card.config or card.config.get("verify"):
        return False
    files = {name: step.out / name for name in made.sizes}
    return all(file.is_file() and file.stat().st_size == made.sizes[name] for name, file in files.items()) and all(
        Path(each.path).exists() and fingerprints.of_path(each.path) == each.fingerprint
        for each in card.inputs.values()
    )


class Failed(Exception):
    """A stage ended otherwise than well; says what it said."""


class Workers:
    """Processes that are running, so that all of them can be asked to stop."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()  # a second Ctrl-C is heard while the first one is seen to
        self._stopped = False

    def run(self, step: Step, log: Path) -> None:
        """Runs one stage to its end; one that is finished is not begun, or ends at once. Raises: Failed."""
        if is_finished(step):
            return
        make_folder(log.parent)
        settings = log.parent / f"{step.stage.name}.yaml"
        write_text(settings, yaml.safe_dump(step.given, sort_keys=False, allow_unicode=True))
        command = [*COMMAND, *step.stage.command.split(), str(settings)]
        with log.open("ab") as told:
            told.write(f"$ {step.typed}\n".encode())
            told.flush()
            begin = told.tell()
            with self._lock:
                if self._stopped:
                    raise Failed("stopped before it began")
                # a session of its own: Ctrl-C reaches us alone, and we ask each stage once
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, start_new_session=True
                )
                self._running.add(process)
            code = process.wait()
            with self._lock:
                self._running.discard(process)
        if code:
            raise Failed(_last_words(log, begin, code))

    def stop(self) -> None:
        """Asks all of them to save and end, waits, and lets no other one begin."""
        for process in self._asked(signal.SIGTERM):
            process.wait()

    def kill(self, number: int, frame: object) -> None:
        """A handler that ends all of them at once."""
        self._asked(signal.SIGKILL)

    def _asked(self, number: int) -> list[subprocess.Popen[bytes]]:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        return running


def _last_words(log: Path, begin: int, code: int) -> str:
    """Why a stage ended: its own sentence, which is the last that it printed."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    said = next((line.removeprefix("prefloop: ") for line in reversed(lines) if line.startswith("prefloop: ")), "")
    return said or f"it ended with exit code {code}; what it printed stands in {log}"


@contextlib.contextmanager
def workers() -> Iterator[Workers]:
    """Workers, none of which goes on when the block is left."""
    some = Workers()
    try:
        yield some
    finally:
        with stopping.heard(some.kill):
            some.stop()


def run_head(some: Workers, steps: Sequence[Step], log: Path) -> None:
    """Runs the stages that all methods begin from. Raises: UserError with what the first one said that failed."""
    for number, step in enumerate(steps, start=1):
        place, name = f"{number}/{len(steps)}", step.stage.name
        with told(place, name, step.out) as before:
            if not before:
                say(f"[{place}] {name:<9} runs, and tells how far it is in {log}")
            pool = ThreadPoolExecutor(1)  # a signal is heard here, between two looks, and never while a process begins
            running = pool.submit(some.run, step, log)
            try:
                while not running.done():
                    time.sleep(LOOK_EVERY)
                running.result()
            except Failed as problem:
                raise UserError(str(problem)) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # what runs is stopped by whoever made the workers


def run_lines(
    some: Workers,
    lines: Mapping[str, Sequence[Step]],
    out: Path,
    *,
    at_once: int,
    before: Callable[[str], None] | None = None,
) -> dict[str, str | None]:
    """Runs lines of stages, several at once; one that fails stops no other.

    Args:
        lines: name -> its stages, in their order.
        out: where each has a folder of its name, with what its stages said.
        before: makes what the line of a name reads and no stage writes.

    Returns: name -> None, or why it failed.
    """
    done: dict[str, str | None] = {}

    def one(name: str) -> str | None:
        try:
            if before is not None:
                before(name)
            for step in lines[name]:
                some.run(step, out / name / layout.LOG)
        except (Failed, UserError, OSError, ValueError) as problem:
            return str(problem)
        return None

    pool = ThreadPoolExecutor(at_once)
    begun: dict[str, Future[str | None]] = {name: pool.submit(one, name) for name in lines}
    try:
        while any(not future.done() for future in begun.values()):  # a signal is heard between two looks
            for name in [name for name, future in begun.items() if future.done() and name not in done]:
                _tell(name, begun[name].result(), done, len(lines))
            time.sleep(LOOK_EVERY)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what runs is stopped by whoever made the workers
    for name in [name for name in begun if name not in done]:
        _tell(name, begun[name].result(), done, len(lines))
    return done


def _tell(name: str, failed: str | None, done: dict[str, str | None], num: int) -> None:
    done[name] = failed
    say(f"[{len(done)}/{num}] {name:<15} {'done' if failed is None else f'failed: {failed}'}")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
