"""A judge's questions about pairs, asked of an endpoint (asking/many.py) or a model in memory, and what it said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prefloop.asking.answers import Answer, Answers, Question
from prefloop.asking.many import Endpoints, Watched
from prefloop.collect.folder_judge import FolderJudge
from prefloop.collect.judge_config import JudgeConfig
from prefloop.collect.wording import Wording
from prefloop.records import Message, PairChoice


@dataclass(frozen=True)
class Pair:
    """What is asked: which of two responses to a conversation is better."""

    messages: tuple[Message, ...]
    """the conversation"""
    left: str
    """shown as A"""
    right: str
    """shown as B"""
    number: int = 0
    """of the same pair in this order the how manieth vote"""
    principle: str = ""
    """the name of that by which they are compared; empty if by none"""


@dataclass(frozen=True)
class Said:
    """What became of one question."""

    choice: PairChoice | None
    """what was answered; None if nothing that decides, as often as it was asked"""
    answer: Answer
    """the last one"""
    failures: tuple[str, ...]
    """of each answer that decided nothing why: refused, malformed or too_long"""


class Asking:
    """A judge's questions and their answers, kept as they come."""

    def __init__(self, config: JudgeConfig, wording: Wording, answers: Answers) -> None:
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

    def said(self, pair: Pair) -> Said | None:
        """What is known of a question; None if it must be asked (again)."""
        failures: list[str] = []
        for attempt in range(self._config.ask_again + 1):
            answer = self._answers.get(self._question(pair, attempt))
            if answer is None:
                return None
            found = answer.failure or self._wording.choice(answer.text)
            if found in ("left", "right", "tie"):
                return Said(found, answer, tuple(failures))
            failures.append(found)
            if found == "too_long" or attempt == self._config.ask_again:
                return Said(None, answer, tuple(failures))
        return None

    def all_said(self, pairs: Sequence[Pair]) -> list[Said]:
        """What became of all of them, in their order, once all were asked."""
        found = [self.said(pair) for pair in pairs]
        assert all(each is not None for each in found)  # they were asked
        return [each for each in found if each is not None]

    def of_folder(
        self, pairs: Sequence[Pair], load: Callable[[], FolderJudge], run: Watched, done: Callable[[int], None]
    ) -> None:
        """Asks a model in memory, which is loaded only if something is left to ask."""
        left = [self._question(pair, 0) for pair in pairs if self.said(pair) is None]
        if not left:
            return
        for batch in load().answers(left):
            for question, answer in batch:
                self._answers.add(question, answer)
            done(len(batch))
            run.stop_if_interrupted()

    def of_endpoint(self, pairs: Sequence[Pair], run: Watched, done: Callable[[int], None]) -> None:
        """Asks an endpoint, several questions at once.

        Raises: UserError if it does not answer, or a limit is reached; what was answered is kept.
        """
        left = [pair for pair in pairs if self.said(pair) is None]
        self._endpoints.ask(left, self._question, lambda pair: self.said(pair) is not None, run, done)

    def _question(self, pair: Pair, attempt: int) -> Question:
        again, principle = attempt > 0, pair.principle
        prompt = self._wording.asked(pair.messages, pair.left, pair.right, again=again, principle=principle)
        return Question(prompt, pair.number, attempt)
