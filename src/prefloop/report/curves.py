"""The curves of every stage: which metrics, how they are written, and what each one tells a newcomer."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prefloop.drawing import charts
from prefloop.drawing.charts import Dot, Series
from prefloop.drawing.numerals import Kind, written
from prefloop.records.evaluations import Evaluation, bounds, mean
from prefloop.report.pipeline import POLICY, Pipeline, Stage, as_number
from prefloop.report.words import Words
from prefloop.signs import RULES


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
    Spec(POLICY, ("scores/mean",), main=True),
    Spec(POLICY, ("rewards/kl",), "nats", main=True),
    Spec(POLICY, ("rollouts/length",), "tokens", main=True),
    Spec(POLICY, ("entropy/mean",), main=True),
    Spec(POLICY, ("ratio/clipped",), "share", main=True),
    Spec(POLICY, ("ratio/kl",), main=True),
    Spec(POLICY, ("rollouts/finished",), "share"),
    Spec(POLICY, ("values/explained_variance",), "share"),
    Spec(POLICY, ("values/clipped",), "share"),
    Spec(POLICY, ("advantages/std",)),
    Spec(POLICY, ("loss/policy",)),
    Spec(POLICY, ("loss/value",)),
    Spec(POLICY, ("kl/coef",)),
    Spec(POLICY, ("grad/norm",)),
    Spec(POLICY, ("lr",)),
    Spec("pretrain", ("loss/validation", "loss/train")),
    Spec("sft", ("loss/validation", "loss/train")),
    Spec("reward", ("accuracy/validation",), "share"),
    Spec("reward", ("loss/train",)),
)


def cards(pipeline: Pipeline, words: Words, *, main: bool) -> list[Card]:
    """The curves for which there are numbers."""
    drawn = (_card(spec, pipeline, words) for spec in SPECS if spec.main == main)
    return [card for card in drawn if card is not None]


def _card(spec: Spec, pipeline: Pipeline, words: Words) -> Card | None:
    stage = pipeline.stage(spec.stage)
    if stage is None:
        return None
    series = [
        Series(words.plain(f"series.{metric}") if len(spec.metrics) > 1 else "", points, kind)
        for metric, kind in zip(spec.metrics, ("one", "two"), strict=False)
        if (points := stage.series(metric))
    ]
    if not series:
        return None
    name = spec.metrics[0]
    key = name if spec.stage == POLICY else f"{spec.stage}/{name}"
    title = words.plain(f"curve.{key}")
    first, last = (written(series[0].points[place][1], spec.kind) for place in (0, -1))
    plot = charts.curve(
        list(reversed(series)),
        label=f"{title}: {first} → {last}",
        x_name=words.plain("step"),
        kind=spec.kind,
        limit=_limit(name, pipeline.evaluation, words),
        selected=_selected(spec, pipeline.evaluation, words),
    )
    says = _says(key, stage, words)
    return Card(stage.name, name, title, says, plot, last, _lost(stage, name))


def _says(key: str, stage: Stage, words: Words) -> str:
    """What to look for, by what the run did."""
    settings = stage.card.config
    target = as_number(settings.get("kl_target"))
    begun, known = stage.result("loss_at_start"), stage.result("loss_no_opinion")
    at_zero = key == "loss/policy" and "clip" in settings  # of REINFORCE's loss the value means nothing in any case
    if settings.get("whiten_advantages") is True and (at_zero or key == "advantages/std"):
        return words.plain(f"curve.{key}.whitened")
    if key == "kl/coef" and target is not None:
        return words.plain("curve.kl/coef.adaptive", target=written(target, "nats"))
    if key == "reward/loss/train" and begun is not None and known is not None:
        return words.plain("curve.reward/loss/train.begun", start=written(begun), floor=written(known))
    return words.plain(f"curve.{key}.says", clipped=written(RULES["clipped"].limit, "share"))


def _lost(stage: Stage, metric: str) -> int:
    return sum(1 for row in stage.metrics if metric in row and as_number(row[metric]) is None)


def _limit(metric: str, evaluation: Evaluation | None, words: Words) -> tuple[float, str] | None:
    if metric != "rewards/kl" or evaluation is None:
        return None
    return evaluation.kl_limit, words.plain("limit", value=written(evaluation.kl_limit, "nats"))


def _selected(spec: Spec, evaluation: Evaluation | None, words: Words) -> tuple[float, str] | None:
    step = evaluation.compared[1].step if evaluation else None
    return None if spec.stage != POLICY or step is None else (float(step), words.plain("selected"))


def frontier(evaluation: Evaluation, words: Words) -> list[tuple[str, str, Markup]]:
    """(title, caption, plot) of score and of gold utility against KL, if three models or more were measured."""
    plots: list[tuple[str, str, Markup]] = []
    labels = {evaluation.reference: words.before, evaluation.selected: words.plain("selected")}
    for name in ("score", "utility"):
        points: list[Dot] = []
        for key, model in evaluation.models.items():
            measured = model.validation.measured(name)
            x, y = mean(model.validation.kl_nats), mean(measured)
            if x is not None and y is not None:
                points.append(Dot(x, y, bounds(measured), labels.get(key, ""), key == evaluation.selected))
        if len(points) >= 3:
            points.sort(key=lambda point: point.x)
            title = words.plain(f"frontier.{name}")
            plot = charts.dots(points, label=title, x_name=words.plain("frontier.x"))
            plots.append((title, words.plain(f"frontier.{name}.says"), plot))
    return plots
