"""The page: everything the template shows, worked out beforehand so that the template holds no logic."""

import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from prefloop import layout
from prefloop.drawing import charts
from prefloop.drawing.numerals import Kind, bracket, estimate, figure, written
from prefloop.drawing.pages import rendered
from prefloop.health.page import PAGES
from prefloop.health.words import says
from prefloop.health.words import verdict as sentences
from prefloop.records.cards import Card
from prefloop.records.evaluations import (
    EXACT_KL,
    Evaluation,
    Interval,
    Measured,
    RewardCheck,
    Split,
    Strength,
    Summary,
    mean,
)
from prefloop.report import comparison, curves, samples
from prefloop.report.cautions import cautions
from prefloop.report.flow import flow
from prefloop.report.pipeline import POLICY, Pipeline, Stage, as_number
from prefloop.report.rounds import rounds
from prefloop.report.verdict import verdict
from prefloop.report.words import Words
from prefloop.signs import sign
from prefloop.stages import ALIGNING, RUNS

COLUMNS: tuple[tuple[str, str, Kind], ...] = (
    ("measure.kl", "kl_nats", "nats"), ("measure.score.short", "score", "plain"),
    ("measure.utility.short", "utility", "plain"), ("tile.satisfied", "satisfied", "share"),
    ("tile.harmful", "harmful", "share"), ("tile.over_refusal", "over_refusal", "share"),
    ("tile.win_rate", "win_rate", "share"), ("measure.length", "length", "tokens"),
)  # fmt: skip
"""Of the table of checkpoints: words, measure, how it is written."""
HERE = Path(__file__).parent
Context = dict[str, Any]


def page(pipeline: Pipeline, totals: Summary, language: str, title: str, *, out: Path) -> str:
    """The whole HTML page. Args: out: the folder that it will be in."""
    words = Words(language, is_sft=pipeline.begins_from_sft)
    context: Context = {
        "t": words,
        "title": title or pipeline.name,
        "pipeline": pipeline,
        "verdict": verdict(pipeline, words),
        "rounds": rounds(pipeline, words),
        "tiles": tiles(pipeline.evaluation, totals, words),
        "flow": flow(pipeline, words),
        "cautions": cautions(pipeline, words),
        "main_curves": curves.cards(pipeline, words, main=True),
        "more_curves": curves.cards(pipeline, words, main=False),
        "absent": [
            name
            for name in RUNS
            if pipeline.stage(POLICY if name in ALIGNING else name) is None and name not in ALIGNING[1:]
        ],
        "totals": totals,
        "again": again(pipeline),
        "machine": list(pipeline.stages.values())[-1].card.machine,
        "journey": samples.journey(pipeline.samples),
        "figure": figure,
        "estimate": estimate,
        "written": written,
        "proxy": reward_model(pipeline, words, out),
        **_evaluated(pipeline.evaluation, words),
    }
    return rendered(HERE, "page.html", context, language=language)


def _evaluated(evaluation: Evaluation | None, words: Words) -> Context:
    """What depends on an evaluation."""
    if evaluation is None:
        return {"evaluation": None, "shown": (), "ood": (), "topics": ()}
    shown, folded, left_out = samples.chosen(evaluation.samples)
    return {
        "evaluation": evaluation,
        "groups": comparison.groups(evaluation, words),
        "untouched": untouched(evaluation, words),
        "checkpoints": _checkpoints(evaluation),
        "columns": [column for column in COLUMNS if _anywhere(evaluation, column[1])],
        "reason": reason(evaluation, words),
        "estimator": words("estimator.exact") if evaluation.kl_estimator == EXACT_KL else evaluation.kl_estimator,
        "frontier": curves.frontier(evaluation, words),
        "ood": out_of_distribution(evaluation, words),
        "topics": topics(evaluation),
        "shown": [samples.pair(sample, words) for sample in shown],
        "folded": [samples.pair(sample, words) for sample in folded],
        "left_out": left_out,
    }


def tiles(evaluation: Evaluation | None, totals: Summary, words: Words) -> list[Context]:
    """The big numbers: win rate, satisfied, harmful beside over-refusal, KL, reward-model accuracy, time."""
    rows: list[Context] = []

    def add(key: str, value: Markup, interval: str = "", was: str = "") -> None:
        rows.append({"name": words.plain(f"tile.{key}"), "value": value, "interval": interval, "was": was})

    def add_measured(key: str, new: Measured, kind: Kind, *, old: Measured = None, place: str = "") -> None:
        if new is not None:
            was = words.plain("tile.was", value=written(mean(old), kind)) if old is not None else ""
            add(key, figure(mean(new), kind, place or f"final.{key}"), bracket(new, kind), was)

    if evaluation is not None:
        sft, final = evaluation.tested
        add_measured("win_rate", final.win_rate, "share", place="final.win_rate.mean")
        for name in ("satisfied", "harmful", "over_refusal"):
            add_measured(name, final.measured(name), "share", old=sft.measured(name))
        if final.gold is None:
            add_measured("score", final.score, "plain", old=sft.score)
        add_measured("kl_nats", final.kl_nats, "nats")
        check = evaluation.reward_model
        if check is not None:
            name = "accuracy_labels" if check.accuracy is None else "accuracy"
            add_measured(name, _share_of(check, name), "share", place=f"reward_model.{name}")
    if totals.seconds["total"] is not None:
        add("time", figure(totals.seconds["total"], "minutes", "seconds.total"))
    return rows


