"""A model revises: it is asked for a critique by a principle, and then for a revision that follows the critique.

At an endpoint every answer is kept as it comes (asking/), so that nothing is asked twice; a model in memory writes a
whole part again if it was stopped in its middle, with the same random numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prefloop import layout
from prefloop.asking.answers import Answer, Answers, Question
from prefloop.asking.many import Endpoints
from prefloop.asking.spoken import Language
from prefloop.files import fingerprints
from prefloop.models.load import model_folder, writer
from prefloop.models.network import Network
from prefloop.principles.reading import Principles
from prefloop.records import Message, Step
from prefloop.revise.config import ReviseConfig, ReviserConfig
from prefloop.revise.revisers import Task
from prefloop.revise.wording import AGAIN, cleaned, critique_asked, revision_asked, unusable
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig

CRITIQUE, REVISION = 0, 1
"""What is asked for."""


@dataclass(frozen=True)
class Heard:
    """What became of one question."""

    text: str
    """the last answer as it was said, or cleaned if it can be used"""
    failures: tuple[str, ...]
    """of each answer that cannot be used why"""
    failure: str
    """why there is none to use; empty if there is"""


@dataclass(frozen=True)
class Asked:
    """A question to be settled."""

    number: int
    """its place among those asked together"""
    words: str
    again: str
    """what is added when it is asked again"""
    kind: int

    def question(self, attempt: int) -> Question:
        """It, or a reminder of it."""
        return Question(self.words + self.again if attempt else self.words, attempt=attempt)


class ModelReviser:
    """The model that `reviser` names, or the one that writes the drafts."""

    def __init__(self, config: ReviseConfig, principles: Principles) -> None:
        """Raises: UserError if there is no such folder, or its model cannot write."""
        self._config, self._principles = config, principles
        self._reviser = config.reviser or ReviserConfig()
        self._folder = self._reviser.model or config.model
        self._run: Run | None = None
        self._network: Callable[[str], Network] | None = None
        self._endpoints: Endpoints | None = None
        self._answers: Answers | None = None
        self.inputs: dict[str, str | None] = {}
        if self._reviser.base_url is None:
            writer(model_folder(self._folder), template=config.template)
            self._known_as = fingerprints.of_path(model_folder(self._folder))
            own = self._folder == config.model
            self.inputs = {} if own else {"reviser.model": model_folder(self._folder)}
        else:
            self._known_as = self._folder
        self.name = f"model:{self._known_as}"

    def begin(self, run: Run, network: Callable[[str], Network]) -> None:
        """Where answers are kept, and who gives the model of a folder."""
        self._run, self._network = run, network
        if self._reviser.base_url is not None:
            drawn = {
                "model": self._known_as,
                "temperature": self._reviser.temperature,
                "max_new_tokens": self._reviser.max_new_tokens,
            }
            self._answers = Answers(run.folder / layout.ASKED, drawn)
            self._endpoints = Endpoints(self._reviser, self._known_as, self._answers)

    @property
    def requests(self) -> int | None:
        """Requests sent, those of earlier sessions included; None for a model in memory."""
        return None if self._answers is None else self._answers.requests

    @property
    def cost(self) -> float | None:
        """What its answers cost; None for a model in memory."""
        return None if self._endpoints is None else self._endpoints.cost

    def steps(self, tasks: Sequence[Task], *, part: int, turn: int) -> list[Step]:
        """See `Reviser`: a critique of each, and a revision of each that has one."""
        languages: list[Language] = [self._principles.language_for(task.prompt.messages) for task in tasks]
        asked = [
            critique_asked(t.prompt.messages, t.text, t.principle, w) for t, w in zip(tasks, languages, strict=True)
        ]
        again = [AGAIN[language] for language in languages]
        critiques = self._heard(asked, again, CRITIQUE, part, turn)
        whole = [i for i, critique in enumerate(critiques) if not critique.failure]
        asked = [
            revision_asked(tasks[i].prompt.messages, tasks[i].text, critiques[i].text, tasks[i].principle, languages[i])
            for i in whole
        ]
        revisions = dict(zip(whole, self._heard(asked, [again[i] for i in whole], REVISION, part, turn), strict=True))
        steps = []
        for i, (task, critique) in enumerate(zip(tasks, critiques, strict=True)):
            revision = revisions.get(i)
            last = revision or critique
            steps.append(
                Step(
                    principle=task.principle.name,
                    critique=critique.text,
                    revision=revision.text if revision else "",
                    failures=(*critique.failures, *(revision.failures if revision else ())),
                    failure=last.failure,
                )
            )
        return steps

    def _heard(self, words: Sequence[str], again: Sequence[str], kind: int, part: int, turn: int) -> list[Heard]:
        """What became of each question, once all were asked."""
        things = [Asked(i, text, more, kind) for i, (text, more) in enumerate(zip(words, again, strict=True))]
        if self._endpoints is not None and self._answers is not None and self._run is not None:
            known = self._answers.get
            left = [thing for thing in things if self._settled(thing, known) is None]
            self._endpoints.ask(
                left, Asked.question, lambda thing: self._settled(thing, known) is not None, self._run, lambda num: None
            )
        else:
            known = self._written(things, seed_of(self._config.seed, "revise.answers", part, turn, kind)).get
        found = [self._settled(thing, known) for thing in things]
        assert all(heard is not None for heard in found)  # they were asked
        return [heard for heard in found if heard is not None]

    def _settled(self, thing: Asked, known: Callable[[Question], Answer | None]) -> Heard | None:
        """What the answers that are known make of a question; None if it must be asked (again)."""
        failures: list[str] = []
        for attempt in range(self._reviser.ask_again + 1):
            answer = known(thing.question(attempt))
            if answer is None:
                return None
            why = answer.failure or unusable(answer.text, critique=thing.kind == CRITIQUE)
            if not why and not answer.finished and thing.kind == REVISION:
                why = "unfinished"
            if not why:
                return Heard(cleaned(answer.text), tuple(failures), "")
            failures.append(why)
            if why == "too_long" or attempt == self._reviser.ask_again:
                return Heard(answer.text, tuple(failures), why)
        return None

    def _written(self, things: Sequence[Asked], place: int) -> dict[Question, Answer]:
        """What the model in memory answers, asked again as often as is allowed."""
        known: dict[Question, Answer] = {}
        for attempt in range(self._reviser.ask_again + 1):
            left = [thing for thing in things if self._settled(thing, known.get) is None]
            questions = [thing.question(attempt) for thing in left]
            known |= self._sampled(questions, seed_of(place, "revise.answers", attempt))
        return known

    def _sampled(self, questions: Sequence[Question], place: int) -> dict[Question, Answer]:
        if not questions:
            return {}
        assert self._network is not None  # begin() was called
        network, room = self._network(self._folder), self._reviser.max_new_tokens
        prompts = network.codec.prompts([[Message(role="user", content=q.prompt)] for q in questions])
        fits = [i for i, ids in enumerate(prompts) if len(ids) + room <= network.codec.context]
        settings = SamplingConfig(
            temperature=self._reviser.temperature, max_new_tokens=room, cache_tokens=self._config.cache_tokens
        )
        sampled = InProcess(network).sample([prompts[i] for i in fits], settings, place) if fits else []
        answers = {
            i: Answer(network.codec.decode(s.tokens), None, len(prompts[i]), len(s.tokens), finished=s.finished)
            for i, s in zip(fits, sampled, strict=True)
        }
        long = {i: Answer("", None, len(ids), failure="too_long") for i, ids in enumerate(prompts)}
        return {question: (long | answers)[i] for i, question in enumerate(questions)}
