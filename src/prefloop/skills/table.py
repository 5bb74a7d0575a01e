"""The matrix of models and skills in words, for a terminal."""

from collections.abc import Callable

from prefloop.records.skills import Skill, Skills

LOST, WORSE, BETTER = "lost", "worse", "better"
"""Marks: beyond its limit for certain; worse, or better, for certain."""


def table(found: Skills) -> str:
    """A row for each skill, a column for each model; of later models the change from the first, with its interval."""
    heads = ["skill", "num", *(model.name for model in found.models)]
    names = dict.fromkeys(skill.name for model in found.models for skill in model.skills)
    rows = [heads]
    for name in names:
        own = [next((skill for skill in model.skills if skill.name == name), None) for model in found.models]
        num = next(skill.num for skill in own if skill is not None)
        rows.append([name, str(num), *(_cell(name, skill) for skill in own)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *_sentences(found)])


def mark(skill: Skill) -> str:
    """What is certain of its change; nothing if nothing is."""
    drop = skill.drop
    if skill.lost:
        return LOST
    if drop is None or drop.low is None or drop.high is None:
        return ""
    return WORSE if drop.low > 0 else BETTER if drop.high < 0 else ""


def _cell(name: str, skill: Skill | None) -> str:
    if skill is None:
        return "-"
    value, change = _told(name, skill.value), skill.change
    if change is None:
        return value + _ends(skill.low, skill.high, name, _told)
    moved = _signed(name, change.mean) + _ends(change.low, change.high, name, _signed)
    return f"{value} {moved} {mark(skill)}".rstrip()


def _ends(low: float | None, high: float | None, name: str, told: Callable[[str, float], str]) -> str:
    """An interval, if there is one."""
    return "" if low is None or high is None else f" [{told(name, low)}, {told(name, high)}]"


def _told(name: str, value: float) -> str:
    return f"{value:.3f}" if "_loss" in name else f"{value:.0%}"


def _signed(name: str, value: float) -> str:
    return f"{value:+.3f}" if "_loss" in name else f"{100 * value:+.0f}"


def _sentences(found: Skills) -> list[str]:
    """What was lost, model by model."""
    first, *later = found.models
    told = []
    for model in later:
        lost = [f"{skill.name} (limit {skill.limit:g})" for skill in model.skills if skill.lost]
        says = f"has lost {', '.join(lost)}" if lost else f"has lost none of {len(model.skills)} skills"
        told.append(f"{model.name} {says}, beside {first.name}.")
    return told
