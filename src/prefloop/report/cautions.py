"""Warnings: what the signs say of the numbers, and plain rules over the pipeline's folder, in the page's words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from prefloop import layout
from prefloop.drawing.numerals import Kind, written
from prefloop.health.words import says as card_says
from prefloop.records.cards import Card
from prefloop.report.pipeline import POLICY, Pipeline, as_number
from prefloop.report.summary import versions
from prefloop.report.words import Words
from prefloop.signs import RULES, SENTENCES, Level, Sign, of_evaluation, of_training, rule_of, says

KINDS: dict[str, Kind] = {
    "kl": "nats", "length": "tokens", "over_optimised": "plain",
}  # fmt: skip
"""How a rule's numbers are written, if they are no shares."""
SCORES = ("s0", "s1")
"""Values of any rule that are scores."""
WORST = ("alarm", "fine", "unchecked")


@dataclass(frozen=True)
class Caution:
    """A rule in words, and what it says if it is an alarm."""

    rule: str
    level: Level
    says: str


def cautions(pipeline: Pipeline, words: Words) -> list[Caution]:
    """Every rule once, alarms first. One that was looked at in two places says the worse."""
    measured = [*of_evaluation(pipeline.evaluation), *_of_policy(pipeline)]
    worst: dict[str, Sign] = {}
    for each in sorted(measured, key=lambda each: WORST.index(each.level)):
        worst.setdefault(each.name, each)
    signs = sorted(worst.values(), key=lambda each: list(RULES).index(each.name))
    signs += [_of_card(pipeline.card, words.language), *_of_judge(pipeline), *_of_folder(pipeline)]
    levels = ("alarm", "unchecked", "fine")
    reference = pipeline.evaluation.reference if pipeline.evaluation else None
    return sorted((_caution(each, words, reference) for each in signs), key=lambda caution: levels.index(caution.level))


def _of_card(card: Card | None, language: str) -> Sign:
    """What the reward model's health card says."""
    if card is None:
        return Sign("card", "unchecked", {})
    reasons = [card_says(reason, language) for reason in card.reasons if reason.stops]
    return Sign("card", "alarm" if card.verdict == "not_ready" else "fine", {"reasons": " ".join(reasons)})


def _of_judge(pipeline: Pipeline) -> list[Sign]:
    """What the audit of a model says whose judgements were learned from; nothing if no model judged."""
    collect = pipeline.stages.get(layout.COLLECT)
    result = collect.finished.result if collect and collect.finished else {}
    if "judge" not in result:
        return []
    audit = _inside(_inside(result, "judge"), "audit")
    flips, position, length = (_inside(audit, name) for name in ("flips", "position", "length"))
    agreement, people = (_inside(audit, name) for name in ("agreement", "agreement_of_people"))
    kind = _inside(audit, "own_kind")
    high, low = as_number(agreement.get("high")), as_number(people.get("low"))
    below = None if high is None or low is None or as_number(people.get("value")) is None else high < low
    spread = [each for each in _inside(audit, "spread").values() if isinstance(each, dict)]
    shares = [as_number(_inside(each, "share").get("value")) or 0.0 for each in spread if each.get("named")]
    by_order = [_sign("judge_order", position.get("named"), position, flips=flips.get("value"))]
    by_kind = [_sign("judge_kind", kind.get("named"), kind, kind=(as_number(kind.get("value")) or 0.0) / 2)]
    by_mark = [Sign("judge_spread", "alarm" if shares else "fine", {"spread": max(shares, default=0.0)})]
    return [
        *(by_mark if spread else by_order),
        _sign("judge_length", length.get("named"), length, length=(as_number(length.get("value")) or 0.0) / 2),
        *(by_kind if kind else []),
        _sign("judge_agreement", below, agreement, judge=agreement.get("value"), people=people.get("value")),
    ]


def _inside(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What stands under a name, if that has names inside; else nothing."""
    inside = found.get(name)
    return inside if isinstance(inside, dict) else {}


def _sign(name: str, alarmed: bool | None, found: Mapping[str, Any], **values: Any) -> Sign:
    """An alarm with its values, fine, or unchecked where nothing was found."""
    if alarmed is None or as_number(found.get("value")) is None:
        return Sign(name, "unchecked", {})
    numbers = {key: number for key, value in values.items() if (number := as_number(value)) is not None}
    return Sign(name, "alarm" if alarmed else "fine", numbers)


def _of_policy(pipeline: Pipeline) -> list[Sign]:
    """What the rows of the policy's training say, of which it said the alarms as it went."""
    policy = pipeline.stage(POLICY)
    rows = [{name: as_number(value) for name, value in row.items()} for row in policy.metrics] if policy else []
    return of_training(rows, kl_limit=None)


def _caution(each: Sign, words: Words, reference: str | None) -> Caution:
    if each.name in SENTENCES and each.name != "kl":  # of which evaluate says more
        told = says(each, words.language) if each.level == "alarm" else ""
        return Caution(rule_of(each.name, words.language), each.level, told)
    limit = RULES[each.name].limit if each.name in RULES else None
    rule = words.plain(f"rule.{each.name}", percent=100 * (limit or 0))
    if each.level != "alarm":
        return Caution(rule, each.level, "")
    kind = KINDS.get(each.name, "share")
    values = {
        name: v if isinstance(v, str) else written(v, "plain" if name in SCORES else kind)
        for name, v in each.values.items()
    }
    values |= {name: words.before for name, v in values.items() if v == reference}
    return Caution(rule, each.level, words.plain(f"rule.{each.name}.says", **values))


def _of_folder(pipeline: Pipeline) -> list[Sign]:
    stages = pipeline.stages.values()
    return [
        _lineage(pipeline),
        _listed("unfinished", [stage.name for stage in stages if stage.finished is None]),
        _listed("versions", [f"{name} {v}" for name, v in versions(pipeline).items() if ", " in v], between="; "),
        _listed("not_numbers", [f"{name} ({num})" for name, num in pipeline.not_numbers.items()]),
    ]


def _listed(name: str, faults: Iterable[str], *, between: str = ", ") -> Sign:
    names = between.join(faults)
    return Sign(name, "alarm" if names else "fine", {"names": names})


def _lineage(pipeline: Pipeline) -> Sign:
    """Every input that another stage wrote must carry the fingerprint that stage gave it."""
    wrote = {
        (stage.name, *PurePath(artefact.path).parts): artefact.fingerprint
        for stage in pipeline.stages.values()
        for artefact in stage.outputs.values()
    }
    checked = False
    for stage in pipeline.stages.values():
        for read in stage.card.inputs.values():
            parts = PurePath(read.path).parts
            maker = next((place for place in wrote if parts[-len(place) :] == place and place[0] != stage.name), None)
            if maker is None:
                continue
            checked = True
            if wrote[maker] != read.fingerprint:
                places = {"stage": stage.name, "path": "/".join(maker), "maker": maker[0]}
                return Sign("lineage", "alarm", {**places, "read": read.fingerprint, "written": wrote[maker]})
    return Sign("lineage", "fine" if checked else "unchecked", {})
