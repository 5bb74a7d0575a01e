"""Asking an endpoint many questions at once: bounded in number, in requests and in cost, in an order that does not
matter. Every answer is kept as it comes, so that whoever goes on asks nothing twice.
"""

import hashlib
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

from prefloop.asking.answers import Answers, Question
from prefloop.asking.config import AskedConfig
from prefloop.asking.endpoint import Endpoint
from prefloop.errors import UserError

T = TypeVar("T")
LOOK_EVERY = 0.2
"""Seconds between two looks whether somebody asked to stop."""


class Watched(Protocol):
    """What a run offers to whoever works for long."""

    def stop_if_interrupted(self) -> None:
        """Raises: KeyboardInterrupt once somebody asked to stop."""
        ...


class Endpoints:
    """What one run asks an endpoint, within its limits."""

    def __init__(self, config: AskedConfig, model: str, answers: Answers, *, logprobs: bool = False) -> None:
        """Args: model: its name there. logprobs: whether it must tell how likely its words are."""
        self._config, self._model, self._answers, self._logprobs = config, model, answers, logprobs
        self._sent, self._lock = answers.requests, threading.Lock()

    @property
    def cost(self) -> float:
        """What the answers cost, those of earlier sessions included."""
        return self._config.cost(self._answers.num_prompt, self._answers.num_response)

    def ask(
        self,
        things: Sequence[T],
        question: Callable[[T, int], Question],
        settled: Callable[[T], bool],
        run: Watched,
        done: Callable[[int], None],
    ) -> None:
        """Asks about each thing until it is settled, or was asked about as often as is allowed.

        Args:
            things: what is asked about, none of them settled.
            question: of a thing, and of how often it was asked about before, the question.
            settled: whether the answers that are kept settle a thing.
            done: told how many things came to their end.

        Raises: UserError if the endpoint does not answer, or a limit is reached; what was answered is kept.
        """
        once = {question(thing, 0): thing for thing in reversed(things)}  # equal questions have one answer
        stopped, waiting = threading.Event(), iter([*once.values()][::-1])
        done(len(things) - len(once))
        endpoint = Endpoint(self._config, self._model, stopped=stopped, allowed=self._allowed, logprobs=self._logprobs)
        with ThreadPoolExecutor(self._config.concurrency) as pool:

            def more(num: int) -> set[Future[None]]:
                few = itertools.islice(waiting, num)
                return {pool.submit(self._settle, endpoint, stopped, thing, question, settled) for thing in few}

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
                stopped.set()  # what is under way is waited for, since it is paid for; nothing new is sent

    def _settle(
        self,
        endpoint: Endpoint,
        stopped: threading.Event,
        thing: T,
        question: Callable[[T, int], Question],
        settled: Callable[[T], bool],
    ) -> None:
        for attempt in range(self._config.ask_again + 1):
            asked = question(thing, attempt)
            if self._answers.get(asked) is None:
                if stopped.is_set():
                    return
                if attempt:
                    stopped.wait(min(self._config.backoff * 2 ** (attempt - 1), 60.0))
                if stopped.is_set():
                    return
                self._ask(endpoint, asked)
            if settled(thing):
                return

    def _ask(self, endpoint: Endpoint, question: Question) -> None:
        """Keeps its answer. Raises: UserError if that does not tell what it must."""
        word, answer = self._config.WORD, endpoint.answer(question, _seed(question))
        if self._config.max_cost is not None and not (answer.failure or answer.num_prompt):
            raise UserError(
                f"{endpoint.url}: the {word} does not say how many tokens it took (`usage`), so that max_cost cannot "
                "be kept. Set max_calls instead."
            )
        if self._logprobs and not (answer.failure or answer.logprobs):
            raise UserError(
                f"{endpoint.url}: the {word} does not tell how likely its words are (`logprobs`). Leave {word}.soft "
                "out, or take several votes."
            )
        self._answers.add(question, answer)

    def _allowed(self) -> None:
        """Counts a request that is about to be sent. Raises: UserError if it is one too many."""
        word, limit, most = self._config.WORD, self._config.max_calls, self._config.max_cost
        with self._lock:
            if limit is not None and self._sent >= limit:
                raise UserError(
                    f"the {word} was sent {self._sent} requests, which is {word}.max_calls. What was answered is "
                    "kept: raise it, and the same command goes on from there."
                )
            if most is not None and self.cost >= most:
                raise UserError(
                    f"the {word}'s answers cost {self.cost:.4g}, and {word}.max_cost is {most:g}. What was answered "
                    "is kept: raise it, and the same command goes on from there."
                )
            self._sent += 1


def _seed(question: Question) -> int:
    """Decided by the words and the vote, so that votes differ and a run can be done again."""
    text = f"{question.number} {question.attempt} {question.prompt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
