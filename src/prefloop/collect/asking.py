"""Asking many questions at once: bounded in number, in requests and in cost, and in an order that does not matter."""

import hashlib
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from prefloop.collect.answers import Answer, Answers, Question
from prefloop.collect.endpoint import Endpoint
from prefloop.collect.folder_judge import FolderJudge
from prefloop.collect.judge_config import JudgeConfig
from prefloop.collect.wording import Failure
from prefloop.errors import UserError

FAILURES = ("refused", "malformed", "too_long")
"""What an answer is called that decides nothing."""
LOOK_EVERY = 0.2
"""Seconds between two looks whether somebody asked to stop."""


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


class Watched(Protocol):
    """What a run offers to whoever works for long."""

    def stop_if_interrupted(self) -> None:
        """Raises: KeyboardInterrupt once somebody asked to stop."""
        ...


class Asking(Generic[Q, T]):
    """A judge's questions and their answers, kept as they come."""

    def __init__(self, config: JudgeConfig, wording: Words[Q, T], answers: Answers) -> None:
        self._config, self._wording, self._answers = config, wording, answers
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._sent = answers.requests

    @property
    def requests(self) -> int:
        """Requests behind the answers, those of earlier sessions included."""
        return self._answers.requests

    @property
    def cost(self) -> float:
        """What the answers cost."""
        read, wrote = self._answers.num_prompt, self._answers.num_response
        return (read * self._config.price_prompt + wrote * self._config.price_response) / 1000

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
        endpoint = Endpoint(self._config, stopped=self._stopped, allowed=self._allowed)
        waiting = iter([each for each in asked if self.said(each) is None])
        with ThreadPoolExecutor(self._config.concurrency) as pool:

            def more(num: int) -> set[Future[None]]:
                return {pool.submit(self._settle, each, endpoint) for each in itertools.islice(waiting, num)}

            try:
                under_way = more(self._config.concurrency)
                while under_way:
                    ended, under_way = wait(under_way, LOOK_EVERY, FIRST_COMPLETED)
                    for each in ended:
                        each.result()
                    done(len(ended))
                    run.stop_if_interrupted()
                    under_way |= more(len(ended))
            finally:
                self._stopped.set()  # what is under way is waited for, since it is paid for; nothing new is sent

    def _settle(self, asked: Q, endpoint: Endpoint) -> None:
        """Asks until there is an answer that decides, or it was asked as often as is allowed."""
        for attempt in range(self._config.ask_again + 1):
            question = self._question(asked, attempt)
            if self._answers.get(question) is None:
                if self._stopped.is_set():
                    return
                if attempt:
                    self._stopped.wait(min(self._config.backoff * 2 ** (attempt - 1), 60.0))
                answer = endpoint.answer(question, self._seed(question))
                if self._config.max_cost is not None and not (answer.failure or answer.num_prompt):
                    raise UserError(
                        f"{endpoint.url}: the judge does not say how many tokens it took (`usage`), so that max_cost "
                        "cannot be kept. Set max_calls instead."
                    )
                if self._config.soft and not (answer.failure or answer.logprobs):
                    raise UserError(
                        f"{endpoint.url}: the judge does not tell how likely its words are (`logprobs`). Leave "
                        "judge.soft out, or take several votes."
                    )
                self._answers.add(question, answer)
            if self.said(asked) is not None:
                return

    def _question(self, asked: Q, attempt: int) -> Question:
        return Question(self._wording.prompt(asked, again=attempt > 0), asked.number, attempt)

    def _allowed(self) -> None:
        """Counts a request that is about to be sent. Raises: UserError if it is one too many."""
        limit, most = self._config.max_calls, self._config.max_cost
        with self._lock:
            if limit is not None and self._sent >= limit:
                raise UserError(
                    f"the judge was sent {self._sent} requests, which is judge.max_calls. What was answered is kept: "
                    "raise it, and the same command goes on from there."
                )
            if most is not None and self.cost >= most:
                raise UserError(
                    f"the judge's answers cost {self.cost:.4g}, and judge.max_cost is {most:g}. What was answered is "
                    "kept: raise it, and the same command goes on from there."
                )
            self._sent += 1

    @staticmethod
    def _seed(question: Question) -> int:
        """Decided by the words and the vote, so that votes differ and a run can be done again."""
        text = f"{question.number} {question.attempt} {question.prompt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
