"""The curves of every stage: which metrics, how they are written, and what each one tells a newcomer."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prefloop.report import charts
from prefloop.report.charts import Dot, Series
from prefloop.report.evaluation import Evaluation
from prefloop.report.numerals import Kind, Measured, written
from prefloop.report.pipeline import Pipeline, Stage
from prefloop.report.words import Words


@dataclass(frozen=True)
class Spec:
    """A curve: the stage, its metrics, the kind of number, and whether it stands in the first row."""

    stage: str
    metrics: Sequence[str]
    kind: Kind = "plain"
    main: bool = False


@dataclass(frozen=True)
class Card:
    """A curve on the page."""

    stage: str
    metric: str
    title: str
    says: str
    plot: Markup
    last: str
    lost: int
    """Logged rows without a number for this metric, where others have one."""


SPECS = (
    Spec("ppo", ("scores/mean",), main=True),
    Spec("ppo", ("rewards/kl",), "nats", main=True),
    Spec("ppo", ("rollouts/length",), "tokens", main=True),
    Spec("ppo", ("entropy/mean",), main=True),
    Spec("ppo", ("ratio/clipped",), "share", main=True),
    Spec("ppo", ("ratio/kl",), main=True),
    Spec("ppo", ("rollouts/finished",), "share"),
    Spec("ppo", ("values/explained_variance",), "share"),
    Spec("ppo", ("advantages/std",)),
    Spec("ppo", ("loss/policy",)),
    Spec("ppo", ("loss/value",)),
    Spec("ppo", ("kl/coef",)),
    Spec("ppo", ("grad/norm",)),
    Spec("ppo", ("lr",)),
    Spec("pretrain", ("loss/validation", "loss/train")),
    Spec("sft", ("loss/validation", "loss/train")),
    Spec("reward", ("accuracy/validation",), "share"),
    Spec("reward", ("loss/train",)),
)


def cards(pipeline: Pipeline, words: Words, *, main: bool) -> list[Card]:
    """The curves for which there are numbers."""
    found = (_card(spec, pipeline, words) for spec in SPECS if spec.main == main)
    return [card for card in found if card is not None]


def _card(spec: Spec, pipeline: Pipeline, words: Words) -> Card | None:
    stage = pipeline.stages.get(spec.stage)
    if stage is None:
        return None
    kinds = ("one", "two")
    series = [
        Series(words.plain(f"series.{metric}") if len(spec.metrics) > 1 else "", stage.series(metric), kind)
        for metric, kind in zip(spec.metrics, kinds, strict=False)
    ]
    series = [each for each in series if each.points]
    if not series:
        return None
    name = spec.metrics[0]
    key = name if spec.stage == "ppo" else f"{spec.stage}/{name}"
    title = words.plain(f"curve.{key}")
    plot = charts.curve(
        list(reversed(series)),
        label=f"{title}: {written(series[0].points[0][1], spec.kind)} → {written(series[0].points[-1][1], spec.kind)}",
        x_name=words.plain("step"),
        kind=spec.kind,
        limit=_limit(name, pipeline.evaluation, words),
        selected=_selected(spec, pipeline.evaluation, words),
    )
    says = words.plain(f"curve.{key}.says")
    return Card(spec.stage, name, title, says, plot, charts.last(series[0], spec.kind), _lost(stage, name))


def _lost(stage: Stage, metric: str) -> int:
    return sum(1 for row in stage.metrics if metric in row and row[metric] is None)


def _limit(metric: str, evaluation: Evaluation | None, words: Words) -> tuple[float, str] | None:
    if metric != "rewards/kl" or evaluation is None or evaluation.kl_limit is None:
        return None
    return evaluation.kl_limit, words.plain("limit", value=written(evaluation.kl_limit, "nats"))


def _selected(spec: Spec, evaluation: Evaluation | None, words: Words) -> tuple[float, str] | None:
    chosen = evaluation.models.get(evaluation.selected or "") if evaluation else None
    if spec.stage != "ppo" or chosen is None or chosen.step is None:
        return None
    return float(chosen.step), words.plain("selected")


def frontier(evaluation: Evaluation, words: Words) -> list[tuple[str, str, Markup]]:
    """(title, caption, plot) of score and of gold utility against KL, if three models or more were measured."""
    plots: list[tuple[str, str, Markup]] = []
    for name in ("score", "utility"):
        points: list[Dot] = []
        for key, model in evaluation.models.items():
            split = vars(model)[evaluation.selected_on]
            if split is None:
                continue
            measured: Measured | None = split.score if name == "score" else split.gold.utility if split.gold else None
            kl = 0.0 if key == evaluation.reference and split.kl_nats.mean is None else split.kl_nats.mean
            if measured is None or measured.mean is None or kl is None:
                continue
            marked = key == evaluation.selected
            label = words.plain("selected") if marked else "SFT" if key == evaluation.reference else ""
            points.append(Dot(kl, measured.mean, measured.bounds, label, marked))
        if len(points) >= 3:
            points.sort(key=lambda point: point.x)
            title = words.plain(f"frontier.{name}")
            plot = charts.dots(points, label=title, x_name=words.plain("frontier.x"))
            plots.append((title, words.plain(f"frontier.{name}.says"), plot))
    return plots
