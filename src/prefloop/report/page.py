"""The page: everything the template shows, worked out beforehand so that the template holds no logic."""

import shlex
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from prefloop import layout
from prefloop.report import charts, comparison, curves, samples, summary
from prefloop.report.cautions import cautions
from prefloop.report.evaluation import Evaluation, RewardModel
from prefloop.report.flow import flow
from prefloop.report.numerals import Kind, bracket, estimate, figure, written
from prefloop.report.pipeline import Pipeline
from prefloop.report.verdict import verdict
from prefloop.report.words import Words
from prefloop.stages import RUNS

HERE = Path(__file__).parent
Context = dict[str, Any]


def page(pipeline: Pipeline, language: str, title: str) -> str:
    """The whole HTML page."""
    words = Words(language)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    evaluation = pipeline.evaluation
    context: Context = {
        "t": words,
        "lang": {"en": "en", "zh": "zh-Hans"}[language],
        "style": Markup((HERE / "page.css").read_text(encoding="utf-8")),
        "title": title or pipeline.name,
        "pipeline": pipeline,
        "verdict": verdict(pipeline, words),
        "tiles": tiles(pipeline, words),
        "flow": flow(pipeline, words),
        "cautions": cautions(pipeline, words),
        "main_curves": curves.cards(pipeline, words, main=True),
        "more_curves": curves.cards(pipeline, words, main=False),
        "stages": stages(pipeline),
        "absent": [name for name in RUNS if name not in pipeline.stages],
        "totals": summary.summary(pipeline),
        "again": again(pipeline),
        "machine": next((s.started.machine for s in reversed(pipeline.stages.values()) if s.started.machine), {}),
        "journey": samples.journey(pipeline.samples),
        "figure": figure,
        "estimate": estimate,
        "written": written,
        **_evaluated(evaluation, words),
    }
    return environment.get_template("page.html").render(context)


def _evaluated(evaluation: Evaluation | None, words: Words) -> Context:
    """What depends on an evaluation; all of it empty without one."""
    if evaluation is None:
        names = ("groups", "checkpoints", "frontier", "topics", "ood", "shown", "folded")
        return {"evaluation": None, "proxy": None, "left_out": 0, **{name: [] for name in names}}
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


def tiles(pipeline: Pipeline, words: Words) -> list[Context]:
    """The big numbers: win rate, satisfied, harmful beside over-refusal, KL, reward-model accuracy, time."""
    evaluation = pipeline.evaluation
    total = summary.summary(pipeline)["seconds"]["total"]
    time = {
        "name": words.plain("tile.time"),
        "value": figure(total, "minutes", "seconds.total"),
        "interval": "",
        "was": "",
    }
    if evaluation is None:
        return [time] if total is not None else []
    sft, final = (evaluation.split(name) for name in (evaluation.reference, evaluation.selected))
    found: list[Context] = []

    def add(key: str, new: Any, old: Any, kind: Kind) -> None:
        if new is None or new.mean is None:
            return
        name = words.plain(f"tile.{key}")
        place = "final.win_rate.mean" if key == "win_rate" else f"final.{key}"
        was = words.plain("tile.was", value=written(old.mean, kind)) if old is not None and old.mean is not None else ""
        interval = bracket(new, kind)
        found.append({"name": name, "value": figure(new.mean, kind, place), "interval": interval, "was": was})

    if final is not None:
        add("win_rate", final.win_rate, None, "share")
        for name in ("satisfied", "harmful", "over_refusal"):
            new, old = (vars(s.gold)[name] if s and s.gold else None for s in (final, sft))
            add(name, new, old, "share")
        if final.gold is None:
            add("score", final.score, sft.score if sft else None, "plain")
        add("kl_nats", final.kl_nats, None, "nats")
    proxy = evaluation.reward_model
    if proxy is not None and proxy.accuracy is not None:
        value = figure(proxy.accuracy, "share", "reward_model.accuracy")
        found.append(
            {"name": words.plain("tile.accuracy"), "value": value, "interval": _accuracy_bracket(proxy), "was": ""}
        )
    return [*found, time] if total is not None else found


def _accuracy_bracket(proxy: RewardModel) -> str:
    if proxy.accuracy_low is None or proxy.accuracy_high is None:
        return ""
    return f"[{written(proxy.accuracy_low, 'share')}, {written(proxy.accuracy_high, 'share')}]".replace("%", "")


