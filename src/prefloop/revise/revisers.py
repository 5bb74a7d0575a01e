"""Who revises: somebody of the helpdesk, or a function of yours. A model does in model_reviser.py."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.principles.reading import Principle, Principles
from prefloop.records import Prompt, Step
from prefloop.revise.config import PYTHON, SIMULATED, ReviseConfig
from prefloop.scoring.function import PythonFunction
from prefloop.scoring.named import reward_input
from prefloop.world.reviser import MENDED, SimulatedReviser

NEEDS = "it takes (prompts, drafts, names of principles) as lists of strings and returns a list of revisions"


@dataclass(frozen=True)
class Task:
    """One text to revise."""

    prompt: Prompt
    text: str
    """the draft, or the revision before"""
    principle: Principle
    place: str
    """seed, prompt and round in words: what is drawn is decided by it"""


class Reviser(Protocol):
    """Whoever revises."""

    name: str
    inputs: dict[str, str | None]
    """what the stage reads for it"""

    def steps(self, tasks: Sequence[Task], *, part: int, turn: int) -> list[Step]:
        """One revision of each text.

        Args:
            part: which part of the prompts it is.
            turn: which of the revisions in a row, from 0.

        Raises: UserError if whoever revises cannot be asked.
        """
        ...


class Simulated:
    """Somebody of the helpdesk: knows its prompts only."""

    def __init__(self, config: ReviseConfig, principles: Principles) -> None:
        """Raises: UserError if a principle has no tag that tells what it is about."""
        for name in principles.names:
            tags = principles.tags_of(name)
            if not {*tags} & {*MENDED}:
                raise UserError(
                    f"by=simulated: the principle {name!r} has none of the tags {', '.join(MENDED)}, by which the "
                    "simulated reviser knows what it is about. Give it one, or let a model revise (by=model)."
                )
        self._reviser = SimulatedReviser(config.skill)
        self.name, self.inputs = SIMULATED, dict[str, str | None]()

    def steps(self, tasks: Sequence[Task], *, part: int, turn: int) -> list[Step]:
        """See `Reviser`."""
        steps = []
        for task in tasks:
            rng = random.Random(f"revise {task.place}")
            critique, text = self._reviser.revised(task.prompt.text, task.text, task.principle.tags, rng)
            steps.append(_step(task, critique, text))
        return steps


class Function:
    """A Python function of (prompts, drafts, names of principles)."""

    def __init__(self, config: ReviseConfig) -> None:
        """Raises: UserError if there is no such file or function."""
        spec = config.by.removeprefix(PYTHON)
        self._function = PythonFunction(
            spec, needs=NEEDS, each="text", arguments=3, seconds=config.reviser_seconds, setting="reviser_seconds"
        )
        file = reward_input(config.by)
        self.name = f"{PYTHON}{spec.rpartition('/')[2]} {fingerprints.of_path(file)[:12]}"
        self.inputs: dict[str, str | None] = {"by": file}

    def steps(self, tasks: Sequence[Task], *, part: int, turn: int) -> list[Step]:
        """See `Reviser`."""
        columns = ([t.prompt.text for t in tasks], [t.text for t in tasks], [t.principle.name for t in tasks])
        texts = self._function.listed(*columns)
        wrong = next((text for text in texts if not isinstance(text, str)), None)
        if wrong is not None or len(texts) != len(tasks):
            found = f"{len(texts)} texts for {len(tasks)} drafts" if wrong is None else repr(wrong)[:60]
            raise UserError(f"{self._function.name}: returned {found}; return one text for each draft.")
        return [_step(task, "", text) for task, text in zip(tasks, texts, strict=True)]


def _step(task: Task, critique: str, text: str) -> Step:
    why = "" if text.strip() else "empty"
    return Step(
        principle=task.principle.name, critique=critique, revision=text, failure=why, failures=(why,) if why else ()
    )
