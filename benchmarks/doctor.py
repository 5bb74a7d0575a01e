"""Does a run that goes wrong name what is wrong with it, and in time? Failures planted in small runs on the helpdesk.

    python benchmarks/doctor.py DEMO [seeds=0,1] [clean=6] [kinds=stuffing,copying,...] [steps=20] [out=FOLDER]
                                     [page=FILE]

DEMO is the folder of a finished `prefloop run helpdesk`. Its SFT model learns for a few steps from a reward, a setting
or a fault that has exactly one thing wrong with it; clean runs learn from its reward model, by six algorithms in turn,
in the seeds 2000, 2001, ... The rules read the rows as they come, as in any run. A run is

    named     if one of the signs that the kind should show is raised at all
    in time   if that is while no more than a third of the damage is done: of the change of the metric that the kind
              changes, from the first two steps to the last fifth; where its damage is there at once, in a third of the
              steps. For comparison the same by the utility that gold loses, where it loses 0.05 or more
    false     of clean runs: if any sign is raised

A finished run is not done again, so a command that was broken off goes on. Prints a Markdown table, and writes it to
`page`.
"""

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import failures
from failures import Kind

from prefloop import layout
from prefloop.align import grpo, online_dpo, ppo, reinforce, rft, rloo
from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RFTConfig, RLOOConfig
from prefloop.errors import UserError
from prefloop.files.atomic import write_json, write_text
from prefloop.run.watch import Watch
from prefloop.settings import RunConfig
from prefloop.world import gold

ROOT = Path(__file__).parents[1]
LOST = 0.05
"""Utility below which nothing was lost that could be told from chance."""
ALGORITHMS: dict[str, tuple[Any, Callable[[Any], Path], dict[str, Any]]] = {
    "ppo": (PPOConfig, ppo.train, {"minibatch_size": 16, "epochs": 2}),
    "grpo": (GRPOConfig, grpo.train, {"minibatch_size": 16, "epochs": 2, "responses_per_prompt": 4}),
    "rloo": (RLOOConfig, rloo.train, {"minibatch_size": 32, "epochs": 1, "responses_per_prompt": 4}),
    "reinforce": (REINFORCEConfig, reinforce.train, {}),
    "online-dpo": (OnlineDPOConfig, online_dpo.train, {"responses_per_prompt": 4}),
    "rft": (RFTConfig, rft.train, {"minibatch_size": 8, "epochs": 1, "responses_per_prompt": 4}),
}
CLEAN_SEED = 2000
BEGINNING = 2
"""Steps of warm-up, whose responses are still the SFT model's."""


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    demo: Path
    seeds: tuple[int, ...] = (0, 1)
    clean: int = 6
    kinds: tuple[str, ...] = tuple(failures.KINDS)
    steps: int = 20
    out: Path = ROOT / "runs" / "doctor"
    page: Path | None = None

    @classmethod
    def of(cls, words: Sequence[str]) -> "Asked":
        """The command line's words."""
        read: dict[str, Callable[[str], Any]] = {
            "seeds": lambda text: tuple(map(int, text.split(","))),
            "kinds": lambda text: tuple(text.split(",")),
            "out": Path,
            "page": Path,
        }
        given = dict(word.split("=", 1) for word in words[1:])
        return cls(Path(words[0]), **{name: read.get(name, int)(value) for name, value in given.items()})


@dataclass
class Found:
    """What one run showed."""

    kind: str
    seed: int
    named: dict[str, int]
    """sign -> the step in which it was first raised"""
    third: int
    """the step in which a third of the damage was done"""
    third_by_gold: int | None
    """the same by gold; None if it lost next to nothing"""
    lost: float
    """utility, by gold"""


def settings(asked: Asked, algorithm: str, seed: int, folder: Path) -> dict[str, Any]:
    """Of a run that is well."""
    _, _, own = ALGORITHMS[algorithm]
    held = {"beta": 0.3} if algorithm == "online-dpo" else {} if algorithm == "rft" else {"kl_coef": 0.1}
    return {
        "policy": str(asked.demo / layout.SFT / layout.MODEL),
        "reward": str(asked.demo / layout.REWARD / layout.MODEL),
        "prompts": str(asked.demo / "world" / "prompts.ppo.jsonl"),
        "out": str(folder),
        "seed": seed,
        "steps": asked.steps,
        "rollouts_per_step": 32,
        "max_new_tokens": 64,
        "lr": 5e-4,
        "save_every": 1_000_000,
        "checkpoint_every": 0,
        "threads": 1,
        "anyway": True,
        **held,
        **own,
    }


