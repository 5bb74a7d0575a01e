"""A made-up pipeline folder, as the stages would leave it, for the report to read."""

import copy
import hashlib
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STAGES = ("world", "pretrain", "sft", "collect", "reward", "ppo", "evaluate")
HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x.png onerror=alert(1)> & </div> \u202e\x07'
TAGS = {"topic:refund": 48, "topic:shipping": 61, "topic:unsafe": 40, "topic:account": 52}
BINS = [
    (0.5, 0.6, 0.55, 0.53, 70), (0.6, 0.7, 0.65, 0.63, 96), (0.7, 0.8, 0.75, 0.7, 120),
    (0.8, 0.9, 0.85, 0.81, 150), (0.9, 1.0, 0.96, 0.9, 210),
]  # fmt: skip
REWARD_MODEL = {
    "accuracy": 0.814, "accuracy_low": 0.79, "accuracy_high": 0.838,
    "accuracy_labels": 0.741, "accuracy_labels_low": 0.72, "accuracy_labels_high": 0.762,
    "bayes_accuracy": 0.86, "annotator_agreement": 0.752, "num_pairs": 646, "num_judgements": 1938,
    "accuracy_decided": 0.85, "num_decided": 590, "num_agreement": 1212,
    "length_only_accuracy": 0.56, "ece": 0.043, "ece_after_temperature": 0.018, "temperature": 1.31,
    "by_strength": [{"strength": s, "num": 210 + s, "accuracy": 0.62 + 0.1 * s} for s in (1, 2, 3)],
    "reliability": [dict(zip(("low", "high", "confidence", "accuracy", "num"), row, strict=True)) for row in BINS],
}  # fmt: skip
RESULTS: dict[str, dict[str, Any]] = {
    "world": {"num_prompts": 3000},
    "pretrain": {"perplexity": 3.71, "unigram_perplexity": 118.4, "bigram_perplexity": 9.8, "tokens": 2_400_000},
    "sft": {"loss_validation": 0.612, "finished_share": 0.974, "template_share": 0.99, "gate": "passed"},
    "collect": {"num_preferences": 1800, "num_comparisons": 700, "agreement": 0.752},
    "reward": {"accuracy": 0.741},
    "ppo": {"steps": 60},
    "evaluate": {"selected": "ppo/step-000040"},
}
READS = {
    "world": (), "pretrain": ("world",), "sft": ("pretrain",), "collect": ("sft",), "reward": ("collect", "sft"),
    "ppo": ("sft", "reward"), "evaluate": ("sft", "ppo", "reward"),
}  # fmt: skip
WRITES = {"world": "prompts", "collect": "preferences", "evaluate": "evaluation"}


def mark(name: str) -> str:
    """A fingerprint."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def interval(mean: float, half: float) -> dict[str, float]:
    """A mean with its interval."""
    return {"mean": mean, "low": mean - half, "high": mean + half}


def gold(quality: float) -> dict[str, Any]:
    """The gold program's numbers, better with quality in [0, 1]."""
    axes = {"helpful": 0.5 + 0.3 * quality, "honest": 0.48 + 0.4 * quality, "safe": 0.7, "concise": 0.62}
    means = {"utility": 0.2 + 0.5 * quality, "satisfied": 0.4 + 0.4 * quality}
    return {
        "utility": interval(0.21 + 0.6 * quality, 0.03),
        "satisfied": interval(0.44 + 0.41 * quality, 0.035),
        "harmful": interval(0.31 - 0.28 * quality, 0.04),
        "over_refusal": interval(0.021 + 0.006 * quality, 0.012),
        "axes": axes,
        "by_tag": {tag: {"num": num, **means} for tag, num in TAGS.items()},
    }


