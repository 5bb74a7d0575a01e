"""How a number is written: one rule per kind, a dash for what was not measured."""

from typing import Literal

from markupsafe import Markup

from prefloop.records.evaluations import Measured, bounds, mean

Kind = Literal["share", "nats", "tokens", "count", "plain", "megabytes", "seconds", "minutes"]
MISSING = "–"


def written(value: float | None, kind: Kind = "plain", *, size: float | None = None) -> str:
    """The number as a reader sees it: shares as percent, times in hours, minutes and seconds.

    Shares below a tenth keep a decimal, so that 0.4 % is not shown as nothing. `size` is the largest number that
    stands beside it: plain numbers that stand together have the same decimals.
    """
    if value is None:
        return MISSING
    if kind == "share":
        return f"{_share(value)}%"
    if kind == "seconds":
        return duration(value)
    if kind == "minutes":
        return duration(value) if value < 60 or value >= 3570 else f"{round(value / 60)} m"
    if kind == "count":
        return _minus(f"{value:,.0f}")
    if kind == "megabytes":
        return f"{value / 1024:.1f} GiB" if value >= 1024 else f"{value:.0f} MiB"
    if kind in ("nats", "tokens"):
        few = kind == "nats" and 0 < (abs(value) if size is None else size) < 0.95
        return _minus(f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if few else f"{value:.1f}")
    return _plain(value, abs(value) if size is None else size)


def bracket(measured: Measured, kind: Kind = "plain", *, size: float | None = None) -> str:
    """[low, high] without units, or nothing. Args: size: as of `written`; that of the largest of them if left out."""
    ends = [written(end, kind, size=size or _size(measured)).removesuffix("%") for end in bounds(measured) or ()]
    return f"[{', '.join(ends)}]" if ends else ""


def _size(measured: Measured) -> float | None:
    value = mean(measured)
    return None if value is None else max(abs(each) for each in (value, *(bounds(measured) or ())))


def duration(seconds: float) -> str:
    """Seconds as 12 s, 3 m 20 s or 1 h 05 m."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"


def figure(value: float | None, kind: Kind = "plain", key: str = "", *, size: float | None = None) -> Markup:
    """A number for the page: what the reader sees, carrying its exact value; `key` is its place in summary.json."""
    if value is None:
        return Markup('<span class="none">{}</span>').format(MISSING)
    name = Markup(' data-key="{}"').format(key) if key else Markup("")
    return Markup('<data value="{}"{}>{}</data>').format(repr(float(value)), name, written(value, kind, size=size))


def estimate(measured: Measured, kind: Kind = "plain", key: str = "", *, size: float | None = None) -> Markup:
    """A number for the page with its interval behind it. Args: size: as of `bracket`."""
    ends = bracket(measured, kind, size=size)
    interval = Markup(' <span class="interval">{}</span>').format(ends) if ends else Markup("")
    return figure(mean(measured), kind, key, size=size or _size(measured)) + interval


def in_words(measured: Measured, kind: Kind = "plain") -> str:
    """A number with its interval for a sentence: 83% [80, 86]."""
    return f"{written(mean(measured), kind, size=_size(measured))} {bracket(measured, kind)}".strip()


def _share(value: float) -> str:
    percent = 100 * value
    edge = 0 < abs(percent) < 10 or 99 < percent < 100
    return _minus(f"{percent:.1f}" if edge else f"{percent:.0f}")


def _plain(value: float, size: float) -> str:
    if size >= 1000:
        return _minus(f"{value:,.0f}")
    if 0 < size < 0.001:
        return _minus(f"{value:.1e}")
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or not size else 3
    return _minus(f"{value:.{digits}f}")


def _minus(text: str) -> str:
    return "−" + text[1:] if text.startswith("-") and any(c in "123456789" for c in text) else text.removeprefix("-")
