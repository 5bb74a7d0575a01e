"""A real pretrained model and a reward that is a program: every algorithm within one budget of samples, in Markdown.

    SFT=DIR BASE=DIR python benchmarks/rubric.py [algorithms=ppo,rloo,...] [rates=2e-4,6e-4] [seeds=0] [jobs=2] [out=D]

SFT is the model that the SFT of `prefloop run assistant` wrote (SmolLM2-135M-Instruct with an adapter), BASE the
untouched one. The reward is that recipe's rubric, 0 to 10 points, without a reward model between. Each algorithm trains
adapters on 512 responses to its messages, sampled at temperature 1, at each rate; the better one by the validation
messages is told, on 130 messages of other topics at temperature 1. A deviation is the SFT model's, over its answers.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy.stats import t
from side_by_side import run

from prefloop.align import grpo, online_dpo, ppo, reinforce, rft, rloo
from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RFTConfig, RLOOConfig
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.stage import evaluate

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "src" / "prefloop" / "recipes"
RUBRIC = f"python:{RECIPES / 'assistant_rubric.py'}:score"
SHARED: dict[str, Any] = {
    "reward": RUBRIC, "prompts": str(RECIPES / "assistant_train.jsonl"), "rollouts_per_step": 64, "steps": 8,
    "temperature": 1.0, "max_new_tokens": 64, "adapter": "lora", "micro_tokens": 2048, "threads": 1,
}  # fmt: skip
CHARGED: dict[str, Any] = {"score_scale": 0.4, "score_shift": -2.5, "kl_coef": 0.05}
"""The rubric's points as a reward whose mean is near 0 and whose deviation near 1."""
REUSED: dict[str, Any] = {"minibatch_size": 16, "epochs": 2}
ALGORITHMS: dict[str, tuple[Callable[[Any], Path], Callable[..., Any], dict[str, Any]]] = {
    "ppo": (ppo.train, PPOConfig, {**CHARGED, **REUSED, "decay": 1.0, "value_clip": None}),
    "reinforce": (reinforce.train, REINFORCEConfig, {**CHARGED, "rollouts_per_step": 32, "steps": 16}),
    "rloo": (rloo.train, RLOOConfig, {**CHARGED, **REUSED, "responses_per_prompt": 8}),
    "grpo": (grpo.train, GRPOConfig, {**CHARGED, **REUSED, "responses_per_prompt": 8}),
    "online-dpo": (online_dpo.train, OnlineDPOConfig, {"rollouts_per_step": 32, "steps": 16}),
    "rft": (rft.train, RFTConfig, {"responses_per_prompt": 8, "minibatch_size": 4}),
}
"""Name -> what runs it, its settings, and those of its own: 512 responses each."""


def deviation(interval: dict[str, float], num: int) -> float:
    """The deviation that a mean's 95 % interval over that many messages tells of."""
    return (interval["high"] - interval["low"]) / 2 / float(t.ppf(0.975, num - 1)) * math.sqrt(num)


def one(algorithm: str, lr: float, seed: int, folder: Path, further: dict[str, Any]) -> dict[str, Any]:
    """Trains, and has the rubric judge what came of it."""
    sft = str(Path(os.environ["SFT"]).resolve())
    train, config, own = ALGORITHMS[algorithm]
    begun = time.process_time()
    given = {**SHARED, **own, "policy": sft, "out": str(folder / "run"), "seed": seed, "lr": lr, **further}
    train(config(**given))
    seconds = time.process_time() - begun
    policy = max((folder / "run/models").iterdir(), key=lambda each: each.name)
    prompts = {f"{name}_prompts": str(RECIPES / f"assistant_{name}.jsonl") for name in ("validation", "test")}
    judged: dict[str, Any] = {
        "reference": sft, "base": os.environ["BASE"], "candidates": str(policy), "reward": RUBRIC, "judge": "score",
        "max_new_tokens": 64, "kl_limit": 1000.0, "num_arena": 0, "num_audit": 0, "out": str(folder / "evaluate"),
    }  # fmt: skip
    told = evaluate(EvaluateConfig(**judged, **prompts, threads=1))
    found = json.loads(told.read_text(encoding="utf-8"))["models"]
    before, after = found["reference"], found[policy.name]
    return {
        "algorithm": algorithm, "lr": lr, "seed": seed, "seconds": seconds,
        "validation": after["validation"]["score"]["mean"], "before": before["test"], "after": after["test"],
        "deviation": deviation(before["test"]["score"], before["test"]["num_prompts"]),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: SFT, and a line for each algorithm at the rate whose validation messages came out best."""

    def cells(split: dict[str, Any]) -> str:
        score, nats = split["score"], split["base_nats"]["mean"]
        points = f"{score['mean']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"
        kl = f"{split['kl_nats']['mean']:.2f}" if split["kl_nats"] else "0"
        return f"{points} | {kl} | {math.exp(nats):.1f} | {split['length']:.0f} | {100 * split['finished']:.0f} %"

    lines = [
        "| algorithm | lr (validation points of each) | points, 0 to 10 | KL, nats | perplexity under the untouched "
        "model | tokens | end | deviations gained | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for seed in sorted({row["seed"] for row in rows}):
        of_seed = [row for row in rows if row["seed"] == seed]
        lines.append(f"| SFT, seed {seed} | | {cells(of_seed[0]['before'])} | | |")
        for algorithm in dict.fromkeys(row["algorithm"] for row in of_seed):
            some = [row for row in of_seed if row["algorithm"] == algorithm]
            best = max(some, key=lambda row: row["validation"])
            tried = ", ".join(f"{row['lr']:g}: {row['validation']:.2f}" for row in some)
            gained = (best["after"]["score"]["mean"] - best["before"]["score"]["mean"]) / best["deviation"]
            lines.append(
                f"| {algorithm} | **{best['lr']:g}** ({tried}) | {cells(best['after'])} | {gained:+.2f} "
                f"| {best['seconds']:.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    if "SFT" not in os.environ or "BASE" not in os.environ:
        print("rubric.py needs SFT=DIR and BASE=DIR, models of `prefloop run assistant`. Skipped.")
    else:
        rows = run(
            __file__,
            sys.argv[1:],
            {"algorithms": ",".join(ALGORITHMS), "rates": "2e-4,6e-4", "seeds": "0"},
            lambda job, folder, further: one(job[0], float(job[1]), int(job[2]), folder, further),
        )
        print(table(rows) if rows else "")
