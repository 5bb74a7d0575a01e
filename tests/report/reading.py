"""The page of a pipeline as its readers see it: tags, keyed numbers, text, sections."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from prefloop.report.config import ReportConfig
from prefloop.report.stage import write

VOID = {"meta", "link", "br", "img", "hr", "input"}
Write = Callable[..., Path]


class Reader(HTMLParser):
    """Checks that every tag is closed in order; keeps tags, attributes, keyed numbers and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[str, float]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        values = dict(attrs)
        self.tags.append((tag, values))
        if tag == "data" and values.get("data-key"):
            self.numbers.append((str(values["data-key"]), float(str(values["value"]))))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def report(pipeline: Path, **settings: Any) -> tuple[str, dict[str, Any]]:
    """The page and the summary of a pipeline."""
    out = pipeline.parent / "report"
    path = write(ReportConfig(pipeline=str(pipeline), out=str(out), **settings))
    assert path == out / "index.html"
    return path.read_text(encoding="utf-8"), json.loads((out / "summary.json").read_text(encoding="utf-8"))


def plain(html: str) -> str:
    """The words that a reader of the page sees, with single spaces."""
    return " ".join(" ".join(Reader(html).text).split())


def section(html: str, name: str) -> str:
    """The words of one section, or nothing if there is none."""
    _, found, rest = html.partition(f'<section id="{name}">')
    return plain(rest[: rest.index("</section>")]) if found else ""
