"""Ensembles and outliers on the helpdesk: `python benchmarks/ensembles.py [DEMO] [key=value ...]`, two tables.

DEMO is a finished pipeline of `prefloop run helpdesk`; without one it is made first. A quarter of the labels is turned
round; for each seed an ensemble learns from them, and policies are optimised without a charge for drift: against its
first member alone, against the lowest member, and against the mean less the variance. Of each the policy at 15 nats is
judged by gold on the same test prompts. Then: how well some numbers tell prompts of another distribution.

    seeds=3  pairs=1500  members=5  steps=30  prompts=400  flipped=0.25  nats=15  out=(a temporary folder)
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from prefloop import layout
from prefloop.align import ppo
from prefloop.align.config import PPOConfig
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import Answer, answers
from prefloop.files.tables import read_records, write_records
from prefloop.models.device import placement
from prefloop.models.load import causal
from prefloop.records import Preference, Prompt
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train
from prefloop.scoring.named import scorer
from prefloop.scoring.reward_model import RewardModel
from prefloop.stats.intervals import mean_interval
from prefloop.world import gold

WAYS: dict[str, dict[str, Any]] = {
    "one model": {},
    "lowest of all": {"combine": "min"},
    "mean - variance": {"combine": "variance"},
}
"""What is optimised -> settings."""
NUMBERS = {"seeds": 3, "pairs": 1500, "members": 5, "steps": 30, "prompts": 400, "flipped": 0.25, "nats": 15}


def flipped(demo: Path, out: Path, seed: int, *, pairs: int, share: float) -> str:
    """A file of some of the demo's preferences, the decision alone, a share of them the wrong way round."""
    draw = random.Random(seed)
    rows = draw.sample(read_records(demo / layout.COLLECT / layout.PREFERENCES, Preference), pairs)
    made: list[Preference] = []
    for row in rows:
        sides = [row.chosen, row.rejected]
        if draw.random() < share:
            sides.reverse()
        made.append(Preference(id=row.id, messages=row.messages, chosen=sides[0], rejected=sides[1]))
    path = out / "preferences.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_records(path, made)
    return str(path)


def learned(demo: Path, out: Path, seed: int, numbers: dict[str, Any]) -> Path:
    """An ensemble of one seed."""
    file = flipped(demo, out, seed, pairs=int(numbers["pairs"]), share=numbers["flipped"])
    world = demo / "world"
    return train(
        RewardConfig(
            model=str(layout.sft_model(demo)),
            preferences=file,
            demonstrations=str(world / layout.DEMONSTRATIONS),
            objective="bradley_terry",
            members=int(numbers["members"]),
            epochs=2,
            seed=seed,
            out=str(out / "reward"),
        )
    )


def optimised(demo: Path, out: Path, reward: Path, seed: int, way: str, numbers: dict[str, Any]) -> Path:
    """The first policy beyond so many nats, or the last one."""
    config = PPOConfig(
        policy=str(layout.sft_model(demo)),
        reward=str(layout.member(reward, 0) if way == "one model" else reward),
        prompts=str(demo / "world" / layout.prompts("ppo")),
        steps=int(numbers["steps"]),
        minibatch_size=128,
        lr=2.5e-4,
        kl_coef=0.0,
        anyway=True,  # whatever the card says of a quarter of wrong labels
        value_coef=0.5,
        max_grad_norm=0.5,
        save_every=1,
        seed=seed,
        out=str(out / way.replace(" ", "-")),
        **WAYS[way],
    )
    last = ppo.train(config)
    rows = [json.loads(line) for line in (Path(config.out) / layout.METRICS).read_text(encoding="utf-8").splitlines()]
    for policy in layout.policies(Path(config.out)):
        done = layout.step_of(policy.name) or 0
        if done < len(rows) and rows[done]["rewards/kl"] >= numbers["nats"]:  # the next step's, which this one sampled
            return policy
    return last


