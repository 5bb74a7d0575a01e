"""summary.json: the numbers the page shows, for programs. What was not measured is null."""

from typing import Any

from prefloop.report.evaluation import Interval, Split
from prefloop.report.pipeline import Pipeline

GOLD = ("utility", "satisfied", "harmful", "over_refusal")
MEASURES = ("score", "kl_nats", "length", "finished", "distinct_2", "repetition")
PROXY = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "accuracy_labels",
    "bayes_accuracy",
    "length_only_accuracy",
    "annotator_agreement",
    "ece",
    "ece_after_temperature",
    "temperature",
    "num_pairs",
)


def summary(pipeline: Pipeline) -> dict[str, Any]:
    """The summary of a pipeline; every key is always there."""
    evaluation = pipeline.evaluation
    reference = evaluation.reference if evaluation else None
    selected = evaluation.selected if evaluation else None
    splits = {
        (who, split): evaluation.split(name, split) if evaluation else None
        for who, name in (("sft", reference), ("final", selected))
        for split in ("test", "ood")
    }
    seconds = {name: stage.timing.seconds for name, stage in pipeline.stages.items()}
    known = [value for value in seconds.values() if value is not None]
    peaks = [s.timing.peak_rss_mb for s in pipeline.stages.values() if s.timing.peak_rss_mb is not None]
    proxy = evaluation.reward_model if evaluation else None
    return {
        "name": pipeline.name,
        "seed": seed(pipeline),
        "recipe_fingerprint": pipeline.recipe_fingerprint,
        "reference": reference,
        "selected": selected,
        "selected_fingerprint": evaluation.models[selected].fingerprint
        if evaluation and selected and selected in evaluation.models
        else None,
        "reason": evaluation.reason if evaluation else None,
        "kl_limit": evaluation.kl_limit if evaluation else None,
        "kl_estimator": evaluation.kl_estimator if evaluation else None,
        "sft": measured(splits["sft", "test"]),
        "final": measured(splits["final", "test"]),
        "ood": {"sft": measured(splits["sft", "ood"]), "final": measured(splits["final", "ood"])},
        "demonstrations": _demonstrations(pipeline),
        "reward_model": {name: vars(proxy).get(name) if proxy else None for name in PROXY},
        "seconds": {**seconds, "total": sum(known) if known else None},
        "peak_rss_mb": max(peaks) if peaks else None,
        "versions": versions(pipeline),
    }


def measured(split: Split | None) -> dict[str, Any]:
    """The means of one model on one split, its win rate, and the intervals of all of them."""
    gold = split.gold if split else None
    parts: dict[str, Interval | None] = {name: vars(gold)[name] if gold else None for name in GOLD}
    parts |= {name: vars(split)[name] if split else None for name in MEASURES}
    bounds = {name: part.bounds for name, part in parts.items() if part is not None}
    won = split.win_rate if split else None
    return {
        "num_prompts": split.num_prompts if split else None,
        **{name: part.mean if part is not None else None for name, part in parts.items()},
        "win_rate": {
            name: vars(won)[name] for name in ("mean", "low", "high", "judge", "num", "wins", "ties", "losses")
        }
        if won
        else {"mean": None, "low": None, "high": None},
        "intervals": {name: list(pair) for name, pair in bounds.items() if pair is not None},
    }


def seed(pipeline: Pipeline) -> int | None:
    """The seed that the stages share; None if none was recorded or they differ."""
    seeds = {stage.started.seed for stage in pipeline.stages.values() if stage.started.seed is not None}
    return seeds.pop() if len(seeds) == 1 else None


def versions(pipeline: Pipeline) -> dict[str, Any]:
    """The versions that stages recorded; where they differ, all of them, joined by a comma."""
    found: dict[str, list[str]] = {}
    for stage in pipeline.stages.values():
        for name, version in stage.started.versions.items():
            seen = found.setdefault(name, [])
            if str(version) not in seen:
                seen.append(str(version))
    return {name: ", ".join(seen) for name, seen in sorted(found.items())}


def _demonstrations(pipeline: Pipeline) -> dict[str, Any]:
    shown = pipeline.evaluation.demonstrations if pipeline.evaluation else None
    gold = shown.gold if shown else None
    return {"num": shown.num if shown else None} | {name: vars(gold)[name].mean if gold else None for name in GOLD}
