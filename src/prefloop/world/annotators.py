"""Simulated annotators: gold's preferences seen through a person's ability, habits and tiredness.

An annotator sees each response's utility (gold's, under the annotator's own axis weights, plus what length and courtesy
are worth to them) and compares with logistic noise. With d the difference left - right in log-odds,

    d = ability * exp(-drift * judged) * (value_left - value_right) + side_bias
    P(left) = sigmoid(d - tie_width),  P(right) = sigmoid(-d - tie_width),  P(tie) = the rest

(Rao & Kupper 1967), so the best accuracy that any model can reach on their choices is known exactly.
"""

import math
import random
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, model_validator

from prefloop.config import Config
from prefloop.records import Comparison, Judgement, PairChoice
from prefloop.world.gold import AXES, WEIGHTS, Verdict, judge, utility
from prefloop.world.languages import table
from prefloop.world.phrases import reply_index
from prefloop.world.tickets import language_of, scan, units

DEFAULT = 9.0
"""Log-odds per unit of utility of an ordinary annotator: a Bayes accuracy of about 0.8 on pairs of demonstrations."""
_FORMAT = re.compile(r"\*\*\S|^(#+|[-*]) |\n\n", re.MULTILINE)
"""Bold type, a heading, a point of a list, or an empty line."""
_STRENGTHS = (1.5, 3.0)
"""Felt differences, in log-odds beyond a tie, from which a side is clearly and much better."""
_verdict = lru_cache(maxsize=65536)(judge)


class AnnotatorConfig(Config):
    """What kind of judge an annotator is."""

    ability: Annotated[float, Field(gt=0)] = DEFAULT
    """Log-odds of preferring a response for each unit of utility by which it is better."""
    side_bias: float = 0.0
    """Log-odds added to the response shown first (on the left)."""
    length_bias: float = 0.0
    """Utility added for each 10 words of a response, up to 80 words."""
    courtesy_bias: float = 0.0
    """Utility added for each courtesy such as `thank you`, up to 4."""
    format_bias: float = 0.0
    """Utility added to a response in bold type, with a list, a heading or an empty line."""
    weights: dict[str, float] = WEIGHTS
    """Weight of each of gold's axes."""
    drift: float = 0.0
    """Share of the ability lost with each judgement made: above zero they tire, below zero they learn."""
    tie_width: Annotated[float, Field(ge=0)] = 0.4
    """Felt differences in log-odds that count as a tie."""
    both_bad_below: Annotated[float, Field(ge=0, le=1)] = 0.3
    """A tie of two responses below this utility is called `both_bad`."""
    good_above: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Utility at which a thumb is as likely up as down."""
    rating_noise: Annotated[float, Field(ge=0)] = 0.6
    """Deviation of a rating in points, for an annotator of default ability."""
    seconds: Annotated[float, Field(gt=0)] = 12.0
    """Mean time for two responses of 25 words."""

    @model_validator(mode="after")
    def _weighs_every_axis(self) -> "AnnotatorConfig":
        if set(self.weights) != set(AXES) or min(self.weights.values()) < 0 or sum(self.weights.values()) <= 0:
            raise ValueError(f"weights must give {', '.join(AXES)} a number each, none below zero and not all zero")
        return self


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _logistic(rng: random.Random) -> float:
    share = min(max(rng.random(), 1e-12), 1 - 1e-12)
    return math.log(share / (1 - share))


def _gumbel(rng: random.Random) -> float:
    return -math.log(-math.log(min(max(rng.random(), 1e-12), 1 - 1e-12)))


def _axes(verdict: Verdict) -> dict[str, float]:
    return {
        "helpful": verdict.helpful,
        "accurate": verdict.accurate,
        "empathetic": verdict.empathetic,
        "concise": verdict.concise,
        "safe": verdict.safe,
        "honest": verdict.honest,
    }


@lru_cache(maxsize=65536)
def _manner(response: str) -> tuple[float, int, bool]:
    """A response's words and courtesies, and whether it is formatted."""
    language = language_of(response)
    words = units(response, language)
    courtesies = sum(phrase.kind == "filler" for _, phrase in scan(words, reply_index(language)))
    return len(words) * table(language).words_per_unit, courtesies, _FORMAT.search(response) is not None


