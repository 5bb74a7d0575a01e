"""What does a reward model forget when it is refreshed on a new round, and does replay keep it? On the helpdesk world.

    python benchmarks/refresh.py DEMO [seeds=0,1,2] [size=800] [test=500] [steps=15] [num_prompts=200]
                                      [out=FOLDER] [page=FILE]

DEMO is the folder of a finished `prefloop run helpdesk`. Its SFT model answers prompts as for benchmarks/rewards.py,
once, whatever the seed. A seed then decides who the five simulated annotators are, which half of the topics the first
round is about, which prompts are held out, and what everybody says. Round 1 is `size` judged pairs, and so is round 2.

    topics  round 2 is about the other topics. Refreshed on it from the model of round 1, without replay and with it,
            beside a model that learns all of both rounds anew.
    hacks   round 2 is what a policy found: PPO without a charge for drift optimises the model of round 1, and
            `prefloop data hacks` takes what that model likes and the gold program does not. Half of the prompts teach,
            the hacks of the others are held out.

A finished stage is not run again, so a command that was broken off goes on. Writes docs/results/refresh.md.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rewards
from rewards import ROOT, Cell, Line, Split, beside, head, numbers, points, right, row, share

from prefloop import layout
from prefloop.align import ppo
from prefloop.align.config import PPOConfig
from prefloop.data.config import HacksConfig
from prefloop.data.hacks import find
from prefloop.files.atomic import write_text
from prefloop.files.hashes import hash_of
from prefloop.files.tables import read_records, read_rows, write_records
from prefloop.records import Comparison, Preference, opening
from prefloop.reward import stage as reward
from prefloop.reward.config import RewardConfig
from prefloop.score.config import ScoreConfig
from prefloop.score.stage import score
from prefloop.world.annotators import panel

JUDGE = '''"""The true preference as a second judge, in the place of a person who looks closely."""
from prefloop.world import gold


def utility(prompts, responses):
    return [gold.judge(*both).utility for both in zip(prompts, responses)]
'''
BEFORE, ANEW = "round 1 alone", "both rounds anew, from the SFT model"
REFRESHED = {None: "refreshed, without replay", 0.2: "refreshed, replay_share=0.2", 0.5: "refreshed, replay_share=0.5"}
MENDED = {None: REFRESHED[None], 0.8: "refreshed, replay_share=0.8"}


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    demo: Path
    seeds: tuple[int, ...] = (0, 1, 2)
    size: int = 800
    test: int = 500
    steps: int = 15
    num_prompts: int = 200
    out: Path = ROOT / "runs" / "refresh"
    page: Path = ROOT / "docs" / "results" / "refresh.md"

    @classmethod
    def of(cls, words: Sequence[str]) -> "Asked":
        """The command line's words."""
        read = {"seeds": numbers, "out": Path, "page": Path}
        given = dict(word.split("=", 1) for word in words[1:])
        return cls(Path(words[0]), **{name: read.get(name, int)(value) for name, value in given.items()})


def topic(each: Comparison) -> str:
    """What a prompt is about."""
    return next(tag for tag in each.tags if tag.startswith("topic:"))


