"""A real pretrained model and a reward that is a program: every algorithm within one budget of samples, in Markdown.

    SFT=DIR BASE=DIR python benchmarks/rubric.py [algorithms=ppo,rloo,...] [rates=2e-4,6e-4] [seeds=0] [jobs=2] [out=D]

SFT is the model that the SFT of `prefloop run assistant` wrote (SmolLM2-135M-Instruct with an adapter), BASE the
untouched one. The reward is that recipe's rubric, 0 to 10 points, without a reward model between. Each algorithm trains
adapters on 512 responses to its messages, sampled at temperature 1, at each rate; all are measured on 130 messages of
other topics at temperature 1. A deviation is the SFT model's, over its answers.
"""

import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy.stats import t
from side_by_side import shown

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
    """Trains. Returns: where the policy is, and what it took."""
    train, config, own = ALGORITHMS[algorithm]
    begun = time.process_time()
    given = {**SHARED, **own, "policy": os.environ["SFT"], "out": str(folder / "run"), "seed": seed, "lr": lr}
    train(config(**given | further))
    seconds = time.process_time() - begun
    policy = max((folder / "run/models").iterdir(), key=lambda each: each.name)
    return {"name": f"{algorithm}-{lr:g}-{seed}", "seconds": seconds, "path": str(policy)}


def judged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the rubric says of all policies, of the one that they began as and of the untouched one, by name."""
    with tempfile.TemporaryDirectory() as made:
        candidates = Path(made) / "candidates"
        candidates.mkdir()
        for row in rows:
            (candidates / row["name"]).symlink_to(Path(row["path"]).resolve())
        settings: dict[str, Any] = {
            "reference": os.environ["SFT"], "base": os.environ["BASE"], "candidates": str(candidates), "reward": RUBRIC,
            "validation_prompts": str(RECIPES / "assistant_test.jsonl"), "out": str(Path(made) / "evaluate"),
            "test_prompts": str(RECIPES / "assistant_validation.jsonl"), "judge": "score", "max_new_tokens": 64,
            "kl_limit": 1000.0, "num_arena": 0, "num_audit": 0, "threads": 1,
        }  # fmt: skip  # all are measured on the validation split, and none is selected: so it has the test's messages
        told = evaluate(EvaluateConfig(**settings))
        return json.loads(told.read_text(encoding="utf-8"))["models"]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: SFT, and a line for each algorithm, rate and seed."""
    found = judged(rows)

    def cells(name: str) -> str:
        split = found[name]["validation"]
        score, nats = split["score"], split["base_nats"]["mean"]
        points = f"{score['mean']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"
        kl = f"{split['kl_nats']['mean']:.2f}" if split["kl_nats"] else "0"
        return f"{points} | {kl} | {math.exp(nats):.1f} | {split['length']:.0f} | {100 * split['finished']:.0f} %"

    before = found["reference"]["validation"]
    spread = deviation(before["score"], before["num_prompts"])
    lines = [
        "| | points, 0 to 10 | KL, nats | perplexity under the untouched model | tokens | end | deviations gained "
        "| CPU s |",
        "|---|---|---|---|---|---|---|---|",
        f"| SFT (deviation {spread:.2f}) | {cells('reference')} | | |",
    ]
    for row in rows:
        gained = (found[row["name"]]["validation"]["score"]["mean"] - before["score"]["mean"]) / spread
        lines.append(f"| {row['name']} | {cells(row['name'])} | {gained:+.2f} | {row['seconds']:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown(
        __file__,
        {"algorithms": ",".join(ALGORITHMS), "rates": "2e-4,6e-4", "seeds": "0"},
        lambda job, folder, further: one(job[0], float(job[1]), int(job[2]), folder, further),
        table,
        needs={"SFT": "the model of its SFT by `prefloop run assistant`", "BASE": "the untouched model"},
    )
