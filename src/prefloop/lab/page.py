"""The page."""
from collections.abc import Sequence
from pathlib import Path

from prefloop import layout
from prefloop.records.overopt import Lab


def write(found: Lab, folder: Path) -> Path:
    return folder / layout.PAGE
def lines(found: Lab) -> Sequence[str]:
    return []
def verdict(found: Lab, language: str) -> list[str]:
    return []
def alarms(found: Lab, language: str) -> list[str]:
    return []
