"""Whether a response is what a task asked for: by a program, and exactly."""

import json

from prefloop.records.skills import Checks, Task
from prefloop.skills import helpdesk

STOPS = ".。!！"
"""What may stand behind a last word."""


def right(task: Task, response: str) -> bool:
    """Whether a response keeps all checks of its task. Args: task: one with checks."""
    assert task.checks is not None  # the others are told by likelihood
    checks, text = task.checks, response.strip()
    kept = _words(checks, text) and _form(checks, text) and _lines(checks, text)
    return kept and (checks.world is None or helpdesk.holds(checks.world, task.prompt, text))


def _words(checks: Checks, text: str) -> bool:
    """What stands in it."""
    low, last = text.lower(), text.lower().rstrip(STOPS).rstrip()
    return (
        (not checks.equals or last in {one.lower().rstrip(STOPS) for one in checks.equals})
        and all(one.lower() in low for one in checks.contains)
        and not any(one.lower() in low for one in checks.lacks)
        and (checks.begins is None or low.startswith(checks.begins.lower()))
        and (checks.ends is None or last.endswith(checks.ends.lower().rstrip(STOPS)))
    )


def _form(checks: Checks, text: str) -> bool:
    """How long it is, and in what letters."""
    words, characters = len(text.split()), sum(one.isalnum() for one in text)
    return (
        checks.words in (None, words)
        and (checks.most_words is None or 1 <= words <= checks.most_words)
        and checks.characters in (None, characters)
        and (checks.most_characters is None or 1 <= characters <= checks.most_characters)
        and (not checks.capitals or text.isupper())
        and (not checks.small or text.islower())
        and (not checks.digits or text.isdecimal())
    )


def _lines(checks: Checks, text: str) -> bool:
    """Its lines, and whether it is the JSON that was asked for."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if checks.lines not in (None, len(lines)):
        return False
    if checks.begun is not None and not (lines and all(line.startswith(checks.begun.strip()) for line in lines)):
        return False
    return not checks.json_keys or _keys(text) == {*checks.json_keys}


def _keys(text: str) -> set[str] | None:
    """The keys of a JSON object; None if the text is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return {*value} if isinstance(value, dict) else None