def _share_of(check: RewardCheck, name: str) -> Measured:
    """One of its shares, with the interval if it has one."""
    numbers = dict(check)
    if numbers[name] is None:
        return None
    return Interval(mean=numbers[name], low=numbers.get(f"{name}_low"), high=numbers.get(f"{name}_high"))


def _anywhere(evaluation: Evaluation, name: str) -> bool:
    return any(mean(model.validation.measured(name)) is not None for model in evaluation.models.values())


def reason(evaluation: Evaluation, words: Words) -> Markup:
    """Why the selected model was selected."""
    choice, split = evaluation.choice, evaluation.compared[1].validation
    won = split.win_rate
    if choice is None or won is None:  # an evaluation of an earlier version
        return Markup("{}").format(evaluation.reason)
    kl, limit = written(mean(split.kl_nats), "nats"), written(evaluation.kl_limit, "nats")
    given = {"num": choice.candidates, "name": evaluation.selected, "limit": limit, "kl": kl}
    if choice.rule == "nearest":
        return words("reason.nearest", **given)
    judge = words.plain(f"judge.{won.judge}")
    sentence = words("reason.preferred", **given, rate=written(won.mean, "share"), judge=judge)
    if not choice.clear:
        sentence += words("reason.unclear")
    return sentence + (words("reason.over", names=", ".join(choice.over_limit)) if choice.over_limit else "")


def _checkpoints(evaluation: Evaluation) -> list[Context]:
    """One row for each evaluated model, on validation prompts: the reference first, then by step."""
    models = evaluation.models.items()
    return [
        {
            "name": name,
            "model": model,
            "split": model.validation,
            "chosen": name == evaluation.selected,
            "over": sign("kl", value=mean(model.validation.kl_nats), limit=evaluation.kl_limit).level == "alarm",
        }
        for name, model in sorted(
            models, key=lambda each: (each[0] != evaluation.reference, each[1].step or 0, each[0])
        )
    ]


def out_of_distribution(evaluation: Evaluation, words: Words) -> list[Context]:
    """Rows of test against out-of-distribution prompts for both models; none if nothing was measured there."""
    plan: tuple[tuple[str, Kind], ...] = (
        ("utility", "plain"), ("satisfied", "share"), ("harmful", "share"), ("over_refusal", "share"),
        ("score", "plain"), ("length", "tokens"), ("finished", "share"),
    )  # fmt: skip
    places: list[tuple[str, Split | None]] = []
    for who, model in zip(("sft", "final"), evaluation.compared, strict=True):
        places += [(who, model.test), (f"ood.{who}", model.ood)]
    rows: list[Context] = []
    for name, kind in plan:
        values = [(place, split.measured(name) if split else None) for place, split in places]
        if any(value is not None for place, value in values if place.startswith("ood.")):
            cells = [estimate(value, kind, f"{place}.{name}") for place, value in values]
            rows.append({"name": words.plain(f"measure.{name}"), "cells": cells})
    return rows


def untouched(evaluation: Evaluation, words: Words) -> list[Context]:
    """Rows of the model that all began from, the reference and the final one on test prompts; none without a base."""
    base = evaluation.models[evaluation.base].test if evaluation.base else None
    if base is None:
        return []
    plan: tuple[tuple[str, Kind], ...] = (
        ("score", "plain"), ("length", "tokens"), ("finished", "share"), ("repetition", "share"),
        ("base_kl", "nats"), ("perplexity", "plain"),
    )  # fmt: skip
    splits = (base, *evaluation.tested)
    return [
        {"name": words.plain(f"measure.{name}"), "cells": [estimate(split.measured(name), kind) for split in splits]}
        for name, kind in plan
    ]


def topics(evaluation: Evaluation) -> list[Context]:
    """One row for each tag that either model was measured on."""
    sft, final = (split.gold.by_tag if split.gold else {} for split in evaluation.tested)
    return [{"name": name, "sft": sft.get(name), "final": final.get(name)} for name in sorted({*sft, *final})]


