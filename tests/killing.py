"""Kills work at random moments and starts it again until it is done, and compares what came of it.

As a program, `python killing.py FOLDER SEED KILLS [STAGE ...]`: runs the miniature recipe whole in FOLDER/whole, then
each stage once more in FOLDER/killed with KILLS kills, and prints one JSON object: stage -> [kills, files that differ].
A child is forked for every attempt, because importing torch takes longer than a stage of the miniature.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIFFERS_BY_NATURE = ("run.json", "timing.json", "recipe.yaml", "card.html", "card.zh.html")
"""Files that hold paths and times."""
OPERATIONS = ("fsync", "rename", "replace", "unlink", "rmdir")
"""What a stage does to the disk, through `os`."""


@dataclass(frozen=True)
class Moment:
    """When to kill: after some seconds, or at the n-th disk operation, just before or just after it."""

    seconds: float | None = None
    operation: int | None = None
    after: bool = False


def moments(rng: random.Random, *, seconds: float, operations: int) -> Iterator[Moment]:
    """Random moments: half of them early in what is left of a run, half of them in the middle of writing."""
    while True:
        yield Moment(seconds=rng.uniform(0, seconds))
        yield Moment(operation=rng.randrange(operations), after=rng.random() < 0.5)


def until_done(work: Callable[[], object], *, kills: int, when: Iterator[Moment]) -> int:
    """Runs `work` in children that are killed `kills` times at most, then once undisturbed. Returns: how many were."""
    killed = 0
    for _ in range(kills):
        killed += not attempt(work, next(when))
    assert attempt(work, Moment())
    return killed


def attempt(work: Callable[[], object], moment: Moment) -> bool:
    """One child. Returns: True if it came to its end, False if it was killed. Raises: RuntimeError if it failed."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _be_child(work, moment)
    if moment.seconds is not None:
        end = time.monotonic() + moment.seconds
        while time.monotonic() < end:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(0.001)
        else:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if os.WEXITSTATUS(status) != 0:
        raise RuntimeError(f"the work failed with exit code {os.WEXITSTATUS(status)} in an attempt with {moment}")
    return True


def _be_child(work: Callable[[], object], moment: Moment) -> None:
    code = 1
    try:
        if moment.operation is not None:
            _die_at(moment.operation, after=moment.after)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            work()
        code = 0
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _die_at(operation: int, *, after: bool) -> None:
    """Lets the `operation`-th disk operation of this process be its last."""
    count = 0

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == operation + 1 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if count == operation + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for name in OPERATIONS:
        setattr(os, name, deadly(vars(os)[name]))


def files(folder: Path) -> dict[str, bytes]:
    """Every visible file in a folder but those that differ by nature."""
    paths = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    kept = {n: p for n, p in sorted(paths.items()) if p.name not in DIFFERS_BY_NATURE and not p.name.startswith(".")}
    return {n: _without_out(p.read_bytes()) if p.name == "config.yaml" else p.read_bytes() for n, p in kept.items()}


def _without_out(text: bytes) -> bytes:
    """Settings without the folder that they were written to."""
    return b"".join(line for line in text.splitlines(keepends=True) if not line.startswith(b"out:"))


def differing(one: Path, other: Path) -> list[str]:
    """Names of files that are not in both folders with the same bytes."""
    a, b = files(one), files(other)
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))