def rounds(comparisons: Sequence[Comparison], asked: Asked, seed: int) -> tuple[Split, Split]:
    """The two rounds, each about half of the topics."""
    rng, annotators = random.Random(f"refresh {seed}"), panel(rewards.ANNOTATORS, seed=seed)
    topics, line = sorted({topic(each) for each in comparisons}), list(comparisons)
    rng.shuffle(topics)
    rng.shuffle(line)
    first = {*topics[: len(topics) // 2]}
    made = []
    for is_first in (True, False):
        own = [each for each in line if (topic(each) in first) == is_first][: asked.test + asked.size]
        test = [label for label in rewards.labels(own[: asked.test], annotators, seed) if label.is_decided]
        made.append(Split(annotators, own[asked.test :], test))
    return made[0], made[1]


class Bench:
    """One seed's models and what they say."""

    def __init__(self, asked: Asked, seed: int) -> None:
        self.asked, self.seed, self.folder = asked, seed, asked.out / f"seed-{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lines: list[Line] = []

    def write(self, name: str, rows: Sequence[Preference]) -> str:
        """A file of preferences. Returns: its path."""
        write_records(self.folder / name, rows)
        return str(self.folder / name)

    def trained(self, name: str, model: str, preferences: str, *, replay: tuple[str, float] | None = None) -> str:
        """Trains a model by its stage, or finds it trained. Returns: its folder."""
        more: dict[str, Any] = {} if replay is None else {"replay": replay[0], "replay_share": replay[1]}
        given: dict[str, Any] = {"out": str(self.folder / name), "seed": self.seed, "threads": 1}
        given |= {"model": model, "preferences": preferences, "held_out": str(self.folder / "watched.jsonl")}
        return str(reward.train(RewardConfig(**given, **more)))

    def ask(self, name: str, model: str, tests: dict[str, tuple[str, list[str]]]) -> None:
        """Notes what a model says of held-out pairs. Args: tests: what they are -> their file, the prompt of each."""
        for on, (file, prompts) in tests.items():
            out = Path(model).parent / f"{Path(file).stem}-scores.jsonl"
            score(ScoreConfig(model=model, data=file, out=str(out)))
            margins = [said["chosen"] - said["rejected"] for _, said in read_rows(out)]
            line = {"name": name, "on": on, "seed": self.seed, "comparison": prompts, "margin": margins}
            self.lines.append(line)
            print(f"seed {self.seed}, {name}, on {on}: {right(line).mean():.1%} of {len(margins)}", flush=True)


def run(asked: Asked, seed: int, comparisons: Sequence[Comparison]) -> list[Line]:
    """Both parts of one seed."""
    bench, both = Bench(asked, seed), rounds(comparisons, asked, seed)
    sft, files, tests = f"{asked.demo}/sft/model", [], {}
    for number, part in enumerate(both, 1):
        said = [label.preference for label in rewards.labels(part.training, part.annotators, seed)]
        files.append(bench.write(f"round-{number}.jsonl", said))
        held_out = bench.write(f"test-{number}.jsonl", [label.preference for label in part.test])
        tests[f"round {number}"] = held_out, [label.comparison.id for label in part.test]
    bench.write("watched.jsonl", [label.preference for part in both for label in part.test[: rewards.WATCHED // 2]])
    whole = bench.write("both.jsonl", [one for file in files for one in read_records(file, Preference)])
    first = bench.trained("round-1", sft, files[0])
    bench.ask(BEFORE, first, tests)
    for part, name in REFRESHED.items():
        replay = None if part is None else (files[0], part)
        bench.ask(name, bench.trained(f"round-2-{part}", first, files[1], replay=replay), tests)
    bench.ask(ANEW, bench.trained("anew", sft, whole), tests)
    hacked(bench, first, files[0], {"round 1": tests["round 1"]})
    return bench.lines


def hacked(bench: Bench, first: str, old: str, tests: dict[str, tuple[str, list[str]]]) -> None:
    """Optimises the model of round 1, takes the hacks, and refreshes it. Args: old: what it learned from."""
    asked, judge = bench.asked, bench.folder / "judge.py"
    write_text(judge, JUDGE)
    policy = {"policy": f"{asked.demo}/sft/model", "prompts": f"{asked.demo}/world/prompts.ppo.jsonl", "reward": first}
    given: dict[str, Any] = {"seed": bench.seed, "threads": 1}
    sizes = {"rollouts_per_step": 256, "minibatch_size": 64, "steps": asked.steps, "save_every": asked.steps}
    ppo.train(PPOConfig(**policy, **given, **sizes, kl_coef=0.0, anyway=True, out=str(bench.folder / "ppo")))
    found = HacksConfig(
        run=str(bench.folder / "ppo"),
        judge=f"python:{judge}:utility",
        num_prompts=asked.num_prompts,
        out=str(bench.folder / "hacks"),
        **given,
    )
    print(find(found), flush=True)
    rows = read_records(bench.folder / "hacks" / layout.HACKS, Preference)
    parts: tuple[list[Preference], list[Preference]] = [], []
    watched = {opening(one.messages) for one in read_records(bench.folder / "watched.jsonl", Preference)}
    for one in (one for one in rows if opening(one.messages) not in watched):
        parts[hash_of(opening(one.messages)) % 2].append(one)
    taught = bench.write("hacks-taught.jsonl", parts[0])
    held_out = bench.write("hacks.jsonl", parts[1])
    tests = {"hacks": (held_out, [opening(one.messages) for one in parts[1]]), **tests}
    bench.ask(f"{BEFORE} ", first, tests)
    for part, name in MENDED.items():
        replay = None if part is None else (old, part)
        bench.ask(f"{name} ", bench.trained(f"mended-{part}", first, taught, replay=replay), tests)


def table(lines: Sequence[Line], names: Sequence[str], on: str) -> list[str]:
    """Accuracy of some models on some held-out pairs, and what replay keeps."""
    of = {name: [line for line in lines if (line["name"], line["on"]) == (name, on)] for name in names}
    without, kept = names[1], [name for name in names[2:] if "replay" in name]
    made = [*head(f"held-out pairs of {on}", of[names[0]])]
    made += [row(name, some, right, share) for name, some in of.items()]
    apart: Cell = points
    for name, other in ((without, names[0]), *((name, without) for name in kept)):
        made.append(row(f"points: {name.strip()}, above {other.strip()}", of[name], beside(of[other]), apart))
    return [*made, f"| pairs | {' | '.join(str(len(line['margin'])) for line in of[names[0]])} | |"]


def written(lines: Sequence[Line], asked: Asked) -> str:
    """The page."""
    topics = [BEFORE, *REFRESHED.values(), ANEW]
    hacks = [f"{name} " for name in (BEFORE, *MENDED.values())]
    parts = [
        "# Refreshed reward models: what they learn, and what they forget",
        "Written by `python benchmarks/refresh.py DEMO`. Accuracy on held-out labels, of one of five simulated\n"
        f"annotators each; {asked.size} judged pairs a round. Brackets are 95 % intervals; `all` takes the seeds\n"
        "together, a prompt's pairs in one piece. The benchmark's head says how it is done.",
        "## New topics",
        *("\n".join(table(lines, topics, on)) for on in ("round 1", "round 2")),
        "## Hacks of a policy",
        "A hack counts as right if the model scores the SFT model's response above it.",
        *("\n".join(table(lines, hacks, on)) for on in ("hacks", "round 1")),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Runs what is missing, and writes the page."""
    if len(sys.argv) < 2:
        print("refresh.py needs a finished demo: python benchmarks/refresh.py DEMO. Skipped.")
        return
    asked = Asked.of(sys.argv[1:])
    num = 2 * (asked.size + asked.test)
    sizes = {"sizes": (num,), "rankings": num, "test": num // 5, "out": asked.out}  # topics are not equally frequent
    comparisons = rewards.sampled(rewards.Asked(asked.demo, **sizes))
    lines = [line for seed in asked.seeds for line in run(asked, seed, comparisons)]
    write_text(asked.page, written(lines, asked))
    print(asked.page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
