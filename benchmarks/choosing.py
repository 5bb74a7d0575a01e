"""Does it help to choose what is labelled? The page's selection against random choice, at equal budgets.

    python benchmarks/choosing.py [seeds=24] [pool=4000] [threads=2]

Pairs of replies by the helpdesk's agents; the planted truth is gold: an annotator prefers a reply with probability
sigmoid(SHARP x difference of gold utility). The learner is the Bradley-Terry model of words of the dashboard's curve;
disagreement is that of five of them, each from a bootstrap of the labels so far. Every strategy begins with the same
random pairs, then chooses `STEP` at a time by `stats.choosing.mixture_sample`, of which a fifth or more is random.
Accuracy is against the gold order, on other prompts.
Writes docs/results/choosing.md.
"""

import math
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from prefloop.files.atomic import write_text
from prefloop.stats import choosing, curve
from prefloop.world import gold, grammar
from prefloop.world.agents import BROAD, reply
from prefloop.world.tickets import read

BUDGETS = (100, 200, 400, 800)
STEP, MEMBERS, SHARP, TEST = 100, 5, 8.0, 2000
STRATEGIES = {
    "random": {"random": 1.0},
    "disagreement": {"random": 0.4, "disagreement": 0.6},
    "disagreement, most": {"random": 0.2, "disagreement": 0.8},
    "longest": {"random": 0.4, "longest": 0.6},
}
TABLE = Path(__file__).parents[1] / "docs" / "results" / "choosing.md"


def pairs(split: str, number: int, seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Features (n, D), gold utility of the first less the second's (n,), and letters (n,)."""
    prompts = grammar.prompts(split, number, seed=seed)
    rng = random.Random(f"{split} {seed}")
    texts = [
        [reply(read(p.text), BROAD.draw(rng), rng, borderline="borderline" in p.tags) for _ in range(2)]
        for p in prompts
    ]
    gap = [
        gold.judge(p.text, a).utility - gold.judge(p.text, b).utility for p, (a, b) in zip(prompts, texts, strict=True)
    ]
    words = curve.differences([p.text for p in prompts], [a for a, _ in texts], [b for _, b in texts])
    return words, np.array(gap), np.array([len(a) + len(b) for a, b in texts], dtype=float)


def run(seed: int, pool_size: int) -> dict[tuple[str, int], float]:
    """(strategy, budget) -> accuracy, of one seed."""
    pool, gaps, letters = pairs("train", pool_size, seed)
    test, truth, _ = pairs("test", TEST, seed)
    rng = np.random.default_rng(seed)
    said = (rng.random(pool_size) < 1 / (1 + np.exp(-SHARP * gaps))).astype(float)  # a vote a pair, whoever asks for it
    start = rng.choice(pool_size, BUDGETS[0], replace=False)
    accuracies = {}
    for name, shares in STRATEGIES.items():
        own, have = np.random.default_rng([seed, 1]), start.tolist()
        while True:
            if len(have) in BUDGETS:
                margin = test @ curve.learned(pool[have], said[have])
                clear = truth != 0
                right = np.where(margin == 0, 0.5, (margin > 0) == (truth > 0))
                accuracies[name, len(have)] = float(right[clear].mean())
            if len(have) >= BUDGETS[-1]:
                break
            rest = np.setdiff1d(np.arange(pool_size), have)
            scores = {}
            if "disagreement" in shares:
                members = [own.choice(have, len(have)) for _ in range(MEMBERS)]
                margins = [pool[rest] @ curve.learned(pool[member], said[member]) for member in members]
                scores["disagreement"] = choosing.ensemble_disagreement(margins) ** 2
            if "longest" in shares:
                scores["longest"] = letters[rest] ** 2
            drawn = choosing.mixture_sample(scores, shares, num_items=len(rest), num=STEP, rng=own)
            have += rest[drawn.chosen].tolist()
    return accuracies


def row(name: str, runs: list[dict[tuple[str, int], float]]) -> str:
    """A line of the table: mean accuracy, and the paired difference to random with its 95 % interval."""
    cells = []
    for budget in BUDGETS:
        mine, random_ones = (np.array([run[strategy, budget] for run in runs]) for strategy in (name, "random"))
        gain = mine - random_ones
        wide = 1.96 * gain.std(ddof=1) / math.sqrt(len(gain))
        difference = "" if name == "random" else f" ({100 * gain.mean():+.1f} ± {100 * wide:.1f})"
        cells.append(f"{100 * mine.mean():.1f}{difference}")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Runs all seeds and writes the table."""
    given = dict(text.split("=", 1) for text in sys.argv[1:])
    usual = {"seeds": 24, "pool": 4000, "threads": 2}
    seeds, pool, threads = (int(given.get(name, number)) for name, number in usual.items())
    began = time.perf_counter()
    with ProcessPoolExecutor(threads) as workers:
        runs = list(workers.map(run, range(seeds), [pool] * seeds))
    lines = [
        "# Choosing what to label",
        "",
        f"`python benchmarks/choosing.py seeds={seeds} pool={pool}`: accuracy against gold on {TEST} other prompts, "
        f"percent, mean of {seeds} seeds; in",
        "brackets the paired difference to random choice with its 95 % interval. How it is done is in the head of the "
        "benchmark.",
        "",
        "| strategy | " + " | ".join(f"{budget} labels" for budget in BUDGETS) + " |",
        "|---" * (1 + len(BUDGETS)) + "|",
        *[row(name, runs) for name in STRATEGIES],
    ]
    text = "\n".join(lines) + "\n"
    print(text, f"{time.perf_counter() - began:.0f} s", sep="\n")
    write_text(TABLE, text)


if __name__ == "__main__":
    main()
