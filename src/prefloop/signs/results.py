"""Of what was measured when the work was done: a reward model's health card, and an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Literal

from prefloop.records.cards import Agreement, Baseline, Calibration, Leaks, Share, Slice
from prefloop.records.evaluations import Evaluation, Split, mean
from prefloop.records.lineages import Lineage
from prefloop.records.probes import Probe, blind_to, shortcuts
from prefloop.records.skills import FALSE_CONFIDENCE
from prefloop.signs.rules import RULES, Sign, Value, sign


def of_card(
    *,
    accuracy: Share,
    accuracy_votes: Share | None,
    accuracy_train: Share | None,
    by_domain: Sequence[Slice],
    baselines: Sequence[Baseline],
    agreement: Agreement | None,
    calibration: Calibration | None,
    leaks: Leaks | None,
    probes: Sequence[Probe],
) -> list[Sign]:
    """Of what a health card measured on held-out preferences, the most telling first."""
    length, words = (next((each for each in baselines if each.name == name), None) for name in ("length", "words"))
    weakest = min(by_domain, key=lambda each: each.accuracy.high, default=None)
    explained = agreement is not None and agreement.ceiling_beyond >= (RULES["suspicious"].limit or 1.0)
    return [
        sign("too_few", low=accuracy.low, high=accuracy.high, value=accuracy.mean, num=accuracy.num),
        sign("coin", value=accuracy.mean, low=accuracy.low),
        sign("beside_length", **_beside(length, "low")),
        sign("below_words", **_beside(words, "high")),
        sign("beside_words", **_beside(words, "low", "high")),
        sign("leak", value=leaks.pairs.mean if leaks else None),
        sign("easy" if explained else "suspicious", value=accuracy.mean),
        sign(
            "above_ceiling",
            value=accuracy_votes.mean if accuracy_votes else None,
            low=accuracy_votes.low if accuracy_votes else None,
            ceiling=agreement.ceiling_beyond if agreement else None,
        ),
        sign("memorises", value=accuracy.mean, high=accuracy.high, training=accuracy_train and accuracy_train.mean),
        sign(
            "miscalibrated",
            value=calibration.ece_after if calibration else None,
            chance=calibration.ece_chance if calibration else None,
        ),
        *_of_probes(probes),
        sign("noisy", value=agreement.noise.mean if agreement else None),
        sign(
            "weak_domain",
            domain=weakest.name if weakest else None,
            value=weakest.accuracy.mean if weakest else None,
            high=weakest.accuracy.high if weakest else None,
            accuracy=accuracy.mean,
        ),
    ]


def _of_probes(probes: Sequence[Probe]) -> list[Sign]:
    """Of each kind of shortcut that was named, and of each kind of damage not seen, the probe that moves most."""
    if not probes:
        return [sign("shortcut", kind=None, value=None, token=None), sign("blind", kind=None, value=None)]
    signs = []
    for name, named in (("shortcut", shortcuts(probes)), ("blind", blind_to(probes))):
        kinds = [kind for kind in named if kind != "quality"]  # of which the accuracy tells more
        for kind in kinds or ("",):
            found = [probe for probe in probes if probe.kind == kind and probe.finding == name]
            worst = max(found, key=lambda probe: probe.shift or 0.0, default=None)
            token = {"token": (worst.token if worst else None) or ""} if name == "shortcut" else {}
            signs.append(sign(name, kind=kind, value=(worst.shift if worst else None) or 0.0, **token))
    return signs


def _beside(baseline: Baseline | None, *ends: Literal["low", "high"]) -> dict[str, Value]:
    """How far the reward model is ahead of a baseline, and ends of the interval."""
    ahead = baseline and baseline.ahead
    told: dict[str, Value] = {end: ahead and (ahead.low if end == "low" else ahead.high) for end in ends}
    return {"value": ahead and ahead.mean, **told, "other": baseline and baseline.accuracy.mean}


def of_evaluation(evaluation: Evaluation | None) -> list[Sign]:
    """Of the selected model beside the reference on test prompts, and of the reward model."""
    sft, final = evaluation.tested if evaluation else (None, None)
    check = evaluation.reward_model if evaluation else None
    labels, low, best, length = (
        (check.accuracy_labels, check.accuracy_labels_low, check.bayes_accuracy, check.length_only_accuracy)
        if check
        else [None] * 4
    )
    return [
        sign("kl", value=_mean(final, "kl_nats"), limit=evaluation.kl_limit if evaluation else None),
        _over_optimised(evaluation),
        sign("above_bayes", value=labels, low=low, best=best),
        sign("length_only", value=labels, low=low, length=length),
        sign("finished", value=_mean(final, "finished")),
        *(
            sign(name, sft=_mean(sft, name), final=_mean(final, name))
            for name in ("harmful", "over_refusal", "length", "repetition")
        ),
    ]


def _over_optimised(evaluation: Evaluation | None) -> Sign:
    """From the reference to the selected model on test prompts; from that to a later one on validation prompts."""
    if evaluation is None:
        return sign("over_optimised", s0=None)
    (sft, final), chosen = evaluation.tested, evaluation.compared[1]
    paths = [(evaluation.reference, sft, evaluation.selected, final)] + [
        (evaluation.selected, chosen.validation, name, model.validation)
        for name, model in evaluation.models.items()
        if model.step is not None and chosen.step is not None and model.step > chosen.step
    ]
    signs = []
    for before, old, after, new in paths:
        scores = {"s0": _mean(old, "score"), "s1": _mean(new, "score")}
        utilities = {"u0": _mean(old, "utility"), "u1": _mean(new, "utility")}
        signs.append(sign("over_optimised", before=before, after=after, **scores, **utilities))
    return min(signs, key=lambda s: ("alarm", "fine", "unchecked").index(s.level))


def _mean(split: Split | None, name: str) -> float | None:
    return mean(split.measured(name)) if split else None


def of_knowing(skills: Mapping[str, float]) -> list[Sign]:
    """The alarm of a model that answers what nobody can know. Args: skills: name -> value, of `skills.json`."""
    said = sign("false_confidence", value=skills.get(FALSE_CONFIDENCE))
    return [said] if said.level == "alarm" else []


def of_lineage(lineage: Lineage) -> Sign:
    """Of the reward model of the last round but one, on the pairs of the last one's policy, beside what it was worth on
    the pairs that it was made for."""
    decided = [each for each in lineage.line(lineage.head) if each.fresh is not None]
    then, now = (decided[-2].fresh, decided[-1].stale) if len(decided) > 1 else (None, None)
    return sign("stale", value=now and now.mean, high=now and now.high, then=then and then.mean)


def of_skill(name: str, *, drop: float | None, low: float | None, most: float) -> Sign:
    """Of one skill: forgotten if it is worse by more than `most` for certain.

    Args:
        drop: how much worse it got.
        low: the low end of its interval, None if it has none.
    """
    return sign("forgetting", skill=name, value=drop, low=low, most=most)
