"""Curves, dots with intervals and the reliability plot, as SVG that follows the page's colours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prefloop.drawing import svg
from prefloop.drawing.numerals import Kind
from prefloop.records.evaluations import Measured, bounds, mean

WIDTH, HEIGHT = 360.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 12.0, 32.0
MOST_POINTS = 240
SMOOTHED_FROM = 16
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One curve: (step, value) pairs; `kind` is its CSS class."""

    name: str
    points: list[Point]
    kind: str = "one"


@dataclass(frozen=True)
class Dot:
    """A measured value at a place, with its interval if it has one."""

    x: float
    y: float
    bounds: Point | None
    name: str
    marked: bool = False


@dataclass(frozen=True)
class Frame:
    """The plane of a plot: data ranges and how values are written."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    kind: Kind = "plain"

    def x(self, value: float) -> float:
        """Page place of a data x."""
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Page place of a data y."""
        return HEIGHT - BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)


def curve(
    series: Sequence[Series],
    *,
    label: str,
    x_name: str,
    kind: Kind = "plain",
    limit: tuple[float, str] | None = None,
    selected: tuple[float, str] | None = None,
) -> Markup:
    """Curves over steps: the values logged, faint, and their moving average; a limit and a chosen step if given."""
    shown = [s for s in series if s.points]
    ys = [y for s in shown for _, y in s.points]
    near = limit is not None and limit[0] <= 2 * max(ys)
    frame = _frame([x for s in shown for x, _ in s.points], [*ys, limit[0]] if limit and near else ys, kind)
    parts = [_axes(frame, x_name, whole=True)]
    if selected and frame.x_low <= selected[0] <= frame.x_high:
        parts.append(_chosen(frame, *selected))
    if limit and near:
        parts.append(svg.line(LEFT, frame.y(limit[0]), WIDTH - RIGHT, frame.y(limit[0]), "limit"))
        parts.append(svg.text(WIDTH - RIGHT, frame.y(limit[0]) - 4, limit[1], "note", "end"))
    for each in shown:
        parts.append(_line(frame, each))
    if len(shown) > 1:
        parts.append(_legend([(s.name, s.kind) for s in shown]))
    return svg.drawing(WIDTH, HEIGHT, label, *parts, kind="plot")


def dots(points: Sequence[Dot], *, label: str, x_name: str, kind: Kind = "plain") -> Markup:
    """Measured points with their intervals, joined in the order given."""
    ends = [end for p in points if p.bounds for end in p.bounds]
    frame = _frame([p.x for p in points], [p.y for p in points] + ends, kind)
    parts = [_axes(frame, x_name), svg.polyline([(frame.x(p.x), frame.y(p.y)) for p in points], "path")]
    for point in points:
        x, y = frame.x(point.x), frame.y(point.y)
        if point.bounds:
            parts.append(svg.line(x, frame.y(point.bounds[0]), x, frame.y(point.bounds[1]), "bar"))
        parts.append(svg.circle(x, y, 5.5 if point.marked else 3.5, "dot marked" if point.marked else "dot"))
        anchor = "start" if x < LEFT + 40 else "end" if x > WIDTH - RIGHT - 40 else "middle"
        above = y > TOP + 22
        if point.name:
            parts.append(svg.text(x, y - 10 if above else y + 18, point.name, "note", anchor))
    return svg.drawing(WIDTH, HEIGHT, label, *parts, kind="plot")


def scatter(points: Sequence[Dot], *, label: str, x_name: str, kind: Kind = "plain") -> Markup:
    """Measured points with their intervals and names, each by itself; a name goes where it covers no other."""
    ends = [end for p in points if p.bounds for end in p.bounds]
    frame = _frame([0.0, *(p.x for p in points)], [p.y for p in points] + ends, kind)
    parts, taken = [_axes(frame, x_name)], list[tuple[float, float, float]]()
    for point in points:
        x, y = frame.x(point.x), frame.y(point.y)
        taken.append((x - 5, x + 5, y))
        if point.bounds:
            parts.append(svg.line(x, frame.y(point.bounds[0]), x, frame.y(point.bounds[1]), "bar"))
        parts.append(svg.circle(x, y, 5.5 if point.marked else 3.5, "dot marked" if point.marked else "dot"))
    for point in sorted(points, key=lambda p: p.x):
        x, y, width = frame.x(point.x), frame.y(point.y), 5.6 * len(point.name)
        places = [(x + 8, y + 3.5 + move, "start") for move in _MOVES] + [
            (x - 8, y + 3.5 + move, "end") for move in _MOVES
        ]
        free = [place for place in places if not _covers(place, width, taken)]
        where = min(free or places, key=lambda place: abs(place[1] - y))
        left = where[0] if where[2] == "start" else where[0] - width
        taken.append((left, left + width, where[1] - 3.5))
        parts.append(svg.text(where[0], where[1], point.name, "note", where[2]))
    return svg.drawing(WIDTH, HEIGHT, label, *parts, kind="plot")


