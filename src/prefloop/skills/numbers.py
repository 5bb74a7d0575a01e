"""Arithmetic on what was measured: a skill's value, its change on the same items, and intervals."""

from collections.abc import Sequence

from prefloop.records import Task
from prefloop.records.evaluations import Interval
from prefloop.records.skills import BYTE_LOSS, TOKEN_LOSS, Answered, Skill
from prefloop.signs import of_skill
from prefloop.skills.measure import Loss
from prefloop.stats.intervals import mean_interval, ratio_interval, share_interval

CONFIDENCE = 0.95


def of_loss(ending: str, own: Sequence[Loss], first: Sequence[Loss] | None) -> list[Skill]:
    """Nats per token and per byte of the texts. A text is one draw, however long; its change is of the same text.

    Args:
        ending: of the skills' names.
        first: what the first model has; None for itself.

    Returns: without the loss per token where the first model cuts the texts into other tokens.
    """
    same = first is None or [each.tokens for each in own] == [each.tokens for each in first]
    units = {TOKEN_LOSS: [each.tokens for each in own]} if same else {}
    units[BYTE_LOSS] = [each.bytes for each in own]
    nats = [each.nats for each in own]
    gains = None if first is None else [mine.nats - theirs.nats for mine, theirs in zip(own, first, strict=True)]
    skills = []
    for name, sizes in units.items():
        value = _ratio(nats, sizes)
        change = None if gains is None else _ratio(gains, sizes)
        skills.append(
            Skill(name=f"{name}{ending}", num=len(own), value=value.mean, low=value.low, high=value.high, change=change)
        )
    return skills


def _ratio(totals: Sequence[float], sizes: Sequence[int]) -> Interval:
    low, high = ratio_interval(totals, sizes, confidence=CONFIDENCE) if len(totals) > 1 else (None, None)
    return Interval(mean=sum(totals) / sum(sizes), low=low, high=high)


def of_tasks(tasks: Sequence[Task], own: Sequence[Answered], first: Sequence[Answered] | None) -> list[Skill]:
    """The share of each skill's tasks that are right, in the order of the tasks; tasks of one prompt hang together.

    Args:
        first: what the first model made of them; None for itself.
    """
    mine = {row.task: row.right for row in own}
    theirs = None if first is None else {row.task: row.right for row in first}
    skills = []
    for name in dict.fromkeys(task.skill for task in tasks):
        some = [task for task in tasks if task.skill == name]
        prompts, values = [task.prompt for task in some], [mine[task.id] for task in some]
        several = len(set(prompts)) > 1
        low, high = share_interval(values, prompts, confidence=CONFIDENCE) if several else (None, None)
        change = None
        if theirs is not None:
            gains = [mine[task.id] - theirs[task.id] for task in some]
            ends = mean_interval(gains, confidence=CONFIDENCE, clusters=prompts) if several else (None, None)
            change = Interval(mean=sum(gains) / len(gains), low=ends[0], high=ends[1])
        skills.append(
            Skill(name=name, num=len(some), value=sum(values) / len(values), low=low, high=high, change=change)
        )
    return skills


def compared(skill: Skill, limit: float) -> Skill:
    """The skill of a later model with its limit, and whether it was lost."""
    drop = skill.drop
    if drop is None:
        return skill
    found = of_skill(skill.name, drop=drop.mean, low=drop.low, most=limit)
    return skill.model_copy(update={"limit": limit, "lost": found.level == "alarm"})
