"""Warnings: plain rules over the numbers. Each rule warns, finds nothing, or says that it could not be checked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from prefloop.report.evaluation import Evaluation, Gold, Split
from prefloop.report.numerals import written
from prefloop.report.pipeline import Pipeline, Stage
from prefloop.report.summary import versions
from prefloop.report.words import Words

POINTS = 0.02
SUSPICIOUS = 0.95
FINISHED = 0.9
DRIFT = 0.5
REPETITION = 0.02


@dataclass(frozen=True)
class Caution:
    """What a rule found: alarm, fine or unchecked."""

    rule: str
    level: str
    says: str


@dataclass(frozen=True)
class _Case:
    """What the rules look at; `sft` and `final` are None if they were not measured."""

    pipeline: Pipeline
    evaluation: Evaluation | None
    sft: Split | None
    final: Split | None


Found = tuple[bool, dict[str, Any]] | None
"""(warns, values for the sentence), or None if the rule could not be checked."""


def cautions(pipeline: Pipeline, words: Words) -> list[Caution]:
    """Every rule's finding, alarms first."""
    evaluation = pipeline.evaluation
    case = _Case(
        pipeline,
        evaluation,
        evaluation.split(evaluation.reference) if evaluation else None,
        evaluation.split(evaluation.selected) if evaluation else None,
    )
    order = {"alarm": 0, "unchecked": 1, "fine": 2}
    found = [_caution(name, rule(case), words) for name, rule in RULES.items()]
    return sorted(found, key=lambda caution: order[caution.level])


def _caution(name: str, found: Found, words: Words) -> Caution:
    rule = words.plain(f"rule.{name}")
    if found is None:
        return Caution(rule, "unchecked", "")
    warns, values = found
    return Caution(rule, "alarm" if warns else "fine", words.plain(f"rule.{name}.says", **values) if warns else "")


def _kl(case: _Case) -> Found:
    limit = case.evaluation.kl_limit if case.evaluation else None
    if case.final is None or case.final.kl_nats.mean is None or limit is None:
        return None
    value = case.final.kl_nats.mean
    return value > limit, {"value": written(value, "nats"), "limit": written(limit, "nats")}


def _golds(case: _Case) -> tuple[Gold, Gold] | None:
    if case.sft is None or case.final is None or case.sft.gold is None or case.final.gold is None:
        return None
    return case.sft.gold, case.final.gold


def _rise(name: str) -> Callable[[_Case], Found]:
    def rule(case: _Case) -> Found:
        golds = _golds(case)
        if golds is None:
            return None
        sft, final = (vars(gold)[name].mean for gold in golds)
        if sft is None or final is None:
            return None
        return final - sft > POINTS, {"sft": written(sft, "share"), "final": written(final, "share")}

    return rule


def _suspicious(case: _Case) -> Found:
    stage = case.pipeline.stages.get("reward")
    value = next((v for v in _accuracies(stage) if v is not None), None) if stage else None
    return None if value is None else (value > SUSPICIOUS, {"value": written(value, "share")})


def _accuracies(stage: Stage) -> tuple[float | None, ...]:
    return stage.result("accuracy_validation"), stage.result("accuracy"), stage.last("accuracy/validation")


def _above_bayes(case: _Case) -> Found:
    proxy = case.evaluation.reward_model if case.evaluation else None
    if proxy is None or proxy.accuracy_labels is None or proxy.bayes_accuracy is None:
        return None
    value, best = proxy.accuracy_labels, proxy.bayes_accuracy
    return value > best + POINTS, {"value": written(value, "share"), "best": written(best, "share")}


def _length_only(case: _Case) -> Found:
    proxy = case.evaluation.reward_model if case.evaluation else None
    if proxy is None or proxy.length_only_accuracy is None:
        return None
    accuracy = proxy.accuracy if proxy.accuracy_labels is None else proxy.accuracy_labels
    if accuracy is None:
        return None
    values = {"value": written(accuracy, "share"), "length": written(proxy.length_only_accuracy, "share")}
    return accuracy <= proxy.length_only_accuracy + POINTS, values


def _finished(case: _Case) -> Found:
    if case.final is None or case.final.finished.mean is None:
        return None
    return case.final.finished.mean < FINISHED, {"value": written(case.final.finished.mean, "share")}