class Annotator:
    """A simulated annotator. Every judgement takes its chance from the generator passed in."""

    def __init__(self, config: AnnotatorConfig | None = None, name: str = "sim") -> None:
        self.config = config or AnnotatorConfig()
        self.name = name

    def value(self, prompt: str, response: str) -> float:
        """What a response is worth to this annotator: utility under their weights, and their biases."""
        words, courtesies, formatted = _manner(response)
        seen = utility(_axes(_verdict(prompt, response)), self.config.weights)
        bias = self.config.length_bias * min(words, 80) / 10 + self.config.courtesy_bias * min(courtesies, 4)
        return seen + bias + self.config.format_bias * formatted

    def ability(self, judged: int) -> float:
        """Log-odds per utility after `judged` judgements."""
        return self.config.ability * math.exp(-self.config.drift * judged)

    def difference(self, prompt: str, left: str, right: str, *, judged: int = 0) -> float:
        """Log-odds by which the left response seems better."""
        values = self.value(prompt, left) - self.value(prompt, right)
        return self.ability(judged) * values + self.config.side_bias

    def pair_probabilities(self, prompt: str, left: str, right: str, *, judged: int = 0) -> tuple[float, float, float]:
        """Exact probabilities of choosing the left, a tie, and the right.

        Args:
            prompt: the prompt's text.
            left: the response shown first.
            right: the response shown second.
            judged: judgements made before, for drift.
        """
        felt, width = self.difference(prompt, left, right, judged=judged), self.config.tie_width
        prefer_left, prefer_right = _sigmoid(felt - width), _sigmoid(-felt - width)
        return prefer_left, max(0.0, 1 - prefer_left - prefer_right), prefer_right

    def judge_pair(
        self, comparison: Comparison, i: int, j: int, *, rng: random.Random, judgement_id: str, judged: int = 0
    ) -> Judgement:
        """A choice between responses i and j, shown in an order drawn from rng, with its strength."""
        order = (i, j) if rng.random() < 0.5 else (j, i)
        left, right = (comparison.responses[shown].text for shown in order)
        felt = self.difference(comparison.text, left, right, judged=judged) + _logistic(rng)
        choice: PairChoice = "left" if felt > 0 else "right"
        strength = None
        beyond = abs(felt) - self.config.tie_width
        if beyond <= 0:
            best = max(_verdict(comparison.text, text).utility for text in (left, right))
            choice = "both_bad" if best < self.config.both_bad_below else "tie"
        else:
            strength = 1 + sum(beyond > edge for edge in _STRENGTHS)
        return self._judgement(comparison, order, rng, judgement_id, kind="pair", choice=choice, strength=strength)

    def judge_ranking(
        self, comparison: Comparison, *, rng: random.Random, judgement_id: str, judged: int = 0
    ) -> Judgement:
        """Ranks of all responses, 1 is best, shown in an order drawn from rng.

        Each response gets its value and Gumbel noise (Plackett-Luce); one within tie_width of the response above it
        shares that one's rank if no rank would then span more than tie_width.
        """
        order = self._shuffled(comparison, rng)
        shown = [comparison.responses[index].text for index in order]
        felt = [self.ability(judged) * self.value(comparison.text, text) + _gumbel(rng) for text in shown]
        felt[0] += self.config.side_bias
        ranks, top = [0] * len(felt), math.inf
        rank = 0
        for place, best in enumerate(sorted(range(len(felt)), key=lambda index: -felt[index])):
            if place == 0 or top - felt[best] > self.config.tie_width:
                rank, top = place + 1, felt[best]
            ranks[best] = rank
        return self._judgement(comparison, order, rng, judgement_id, kind="ranking", ranks=tuple(ranks))

    def judge_rating(
        self, comparison: Comparison, *, rng: random.Random, judgement_id: str, judged: int = 0
    ) -> Judgement:
        """A rating from 1 to 5 for each axis and each response: 1 + 4 * axis and normal noise, rounded."""
        order = self._shuffled(comparison, rng)
        noise = self.config.rating_noise * DEFAULT / self.ability(judged)
        seen = [_axes(_verdict(comparison.text, comparison.responses[index].text)) for index in order]
        ratings = {
            axis: tuple(min(5, max(1, round(1 + 4 * axes[axis] + rng.gauss(0, noise)))) for axes in seen)
            for axis in AXES
        }
        return self._judgement(comparison, order, rng, judgement_id, kind="rating", ratings=ratings)

    def judge_thumbs(
        self, comparison: Comparison, *, rng: random.Random, judgement_id: str, judged: int = 0
    ) -> Judgement:
        """Good or bad for each response: P(good) = sigmoid(ability * (value - good_above))."""
        order = self._shuffled(comparison, rng)
        shown = (comparison.responses[index].text for index in order)
        values = [self.value(comparison.text, text) for text in shown]
        chances = [self.ability(judged) * (value - self.config.good_above) for value in values]
        thumbs = tuple(rng.random() < _sigmoid(chance) for chance in chances)
        return self._judgement(comparison, order, rng, judgement_id, kind="thumb", thumbs=thumbs)

    def _judgement(
        self, comparison: Comparison, order: tuple[int, ...], rng: random.Random, judgement_id: str, **answer: Any
    ) -> Judgement:
        seconds = self._seconds(comparison, order, rng)
        common: Any = {"annotator": self.name, "annotator_kind": "simulated", "order": order, "seconds": seconds}
        return Judgement(id=judgement_id, comparison=comparison.id, **common, **answer)

    def _shuffled(self, comparison: Comparison, rng: random.Random) -> tuple[int, ...]:
        order = list(range(len(comparison.responses)))
        rng.shuffle(order)
        return tuple(order)

    def _seconds(self, comparison: Comparison, order: Sequence[int], rng: random.Random) -> float:
        """Log-normal time whose mean grows with the words to read: half is fixed, half reading."""
        words = sum(_manner(comparison.responses[index].text)[0] for index in order)
        mean = self.config.seconds * (0.5 + 0.5 * words / 50)
        return round(mean * math.exp(rng.gauss(0, 0.4) - 0.08), 2)