def one(asked: Asked, kind: Kind, name: str, seed: int) -> Found:
    """Does a run, or finds it done. The rules read it anew each time."""
    folder = asked.out / f"{name}-{seed}"
    told = folder.with_suffix(".json")
    if not told.exists():
        shutil.rmtree(folder, ignore_errors=True)
        utilities, refused = trained(asked, kind, seed, folder)
        write_json(told, {"utilities": utilities, "refused": refused})
        shutil.rmtree(folder / layout.MODELS, ignore_errors=True)
    kept = json.loads(told.read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in lines(folder / layout.METRICS)]
    named = raised(rows) | ({"first batch": 1} if said_first(folder) else {})
    third, own = -(-len(rows) // 3), [row[kind.measure] for row in rows if row.get(kind.measure) is not None]
    if own:
        third = third_of(own)[0] or third
    by_gold, change = third_of(kept["utilities"])
    return Found(name, seed, named, third, by_gold if -change >= LOST else None, -change)


def trained(asked: Asked, kind: Kind, seed: int, folder: Path) -> tuple[list[float], str]:
    """Runs it. Returns: the mean utility of each step's responses, and why it refused if it did."""
    own, utilities = dict(kind.settings), list[float]()
    if kind.reward:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = folder.with_suffix(".py")
        file.write_text(failures.REWARDS, encoding="utf-8")
        own["reward"] = f"python:{file}:{kind.reward}"
    if kind.policy:
        own["policy"] = str(kind.policy(asked.demo, asked.out))
    config, train, _ = ALGORITHMS[kind.algorithm]
    with contextlib.ExitStack() as faults:
        faults.enter_context(judged(utilities))
        for fault in kind.faults:
            faults.enter_context(fault())
        try:
            train(config(**{**settings(asked, kind.algorithm, seed, folder), **own}))
        except UserError as problem:
            return utilities, str(problem)
    return utilities, ""


@contextlib.contextmanager
def judged(utilities: list[float]) -> Iterator[None]:
    """Notes what gold thinks of each step's responses, which the run does not know."""
    from prefloop.align import responses

    real = responses.metrics

    def metrics(codec: Any, prompts: Any, rollouts: Any, scores: Any) -> dict[str, float]:
        said = [codec.decode(response) for response in rollouts.responses]
        asked = [prompt.messages[-1].content for prompt in prompts]
        liked = [gold.judge(*both).utility for both in zip(asked, said, strict=True)]
        utilities.append(sum(liked) / len(liked))
        return real(codec, prompts, rollouts, scores)

    with mock.patch.object(responses, "metrics", metrics):
        yield


def lines(file: Path) -> list[str]:
    """Of a file; none if it is not there."""
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def raised(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Sign -> the step in which it was first raised, as the rows came."""
    watch, named = Watch(RunConfig(out="doctor")), dict[str, int]()
    for row in rows:
        for sign in watch.see(row):
            name = f"shallow:{sign.values['paid']}" if sign.name == "shallow" else sign.name
            named[name] = int(row["step"])
    return named


def said_first(folder: Path) -> bool:
    """Whether something was said of the first batch."""
    card = folder / layout.CARD
    chosen = json.loads(card.read_text(encoding="utf-8"))["chosen"] if card.exists() else {}
    return bool({"first_batch", "first_rewards"} & chosen.keys())


def third_of(values: Sequence[float]) -> tuple[int | None, float]:
    """The step after the beginning in which a third of a change was there, and how much it was from the first steps to
    the last fifth."""
    fifth = -(-len(values) // 5)
    first = sum(values[:BEGINNING]) / BEGINNING
    change = sum(values[-fifth:]) / fifth - first
    later = list(enumerate(values, 1))[BEGINNING:]
    steps = (step for step, each in later if (each - first) * change >= change * change / 3)
    return next(steps, None), change


def table(kinds: dict[str, Kind], found: Sequence[Found], clean: Sequence[Found]) -> str:
    """What was found, in Markdown."""
    out = [
        "| planted | should be named | named | first in step | a third of it in step | by gold | in time | by gold | "
        "utility lost | named besides |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    sums = [0, 0, 0, 0, 0]
    for name, kind in kinds.items():
        own = [each for each in found if each.kind == name]
        if not own:
            continue
        steps = [min((each.named[s] for s in kind.signs if s in each.named), default=None) for each in own]
        asked = [each.third_by_gold for each in own]
        counts = (
            len(own),
            sum(step is not None for step in steps),
            sum(s is not None and s <= each.third for s, each in zip(steps, own, strict=True)),
            sum(third is not None for third in asked),
            sum(s is not None and third is not None and s <= third for s, third in zip(steps, asked, strict=True)),
        )
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        others = sorted({s for each in own for s in each.named if s not in kind.signs})
        out.append(
            f"| {kind.sentence} | {', '.join(f'`{s}`' for s in kind.signs)} | {counts[1]} of {counts[0]} | "
            f"{listed(steps)} | {listed([each.third for each in own])} | {listed(asked)} | "
            f"{counts[2]} of {counts[0]} | {counts[4]} of {counts[3]} | "
            f"{', '.join(f'{each.lost:.2f}' for each in own)} | {', '.join(others) or '–'} |"
        )
    wrong = [each for each in clean if each.named]
    shown = "; ".join(f"seed {e.seed}: {', '.join(f'{k} in {v}' for k, v in e.named.items())}" for e in wrong)
    return "\n".join(
        [
            *out,
            "",
            f"Named correctly: {sums[1]} of {sums[0]}. In time: {sums[2]} of {sums[0]}, by gold {sums[4]} of {sums[3]}."
            f" Clean runs with a false alarm: {len(wrong)} of {len(clean)}{f' ({shown})' if shown else ''}.",
        ]
    )


def listed(steps: Sequence[int | None]) -> str:
    """Steps, and a dash for none."""
    return ", ".join("–" if step is None else str(step) for step in steps)


def main(words: Sequence[str]) -> None:
    """Does all runs and prints the table."""
    asked = Asked.of(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    kinds = {name: failures.KINDS[name] for name in asked.kinds if name}
    clean, found = list[Found](), list[Found]()
    for number in range(asked.clean):
        algorithm = list(ALGORITHMS)[number % len(ALGORITHMS)]
        well = Kind(f"nothing, {algorithm}", (), algorithm=algorithm)
        clean.append(one(asked, well, f"clean-{algorithm}", CLEAN_SEED + number))
        print(vars(clean[-1]), file=sys.stderr, flush=True)
    for seed in asked.seeds:
        for name, kind in kinds.items():
            found.append(one(asked, kind, name, seed))
            print(vars(found[-1]), file=sys.stderr, flush=True)
    told = table(kinds, found, clean)
    print(told)
    if asked.page:
        write_text(asked.page, told + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
