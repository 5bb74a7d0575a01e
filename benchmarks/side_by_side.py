"""Jobs of a benchmark, each in a process of its own, some at a time; what is finished is not done again."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from prefloop.files.atomic import write_json

Job = tuple[str, ...]
"""What a job is, in words; its folder has their name."""


def run(
    file: str, typed: Sequence[str], choices: Mapping[str, str], one: Callable[[Job, Path, dict[str, Any]], Any]
) -> list[Any] | None:
    """Does one job (`--one WORD ... FOLDER [key=value ...]`), or all that the choices make, and reads what they found.

    Args:
        file: of the benchmark.
        typed: behind its name; `jobs=2` at a time, in folders of `out=`.
        choices: name -> its words with commas, if nothing else is typed.
        one: does a job in a folder, with further settings. Returns: what it found.

    Returns: what each job found, the last choice changing fastest; None after one job.
    """
    if typed[:1] == ["--one"]:
        words, folder, own = typed[1 : 1 + len(choices)], Path(typed[1 + len(choices)]), typed[2 + len(choices) :]
        folder.mkdir(parents=True, exist_ok=True)
        settings = {key: yaml.safe_load(value) for key, _, value in (part.partition("=") for part in own)}
        write_json(folder / "found.json", one(tuple(words), folder, settings))
        return None
    given = dict(part.split("=", 1) for part in typed)
    out = Path(given.get("out") or tempfile.mkdtemp())
    jobs: list[Job] = [()]
    for name, words in choices.items():
        jobs = [(*job, word) for job in jobs for word in given.get(name, words).split(",")]
    folders = [out / "-".join(job) for job in jobs]
    waiting = [(job, folder) for job, folder in zip(jobs, folders, strict=True) if not (folder / "found.json").exists()]
    running: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        running = [process for process in running if process.poll() is None]
        if waiting and len(running) < int(given.get("jobs", "2")):
            job, folder = waiting.pop(0)
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / "log.txt", "wb") as log:
                command = [sys.executable, "-W", "ignore", file, "--one", *job, str(folder)]
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
        time.sleep(0.2)
    lost = [folder for folder in folders if not (folder / "found.json").exists()]
    if lost:
        raise SystemExit(f"{len(lost)} jobs failed, such as the one of {lost[0] / 'log.txt'}.")
    return [json.loads((folder / "found.json").read_text()) for folder in folders]


def shown(
    file: str,
    choices: Mapping[str, str],
    one: Callable[[Job, Path, dict[str, Any]], Any],
    table: Callable[[list[Any]], str],
    *,
    needs: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A benchmark as it is typed: does its jobs and prints a table of what they found, see `run`.

    Args:
        needs: name of an environment variable without which it is skipped -> what that is.
    """
    lacking = next((name for name in needs if name not in os.environ), None)
    if lacking is not None:
        print(f"{Path(file).name} needs {lacking}=DIR, {needs[lacking]}. Skipped.")
        return
    found = run(file, sys.argv[1:], choices, one)
    print(table(found) if found else "")