def _length(case: _Case) -> Found:
    if case.sft is None or case.final is None:
        return None
    sft, final = case.sft.length.mean, case.final.length.mean
    if not sft or final is None:
        return None
    return abs(final / sft - 1) > DRIFT, {"sft": written(sft, "tokens"), "final": written(final, "tokens")}


def _repetition(case: _Case) -> Found:
    if case.sft is None or case.final is None:
        return None
    sft, final = case.sft.repetition.mean, case.final.repetition.mean
    if sft is None or final is None:
        return None
    return final - sft > REPETITION, {"sft": written(sft, "share"), "final": written(final, "share")}


def _over_optimised(case: _Case) -> Found:
    """Score up while gold down: from SFT to the selected model, or from the selected one to any later checkpoint."""
    golds = _golds(case)
    evaluation = case.evaluation
    if golds is None or evaluation is None or case.sft is None or case.final is None:
        return None
    chosen = evaluation.models[evaluation.selected or ""]
    same = vars(chosen)[evaluation.selected_on]
    pairs = [(("SFT", case.sft), (evaluation.selected or "", case.final))]
    for name, model in evaluation.models.items():
        split = vars(model)[evaluation.selected_on]
        if split and same and model.step is not None and chosen.step is not None and model.step > chosen.step:
            pairs.append(((evaluation.selected or "", same), (name, split)))
    found = [_apart_ways(*pair) for pair in pairs]
    checked = [each for each in found if each is not None]
    return next((each for each in checked if each[0]), checked[0] if checked else None)


def _apart_ways(first: tuple[str, Split], second: tuple[str, Split]) -> Found:
    (before, old), (after, new) = first, second
    s0, s1 = old.score.mean, new.score.mean
    u0, u1 = (split.gold.utility.mean if split.gold else None for split in (old, new))
    if s0 is None or s1 is None or u0 is None or u1 is None:
        return None
    numbers = {"s0": written(s0), "s1": written(s1), "u0": written(u0), "u1": written(u1)}
    return s1 > s0 and u1 < u0, {"before": before, "after": after, **numbers}


def _lineage(case: _Case) -> Found:
    """Every input that another stage wrote must carry the fingerprint that stage gave it."""
    made = {
        (stage.name, *PurePath(artefact.path).parts): artefact.fingerprint
        for stage in case.pipeline.stages.values()
        for artefact in stage.outputs.values()
    }
    checked = False
    for stage in case.pipeline.stages.values():
        for read in stage.started.inputs.values():
            parts = PurePath(read.path).parts
            maker = next((place for place in made if parts[-len(place) :] == place and place[0] != stage.name), None)
            if maker is None:
                continue
            checked = True
            if made[maker] != read.fingerprint:
                values = {"stage": stage.name, "path": "/".join(maker), "read": read.fingerprint, "maker": maker[0]}
                return True, {**values, "written": made[maker]}
    return (False, {}) if checked else None


def _told(case: _Case) -> Found:
    """Warnings that stages left among their results."""
    told = [
        f"{stage.name}: {warning}"
        for stage in case.pipeline.stages.values()
        if stage.finished and isinstance(stage.finished.result.get("warnings"), list)
        for warning in stage.finished.result["warnings"]
    ]
    return bool(told), {"names": " ".join(told)}


def _unfinished(case: _Case) -> Found:
    names = [name for name, stage in case.pipeline.stages.items() if stage.finished is None]
    return bool(names), {"names": ", ".join(names)}


def _versions(case: _Case) -> Found:
    differing = [f"{name} {value}" for name, value in versions(case.pipeline).items() if ", " in value]
    return bool(differing), {"names": "; ".join(differing)}


def _not_numbers(case: _Case) -> Found:
    lost = case.pipeline.not_numbers
    return bool(lost), {"places": ", ".join(f"{name} ({num})" for name, num in lost.items())}


RULES: dict[str, Callable[[_Case], Found]] = {
    "kl": _kl,
    "over_optimised": _over_optimised,
    "harmful": _rise("harmful"),
    "over_refusal": _rise("over_refusal"),
    "suspicious": _suspicious,
    "above_bayes": _above_bayes,
    "length_only": _length_only,
    "finished": _finished,
    "length": _length,
    "repetition": _repetition,
    "lineage": _lineage,
    "told": _told,
    "unfinished": _unfinished,
    "versions": _versions,
    "not_numbers": _not_numbers,
}