class PanelConfig(Config):
    """The simulated annotators."""

    count: int = Field(default=5, ge=1, le=10_000)
    """How many, with differing ability and biases."""

    ability: Annotated[float, Field(gt=0)] | None = None
    """Overrides the default panel's mean ability: log-odds for a whole unit of utility."""

    length_bias: float = 0.0
    """Added to each member's: utility for each 10 words, so that a shortcut is planted; 0.15 rules over quality."""

    courtesy_bias: float = 0.0
    """Added to each member's: utility for each courtesy such as `thank you`; 0.15 rules over quality."""

    format_bias: float = 0.0
    """Added to each member's: utility for bold type, a list, a heading or an empty line; 0.4 rules over quality."""

    side_bias: float = 0.0
    """Added to each member's: log-odds for the response shown first; with 1 it wins 73 % of equal pairs."""

    members: tuple[AnnotatorConfig, ...] = ()
    """Each annotator written out, instead of the default panel."""

    @model_validator(mode="after")
    def _biases_are_of_the_default_panel(self) -> "PanelConfig":
        if self.members and any(self._biases().values()):
            raise ValueError(
                "members are written out, so a bias of the panel would be added to nobody. Write it into each member."
            )
        return self

    def _biases(self) -> dict[str, float]:
        return {name: value for name, value in self.model_dump().items() if name.endswith("_bias")}

    def annotators(self, seed: int) -> list[Annotator]:
        """These annotators; the seed decides who the default panel is."""
        if self.members:
            return [Annotator(member, f"sim-{i}") for i, member in enumerate(self.members, start=1)]
        return [
            Annotator(
                one.config.model_copy(update={k: one.config.model_dump()[k] + v for k, v in self._biases().items()}),
                one.name,
            )
            for one in panel(self.count, seed=seed, ability=DEFAULT if self.ability is None else self.ability)
        ]


def judged_before(comparison: str) -> int:
    """Judgements that an annotator of a collect run has made before this comparison, 0 to 999; decided by its id."""
    return zlib.crc32(comparison.encode()) % 1000


def panel(count: int = 5, *, seed: int = 0, ability: float = DEFAULT) -> list[Annotator]:
    """Annotators named sim-1, sim-2, ... who differ in ability, in biases and a little in what they weigh.

    Args:
        count: annotators wanted.
        seed: decides who they are; the first ones do not depend on how many there are.
        ability: log-odds per utility in the middle of the panel.
    """
    made = []
    for number in range(1, count + 1):
        rng = random.Random(f"panel/{seed}/{number}")
        config = AnnotatorConfig(
            ability=ability * math.exp(rng.gauss(0, 0.2)),
            side_bias=rng.gauss(0.1, 0.1),
            length_bias=max(0.0, rng.gauss(0.01, 0.01)),
            courtesy_bias=max(0.0, rng.gauss(0.01, 0.01)),
            weights={axis: weight * math.exp(rng.gauss(0, 0.2)) for axis, weight in WEIGHTS.items()},
            drift=max(0.0, rng.gauss(0.0002, 0.0002)),
            seconds=12.0 * math.exp(rng.gauss(0, 0.2)),
        )
        made.append(Annotator(config, f"sim-{number}"))
    return made