def _checkpoints(evaluation: Evaluation) -> list[Context]:
    """One row for each evaluated model: the reference first, then by step."""
    order = sorted(
        evaluation.models.items(), key=lambda item: (item[0] != evaluation.reference, item[1].step or 0, item[0])
    )
    return [
        {
            "name": name,
            "model": model,
            "split": split,
            "gold": split.gold if split else None,
            "chosen": name == evaluation.selected,
            "over": bool(
                evaluation.kl_limit is not None
                and split
                and split.kl_nats.mean is not None
                and split.kl_nats.mean > evaluation.kl_limit
            ),
        }
        for name, model in order
        for split in (vars(model)[evaluation.selected_on],)
    ]


def out_of_distribution(evaluation: Evaluation, words: Words) -> list[Context]:
    """Rows of test against out-of-distribution prompts for both models; none if nothing was measured there."""
    rows: list[Context] = []
    plan: tuple[tuple[str, Kind], ...] = (
        ("utility", "plain"), ("satisfied", "share"), ("harmful", "share"), ("over_refusal", "share"),
        ("score", "plain"), ("length", "tokens"), ("finished", "share"),
    )  # fmt: skip
    for name, kind in plan:
        cells: list[Markup] = []
        measured = False
        for who, model in (("sft", evaluation.reference), ("final", evaluation.selected)):
            for split in ("test", "ood"):
                found = evaluation.split(model, split)
                holder = found.gold if found and name in summary.GOLD else found
                value = vars(holder)[name] if holder else None
                measured = measured or (split == "ood" and value is not None and value.mean is not None)
                cells.append(estimate(value, kind, f"{'ood.' if split == 'ood' else ''}{who}.{name}"))
        if measured:
            rows.append({"name": words.plain(f"measure.{name}"), "cells": cells})
    return rows


def topics(evaluation: Evaluation) -> list[Context]:
    """One row for each tag that either model was measured on."""
    splits = [evaluation.split(name) for name in (evaluation.reference, evaluation.selected)]
    tables = [split.gold.by_tag if split and split.gold else {} for split in splits]
    names = sorted({name for table in tables for name in table})
    return [{"name": name, "sft": tables[0].get(name), "final": tables[1].get(name)} for name in names]


def reward_model(proxy: RewardModel | None, words: Words) -> Context | None:
    """The reward model beside its yardsticks: each a bar from 0 to 100 percent."""
    if proxy is None:
        return None
    rows = []
    for name in ("accuracy", "accuracy_labels", "annotator_agreement", "bayes_accuracy", "length_only_accuracy"):
        value = vars(proxy)[name]
        if value is not None:
            shown = figure(value, "share", f"reward_model.{name}")
            interval = _accuracy_bracket(proxy) if name == "accuracy" else ""
            row = {"name": words.plain(f"proxy.{name}"), "says": words.plain(f"proxy.{name}.says"), "value": shown}
            rows.append(row | {"interval": interval, "width": round(100 * min(max(value, 0.0), 1.0), 1), "kind": name})
    bins = [
        (b.confidence, b.accuracy, b.num or 0)
        for b in proxy.reliability
        if b.confidence is not None and b.accuracy is not None
    ]
    label = words.plain("proxy.reliability")
    x_name, ideal = words.plain("proxy.confidence"), words.plain("proxy.ideal")
    plot = charts.reliability(bins, label=label, x_name=x_name, ideal=ideal) if bins else None
    return {"rows": rows, "plot": plot, "strengths": proxy.by_strength, "model": proxy}


def again(pipeline: Pipeline) -> str:
    """What to type after `prefloop run` to get the same pipeline in another folder."""
    folder = pipeline.folder.as_posix()
    return f"{shlex.quote(f'{folder}/{layout.RECIPE}')} out={shlex.quote(f'{folder}-again')}"


def stages(pipeline: Pipeline) -> list[Context]:
    """What was run, in order, with inputs and outputs."""
    return [
        {
            "name": name,
            "stage": stage,
            "inputs": [(key, value) for key, value in stage.started.inputs.items()],
            "outputs": [(key, value) for key, value in stage.outputs.items()],
        }
        for name, stage in pipeline.stages.items()
    ]
