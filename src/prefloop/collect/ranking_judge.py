"""A model ranks: all responses to a prompt in one question, asked in two opposite orders, each answer a judgement.

Of the two orders every pair of responses gets two votes, as if it had been asked in both: where they contradict each
other it is no preference, and counts as a flip. In `rankings.jsonl` the two are one, by their mean ranks. A prompt that
was not answered in both orders is left out. What it is worth is measured beside it, by the audit of pairs.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prefloop import layout
from prefloop.collect.asker import Asker, counts, inputs_of, told
from prefloop.collect.asking import Said
from prefloop.collect.audit import Choices, audited, compared_with, simulated
from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import SIMULATED
from prefloop.collect.ranking_wording import RankingWording, Several
from prefloop.collect.wording import Pair, rubric_of
from prefloop.errors import UserError
from prefloop.records import Comparison, Judgement, Machine, PairChoice
from prefloop.run import Run

Ranks = tuple[int, ...]


@dataclass(frozen=True)
class Contest:
    """One vote on a prompt's responses: the same question in two opposite orders."""

    comparison: Comparison
    order: tuple[int, ...]
    """indices of the responses, as they are shown first"""
    number: int
    """the how manieth vote"""

    @property
    def orders(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """This order and the opposite one."""
        return self.order, self.order[::-1]

    @property
    def asked(self) -> tuple[Several, Several]:
        """In both orders."""
        one, other = (tuple(self.comparison.responses[i].text for i in order) for order in self.orders)
        messages = self.comparison.messages
        return Several(messages, one, self.number), Several(messages, other, self.number)


class RankingJudge:
    """The model that `judge` names, as an annotator who ranks."""

    def __init__(self, config: CollectConfig) -> None:
        """Reads what it needs to be asked. Raises: UserError if the rubric or the audit cannot be used."""
        assert config.judge is not None  # by=model has it
        self._config, self._judge = config, config.judge
        self.wording = RankingWording(rubric_of(self._judge.rubric))
        self._compared = compared_with(config)
        self._asker = Asker[Several, Ranks](config, self.wording, "")

    @property
    def inputs(self) -> dict[str, str | None]:
        """What the stage reads besides: the rubric, the people it is compared with."""
        return inputs_of(self._judge)

    def judged(self, run: Run, comparisons: Sequence[Comparison]) -> tuple[list[Judgement], dict[str, Any]]:
        """Asks, or goes on asking. Returns: the judgements, and what is to be known of them, which is said too.

        Raises: UserError if the judge does not answer, or a limit is reached; what it answered is kept.
        """
        contests = list(self._contests(comparisons))
        asked = [each for contest in contests for each in contest.asked]
        audit = [Several(p.messages, (p.left, p.right)) for each in self._compared for p in each.asked]
        asking = self._asker.ask(run, [*audit, *asked])
        said, own = asking.all_said(asked), asking.all_said(audit)
        both = list(zip(contests, said[::2], said[1::2], strict=True))
        judgements = [j for contest, *answers in both for j in self._judgements(contest, answers)]
        whole = [(contest, a.choice, b.choice) for contest, a, b in both if a.choice and b.choice]
        result = counts([*said, *own], asking, num_unjudged=len(both) - len(whole))
        run.say(told(result, f"the responses to {len(contests)} prompts in two opposite orders", "rankings"))
        if said and not judgements:
            raise UserError(
                f"{self._judge.model}: the judge ranked none of {len(contests)} prompts' responses in both orders. "
                f"What it said is in {run.folder / layout.ASKED}; try another model, or a larger judge.max_new_tokens."
            )
        shown = [each for contest, *ranks in whole for each in _pairs(contest, *ranks)]
        compared = self._compared
        choices: Sequence[Choices] = [
            (_choice(a.choice, 0, 1), _choice(b.choice, 0, 1)) for a, b in zip(own[::2], own[1::2], strict=True)
        ]
        if self._judge.audit == SIMULATED:
            first = [contest for contest, *_ in whole if contest.number == 0]
            pairs = [(c.comparison, i, j, "") for c in first for i, j in itertools.combinations(c.order, 2)]
            compared = simulated(pairs, self._config, most=self._judge.audit_pairs)
            known: dict[Pair, Choices] = {pair: (a, b) for pair, a, b in reversed(shown)}
            choices = [known[each.asked[0]] for each in compared]
        kind = self._judge.own_kind(self._asker.known_as)
        audit_result, sentences = audited(shown, compared, choices, soft=False, own=kind)
        for sentence in sentences:
            run.say(sentence)
        return judgements, {"judge": result | {"audit": audit_result}}

    def _contests(self, comparisons: Sequence[Comparison]) -> Iterator[Contest]:
        """All comparisons; seed and id decide the order shown. Of equal texts the first is ranked."""
        for c in comparisons:
            texts = [response.text for response in c.responses]
            places = [i for i, text in enumerate(texts) if text not in texts[:i]]
            if len(places) > 1:
                order = tuple(random.Random(f"{self._config.seed} {c.id}").sample(places, len(places)))
                yield from (Contest(c, order, number) for number in range(self._judge.votes))

    def _judgements(self, contest: Contest, answers: Sequence[Said[Ranks]]) -> list[Judgement]:
        """One for each order; none if either decided nothing."""
        if not all(said.choice for said in answers):
            return []
        vote = f":{contest.number + 1}" if self._judge.votes > 1 else ""
        known_as, version = self._asker.known_as, self._asker.version
        return [
            Judgement(
                id=f"{contest.comparison.id}:{'-'.join(map(str, order))}{vote}:{self._asker.name}",
                comparison=contest.comparison.id,
                annotator=self._asker.name,
                annotator_kind="model",
                kind="ranking",
                order=order,
                ranks=said.choice,
                seconds=0.0,
                guideline=self.wording.fingerprint,
                machine=Machine(model=known_as, prompt=version, answer=said.answer.text),
            )
            for order, said in zip(contest.orders, answers, strict=True)
        ]


def _pairs(contest: Contest, first: Ranks, second: Ranks) -> Iterator[tuple[Pair, PairChoice, PairChoice]]:
    """What the two answers say of each pair: with the one response before the other, and after it."""
    num, c = len(contest.order), contest.comparison
    for i, j in itertools.combinations(range(num), 2):
        one, other = (c.responses[contest.order[place]].text for place in (i, j))
        a, b = _choice(first, i, j), _choice(second, num - 1 - j, num - 1 - i)
        assert a is not None  # both were answered
        assert b is not None
        yield Pair(c.messages, one, other), a, b


def _choice(ranks: Ranks | None, i: int, j: int) -> PairChoice | None:
    """Which of the responses shown at places i < j is better, as if they were a pair with the first as left."""
    if ranks is None:
        return None
    return "tie" if ranks[i] == ranks[j] else "left" if ranks[i] < ranks[j] else "right"
