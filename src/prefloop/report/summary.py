"""summary.json: the numbers the page shows, for programs. What was not measured is null."""

from prefloop.records.evaluations import (
    GOLD,
    BothMeans,
    DemonstrationMeans,
    Means,
    NoWinRate,
    RewardNumbers,
    Split,
    Summary,
    bounds,
    mean,
)
from prefloop.report.pipeline import Pipeline

MEASURES = (*GOLD, "score", "kl_nats", "length", "finished", "distinct_2", "repetition")


def summary(pipeline: Pipeline) -> Summary:
    """The summary of a pipeline."""
    evaluation = pipeline.evaluation
    sft, final = evaluation.compared if evaluation else (None, None)
    demonstrations = evaluation.demonstrations if evaluation else None
    gold = dict(demonstrations.gold) if demonstrations and demonstrations.gold else {}
    check = dict(evaluation.reward_model) if evaluation and evaluation.reward_model else {}
    seconds = {name: stage.seconds for name, stage in pipeline.stages.items()}
    spent = [value for value in seconds.values() if value is not None]
    seeds = {stage.card.seed for stage in pipeline.stages.values()}
    return Summary(
        name=pipeline.name,
        seed=seeds.pop() if len(seeds) == 1 else None,
        recipe_fingerprint=pipeline.recipe_fingerprint,
        reference=evaluation.reference if evaluation else None,
        selected=evaluation.selected if evaluation else None,
        selected_fingerprint=final.fingerprint if final else None,
        reason=evaluation.reason if evaluation else None,
        kl_limit=evaluation.kl_limit if evaluation else None,
        kl_estimator=evaluation.kl_estimator if evaluation else None,
        sft=means(sft.test if sft else None),
        final=means(final.test if final else None),
        ood=BothMeans(sft=means(sft.ood if sft else None), final=means(final.ood if final else None)),
        demonstrations=DemonstrationMeans(
            num=demonstrations.num if demonstrations else None, **{name: mean(gold.get(name)) for name in GOLD}
        ),
        reward_model=RewardNumbers(**{name: check.get(name) for name in RewardNumbers.model_fields}),
        seconds={**seconds, "total": sum(spent) if spent else None},
        peak_rss_mb=max((s.timing.peak_rss_mb for s in pipeline.stages.values() if s.timing), default=None),
        versions=versions(pipeline),
    )


def means(split: Split | None) -> Means:
    """The means of one model on one split, its win rate, and the intervals of all of them."""
    numbers = {name: split.measured(name) if split else None for name in MEASURES}
    return Means(
        num_prompts=split.num_prompts if split else None,
        **{name: mean(number) for name, number in numbers.items()},
        win_rate=(split.win_rate if split else None) or NoWinRate(),
        intervals={name: ends for name, number in numbers.items() if (ends := bounds(number))},
    )


def versions(pipeline: Pipeline) -> dict[str, str]:
    """The versions that stages recorded; where they differ, all of them, joined by a comma."""
    seen: dict[str, dict[str, None]] = {}
    for stage in pipeline.stages.values():
        for name, version in stage.card.versions.items():
            seen.setdefault(name, {})[version] = None
    return {name: ", ".join(each) for name, each in sorted(seen.items())}