_MOVES = (0.0, -9.0, 9.0, -18.0, 18.0, -27.0, 27.0)


def _covers(place: tuple[float, float, str], width: float, taken: Sequence[tuple[float, float, float]]) -> bool:
    """Whether a name there would cover another one or a dot, or leave the plane."""
    left = place[0] if place[2] == "start" else place[0] - width
    if left < LEFT or left + width > WIDTH or not TOP < place[1] < HEIGHT - BOTTOM:
        return True
    return any(left < end and begin < left + width and abs(place[1] - 3.5 - y) < 9 for begin, end, y in taken)


def reliability(bins: Sequence[tuple[float, float, int]], *, label: str, x_name: str, ideal: str) -> Markup:
    """(confidence, accuracy, pairs) per bin against the diagonal; the area of a dot grows with its pairs, and a bar is
    its 95 % interval, as far as the plane shows it."""
    low = min([0.5, *(min(confidence, accuracy) for confidence, accuracy, _ in bins)])
    frame = Frame(math.floor(10 * low) / 10, 1.0, math.floor(10 * low) / 10, 1.0, "share")
    most = max([num for _, _, num in bins] + [1])
    parts = [_axes(frame, x_name, x_kind="share")]
    parts.append(svg.line(frame.x(frame.x_low), frame.y(frame.y_low), frame.x(1.0), frame.y(1.0), "limit"))
    parts.append(svg.line(WIDTH - RIGHT - 24, HEIGHT - BOTTOM - 10, WIDTH - RIGHT, HEIGHT - BOTTOM - 10, "limit"))
    parts.append(svg.text(WIDTH - RIGHT - 30, HEIGHT - BOTTOM - 6.5, ideal, "note", "end"))
    parts.append(svg.polyline([(frame.x(c), frame.y(a)) for c, a, _ in bins], "path"))
    for c, a, num in bins:
        half = 1.96 * math.sqrt(a * (1 - a) / num)
        ends = (max(frame.y_low, a - half), min(1.0, a + half))
        parts.append(svg.line(frame.x(c), frame.y(ends[0]), frame.x(c), frame.y(ends[1]), "bar"))
    parts += [svg.circle(frame.x(c), frame.y(a), 2.5 + 5 * math.sqrt(num / most), "dot") for c, a, num in bins]
    return svg.drawing(WIDTH, HEIGHT, label, *parts, kind="plot")


def range_bar(rows: Sequence[tuple[Measured, str]], *, label: str) -> Markup:
    """Shares between 0 and 100 percent as dots on lines, one under the other; each row has its CSS class."""
    width, gap = 160.0, 13.0
    parts: list[Markup] = []
    for index, (measured, kind) in enumerate(rows):
        y = 8 + gap * index
        parts.append(svg.line(4, y, width - 4, y, "rail"))
        places = [4 + (width - 8) * min(max(x, 0.0), 1.0) for x in (*(bounds(measured) or ()), mean(measured) or 0.0)]
        if len(places) == 3:
            parts.append(svg.line(places[0], y, places[1], y, f"range {kind}"))
        parts.append(svg.circle(places[-1], y, 4, f"dot {kind}"))
    return svg.drawing(width, 16 + gap * (len(rows) - 1), label, *parts, kind="ranges")


def ticks(low: float, high: float, num: int = 4) -> list[float]:
    """Round numbers from about low to about high."""
    raw = (high - low) / num
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def averaged(points: list[Point], window: int) -> list[Point]:
    """Centred moving average over `window` points on both sides, shorter at the ends."""
    values = [y for _, y in points]
    smooth: list[Point] = []
    for index, (x, _) in enumerate(points):
        reach = min(window, index, len(points) - 1 - index)
        near = values[index - reach : index + reach + 1]
        smooth.append((x, sum(near) / len(near)))
    return smooth


