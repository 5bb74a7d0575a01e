"""The page: everything the template shows, worked out beforehand so that the template holds no logic."""

import shlex
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from prefloop import layout
from prefloop.records.evaluations import Evaluation, Interval, Measured, RewardCheck, Split, Summary, mean
from prefloop.report import charts, comparison, curves, samples
from prefloop.report.cautions import cautions
from prefloop.report.flow import flow
from prefloop.report.numerals import Kind, bracket, estimate, figure, written
from prefloop.report.pipeline import POLICY, Pipeline, visible
from prefloop.report.verdict import verdict
from prefloop.report.words import Words
from prefloop.signs import sign
from prefloop.stages import ALIGNING, RUNS

HERE = Path(__file__).parent
Context = dict[str, Any]


def page(pipeline: Pipeline, totals: Summary, language: str, title: str) -> str:
    """The whole HTML page."""
    words = Words(language)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context: Context = {
        "t": words,
        "lang": {"en": "en", "zh": "zh-Hans"}[language],
        "style": Markup((HERE / "page.css").read_text(encoding="utf-8")),
        "title": title or pipeline.name,
        "pipeline": pipeline,
        "verdict": verdict(pipeline, words),
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
        **_evaluated(pipeline.evaluation, words),
    }
    return visible(environment.get_template("page.html").render(context))


def _evaluated(evaluation: Evaluation | None, words: Words) -> Context:
    """What depends on an evaluation."""
    if evaluation is None:
        return {"evaluation": None, "shown": ()}
    shown, folded, left_out = samples.chosen(evaluation.samples)
    return {
        "evaluation": evaluation,
        "groups": comparison.groups(evaluation, words),
        "checkpoints": _checkpoints(evaluation),
        "frontier": curves.frontier(evaluation, words),
        "proxy": reward_model(evaluation.reward_model, words),
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
        if check is not None and check.accuracy is not None:
            accuracy = figure(check.accuracy, "share", "reward_model.accuracy")
            add("accuracy", accuracy, _accuracy_bracket(check))
    if totals.seconds["total"] is not None:
        add("time", figure(totals.seconds["total"], "minutes", "seconds.total"))
    return rows


def _accuracy_bracket(check: RewardCheck) -> str:
    return bracket(Interval(mean=check.accuracy or 0.0, low=check.accuracy_low, high=check.accuracy_high), "share")


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


def topics(evaluation: Evaluation) -> list[Context]:
    """One row for each tag that either model was measured on."""
    sft, final = (split.gold.by_tag if split.gold else {} for split in evaluation.tested)
    return [{"name": name, "sft": sft.get(name), "final": final.get(name)} for name in sorted({*sft, *final})]


def reward_model(check: RewardCheck | None, words: Words) -> Context | None:
    """The reward model beside its yardsticks: each a bar from 0 to 100 percent."""
    if check is None:
        return None
    rows = []
    for name in ("accuracy", "accuracy_labels", "annotator_agreement", "bayes_accuracy", "length_only_accuracy"):
        value = dict(check)[name]
        if value is not None:
            shown = figure(value, "share", f"reward_model.{name}")
            interval = _accuracy_bracket(check) if name == "accuracy" else ""
            row = {"name": words.plain(f"proxy.{name}"), "says": words.plain(f"proxy.{name}.says"), "value": shown}
            rows.append(row | {"interval": interval, "width": round(100 * min(max(value, 0.0), 1.0), 1), "kind": name})
    bins = [
        (b.confidence, b.accuracy, b.num)
        for b in check.reliability
        if b.confidence is not None and b.accuracy is not None
    ]
    label = words.plain("proxy.reliability")
    x_name, ideal = words.plain("proxy.confidence"), words.plain("proxy.ideal")
    plot = charts.reliability(bins, label=label, x_name=x_name, ideal=ideal) if bins else None
    return {"rows": rows, "plot": plot, "strengths": check.by_strength, "model": check}


def again(pipeline: Pipeline) -> str:
    """What to type after `prefloop run` to get the same pipeline in another folder."""
    folder = pipeline.folder.as_posix()
    return f"{shlex.quote(f'{folder}/{layout.RECIPE}')} out={shlex.quote(f'{folder}-again')}"
