"""Every algorithm from one reward model of the helpdesk, five seeds each: does any collapse? A table in Markdown.

    DEMO=DIR python benchmarks/helpdesk.py [algorithms=ppo,ppo-critic,...] [seeds=0,1,2,3,4] [jobs=2] [out=DIR]

DEMO is what `prefloop run helpdesk out=DIR` wrote; its SFT model, reward model and prompts are used, and a seed is one
of the algorithm alone. `ppo` is the recipe's, `ppo-critic` has a critic that begins as the reward model, `ppo-adaptive`
steers kl_coef to 3 nats a response; the others are prefloop's defaults. Gold judges the last model against SFT on the
validation prompts. Collapsed is a run that stopped, or that gold likes less than SFT for certain, or whose entropy fell
to less than a fifth of its first, or of whose responses a tenth do not end.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from side_by_side import shown

from prefloop.align import grpo, online_dpo, ppo, reinforce, rft, rloo
from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RFTConfig, RLOOConfig
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.stage import evaluate

ROOT = Path(__file__).parents[1]
RECIPE: dict[str, Any] = yaml.safe_load((ROOT / "src/prefloop/recipes/helpdesk.yaml").read_text(encoding="utf-8"))
TARGET = 3.0
"""Nats a response that the drift is steered to."""
LAST = 10
"""Steps at the end whose mean drift is compared with it."""
INPUTS = ("policy", "reward", "prompts")
ALGORITHMS: dict[str, tuple[Callable[[Any], Path], Callable[..., Any], dict[str, Any]]] = {
    "ppo": (ppo.train, PPOConfig, {}),
    "ppo-critic": (ppo.train, PPOConfig, {"critic": "reward-model", "critic_head": "score"}),
    "ppo-adaptive": (ppo.train, PPOConfig, {"kl_target": TARGET, "kl_horizon": 500, "steps": 40}),
    "reinforce": (reinforce.train, REINFORCEConfig, {}),
    "rloo": (rloo.train, RLOOConfig, {}),
    "grpo": (grpo.train, GRPOConfig, {}),
    "online-dpo": (online_dpo.train, OnlineDPOConfig, {}),
    "rft": (rft.train, RFTConfig, {}),
}
"""Name -> what runs it, its settings, and those asked for here."""


def settings(algorithm: str, demo: Path) -> dict[str, Any]:
    """What an algorithm is told, besides its seed and folder."""
    own = {name: str(demo / RECIPE["ppo"][name]) for name in INPUTS}
    if algorithm.startswith("ppo"):
        own = {**RECIPE["ppo"], **own}
    return own | ALGORITHMS[algorithm][2]


def one(algorithm: str, seed: int, folder: Path, further: dict[str, Any]) -> dict[str, Any]:
    """Trains, and has gold judge what came of it."""
    demo = Path(os.environ["DEMO"]).resolve()
    train, config, _ = ALGORITHMS[algorithm]
    begun = time.process_time()
    train(config(**settings(algorithm, demo) | {"out": str(folder / "run"), "seed": seed, "threads": 1} | further))
    seconds = time.process_time() - begun
    steps = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    policy = max((folder / "run/models").iterdir(), key=lambda each: each.name)
    prompts = {name: str(demo / RECIPE["evaluate"][name]) for name in ("validation_prompts", "test_prompts")}
    judged = {"judge": "gold", "reward": str(demo / "reward/model"), "num_test": 1, "num_arena": 0, "num_audit": 0}
    given = {"reference": str(demo / "sft/model"), "candidates": str(policy), "out": str(folder / "evaluate"), **judged}
    found = evaluate(EvaluateConfig(**given, **prompts, kl_limit=1000.0, threads=1))
    models = json.loads(found.read_text(encoding="utf-8"))["models"]
    measured, reference = (models[name]["validation"] for name in (policy.name, "reference"))
    first, last = steps[0], steps[-1]
    drifts = [step["rewards/kl"] for step in steps[-LAST:] if "rewards/kl" in step]
    known = "entropy/mean" in first  # rft imitates, and logs none
    entropy = last["entropy/mean"] / first["entropy/mean"] if known else None
    win, finished = measured["win_rate"], measured["finished"]
    return {
        "algorithm": algorithm, "seed": seed, "seconds": seconds, "win": win["mean"], "low": win["low"],
        "high": win["high"], "score": last["scores/mean"], "finished": finished, "kl": measured["kl_nats"]["mean"],
        "points": {name: [split["score"]["mean"], split["gold"]["utility"]["mean"]]
                   for name, split in (("before", reference), ("after", measured))},
        "entropy": entropy, "explained": last.get("values/explained_variance"),
        "drift": sum(drifts) / len(drifts) if drifts else None,
        "collapsed": win["high"] < 0.5 or (entropy is not None and entropy < 0.2) or finished < 0.9,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each algorithm, in which cells hold a number for each seed."""
    lines = [
        "| algorithm | collapsed | wins over SFT by gold, %, each seed | score at the end | KL, nats a response "
        "| entropy, of the first step's | variance that the critic foresees | drift of the last steps | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for algorithm in dict.fromkeys(row["algorithm"] for row in rows):
        some = [row for row in rows if row["algorithm"] == algorithm]

        def each(name: str, digits: int, scale: float = 1.0, some: list[dict[str, Any]] = some) -> str:
            return ", ".join("-" if row[name] is None else f"{scale * row[name]:.{digits}f}" for row in some)

        cells = [f"{sum(row['collapsed'] for row in some)} of {len(some)}", each("win", 0, 100.0), each("score", 2)]
        cells += [each("kl", 1), each("entropy", 2), each("explained", 2), each("drift", 2), each("seconds", 0)]
        lines.append(f"| {algorithm} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown(
        __file__,
        {"algorithms": ",".join(ALGORITHMS), "seeds": "0,1,2,3,4"},
        lambda job, folder, further: one(job[0], int(job[1]), folder, further),
        table,
        needs={"DEMO": "what `prefloop run helpdesk out=DIR` wrote"},
    )