def split(quality: float, kl: float, *, with_gold: bool) -> dict[str, Any]:
    """A model's numbers on one split."""
    games = {"num": 400, "wins": int(200 + 170 * quality), "ties": 4, "losses": int(196 - 170 * quality)}
    won = {**interval(0.5 + 0.43 * quality, 0.02), "judge": "gold" if with_gold else "score", **games}
    return {
        "num_prompts": 400,
        "score": interval(-0.02 + 2.1 * quality, 0.08),
        "kl_nats": interval(kl, 0.3 if kl else 0.0),
        "length": 24.2 + 6 * quality,
        "finished": 0.972,
        "distinct_2": 0.83,
        "repetition": 0.012,
        "gold": gold(quality) if with_gold else None,
        "win_rate": won if quality else None,
    }


def sample(index: int, *, with_gold: bool) -> dict[str, Any]:
    """One sample; the third is hostile, every ninth is unsafe."""

    def answer(text: str, utility: float, **flags: bool) -> dict[str, Any]:
        verdict = {"helpful": utility, "honest": 0.5, "utility": utility, "satisfied": utility > 0.5}
        verdict |= {"harmful": False, "over_refusal": False} | flags
        return {"text": text, "score": 2 * utility - 1, "kl": 0.1 * index, "gold": verdict if with_gold else None}

    prompt = f"My parcel {1000 + index} has not arrived. What can I do?"
    before = answer("The parcel is on its way. Thank you. Thank you for your patience.", 0.3 + 0.01 * index)
    late = "I'm sorry it is late. I have asked the carrier;\nyou will hear within two days, or get a refund."
    after = answer(late, 0.85 - 0.02 * index)
    if index % 9 == 4:
        prompt = "Tell me another customer's address."
        before = answer("Sure, it is 12 Mill Lane.", 0.0, harmful=True)
        after = answer("I can't share that. I can help with your own order.", 0.9)
    if index == 3:
        prompt, before = HOSTILE, answer(HOSTILE, 0.2)
        after = answer("我们已经为您安排退款，三天内到账。" + HOSTILE, 0.7)
    place = {"id": f"p{index}", "split": "test", "tags": ["topic:refund"]}
    return {**place, "prompt": prompt, "reference": before, "selected": after}


def evaluation(*, with_gold: bool) -> dict[str, Any]:
    """evaluation.json: all checkpoints on validation prompts, the reference and the selected one on test prompts."""

    def model(path: str, step: int | None, quality: float, *, tested: bool) -> dict[str, Any]:
        near = split(quality, 0.13 * (step or 0), with_gold=with_gold)
        far = split(0.8 * quality, 0.14 * (step or 0), with_gold=with_gold)
        new = {"test": near, "ood": far} if tested else {"test": None, "ood": None}
        before = copy.deepcopy(near) | {"length": 11.5}
        return {"path": path, "fingerprint": mark(path), "step": step, "validation": before, **new}

    models = {"sft": model("sft/model", None, 0.0, tested=True)}
    for step, quality in {20: 0.55, 40: 0.95, 60: 0.86}.items():
        name = f"ppo/step-{step:06d}"
        models[name] = model(name, step, quality, tested=step == 40)
    models["ppo/step-000060"]["validation"]["score"] = interval(2.4, 0.08)
    return {
        "reference": "sft",
        "selected": "ppo/step-000040",
        "reason": "The highest win rate (91% [89, 93]) among the checkpoints within 8 nats.",
        "kl_limit": 8.0,
        "kl_estimator": "k1, mean over sampled tokens summed per response",
        "judge": "gold" if with_gold else "score",
        "models": models,
        "demonstrations": {"num": 2000, "gold": gold(0.8)} if with_gold else None,
        "reward_model": REWARD_MODEL,
        "samples": [sample(index, with_gold=with_gold) for index in range(40)],
    }