def reward_model(pipeline: Pipeline, words: Words, out: Path) -> Context | None:
    """The reward model beside its yardsticks, question by question; None if nothing was measured of any."""
    evaluation, stage = pipeline.evaluation, pipeline.stages.get("reward")
    check = evaluation.reward_model if evaluation else None
    tables = _checked(check, words) if check else [_by_itself(stage, words)] if stage else []
    tables = [table for table in tables if table["rows"]]
    if not tables and pipeline.card is None:
        return None
    why = (evaluation.reward_unchecked or "") if evaluation else "no_evaluation"
    measured = dict(check) if check else dict(stage.finished.result) if stage and stage.finished else {}
    bins = [
        (b.confidence, b.accuracy, b.num)
        for b in (check.reliability if check else ())
        if b.confidence is not None and b.accuracy is not None
    ]
    label = words.plain("proxy.reliability")
    x_name, ideal = words.plain("proxy.confidence"), words.plain("proxy.ideal")
    return {
        "card": pipeline.card and health_card(pipeline.card, pipeline, words, out),
        "tables": tables,
        "why": words(f"unchecked.{why}") if why else "",
        "plot": charts.reliability(bins, label=label, x_name=x_name, ideal=ideal) if bins else None,
        "strengths": _strengths(measured.get("by_strength")),
        **{name: as_number(measured.get(name)) for name in ("ece", "ece_after_temperature", "temperature")},
        "keys": "reward_model." if check else "",
    }


def health_card(card: Card, pipeline: Pipeline, words: Words, out: Path) -> Context:
    """The verdict of the reward model's health card, and where its page lies: a report that is moved with its run still
    finds it."""
    folder, lies = pipeline.folder, pipeline.reward_folder / PAGES[words.language]
    link = Path(os.path.relpath((folder / lies).resolve(), out.resolve())).as_posix()
    return {
        "verdict": sentences(card, words.language)[:2],
        "reasons": [(says(reason, words.language), reason.stops) for reason in card.reasons],
        "link": quote(link) if (folder / lies).is_file() else "",
        "lies": lies.as_posix(),
    }


def _strengths(rows: Any) -> list[Context]:
    """Strength, number and accuracy of each row that has all three; results of stages hold anything."""
    names = ("strength", "num", "accuracy")
    listed = rows if isinstance(rows, list | tuple) else ()
    rated = [dict(row) for row in listed if isinstance(row, dict | Strength)]
    read = [{name: as_number(row.get(name)) for name in names} for row in rated]
    return [row for row in read if None not in row.values()]


def _checked(check: RewardCheck, words: Words) -> list[Context]:
    """Against the truth, and against single decisions: of each the ceiling is another."""
    judged = check.num_judgements
    truth: dict[str, int | None] = {"accuracy": check.num_pairs, "accuracy_decided": check.num_decided}
    labels = {
        "accuracy_labels": judged,
        "bayes_accuracy": judged,
        "length_only_accuracy": judged,
        "annotator_agreement": check.num_agreement,
    }
    tables: list[Context] = []
    for name, counts in (("truth", truth), ("labels", labels)):
        rows = []
        for row, num in counts.items():
            measured = _share_of(check, row)
            if measured is not None:
                rows.append(_yardstick(words, row, measured, num, key=f"reward_model.{row}"))
        tables.append({"title": words(f"proxy.{name}"), "rows": rows})
    return tables


def _by_itself(stage: Stage, words: Words) -> Context:
    """As the reward stage measured it, on its own held-out preferences."""
    accuracy, num = stage.result("accuracy"), stage.result("num_held_out")
    rows = []
    if accuracy is not None:
        measured = Interval(mean=accuracy, low=stage.result("accuracy_low"), high=stage.result("accuracy_high"))
        rows.append(_yardstick(words, "own_accuracy", measured, num))
        length = stage.result("length_only_accuracy")
        if length is not None:
            rows.append(_yardstick(words, "own_length", length, num))
    return {"title": words("proxy.own"), "rows": rows}


def _yardstick(words: Words, name: str, measured: Measured, num: float | None, *, key: str = "") -> Context:
    """A share with its interval and a bar from 0 to 100 percent."""
    value = mean(measured) or 0.0
    return {
        "name": words.plain(f"proxy.{name}"),
        "says": words.plain(f"proxy.{name}.says", num=written(num, "count")),
        "value": figure(value, "share", key),
        "interval": bracket(measured, "share"),
        "width": round(100 * min(max(value, 0.0), 1.0), 1),
        "kind": name,
    }


def again(pipeline: Pipeline) -> str:
    """What to type after `prefloop run` to get the same pipeline in another folder."""
    folder = pipeline.folder.as_posix()
    return f"{shlex.quote(f'{folder}/{layout.RECIPE}')} out={shlex.quote(f'{folder}-again')}"
