"""Runs stages in processes of their own, so that time and memory are each one's own; killed, all goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import yaml

from prefloop import layout, stopping
from prefloop.compare.plans import Plan, Step
from prefloop.errors import UserError
from prefloop.files.atomic import make_folder, write_text
from prefloop.printing import say

COMMAND = (sys.executable, "-m", "prefloop")
PATIENCE = 60.0
"""Seconds that a stage has to save what it holds once it is asked to stop."""


class Failed(Exception):
    """A stage ended otherwise than well; says what it said."""


class Workers:
    """Processes that are running, so that all of them can be asked to stop."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, step: Step, log: Path) -> None:
        """Runs one stage to its end; a finished one ends at once. Raises: Failed."""
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
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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
        with stopping.heard(_wait):  # once is enough: they are saving
            some.stop()


def _wait(number: int, frame: object) -> None:
    stopping.tell(number, "compare", "the stages that are running are saving already")


def run_head(some: Workers, steps: Sequence[Step], log: Path) -> None:
    """Runs the stages that all methods begin from. Raises: UserError with what the first one said that failed."""
    for number, step in enumerate(steps, start=1):
        before, started = (step.out / layout.FINISHED).is_file(), time.perf_counter()
        try:
            some.run(step, log)
        except Failed as problem:
            raise UserError(str(problem)) from None
        took = "done before, skipped" if before else f"{time.perf_counter() - started:6.1f} s"
        say(f"[{number}/{len(steps)}] {step.stage.name:<9} {took}")


def run_plans(
    some: Workers, made: Sequence[Plan], out: Path, *, at_once: int, before: Callable[[Plan], None]
) -> dict[str, str | None]:
    """Runs every method, several at once; one that fails stops no other.

    Args:
        before: makes what a method reads and no stage writes.

    Returns: name -> None, or why it failed.
    """
    done: dict[str, str | None] = {}

    def one(plan: Plan) -> str | None:
        try:
            before(plan)
            for step in (*plan.steps, *([plan.evaluation] if plan.evaluation else [])):
                some.run(step, out / plan.name / layout.LOG)
        except (Failed, UserError) as problem:
            return str(problem)
        return None

    pool = ThreadPoolExecutor(at_once)
    begun: dict[str, Future[str | None]] = {plan.name: pool.submit(one, plan) for plan in made}
    try:
        while any(not future.done() for future in begun.values()):  # a signal is heard between two looks
            for name in [name for name, future in begun.items() if future.done() and name not in done]:
                _tell(name, begun[name].result(), done, len(made))
            time.sleep(0.2)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what runs is stopped by whoever made the workers
    for name in [name for name in begun if name not in done]:
        _tell(name, begun[name].result(), done, len(made))
    return done


def _tell(name: str, failed: str | None, done: dict[str, str | None], num: int) -> None:
    done[name] = failed
    say(f"[{len(done)}/{num}] {name:<15} {'done' if failed is None else f'failed: {failed}'}")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
