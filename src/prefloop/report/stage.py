"""Writes the report. Reads a pipeline folder; writes OUT/index.html and OUT/summary.json; imports no other stage."""

from pathlib import Path

from prefloop import layout
from prefloop.files import atomic
from prefloop.report import pipeline
from prefloop.report.config import ReportConfig
from prefloop.report.page import page
from prefloop.report.summary import summary


def write(config: ReportConfig) -> Path:
    """Writes both files, each whole or not at all. Returns the path of the page.

    Raises: UserError if the folder is no pipeline or a file in it is damaged.
    """
    found = pipeline.read(config.pipeline)
    out = Path(config.out)
    html = page(found, config.language, config.title)
    atomic.write_json(out / layout.SUMMARY, summary(found))
    atomic.write_text(out / layout.PAGE, html)
    return out / layout.PAGE
