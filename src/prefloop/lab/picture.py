"""The lab's one picture: a plot for each cell, proxy and gold over KL, with the laws."""

import math
from collections.abc import Sequence
from functools import partial

from markupsafe import Markup

from prefloop.drawing import panels
from prefloop.drawing.charts import Point as Place
from prefloop.drawing.numerals import written
from prefloop.drawing.panels import Line, Panel
from prefloop.lab.words import label
from prefloop.records.overopt import Lab, LabCell, Law, Point
from prefloop.stats import overoptimisation as laws

NATS = (0, 1, 4, 9, 16, 25, 36, 49, 64, 100, 144, 225, 400, 900)
"""Where ticks stand, for their roots are whole."""


def picture(found: Lab, language: str) -> Markup:
    """The picture as SVG that stands by itself."""
    t = partial(label, language=language)
    far = max(math.sqrt(p.kl) for cell in found.cells for run in cell.runs for p in (*run.trained, *run.chosen))
    end = next((nats for nats in NATS if math.sqrt(nats) >= far), math.ceil(far) ** 2)
    shown = [nats for nats in NATS if nats < end] + [end]
    return panels.panels(
        [_panel(cell, language) for cell in found.cells],
        title=t("title", title=found.title),
        label=t("picture"),
        x_name=t("picture.x"),
        x_ticks=[(math.sqrt(nats), str(nats)) for nats in shown],
        legend=[
            ("two bold", t("legend.proxy")),
            ("one bold", t("legend.gold")),
            ("one dashed", t("legend.law")),
            ("three bold", t("legend.best")),
        ],
    )


def _panel(cell: LabCell, language: str) -> Panel:
    ran = [run for run in cell.runs if run.trained]
    lines: list[Line] = []
    for kind, curves in (
        ("two", [[(math.sqrt(p.kl), p.proxy) for p in run.trained] for run in ran]),
        ("one", [[(math.sqrt(p.kl), p.gold) for p in run.trained] for run in ran]),
        ("three", [[(math.sqrt(p.kl), p.gold) for p in run.chosen] for run in ran if run.chosen]),
    ):
        lines += [Line(curve, f"{kind} faint") for curve in curves]
        lines += [Line(average(curves), f"{kind} bold")] if curves else []
    if cell.rl is not None:
        far = max(math.sqrt(p.kl) for run in ran for p in run.trained)
        lines.append(Line(_curve(cell.rl, far), "one dashed"))
    tops = [(run.turned, run.trained) for run in ran if run.turned is not None]
    kl, fall = (
        sum(values) / len(values) if values else None
        for values in ([turned.kl for turned, _ in tops], [-turned.fall for turned, _ in tops])
    )
    note = label("peak.note", language, kl=written(kl, "nats"), fall=written(fall)) if tops else ""
    dots = [(math.sqrt(turned.kl), gold_at(trained, turned.place), "one") for turned, trained in tops]
    return Panel(cell.name, note, lines, dots)


def average(curves: Sequence[Sequence[Place]]) -> list[Place]:
    """The mean of curves, point by point, as far as all of them go."""
    return [
        (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))
        for points in zip(*curves, strict=False)
    ]


def gold_at(trained: Sequence[Point], place: int) -> float:
    """Gold's gain after so many steps."""
    return next(point.gold for point in trained if point.place == place)


def _curve(law: Law, far: float) -> list[Place]:
    """A law as points up to a distance, in roots of nats."""
    places = [far * index / 40 for index in range(41)]
    return [(d, laws.gain(d, a=law.a.mean, b=law.b.mean, law=law.law)) for d in places]
