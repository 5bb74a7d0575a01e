"""SVG by hand: elements with every text escaped, coordinates short."""

from collections.abc import Mapping

from markupsafe import Markup

Attributes = Mapping[str, object]


def element(name: str, attributes: Attributes, *children: str) -> Markup:
    """One element; children that are not Markup already are escaped. In attribute names `_` stands for `-`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.replace("_", "-"), _short(value))
        for key, value in attributes.items()
        if value != ""
    )
    inner = Markup("").join(children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inner)


def drawing(width: float, height: float, label: str, *children: str, kind: str = "", prefix: str = "") -> Markup:
    """A whole picture that scales with its place and is read aloud by its label."""
    attributes = {"class": kind, "viewBox": f"0 0 {_short(width)} {_short(height)}", "role": "img", "aria-label": label}
    body = Markup("").join(children)
    if prefix:
        body = arrowheads(prefix) + body
    return Markup("<svg{}>{}</svg>").format(
        Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in attributes.items() if value), body
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind})


def rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A rectangle."""
    return element("rect", {"x": x, "y": y, "width": width, "height": height, "class": kind})


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "") -> Markup:
    """Words at a place; anchor is start, middle or end."""
    return element("text", {"x": x, "y": y, "class": kind, "text_anchor": anchor}, words)


def circle(x: float, y: float, radius: float, kind: str) -> Markup:
    """A dot."""
    return element("circle", {"cx": x, "cy": y, "r": radius, "class": kind})


def polyline(points: list[tuple[float, float]], kind: str) -> Markup:
    """Points joined by straight lines."""
    return element("polyline", {"points": " ".join(f"{_short(x)},{_short(y)}" for x, y in points), "class": kind})


def arrow(points: list[tuple[float, float]], prefix: str, kind: str = "arrow") -> Markup:
    """A line with corners that ends in an arrowhead, on a halo so that what it crosses passes beneath."""
    places = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
    halo = element("polyline", {"points": places, "class": "halo"})
    return halo + element("polyline", {"points": places, "class": kind, "marker_end": f"url(#{prefix}-head)"})


def arrowheads(prefix: str) -> Markup:
    """The definition of the arrowhead; ids are unique in a page, so each drawing has its prefix."""
    shape = element("path", {"d": "M0 0 L8 4 L0 8 z", "class": "head"})
    marker = Markup(
        '<marker id="{}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse">{}</marker>'
    ).format(prefix, shape)
    return Markup("<defs>{}</defs>").format(marker)


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
