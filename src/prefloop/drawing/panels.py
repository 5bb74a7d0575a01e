"""Small plots side by side with the same axes, as one picture that stands by itself: its colours are in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prefloop.drawing import svg
from prefloop.drawing.charts import Point, ticks

WIDTH, HEIGHT, COLUMNS = 300.0, 178.0, 3
LEFT, RIGHT, TOP, BOTTOM = 34.0, 10.0, 24.0, 22.0
HEAD, FOOT = 42.0, 26.0
STYLE = """<style>
.panels { background: #fff; }
.panels text { font: 10px ui-sans-serif, system-ui, "Noto Sans CJK SC", "PingFang SC", sans-serif; fill: #555b64; }
.panels .title { font-size: 14px; font-weight: 600; fill: #22262d; }
.panels .name { font-size: 11px; font-weight: 600; fill: #22262d; }
.panels .grid { stroke: #e7e4de; } .panels .zero { stroke: #a5a9b0; }
.panels polyline { fill: none; stroke-linejoin: round; stroke-linecap: round; stroke-width: 1; }
.panels .bold { stroke-width: 2.2; } .panels .faint { opacity: .35; } .panels .dashed { stroke-dasharray: 4 3; }
.panels .one { stroke: #2464ad; } .panels .two { stroke: #c0771a; } .panels .three { stroke: #1f7a4d; }
.panels circle.one { fill: #2464ad; stroke: none; } .panels circle.three { fill: #1f7a4d; stroke: none; }
</style>"""
"""Light paper alone: such a picture lies beside text."""


@dataclass(frozen=True)
class Line:
    """Points joined; `kind` are its CSS classes."""

    points: Sequence[Point]
    kind: str


@dataclass(frozen=True)
class Panel:
    """One plot."""

    name: str
    note: str
    """a few words beside the name"""
    lines: Sequence[Line]
    dots: Sequence[tuple[float, float, str]] = ()
    """x, y and CSS class"""


def panels(
    some: Sequence[Panel],
    *,
    title: str,
    label: str,
    x_name: str,
    x_ticks: Sequence[tuple[float, str]],
    legend: Sequence[tuple[str, str]],
) -> Markup:
    """The picture, with its own colours.

    Args:
        label: what it is, for who cannot see it.
        x_name: of the axis that all share.
        x_ticks: places on it and what stands there; the last one is where it ends.
        legend: (CSS classes, what such a line is).
    """
    ys = [y for panel in some for line in panel.lines for _, y in line.points] or [0.0]
    room = 0.06 * (max(ys) - min(ys)) or 1.0
    plane = _Plane(x_ticks[-1][0], min(0.0, min(ys)) - room, max(0.0, max(ys)) + room)
    columns = min(COLUMNS, len(some))
    rows = -(-len(some) // columns)
    width, height = columns * WIDTH, HEAD + rows * HEIGHT + FOOT
    parts = [svg.rect(0.0, 0.0, width, height, "paper"), svg.text(12.0, 18.0, title, "title"), _legend(legend)]
    for index, panel in enumerate(some):
        place = (WIDTH * (index % columns), HEAD + HEIGHT * (index // columns))
        parts.append(_panel(panel, plane, place, x_ticks))
    parts.append(svg.text(LEFT, height - 8.0, x_name))
    drawn = svg.drawing(width, height, label, Markup(STYLE), *parts, kind="panels")
    return Markup(
        str(drawn)
        .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        .replace('class="paper"', 'fill="#ffffff"', 1)
    )


@dataclass(frozen=True)
class _Plane:
    """The ranges that all panels share."""

    right: float
    low: float
    high: float

    def x(self, value: float) -> float:
        return LEFT + value / self.right * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def _panel(panel: Panel, plane: _Plane, place: Point, x_ticks: Sequence[tuple[float, str]]) -> Markup:
    parts = [svg.text(LEFT, 14.0, panel.name, "name"), svg.text(WIDTH - RIGHT, 14.0, panel.note, "", "end")]
    for value in ticks(plane.low, plane.high):
        kind = "zero" if value == 0 else "grid"
        parts.append(svg.line(LEFT, plane.y(value), WIDTH - RIGHT, plane.y(value), kind))
        parts.append(svg.text(LEFT - 5, plane.y(value) + 3.5, f"{value:g}".replace("-", "−"), "", "end"))
    for value, words in x_ticks:
        parts.append(svg.text(plane.x(value), HEIGHT - BOTTOM + 13, words, "", "middle"))
    for line in panel.lines:
        parts.append(svg.polyline([(plane.x(x), plane.y(y)) for x, y in line.points if x <= plane.right], line.kind))
    parts += [svg.circle(plane.x(x), plane.y(y), 3.5, kind) for x, y, kind in panel.dots]
    return svg.element("g", {"transform": f"translate({place[0]:g} {place[1]:g})"}, *parts)


def _legend(legend: Sequence[tuple[str, str]]) -> Markup:
    parts: list[Markup] = []
    x = 12.0
    for kind, words in legend:
        parts += [svg.polyline([(x, 31.0), (x + 20, 31.0)], kind), svg.text(x + 26, 34.5, words)]
        x += 44 + sum(10.0 if ord(letter) > 0x2E80 else 5.4 for letter in words)
    return Markup("").join(parts)
