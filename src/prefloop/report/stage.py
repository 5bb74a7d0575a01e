"""Writes the report. Reads a pipeline folder; writes OUT/index.html and OUT/summary.json; imports no other stage."""

import json
from pathlib import Path

from prefloop import layout
from prefloop.drawing.pages import visible
from prefloop.files.atomic import write_text
from prefloop.files.outputs import output
from prefloop.report.config import ReportConfig
from prefloop.report.page import page
from prefloop.report.pipeline import read
from prefloop.report.summary import summary

ELSEWHERE = "Choose another folder with out=DIR."


def write(config: ReportConfig) -> Path:
    """Writes both files, each whole or not at all. Returns the path of the page.

    Raises: UserError if the folder is no pipeline or a file in it is damaged.
    """
    pipeline, out = read(config.pipeline), Path(config.out)
    totals = summary(pipeline)
    html = page(pipeline, totals, config.language, config.title, out=out)
    numbers = json.dumps(totals.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    with (
        output(out / layout.SUMMARY, otherwise=ELSEWHERE) as of_numbers,
        output(out / layout.PAGE, otherwise=ELSEWHERE) as of_page,
    ):
        write_text(of_numbers, visible(numbers) + "\n")
        write_text(of_page, html)
    return out / layout.PAGE