def judged(demo: Path, policy: Path, prompts: Sequence[Prompt]) -> list[Answer]:
    """A policy's answers to test prompts, with their drift and gold's verdicts."""
    config = EvaluateConfig(
        reference="r", candidates="c", validation_prompts="v", test_prompts="t", out="o", judge="gold"
    )
    place = placement("auto", "auto")
    reference = causal(str(layout.sft_model(demo)), place)
    other = causal(str(policy), place, beside=reference)
    with torch.no_grad():
        return answers(other, reference, prompts, None, lambda p, r: asdict(gold.judge(p, r)), config)


def compared(utility: dict[str, np.ndarray], prompts: Sequence[Prompt]) -> list[str]:
    """Rows of the table: gold of each way, and its gain over one model. Args: utility: way -> (seeds, prompts)."""
    texts = [prompt.text for prompt in prompts]
    rows = ["| optimised against | gold utility | less one model | 95 % | seeds |", "|---|---|---|---|---|"]
    for way, values in utility.items():
        gain = values - utility["one model"]
        low, high = mean_interval(gain.mean(0), confidence=0.95, clusters=texts)
        each = ", ".join(f"{value:+.3f}" for value in gain.mean(1))
        rows.append(f"| {way} | {values.mean():.3f} | {gain.mean():+.3f} | {low:+.3f} to {high:+.3f} | {each} |")
    return rows


def auroc(usual: torch.Tensor, unusual: torch.Tensor) -> float:
    """How often a number is higher for an unusual response than for a usual one; ties are half."""
    ranks = rankdata(torch.cat([usual, unusual]).numpy())[len(usual) :]
    return float((ranks.sum() - len(unusual) * (len(unusual) + 1) / 2) / (len(usual) * len(unusual)))


def told_apart(demo: Path, reward: Path, num: int) -> list[str]:
    """Rows of the second table: responses of the SFT model to prompts like those of training, and to others."""
    place = placement("auto", "auto")
    sides = []
    for split in ("test", "ood"):
        prompts = read_records(demo / "world" / layout.prompts(split), Prompt)[:num]
        said = judged(demo, layout.sft_model(demo), prompts)
        sides.append(([prompt.messages for prompt in prompts], [answer.text for answer in said]))
    single, ensemble = RewardModel(str(layout.member(reward, 0)), place), scorer(str(reward), place)
    numbers = {
        "distance of last states (one model)": [single.detailed(*side).outlier for side in sides],
        "disagreement of the members": [ensemble.detailed(*side).disagreement for side in sides],
        "minus the score (one model)": [-single.score(*side) for side in sides],
    }
    found = [f"| {name} | {auroc(usual, unusual):.3f} |" for name, (usual, unusual) in numbers.items()]
    return ["| number | AUROC, other prompts against usual ones |", "|---|---|", *found]


def main(arguments: Sequence[str]) -> None:
    """Prints both tables."""
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    numbers = NUMBERS | {key: float(value) for key, value in given.items() if key in NUMBERS}
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(given.get("out", temporary))
        demo = next((Path(argument) for argument in arguments if "=" not in argument), out / "demo")
        if not demo.is_dir():
            subprocess.run([sys.executable, "-m", "prefloop.cli", "run", "helpdesk", f"out={demo}"], check=True)
        prompts = read_records(demo / "world" / layout.prompts("test"), Prompt)[: int(numbers["prompts"])]
        utility: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        drift: dict[str, list[float]] = {way: [] for way in WAYS}
        for seed in range(int(numbers["seeds"])):
            reward = learned(demo, out / f"seed-{seed}", seed, numbers)
            for way in WAYS:
                said = judged(demo, optimised(demo, out / f"seed-{seed}", reward, seed, way, numbers), prompts)
                utility[way].append([answer.gold["utility"] for answer in said if answer.gold])
                drift[way].append(sum(answer.kl for answer in said) / len(said))
        print("\n".join(compared({way: np.array(values) for way, values in utility.items()}, prompts)))
        told = "; ".join(f"{way} {', '.join(f'{kl:.1f}' for kl in each)}" for way, each in drift.items())
        print(f"\nDrift from SFT in nats, by seed: {told}.\n")
        print("\n".join(told_apart(demo, out / "seed-0" / "reward" / layout.MODEL, int(numbers["prompts"]))))


if __name__ == "__main__":
    main(sys.argv[1:])
