"""The health card of a reward model: what held-out preferences say of it, and whether it is ready for RL.

`prefloop_card.json` lies in the model's folder. Shares lie in [0, 1]; intervals are of 95 %, clustered by prompt. What
could not be measured is null, and the rules that need it stand among `unchecked`.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from prefloop.records.evaluations import Bin, Interval, Number
from prefloop.records.probes import LearningCurve, Probe
from prefloop.records.record import Record, Text


class Share(Record):
    """A share with its interval."""

    mean: float
    low: float
    high: float
    num: int
    """What was counted."""

    @property
    def interval(self) -> Interval:
        """The same without its number."""
        return Interval(mean=self.mean, low=self.low, high=self.high)


class Slice(Record):
    """The accuracy on some of the pairs."""

    name: Text
    accuracy: Share


class Baseline(Record):
    """What somebody gets on the same pairs who looks at next to nothing."""

    name: Literal["length", "words"]
    """length: the longer wins (or the shorter); words: a logistic regression on TF-IDF of words and word pairs."""
    accuracy: Share
    ahead: Interval
    """The reward model's accuracy less this one, pair by pair; without an interval with pairs of one prompt only."""
    num_learned_from: int
    """Pairs that it learned from."""
    in_turns: bool
    """True if it learned from other parts of the held-out pairs, for there were no others."""


class Agreement(Record):
    """How far single votes can be foreseen at all."""

    equal: Share
    """Couples of votes of one pair by two annotators, both for a side, that are equal; as `cycles` imply it where no
    pair was judged twice."""
    source: Literal["repeats", "cycles"]
    ceiling: Share
    """The best accuracy that anybody can have against one annotator's vote, if pairs differ in how clear they are; its
    interval is what the ends of that of `equal` imply."""
    ceiling_most: float
    """The same if all pairs are equally clear; it cannot be above this."""
    ceiling_beyond: float
    """What that would be at the upper end of the interval of `equal`."""
    noise: Share
    """Share of the votes that are not for the side that most would choose: 1 - ceiling."""
    nll_best: float
    """The surprise of the best forecast, nats per vote."""


class Calibration(Record):
    """Whether 70 % sure is right 7 times in 10, of single votes with a side."""

    num: int
    """Pairs with such votes."""
    nll: Interval
    """Surprise, nats per vote; log 2 = 0.693 for a coin."""
    ece: float
    """How far confidence is from accuracy on average."""
    ece_chance: float
    """About what chance alone would give a model that is as right as it is sure, on so many pairs."""
    tie_edge: float
    """Log-odds where a tie ends to the model; 0 where it learned of none."""
    temperature: Number = None
    """What margins must be divided by to be as sure as they are right; null below 20 pairs."""
    ece_after: Number = None
    """With a temperature fitted on other prompts."""
    nll_after: Interval | None = None
    bins: tuple[Bin, ...]
    """Before the temperature."""


class Leaks(Record):
    """Held-out pairs that nearly stand among those that were learned from."""

    num_training: int
    """Training pairs that were looked through."""
    prompts: Share
    """Share of the held-out prompts of which a training prompt is a near-duplicate."""
    pairs: Share
    """Share of the held-out pairs of which prompt and both responses are."""
    accuracy_without: Share | None
    """Accuracy on the others."""


class Cycles(Record):
    """Preferences that go round: A before B, B before C, C before A."""

    prompts: Share
    """Of prompts with three responses or more that were all compared with each other, those in whose decisions
    something goes round."""
    triads: int
    """Triples of responses, all compared."""
    cyclic: Share
    """Share of those that go round; 1/4 if sides are a coin's."""


class Part(Record):
    """One of several numbers of which a score is made, or that stand beside it: a column of the head, or a member."""

    name: Text
    num_training: int | None = None
    """Rows or votes that it learned from; null if that is not known."""
    accuracy: Share | None = None
    """On the held-out rows or votes that speak of it; null if none does, or if it was not measured."""


class Parts(Record):
    """What a reward model of several numbers consists of."""

    kind: Literal["axes", "domains", "annotators", "members", "ensemble"]
    """`members` are heads on one trunk, of an `ensemble` each is a model."""
    score: Text
    """What the score is that the card judges: `mean` of all parts, `min`, `variance` (mean - coefficient * variance),
    or the name of the part that is used alone."""
    of: tuple[Part, ...]


class Reason(Record):
    """A rule of `signs.py` that raised an alarm."""

    name: Text
    stops: bool
    """Whether RL should wait for it."""
    values: dict[str, float | str]
    """What it looked at."""


class Card(Record):
    """Everything that was measured, and the verdict."""

    num_pairs: int
    """Held-out pairs with a decision."""
    num_prompts: int
    accuracy: Share
    """Of pairs whose chosen response scores higher; equal scores count half."""
    accuracy_votes: Share | None
    """Of single votes for a side that the scores agree with; null if none are known."""
    accuracy_train: Share | None
    """On some of what was learned from; null if that is not known."""
    parts: Parts | None = None
    """Null of a model that gives one number."""
    by_strength: tuple[Slice, ...]
    by_domain: tuple[Slice, ...]
    by_annotator: tuple[Slice, ...]
    """Of single votes."""
    by_length: tuple[Slice, ...]
    """By the length of the chosen response beside the rejected one's."""
    baselines: tuple[Baseline, ...]
    agreement: Agreement | None
    calibration: Calibration | None
    leaks: Leaks | None
    """Null if it is not known what was learned from."""
    cycles: Cycles | None
    """Null if no prompt has three responses that were all compared."""
    learning_curve: LearningCurve | None = None
    """Null if it is not known how it learned, and of an ensemble, whose members have their own."""
    probes: tuple[Probe, ...] = ()
    """What edits of responses do to its scores; none where there were too few prompts."""
    reasons: tuple[Reason, ...]
    """Rules that raised an alarm, those that stop first."""
    unchecked: tuple[str, ...]
    """Rules that lacked a number."""
    verdict: Literal["ready", "not_ready"]
    seed: int = Field(default=0)
    """Decides what was drawn where there was too much to look at."""

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        if (self.verdict == "not_ready") != any(reason.stops for reason in self.reasons):
            raise ValueError("the verdict is `not_ready` exactly if one of its reasons stops")
        return self
