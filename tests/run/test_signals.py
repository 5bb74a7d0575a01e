"""Signals really sent to processes: the work is saved, they say that they heard, and the same command goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
STAGE = """
import json, os, signal, sys, time
import prefloop.cli
from prefloop.run import Run
from prefloop.settings import RunConfig
from prefloop.stages import Stage

def work(arguments):
    out, kind = arguments
    with Run(RunConfig(out=out, threads=1), inputs={}, stage="ppo") as run:
        if run.finished:
            return 0
        done = (run.restore() or {"done": 0})["done"]
        while done < (20 if kind == "unread" else 2000):
            if kind == "hangs" and done == 5:
                run.log(done, {"lr": 1.0})
                time.sleep(60)
            done += 1
            run.log(done, {"lr": 1.0})
            run.say(f"step {done}")
            time.sleep(0.01)
            run.checkpoint(done, lambda: {"done": done}, every=0)
        run.finish(outputs=[], result={})
    return 0

prefloop.cli.COMMANDS["count"] = Stage("count", "counts", "__main__:work")
if sys.argv[1:]:
    sys.exit(prefloop.cli.main(["count", *sys.argv[1:]]))
for line in sys.stdin:  # importing takes longer than all the rest: one process starts them all
    out, kind = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(out + ".said", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        read, write = os.pipe()
        os.dup2(write, 1)
        if kind == "unread":
            os.close(read)
        if kind == "nohup":
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os._exit(prefloop.cli.main(["count", out, kind]))
    sys.__stdout__.write(f"{child}\\n")
    sys.__stdout__.flush()
    sys.__stdout__.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\\n")
    sys.__stdout__.flush()
"""


class Stages:
    """Starts stages, one after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def begin(self, out: Path, kind: str = "steps", *, steps: int = 3) -> int:
        """A stage that has logged some steps. Returns: its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(out), kind]) + "\n")
        self._process.stdin.flush()
        number = self._line()
        wait_for(out, steps)
        return number

    def code(self) -> int:
        """The exit code of the one that was begun, once it has ended."""
        return self._line()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    with subprocess.Popen(
        [sys.executable, "-c", STAGE], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Stages(process)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def said(out: Path) -> str:
    return Path(f"{out}.said").read_text(encoding="utf-8")


def logged(out: Path) -> int:
    file = out / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def wait_for(out: Path, steps: int) -> None:
    end = time.monotonic() + 60
    while logged(out) < steps:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        (signal.SIGINT, 130, "Ctrl-C"),
        (signal.SIGTERM, 143, "SIGTERM"),
        (signal.SIGHUP, 129, r"the end of the terminal \(SIGHUP\)"),
    ],
)
def test_the_first_signal_is_answered_and_saves(stages: Stages, out: Path, number: int, code: int, name: str):
    os.kill(stages.begin(out), number)
    assert stages.code() == code
    assert re.search(
        rf"ppo: heard {name}; it saves and stops as soon as the next update is done. Once more stops", said(out)
    )
    assert "prefloop: stopped" in said(out)
    assert "Traceback" not in said(out)
    (checkpoint,) = (out / "checkpoints").iterdir()
    assert int(checkpoint.name) == logged(out)
    before = (out / "metrics.jsonl").read_bytes()
    os.kill(stages.begin(out, steps=logged(out) + 1), signal.SIGKILL)
    assert stages.code() == -signal.SIGKILL
    assert (out / "metrics.jsonl").read_bytes().startswith(before)


def test_the_second_signal_stops_at_once(stages: Stages, out: Path):
    process = stages.begin(out, "hangs", steps=6)
    os.kill(process, signal.SIGTERM)
    while "heard SIGTERM" not in said(out):
        time.sleep(0.01)
    started = time.monotonic()
    os.kill(process, signal.SIGTERM)
    assert stages.code() == 143
    assert time.monotonic() - started < 30  # it would have slept for 60


def test_what_whoever_started_us_ignores_stays_ignored(stages: Stages, out: Path):
    """`nohup prefloop ... &` goes on when the terminal is closed."""
    process = stages.begin(out, "nohup")
    os.kill(process, signal.SIGHUP)
    wait_for(out, logged(out) + 5)
    os.kill(process, signal.SIGTERM)
    assert stages.code() == 143
    assert "SIGHUP" not in said(out)


def test_a_reader_that_goes_away_ends_no_run(stages: Stages, out: Path):
    """`prefloop ppo ... | head -1`: the run comes to its end, whose exit code is told."""
    stages.begin(out, "unread")
    assert stages.code() == 0
    assert said(out) == ""
    assert (out / "finished.json").is_file()
    assert logged(out) == 20


def test_process_1_hears_sigterm(out: Path):
    """The system ends process 1 of a container by no signal that it does not handle itself: `docker stop` would wait,
    and kill."""
    alone = ("unshare", "--pid", "--fork", "--mount-proc")
    try:
        allowed = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("this system lets us make no process 1")
    command = [*alone, sys.executable, "-c", STAGE, str(out), "steps"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(out, 3)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert process.wait(60) == 143
    assert list((out / "checkpoints").iterdir())
