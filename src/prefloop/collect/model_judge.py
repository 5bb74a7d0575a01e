"""A model judges: every pair is asked in both orders, and each answer is a judgement of its own, its words kept.

Two answers that agree are two votes for one response; two that contradict each other one for each, which is no
preference. A pair that was not answered in both orders is left out, or the place it was shown in would count. What a
judge is worth is measured beside it, in audit.py.
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prefloop import layout
from prefloop.collect.asker import Asker, counts, inputs_of, told
from prefloop.collect.asking import Said
from prefloop.collect.audit import Choices, audited, compared_with, simulated
from prefloop.collect.by_principle import by_principle, of_principles, principles_told
from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import SIMULATED
from prefloop.collect.wording import Pair, Wording
from prefloop.errors import UserError
from prefloop.principles.reading import Principles
from prefloop.records import Comparison, Judgement, Machine, PairChoice
from prefloop.run import Run


@dataclass(frozen=True)
class Couple:
    """One vote on a pair: the same question in both orders."""

    comparison: Comparison
    i: int
    j: int
    number: int
    """the how manieth vote"""
    principle: str = ""
    """by which they are compared; empty if by none"""

    @property
    def asked(self) -> tuple[Pair, Pair]:
        """With response i as A, and with response j."""
        c = self.comparison
        one, other = c.responses[self.i].text, c.responses[self.j].text
        rest = (self.number, self.principle)
        return Pair(c.messages, one, other, *rest), Pair(c.messages, other, one, *rest)


class ModelJudge:
    """The model that `judge` names, as an annotator."""

    def __init__(self, config: CollectConfig) -> None:
        """Reads what it needs to be asked. Raises: UserError if the rubric, the audit or a folder cannot be used."""
        assert config.judge is not None  # by=model has it
        self._config, self._judge = config, config.judge
        named, language = self._judge.named_principles, self._judge.principles_language
        self._principles = Principles.of(named, language=language) if named else None
        self.wording = Wording.of(self._judge.rubric, ties=self._judge.ties, principles=self._principles)
        compared = compared_with(config)
        self._compared = [by_principle(each, self._drawn("audit", i)) for i, each in enumerate(compared)]
        self._asker = Asker[Pair, PairChoice](config, self.wording, self.wording.letters)

    @property
    def inputs(self) -> dict[str, str | None]:
        """What the stage reads besides: a folder, the rubric, the people it is compared with."""
        files = self._principles.files if self._principles else ()
        return inputs_of(self._judge) | {f"judge.principles.{number}": file for number, file in enumerate(files)}

    def _drawn(self, *place: object) -> str:
        """The principle at a place; empty if there are none."""
        words = " ".join(map(str, (self._config.seed, *place)))
        return self._principles.drawn(words) if self._principles else ""

    def judged(self, run: Run, comparisons: Sequence[Comparison]) -> tuple[list[Judgement], dict[str, Any]]:
        """Asks, or goes on asking. Returns: the judgements, and what is to be known of them, which is said too.

        Raises: UserError if the judge does not answer, or a limit is reached; what it answered is kept.
        """
        couples = list(self._couples(comparisons))
        pairs = [pair for couple in couples for pair in couple.asked]
        audit = [pair for each in self._compared for pair in each.asked]
        asking = self._asker.ask(run, [*audit, *pairs])
        said, own = asking.all_said(pairs), asking.all_said(audit)
        both = list(zip(couples, said[::2], said[1::2], strict=True))
        judgements = [j for couple, *answers in both for j in self._judgements(couple, answers)]
        left_out = sum(not (a.choice and b.choice) for _, a, b in both)
        result = counts([*said, *own], asking, num_unjudged=left_out)
        run.say(told(result, f"{len(couples)} pairs in both orders", "pairs"))
        if said and not judgements:
            raise UserError(
                f"{self._judge.model}: the judge decided none of {len(couples)} pairs in both orders. What it said is "
                f"in {run.folder / layout.ASKED}; try another model, or a larger judge.max_new_tokens."
            )
        compared = self._compared
        shown: list[tuple[Pair, PairChoice, PairChoice]] = [
            (couple.asked[0], a.choice, b.choice) for couple, a, b in both if a.choice and b.choice
        ]
        if self._judge.audit == SIMULATED:
            decided = [couple for couple, a, b in both if a.choice and b.choice and couple.number == 0]
            compared = simulated(
                [(c.comparison, c.i, c.j, c.principle) for c in decided], self._config, most=self._judge.audit_pairs
            )
            own = asking.all_said([pair for each in compared for pair in each.asked])
        choices: list[Choices] = [(a.choice, b.choice) for a, b in zip(own[::2], own[1::2], strict=True)]
        kind = self._judge.own_kind(self._asker.known_as)
        audit_result, sentences = audited(shown, compared, choices, soft=self._judge.soft, own=kind)
        if self._principles is not None:
            result |= {"principles": of_principles(both, compared, own, self._principles.names)}
            sentences += principles_told(result["principles"])
        for sentence in sentences:
            run.say(sentence)
        return judgements, {"judge": result | {"audit": audit_result}}

    def _couples(self, comparisons: Sequence[Comparison]) -> Iterator[Couple]:
        """Of each comparison the pairs that the settings ask for; seed and id decide which. Equal texts are no pair."""
        for c in comparisons:
            rng = random.Random(f"{self._config.seed} {c.id}")
            every = list(itertools.combinations(range(len(c.responses)), 2))
            pairs = [(i, j) for i, j in every if c.responses[i].text != c.responses[j].text]
            for i, j in sorted(rng.sample(pairs, min(len(pairs), self._config.pairs_per_prompt))):
                for number in range(self._judge.votes):
                    yield Couple(c, i, j, number, self._drawn(c.id, i, j, number))

    def _judgements(self, couple: Couple, answers: Sequence[Said[PairChoice]]) -> list[Judgement]:
        """One for each order; none if either decided nothing."""
        if not all(said.choice for said in answers):
            return []
        vote = f":{couple.number + 1}" if self._judge.votes > 1 else ""
        orders = ((couple.i, couple.j), (couple.j, couple.i))
        return [
            Judgement(
                id=f"{couple.comparison.id}:{order[0]}-{order[1]}{vote}:{self._asker.name}",
                comparison=couple.comparison.id,
                annotator=self._asker.name,
                annotator_kind="model",
                kind="pair",
                order=order,
                choice=said.choice,
                seconds=0.0,
                guideline=self.wording.fingerprint,
                machine=Machine(
                    model=self._asker.known_as,
                    prompt=self._asker.version,
                    answer=said.answer.text,
                    share=self._share(said),
                    principle=couple.principle or None,
                ),
            )
            for order, said in zip(orders, answers, strict=True)
        ]

    def _share(self, said: Said[PairChoice]) -> float | None:
        """How likely left was, of left and right; only with soft=true, and within its bounds."""
        nats = said.answer.logprobs
        if not self._judge.soft or not nats:
            return None
        left, right = (math.exp(nats.get(letter, -math.inf)) for letter in "AB")
        share = left / (left + right) if left + right > 0 else 0.5
        return min(max(share, self._judge.clamp), 1 - self._judge.clamp)
