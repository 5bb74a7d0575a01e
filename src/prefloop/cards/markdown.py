"""Markdown: a table, a list, and the YAML that stands before a card of the Hugging Face hub."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from prefloop.printing import printable


def front(values: Mapping[str, Any]) -> list[str]:
    """Lines of YAML between two rules; what is empty is left out."""
    given = {key: value for key, value in values.items() if value}
    return ["---", *yaml.safe_dump(given, sort_keys=False, allow_unicode=True).splitlines(), "---", ""]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, and an empty one."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""]


def cell(text: str) -> str:
    """Text that cannot end the cell or the line that it stands in, nor steer a terminal."""
    return printable(" ".join(text.split())).replace("|", "\\|")


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Lines under a heading; without lines neither."""
    return [f"## {title}", "", *lines, *([""] if lines[-1] else [])] if lines else []
