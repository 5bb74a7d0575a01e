"""A judge's questions, in any form, asked of an endpoint (asking/many.py) or a model in memory, and what it said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from prefloop.asking.answers import Answer, Answers, Question
from prefloop.asking.many import Endpoints, Watched
from prefloop.collect.folder_judge import FolderJudge
from prefloop.collect.judge_config import JudgeConfig
from prefloop.collect.wording import Failure

FAILURES = ("refused", "malformed", "too_long")
"""What an answer is called that decides nothing."""


class Asked(Protocol):
    """What is asked of a judge, in whatever form."""

    @property
    def number(self) -> int:
        """Of the same question the how manieth vote."""
        ...


Q = TypeVar("Q", bound=Asked)
T = TypeVar("T")
Q_contra = TypeVar("Q_contra", bound=Asked, contravariant=True)
T_co = TypeVar("T_co", covariant=True)


class Words(Protocol[Q_contra, T_co]):
    """In which words something is asked, and what an answer means."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of every word that does not come from the data."""
        ...

    def prompt(self, asked: Q_contra, *, again: bool) -> str:
        """The words. Args: again: it was asked before, and gave no answer that is allowed."""
        ...

    def meaning(self, asked: Q_contra, answer: str) -> T_co | Failure:
        """What an answer to it means, taken strictly."""
        ...


@dataclass(frozen=True)
class Said(Generic[T]):
    """What became of one question."""

    choice: T | None
    """what was answered; None if nothing that decides, as often as it was asked"""
    answer: Answer
    """the last one"""
    failures: tuple[str, ...]
    """of each answer that decided nothing why: refused, malformed or too_long"""


class Asking(Generic[Q, T]):
    """A judge's questions and their answers, kept as they come."""

    def __init__(self, config: JudgeConfig, wording: Words[Q, T], answers: Answers) -> None:
        self._config, self._wording, self._answers = config, wording, answers
        self._endpoints = Endpoints(config, config.model, answers, logprobs=config.soft)

    @property
    def requests(self) -> int:
        """Requests behind the answers, those of earlier sessions included."""
        return self._answers.requests

    @property
    def cost(self) -> float:
        """What the answers cost."""
        return self._endpoints.cost

    def said(self, asked: Q) -> Said[T] | None:
        """What is known of a question; None if it must be asked (again)."""
        failures: list[str] = []
        for attempt in range(self._config.ask_again + 1):
            answer = self._answers.get(self._question(asked, attempt))
            if answer is None:
                return None
            found: Any = answer.failure or self._wording.meaning(asked, answer.text)
            if found not in FAILURES:
                return Said(cast(T, found), answer, tuple(failures))
            failures.append(found)
            if found == "too_long" or attempt == self._config.ask_again:
                return Said(None, answer, tuple(failures))
        return None

    def all_said(self, asked: Sequence[Q]) -> list[Said[T]]:
        """What became of all of them, in their order, once all were asked."""
        found = [self.said(each) for each in asked]
        assert all(each is not None for each in found)  # they were asked
        return [each for each in found if each is not None]

    def of_folder(
        self, asked: Sequence[Q], load: Callable[[], FolderJudge], run: Watched, done: Callable[[int], None]
    ) -> None:
        """Asks a model in memory, which is loaded only if something is left to ask."""
        left = [self._question(each, 0) for each in asked if self.said(each) is None]
        if not left:
            return
        for batch in load().answers(left):
            for question, answer in batch:
                self._answers.add(question, answer)
            done(len(batch))
            run.stop_if_interrupted()

    def of_endpoint(self, asked: Sequence[Q], run: Watched, done: Callable[[int], None]) -> None:
        """Asks an endpoint, several questions at once.

        Raises: UserError if it does not answer, or a limit is reached; what was answered is kept.
        """
        left = [each for each in asked if self.said(each) is None]
        self._endpoints.ask(left, self._question, lambda each: self.said(each) is not None, run, done)

    def _question(self, asked: Q, attempt: int) -> Question:
        return Question(self._wording.prompt(asked, again=attempt > 0), asked.number, attempt)