REVISE = """revise:
  model: sft/model
  prompts: world/prompts.collect.jsonl
  by: simulated
  rounds: 2
  max_new_tokens: 12
  batch_prompts: 4

"""
REINFORCE = """reinforce:
  policy: sft/model
  reward: reward/model
  prompts: world/prompts.ppo.jsonl
  steps: 4
  rollouts_per_step: 8
  max_new_tokens: 12
  checkpoint_every: 1

rloo:
  policy: sft/model
  reward: reward/model
  prompts: world/prompts.ppo.jsonl
  steps: 2
  rollouts_per_step: 8
  minibatch_size: 4
  max_new_tokens: 12
  checkpoint_every: 1

grpo:
  policy: sft/model
  reward: reward/model
  prompts: world/prompts.ppo.jsonl
  steps: 2
  rollouts_per_step: 8
  responses_per_prompt: 4
  minibatch_size: 4
  max_new_tokens: 12
  checkpoint_every: 1

rft:
  policy: sft/model
  reward: reward/model
  prompts: world/prompts.ppo.jsonl
  steps: 2
  rollouts_per_step: 16
  responses_per_prompt: 2
  minibatch_size: 2
  epochs: 2
  max_new_tokens: 96
  checkpoint_every: 1

best-of-n:
  policy: sft/model
  reward: reward/model
  prompts: world/prompts.ppo.jsonl
  num_prompts: 12
  responses_per_prompt: 2
  batch_prompts: 4
  max_new_tokens: 96

choose:
  prompts: world/prompts.ppo.jsonl
  num: 10
  asked: [collect/comparisons.jsonl]
  model: sft/model
  reward: reward/model
  responses_per_prompt: 2
  batch_prompts: 4
  max_new_tokens: 12

cards:
  model: sft/model
  collected: [collect]
  demonstrations: world/demonstrations.jsonl
  reward: reward/model

skills:
  models: {sft: sft/model, pretrain: pretrain/model}
  suite: helpdesk
  num_tasks: 3
  texts: world/corpus.jsonl
  num_texts: 6
  batch: 5
  max_new_tokens: 8

online-dpo:
  policy: sft/model
  reward: reward/model
  prompts: world/prompts.ppo.jsonl
  steps: 4
  rollouts_per_step: 8
  max_new_tokens: 12
  reference_every: 2
  checkpoint_every: 1

dpo:
  policy: sft/model
  preferences: collect/preferences.jsonl
  held_out: collect/held_out.jsonl
  batch_pairs: 4
  num_samples: 4
  max_new_tokens: 12
  checkpoint_every: 1

"""
GATE = "gate: {evaluation: evaluate, by: gold, least: 4, most: 12}\n\n"
"""Stages that the recipe lacks: before it collects, before it evaluates, and after."""


def each_stage(folder: Path, *, seed: int, kills: int, stages: list[str]) -> dict[str, tuple[int, list[str]]]:
    """The miniature once whole, then each stage with kills. Returns: stage -> (kills, names of files that differ)."""
    import miniature
    from prefloop.named import named
    from prefloop.rounds.command import run
    from prefloop.rounds.recipe import STAGES, find, load

    whole, outcomes = folder / "whole", {}
    file, text = folder / "helpdesk.yaml", Path(find("helpdesk")).read_text(encoding="utf-8")
    text = text.replace("\ncollect:", f"\n{REVISE}collect:", 1).replace("evaluate:", f"{REINFORCE}evaluate:", 1)
    text = text.replace("\nreport:", f"\n{GATE}report:", 1)
    file.write_text(text, encoding="utf-8")
    recipe = load(str(file), [f"out={whole}", *miniature.overrides()])
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        run(recipe)
        evaluated = (whole / "evaluate" / "run.json").read_bytes()
        shutil.rmtree(whole / "collect")
        run(recipe)  # made again bit for bit, `collect` is the same input, whatever its times and threads
        assert (whole / "evaluate" / "run.json").read_bytes() == evaluated
    for stage in stages:
        out = folder / "killed" / stage
        settings = recipe.settings[stage].model_copy(update={"out": str(out)})
        seconds = json.loads((whole / stage / "timing.json").read_text(encoding="utf-8"))["seconds"]
        when = moments(random.Random(f"{seed} {stage}"), seconds=seconds / 3, operations=24)
        work = named(STAGES[stage].function)
        killed = until_done(lambda work=work, settings=settings: work(settings), kills=kills, when=when)
        outcomes[stage] = killed, differing(whole / stage, out)
    return outcomes


if __name__ == "__main__":
    where, number, how_many, *names = sys.argv[1:]
    print(json.dumps(each_stage(Path(where), seed=int(number), kills=int(how_many), stages=names)))
