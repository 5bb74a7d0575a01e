"""A model rates: each response by itself, on every axis, from 1 to 5; of a prompt's responses it is one judgement.

An endpoint is asked for all axes at once, and its answer is read strictly. A folder is asked for one axis at a time,
and how likely it finds 1 to 5 decides: the likeliest, or with soft=true what is to be expected. A response that was not
rated on every axis is left out. What it is worth is measured beside it: does it tell responses apart, does length
decide, and does it put them in people's order?
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prefloop import layout
from prefloop.asking.answers import Answer
from prefloop.collect.asker import Asker, counts, inputs_of, told
from prefloop.collect.asking import Asking
from prefloop.collect.audit import CONFIDENCE, Choices, audited, compared_with, simulated
from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import SIMULATED
from prefloop.collect.rating_wording import LEVELS, Alone, RatingWording
from prefloop.collect.wording import Pair, rubric_of
from prefloop.errors import UserError
from prefloop.records import Comparison, Judgement, Machine, Message, PairChoice, Rated, spoken
from prefloop.run import Run
from prefloop.stats import judges

Marks = Mapping[str, int]
TURNED: dict[PairChoice, PairChoice] = {"left": "right", "right": "left", "tie": "tie"}
"""A choice, and the same with the sides changed."""


@dataclass(frozen=True)
class Rating:
    """What a judge said of one response, on all axes."""

    marks: Marks
    """axis -> rating"""
    expected: Mapping[str, float] | None
    """axis -> what is to be expected by the likelihoods, where they are asked for"""
    answer: str
    """word by word"""

    @property
    def told(self) -> Mapping[str, float]:
        """The marks that are learned from."""
        return self.marks if self.expected is None else self.expected


class RatingJudge:
    """The model that `judge` names, as an annotator who rates."""

    def __init__(self, config: CollectConfig) -> None:
        """Reads what it needs to be asked. Raises: UserError if the rubric, the audit or a folder cannot be used."""
        assert config.judge is not None  # by=model has it
        self._config, self._judge = config, config.judge
        self.wording = RatingWording(rubric_of(self._judge.rubric))
        self._compared = compared_with(config)
        self._asker = Asker[Alone, Marks](config, self.wording, LEVELS)

    @property
    def inputs(self) -> dict[str, str | None]:
        """What the stage reads besides: a folder, the rubric, the people it is compared with."""
        return inputs_of(self._judge)

    def judged(self, run: Run, comparisons: Sequence[Comparison]) -> tuple[list[Judgement], dict[str, Any]]:
        """Asks, or goes on asking. Returns: the judgements, and what is to be known of them, which is said too.

        Raises: UserError if the judge does not answer, a limit is reached, or it gives everything the same marks; what
            it answered is kept.
        """
        votes = range(self._judge.votes)
        rows = [(c.messages, r.text, vote) for c in comparisons for r in c.responses for vote in votes]
        asked = [each for row in rows for each in self._alone(*row)]
        beside = [(c.asked[0].messages, text) for c in self._compared for text in _texts(c.asked[0])]
        audit = [each for row in beside for each in self._alone(*row)]
        asking = self._asker.ask(run, [*audit, *asked])
        judgements, known, left_out = list[Judgement](), dict[Pair, Choices](), 0
        for c, vote in itertools.product(comparisons, votes):
            given = [self._rating(asking, c.messages, r.text, vote) for r in c.responses]
            left_out += given.count(None)
            rated = [(i, rating) for i, rating in enumerate(given) if rating is not None]
            if rated:
                judgements.append(self._judgement(c, vote, rated))
            for (i, one), (j, other) in itertools.combinations(rated, 2):
                if c.responses[i].text != c.responses[j].text:
                    pair = Pair(c.messages, c.responses[i].text, c.responses[j].text)
                    known.setdefault(pair, _choices(c.messages, one, other))
        result = counts(asking.all_said([*asked, *audit]), asking, num_unjudged=left_out)
        num = sum(len(c.responses) for c in comparisons)
        run.say(told(result, f"{num} responses, each by itself", "responses"))
        if asked and not judgements:
            raise UserError(
                f"{self._judge.model}: the judge rated none of {num} responses on every axis. What it said is in "
                f"{run.folder / layout.ASKED}; try another model, or a larger judge.max_new_tokens."
            )
        compared = self._compared
        if self._judge.audit == SIMULATED:
            pairs = [
                (c, i, j, "") for c in comparisons for i, j in itertools.combinations(range(len(c.responses)), 2)
                if Pair(c.messages, c.responses[i].text, c.responses[j].text) in known
            ]  # fmt: skip
            compared = simulated(pairs, self._config, most=self._judge.audit_pairs)
            choices = [known[each.asked[0]] for each in compared]
        else:
            choices = [self._beside(asking, each.asked[0]) for each in compared]
        spread, alike = _spread(judgements, comparisons)
        shown: list[tuple[Pair, PairChoice, PairChoice]] = [(pair, a, b) for pair, (a, b) in known.items() if a and b]
        kind = self._judge.own_kind(self._asker.known_as)
        more, sentences = audited(shown, compared, choices, soft=self._judge.soft, own=kind, orders=False)
        for sentence in [*alike, *sentences]:
            run.say(sentence)
        self._refuse_one_mark(judgements, run)
        return judgements, {"judge": result | {"audit": {"spread": spread} | more}}

    def _alone(self, messages: tuple[Message, ...], text: str, vote: int = 0) -> Iterator[Alone]:
        """The questions about one response: one for all axes, or of a folder one for each."""
        axes = self._judge.rated_on
        for some in [axes] if self._judge.base_url is not None else [(axis,) for axis in axes]:
            yield Alone(messages, text, some, vote)

    def _rating(
        self, asking: Asking[Alone, Marks], messages: tuple[Message, ...], text: str, vote: int = 0
    ) -> Rating | None:
        """What was said of one response; None if it was not rated on every axis."""
        marks, expected, answers = dict[str, int](), dict[str, float](), list[str]()
        questions = list(self._alone(messages, text, vote))
        for each, said in zip(questions, asking.all_said(questions), strict=True):
            if said.choice is None:
                return None
            marks |= said.choice
            answers.append(said.answer.text if len(questions) == 1 else f"{each.axes[0]}: {said.answer.text}")
            if self._judge.soft:
                expected[each.axes[0]] = expectation(said.answer)
        return Rating(marks, expected or None, "\n".join(answers))

    def _beside(self, asking: Asking[Alone, Marks], pair: Pair) -> Choices:
        one, other = (self._rating(asking, pair.messages, text) for text in _texts(pair))
        return (None, None) if one is None or other is None else _choices(pair.messages, one, other)

    def _judgement(self, c: Comparison, vote: int, rated: Sequence[tuple[int, Rating]]) -> Judgement:
        axes, name = self._judge.rated_on, self._asker.name
        expected = {axis: tuple(r.expected[axis] for _, r in rated if r.expected) for axis in axes}
        return Judgement(
            id=f"{c.id}:rating{f':{vote + 1}' if self._judge.votes > 1 else ''}:{name}",
            comparison=c.id,
            annotator=name,
            annotator_kind="model",
            kind="rating",
            order=tuple(i for i, _ in rated),
            ratings={axis: tuple(rating.marks[axis] for _, rating in rated) for axis in axes},
            seconds=0.0,
            guideline=self.wording.fingerprint,
            machine=Machine(
                model=self._asker.known_as,
                prompt=self._asker.version,
                answers=tuple(rating.answer for _, rating in rated),
                ratings=expected if self._judge.soft else None,
            ),
        )

    def _refuse_one_mark(self, judgements: Sequence[Judgement], run: Run) -> None:
        """Raises: UserError if on every axis all responses have one mark."""
        found: dict[str, set[float]] = {}
        for j in judgements:
            marks = (j.machine.ratings if j.machine else None) or j.ratings or {}
            for axis, some in marks.items():
                found.setdefault(axis, set()).update(some)
        if found and all(len(marks) == 1 for marks in found.values()):
            raise UserError(
                f"{self._judge.model}: the judge gave every response the same marks ("
                + ", ".join(f"{axis} {next(iter(marks)):g}" for axis, marks in found.items())
                + f"), so there is nothing to learn from them. What it said is in {run.folder / layout.ASKED}; use "
                "another judge, or a rubric that says what each mark is for."
            )


def expectation(answer: Answer) -> float:
    """sum over 1 to 5 of p(d) d, with p the likelihoods of the digits among themselves."""
    nats = [(answer.logprobs or {}).get(level, -math.inf) for level in LEVELS]
    shares = [math.exp(each - max(nats)) for each in nats]
    return sum(int(level) * share for level, share in zip(LEVELS, shares, strict=True)) / sum(shares)


def _texts(pair: Pair) -> tuple[str, str]:
    return pair.left, pair.right


def _choices(messages: tuple[Message, ...], one: Rating, other: Rating) -> Choices:
    """Which of two responses has the better grade, as if they had been shown as a pair, in both orders."""
    ratings: dict[str, tuple[float | None, ...]] = {axis: (one.told[axis], other.told[axis]) for axis in one.told}
    first, second = Rated(id="pair", messages=messages, responses=("one", "other"), ratings=ratings).grades
    assert first is not None  # every axis was rated
    assert second is not None
    choice: PairChoice = "tie" if first == second else "left" if first > second else "right"
    return choice, TURNED[choice]


def _spread(judgements: Sequence[Judgement], comparisons: Sequence[Comparison]) -> tuple[dict[str, Any], list[str]]:
    """For each axis how often the commonest rating is given, and a sentence where that is nearly always."""
    prompts = {c.id: spoken(c.messages) for c in comparisons}
    found, sentences = dict[str, Any](), list[str]()
    for axis in judgements[0].ratings or () if judgements else ():
        marks = [(mark, prompts[j.comparison]) for j in judgements for mark in (j.ratings or {})[axis]]
        spread = judges.spread([mark for mark, _ in marks], [prompt for _, prompt in marks], confidence=CONFIDENCE)
        counted = Counter(mark for mark, _ in marks)
        found[axis] = asdict(spread) | {"named": spread.named, "counts": [counted[int(level)] for level in LEVELS]}
        if spread.named:
            sentences.append(
                f"audit: on {axis} the judge gives {spread.level:g} to {spread.share.value or 0:.0%} of the responses "
                f"({spread.share.low:.0%} to {spread.share.high:.0%}), which hardly tells them apart. Use another "
                "judge, or a rubric that says what each mark is for."
            )
    if found and not sentences:
        words = ", ".join(f"{axis} {each['mean']:.2g} ± {each['deviation']:.2g}" for axis, each in found.items())
        sentences.append(f"audit: mean and deviation of its ratings are {words}.")
    return found, sentences
