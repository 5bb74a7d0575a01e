"""Warnings: what the signs say of the numbers, and plain rules over the pipeline's folder, in the page's words."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from prefloop.report.numerals import Kind, written
from prefloop.report.pipeline import Pipeline
from prefloop.report.summary import versions
from prefloop.report.words import Words
from prefloop.signs import RULES, Level, Sign, of_evaluation, sign

KINDS: dict[str, Kind] = {"kl": "nats", "length": "tokens", "over_optimised": "plain"}
"""How a rule's numbers are written, if they are no shares."""


@dataclass(frozen=True)
class Caution:
    """A rule in words, and what it says if it is an alarm."""

    rule: str
    level: Level
    says: str


def cautions(pipeline: Pipeline, words: Words) -> list[Caution]:
    """Every rule, alarms first."""
    reward = pipeline.stages.get("reward")
    accuracies = [reward.result("accuracy"), reward.last("accuracy/validation")] if reward else []
    measured = [
        *of_evaluation(pipeline.evaluation),
        sign("suspicious", value=next((value for value in accuracies if value is not None), None)),
    ]
    signs = sorted(measured, key=lambda each: list(RULES).index(each.name)) + _of_folder(pipeline)
    levels = ("alarm", "unchecked", "fine")
    return sorted((_caution(each, words) for each in signs), key=lambda caution: levels.index(caution.level))


def _caution(each: Sign, words: Words) -> Caution:
    limit = RULES[each.name].limit if each.name in RULES else None
    rule = words.plain(f"rule.{each.name}", percent=100 * (limit or 0))
    if each.level != "alarm":
        return Caution(rule, each.level, "")
    kind = KINDS.get(each.name, "share")
    values = {name: v if isinstance(v, str) else written(v, kind) for name, v in each.values.items()}
    return Caution(rule, each.level, words.plain(f"rule.{each.name}.says", **values))


def _of_folder(pipeline: Pipeline) -> list[Sign]:
    stages = pipeline.stages.values()
    return [
        _lineage(pipeline),
        _listed(
            "warned",
            [f"{s.name}: {warning}" for s in stages if s.finished for warning in s.finished.result.get("warnings", ())],
            between=" ",
        ),
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