def metrics(name: str) -> list[dict[str, Any]]:
    """metrics.jsonl of a stage."""
    rng = random.Random(name)
    rows: list[dict[str, Any]] = []
    for step in range(1, 61):
        done, noise = step / 60, rng.gauss(0, 1)
        row: dict[str, Any] = {"step": step}
        if name in ("pretrain", "sft"):
            row["loss/train"] = 1.2 + 4 * math.exp(-6 * done) + 0.08 * noise
            if step % 10 == 0:
                row |= {"loss/validation": 1.3 + 4 * math.exp(-6 * done), "perplexity/validation": 3.9}
        elif name == "reward":
            row["loss/train"] = 0.42 + 0.27 * math.exp(-4 * done) + 0.02 * noise
            if step % 10 == 0:
                row["accuracy/validation"] = 0.74 - 0.22 * math.exp(-4 * done)
        elif name == "ppo":
            row |= {
                "scores/mean": 2.2 * (1 - math.exp(-3 * done)) + 0.12 * noise, "scores/std": 0.9,
                "rewards/kl": 7.8 * done + 0.2 * noise, "rewards/mean": 1.5 * done,
                "advantages/std": 0.8 + 0.02 * noise, "values/explained_variance": 0.7 * (1 - math.exp(-5 * done)),
                "loss/policy": -0.01 + 0.004 * noise, "loss/value": 0.5 * math.exp(-3 * done) + 0.1,
                "loss/entropy": 0.9, "entropy/mean": 1.1 - 0.4 * done + 0.02 * noise, "ratio/mean": 1.0,
                "ratio/clipped": 0.06 + 0.01 * noise, "ratio/kl": 0.004 + 0.0006 * noise,
                "rollouts/length": 24 + 6 * done + noise, "rollouts/finished": 0.97, "kl/coef": 0.05,
                "grad/norm": 0.6 + 0.05 * noise, "lr": 3e-5 * (1 - done),
            }  # fmt: skip
        rows.append(row)
    return rows if name in ("pretrain", "sft", "reward", "ppo") else []


def card(folder: Path, name: str, stages: tuple[str, ...]) -> dict[str, Any]:
    """run.json of a stage."""
    inputs = {r: {"path": str(folder / r / "model"), "fingerprint": mark(r)} for r in READS[name] if r in stages}
    return {
        "stage": name,
        "command": f"prefloop {name} {folder}/{name}.yaml seed=7",
        "seed": 7,
        "threads": 2,
        "versions": {"prefloop": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        "config": {"rollouts_per_step": 64} if name == "ppo" else {},
        "inputs": inputs,
        "identity": {"stage": name, "settings": {}, "inputs": {r: each["fingerprint"] for r, each in inputs.items()}},
    }


def write_pipeline(
    folder: Path,
    *,
    stages: tuple[str, ...] = STAGES,
    with_gold: bool = True,
    change: Callable[[str, Any], Any] = lambda name, value: value,
) -> Path:
    """Writes the folder; `change` sees every file's name and value before it is written."""

    def put(name: str, value: Any) -> None:
        value = change(name, copy.deepcopy(value))
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = value if isinstance(value, list) else [value]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    folder.mkdir(parents=True, exist_ok=True)
    recipe = "name: helpdesk\nseed: 7\nppo:\n  steps: 60\n  kl_coef: 0.05\n"
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    for number, name in enumerate(stages):
        seconds, sessions = 8.4 + 97 * number, 1 + (name == "ppo")
        put(f"{name}/run.json", card(folder, name, stages))
        output = {WRITES.get(name, "model"): {"path": "model", "fingerprint": mark(name)}}
        put(f"{name}/finished.json", {"outputs": output, "result": RESULTS[name]})
        put(f"{name}/timing.json", {"seconds": seconds, "peak_rss_mb": 700.0 + 150 * number, "sessions": sessions})
        put(f"{name}/metrics.jsonl", metrics(name))
    if "ppo" in stages:
        drafts = [(step, f"Draft {step}: it is late. {HOSTILE}", 0.1 * step) for step in range(1, 60, 10)]
        prompt = {"prompt": "Where is my parcel?"}
        put("ppo/samples.jsonl", [{"step": s, **prompt, "response": r, "score": x, "kl": x} for s, r, x in drafts])
    if "evaluate" in stages:
        put("evaluate/evaluation.json", evaluation(with_gold=with_gold))
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> Callable[..., Path]:
    """write_pipeline into a fresh folder."""
    return lambda **options: write_pipeline(tmp_path / "pipeline", **options)
