"""Suites of tasks: those that come with prefloop, by their names, and files."""

from collections import Counter
from importlib import resources
from pathlib import Path

from prefloop.errors import UserError
from prefloop.files.tables import read_records
from prefloop.records.skills import Task
from prefloop.skills import helpdesk
from prefloop.skills.config import SkillsConfig

HELPDESK, SMALL = "helpdesk", "small"
NAMED = (HELPDESK, SMALL)


def tasks_of(config: SkillsConfig) -> list[Task]:
    """The tasks of a suite, `num_tasks` of each skill at most; none without a suite. Raises: UserError."""
    if config.suite is None:
        return []
    if config.suite == HELPDESK:
        return helpdesk.tasks(config.num_tasks, language=config.language, seed=config.seed)
    every = read_records(file_of(config.suite), Task)
    most, seen = config.num_tasks or len(every), Counter[str]()
    kept = []
    for task in every:
        seen[task.skill] += 1
        kept += [task] if seen[task.skill] <= most else []
    return kept


def file_of(suite: str) -> str:
    """The file of a suite. Raises: UserError if there is none."""
    if suite == SMALL:
        return str(resources.files("prefloop.skills") / "small.jsonl")
    if not Path(suite).is_file():
        raise UserError(
            f"suite={suite}: there is no such file, and no suite of that name comes with prefloop. Give a file of "
            f"tasks, or {' or '.join(NAMED)}."
        )
    return suite