def thinned(points: list[Point]) -> list[Point]:
    """At most MOST_POINTS points, each the mean of its neighbours."""
    size = math.ceil(len(points) / MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _frame(xs: list[float], ys: list[float], kind: Kind) -> Frame:
    low, high = min(ys), max(ys)
    if high - low < 1e-9 * abs(high):  # no more than rounding
        low = high
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    bottom = 0.0 if 0 <= low <= 0.35 * high else low - room
    top = high + room
    if kind == "share" and high <= 1:
        top = min(top, 1.0) if high < 1 else 1.0 + 0.25 * room
    x_low, x_high = min(xs), max(xs)
    return Frame(x_low, x_high if x_high > x_low else x_low + 1, bottom, top, kind)


def _axes(frame: Frame, x_name: str, x_kind: Kind = "plain", *, whole: bool = False) -> Markup:
    """Both axes; `whole`: between two steps there is none."""
    parts: list[Markup] = []
    levels = ticks(frame.y_low, frame.y_high)
    for value in levels:
        parts.append(svg.line(LEFT, frame.y(value), WIDTH - RIGHT, frame.y(value), "grid"))
        parts.append(svg.text(LEFT - 6, frame.y(value) + 3.5, _tick(value, levels, frame.kind), "tick", "end"))
    places = [place for place in ticks(frame.x_low, frame.x_high, 5) if not whole or place == round(place)]
    for value in places:
        anchor = "end" if frame.x(value) > WIDTH - RIGHT - 8 else "middle"
        parts.append(svg.text(frame.x(value), HEIGHT - BOTTOM + 14, _tick(value, places, x_kind), "tick", anchor))
    parts.append(svg.text(LEFT, HEIGHT - 4, x_name, "note"))
    return Markup("").join(parts)


def _tick(value: float, values: list[float], kind: Kind) -> str:
    """A tick with as many decimals as its neighbours need."""
    scale = 100 if kind == "share" else 1
    step = abs(values[1] - values[0]) * scale if len(values) > 1 else abs(value) * scale or 1
    if abs(value) * scale >= 10_000 or step < 1e-4:
        return f"{value * scale:.3g}".replace("-", "−") if step < 1e-4 else f"{value / 1000:,.0f}k"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, digits) != round(step, 10):
        digits += 1
    return f"{value * scale:.{digits}f}{'%' if kind == 'share' else ''}".replace("-", "−")


def _line(frame: Frame, series: Series) -> Markup:
    points = thinned(series.points)
    places = [(frame.x(x), frame.y(y)) for x, y in points]
    if len(points) == 1:
        return svg.circle(*places[0], 3.5, f"dot {series.kind}")
    if len(points) < SMOOTHED_FROM:
        lines = svg.polyline(places, f"curve {series.kind}")
    else:
        smooth = averaged(points, max(1, len(points) // 24))
        lines = svg.polyline(places, f"raw {series.kind}")
        lines += svg.polyline([(frame.x(x), frame.y(y)) for x, y in smooth], f"curve {series.kind}")
    return lines + svg.circle(*places[-1], 2.5, f"dot {series.kind}")


def _chosen(frame: Frame, step: float, name: str) -> Markup:
    x = frame.x(step)
    anchor = "end" if x > WIDTH / 2 else "start"
    return svg.line(x, TOP, x, HEIGHT - BOTTOM, "chosen") + svg.text(
        x + (-4 if anchor == "end" else 4), TOP + 8, name, "note", anchor
    )


def _legend(names: list[tuple[str, str]]) -> Markup:
    parts: list[Markup] = []
    for index, (name, kind) in enumerate(reversed(names)):
        y = TOP + 6 + 14 * index
        parts.append(svg.text(WIDTH - RIGHT - 20, y + 3.5, name, "note", "end"))
        parts.append(svg.line(WIDTH - RIGHT - 15, y, WIDTH - RIGHT, y, f"curve {kind}"))
    return Markup("").join(parts)


def share_bar(measured: Measured, *, label: str, kind: str = "") -> Markup:
    """A share as a bar from 0 to 100 percent with its interval, and a mark at one half."""
    width, height = 160.0, 14.0
    value, ends = min(max(mean(measured) or 0.0, 0.0), 1.0), bounds(measured)
    parts = [
        svg.rect(0, 4, width, 6, "rail"),
        svg.rect(0, 4, width * value, 6, f"fill {kind}".strip()),
        svg.line(width / 2, 1, width / 2, 13, "half"),
    ]
    if ends:
        low, high = (width * min(max(end, 0.0), 1.0) for end in ends)
        parts += [svg.line(low, 7, high, 7, "whisker"), *(svg.line(x, 4, x, 10, "whisker") for x in (low, high))]
    return svg.drawing(width, height, label, *parts, kind="sharebar")
