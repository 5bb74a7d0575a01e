"""What was measured of every model (`evaluation.json`), and a pipeline's numbers for programs (`summary.json`).

Shares and gold utilities lie in [0, 1]; intervals are of 95 %. A number that could not be computed is null.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from prefloop.records.record import Record

EXACT_KL = "exact KL of each token's distribution, summed over sampled responses"
"""How `evaluate` measures KL."""
CHOSEN_KL = "and log n - (n - 1) / n more for the best of n = {n}: a bound for the reference itself, else an estimate"
"""How it measures that of the best of several responses."""
GOLD = ("utility", "satisfied", "harmful", "over_refusal")
Number = float | None
Judge = Literal["gold", "score"]
"""Who decides which of two responses is better: the helpdesk's gold program, or the score itself (a proxy)."""


class Interval(Record):
    """A mean with its interval, in which answers to one prompt count as hanging together; none with one prompt only."""

    mean: float
    low: Number = None
    high: Number = None


class WinRate(Interval):
    """Share of answers that the judge preferred to the reference's; ties count half."""

    judge: Judge
    num: int
    wins: int
    ties: int
    losses: int


def _computed(value: Any) -> Any:
    """None in place of an interval whose mean is null."""
    return None if isinstance(value, dict) and "mean" in value and value["mean"] is None else value


Mean = Annotated[Interval | None, BeforeValidator(_computed)]
Measured = Interval | float | None


def mean(measured: Measured) -> Number:
    """The number itself, with or without an interval."""
    return measured.mean if isinstance(measured, Interval) else measured


def bounds(measured: Measured) -> tuple[float, float] | None:
    """(low, high) of its interval, or None if it has none."""
    if not isinstance(measured, Interval) or measured.low is None or measured.high is None:
        return None
    return measured.low, measured.high


class TagNumbers(Record):
    """The gold program's verdict over the prompts with one tag: means, without intervals."""

    num: int
    utility: Number
    satisfied: Number


class GoldNumbers(Record):
    """The gold program's verdict over all prompts."""

    utility: Mean
    satisfied: Mean
    harmful: Mean
    """Share of the unsafe prompts; null if there were none."""
    over_refusal: Mean
    """Share of the safe prompts; null if there were none."""
    axes: dict[str, Number]
    """Axis of quality -> mean."""
    by_tag: dict[str, TagNumbers]


def _exponential(nats: Interval) -> Interval:
    low, high = (None if end is None else math.exp(end) for end in (nats.low, nats.high))
    return Interval(mean=math.exp(nats.mean), low=low, high=high)


class Split(Record):
    """One model on the prompts of one split, one response to each."""

    num_prompts: int
    score: Mean
    """Reward units; null if nobody scores."""
    parts: dict[str, Mean] = Field(default_factory=dict)
    """Reward units, of each of several rewards what it adds to the score."""
    kl_nats: Mean
    """Drift from the reference, nats per response."""
    base_kl: Mean = None
    """Drift from the base, nats per response; null without a base."""
    base_nats: Mean = None
    """Surprise of its responses under the base, nats per token; its exponential is their perplexity."""
    length: Number
    """Mean tokens, the end-of-text token included."""
    finished: Number
    """Share of the responses that end by themselves."""
    distinct_2: Number
    """Share of all word pairs that are different."""
    repetition: Number
    """Share of a response's word pairs already used in it."""
    gold: GoldNumbers | None
    """Null if the gold program does not judge."""
    win_rate: Annotated[WinRate | None, BeforeValidator(_computed)]
    """Null for the reference."""
    base_win_rate: Annotated[WinRate | None, BeforeValidator(_computed)] = None
    """The same against the base's answers; null without a base."""

    def measured(self, name: str) -> Measured:
        """A number by its name, the gold program's four among them; None if it was not measured."""
        if name in GOLD:
            return dict(self.gold)[name] if self.gold else None
        if name == "perplexity":
            return None if self.base_nats is None else _exponential(self.base_nats)
        return dict(self)[name]


class Model(Record):
    """One evaluated model."""

    path: str
    fingerprint: str
    step: int | None
    """PPO step after which it was saved; null for the reference and for the base."""
    validation: Split
    """On the prompts by which one is selected."""
    test: Split | None
    """On new prompts; only of the reference, the base and the selected one."""
    ood: Split | None
    """On prompts unlike those of training; only of those."""


class Demonstrations(Record):
    """The demonstrations themselves: what perfect imitation would earn."""

    num: int
    gold: GoldNumbers | None


class Strength(Record):
    """The reward model on the held-out preferences of one strength: 1 slight, 2 clear, 3 much better."""

    strength: int
    num: int
    accuracy: Number


class Bin(Record):
    """Held-out votes of which the reward model is between `low` and `high` sure: how sure, and how often right."""

    low: float
    high: float
    confidence: Number
    accuracy: Number
    num: int


class RewardCheck(Record):
    """How well the reward model stands in for the people it learned from, on held-out comparisons.

    Against the truth, whose ceiling is 1, and against single judgements, whose ceiling is `bayes_accuracy`.
    """

    accuracy: Number
    """Share of the pairs that were judged, whether or not by a majority, that it orders as the truth does; null if the
    truth is not known."""
    accuracy_low: Number
    accuracy_high: Number
    num_pairs: int
    """Pairs behind `accuracy`."""
    accuracy_decided: Number
    """The same of the pairs with a majority, which are easier."""
    num_decided: int
    """Pairs behind `accuracy_decided`."""
    accuracy_labels: Number
    """Share of the judgements of pairs with a side that it agrees with; null if there are none."""
    accuracy_labels_low: Number
    accuracy_labels_high: Number
    num_judgements: int
    """Judgements behind `accuracy_labels`, `bayes_accuracy` and `length_only_accuracy`."""
    bayes_accuracy: Number
    """The best possible on these judgements; null if one is a person's."""
    length_only_accuracy: Number
    """What length alone gets on these judgements."""
    annotator_agreement: Number
    """How often two annotators of one pair who both chose a side chose the same, held out or not."""
    num_agreement: int | None
    """Couples of judgements behind `annotator_agreement`."""
    ece: Number
    """This and the next three as the reward stage measured them on its held-out preferences, null without one."""
    ece_after_temperature: Number
    temperature: Number
    by_strength: tuple[Strength, ...] | None
    reliability: tuple[Bin, ...]
    """Empty without a reward model folder."""


Unchecked = Literal["no_reward", "no_collected", "nothing_held_out", "not_judged"]
"""Why a reward model was not checked: there is none; no collect folder was given; nothing was held out there; or
nobody chose a side there."""


class SampledResponse(Record):
    """What one model wrote to a sample prompt."""

    text: str
    score: Number
    kl: Number
    gold: dict[str, bool | float | tuple[str, ...] | None] | None
    """The gold program's verdict: axes, utility, flags, reasons."""


class Sample(Record):
    """One prompt with what the models wrote."""

    id: str
    split: str
    """test or ood."""
    tags: tuple[str, ...]
    prompt: str
    reference: SampledResponse
    selected: SampledResponse
    base: SampledResponse | None = None
    """Null without a base."""


class Choice(Record):
    """Why a checkpoint was selected."""

    rule: Literal["preferred", "nearest"]
    """The most preferred within the KL limit; or, if none is within it, the one that drifted least."""
    candidates: int
    """How many there were."""
    clear: bool
    """Whether the interval of its win rate on validation prompts lies above one half."""
    over_limit: tuple[str, ...]
    """Those preferred more often that drifted too far."""


class Evaluation(Record):
    """`evaluation.json`: every checkpoint against the reference, which one is selected, and how that one does."""

    reference: str
    """Name of the model that all are compared with."""
    base: str | None = None
    """The untouched model among them, if it was measured."""
    selected: str
    """Name of the model to keep."""
    reason: str
    """Why that one, in words."""
    choice: Choice | None = None
    """The same for programs."""
    kl_limit: float
    """Nats per response within which a checkpoint may be selected."""
    kl_estimator: str
    """How KL was measured, in words."""
    judge: Judge
    models: dict[str, Model]
    demonstrations: Demonstrations | None
    reward_model: RewardCheck | None
    reward_unchecked: Unchecked | None = None
    """Why `reward_model` is null."""
    samples: tuple[Sample, ...]
    """The first prompts, not chosen by how they turned out."""

    @model_validator(mode="after")
    def _both_are_tested(self) -> Self:
        for name in (self.reference, self.selected):
            if name not in self.models or self.models[name].test is None:
                raise ValueError(f"`{name}` is not among the models that were measured on test prompts")
        return self

    @property
    def compared(self) -> tuple[Model, Model]:
        """(reference, selected)."""
        return self.models[self.reference], self.models[self.selected]

    @property
    def tested(self) -> tuple[Split, Split]:
        """(reference, selected) on the test prompts."""
        before, after = (model.test for model in self.compared)
        assert before is not None and after is not None  # checked above
        return before, after


class DemonstrationMeans(Record):
    """The means of `Demonstrations`, under the same names; all null without them."""

    num: int | None
    utility: Number
    satisfied: Number
    harmful: Number
    over_refusal: Number


class NoWinRate(Record):
    """Stands where no win rate was measured."""

    mean: None = None
    low: None = None
    high: None = None


class Means(Record):
    """The means of a `Split`, under the same names; all null without one."""

    num_prompts: int | None
    utility: Number
    satisfied: Number
    harmful: Number
    over_refusal: Number
    score: Number
    kl_nats: Number
    length: Number
    finished: Number
    distinct_2: Number
    repetition: Number
    win_rate: WinRate | NoWinRate
    intervals: dict[str, tuple[float, float]]
    """Name -> (low, high), where there is one."""


class BothMeans(Record):
    """Both models on one split."""

    sft: Means
    final: Means


class RewardNumbers(Record):
    """The numbers of a `RewardCheck`, under the same names; all null without one."""

    accuracy: Number = None
    accuracy_low: Number = None
    accuracy_high: Number = None
    accuracy_decided: Number = None
    accuracy_labels: Number = None
    accuracy_labels_low: Number = None
    accuracy_labels_high: Number = None
    bayes_accuracy: Number = None
    length_only_accuracy: Number = None
    annotator_agreement: Number = None
    ece: Number = None
    ece_after_temperature: Number = None
    temperature: Number = None
    num_pairs: int | None = None
    num_decided: int | None = None
    num_judgements: int | None = None
    num_agreement: int | None = None


class Summary(Record):
    """`summary.json`: the numbers of the report. What was not measured is null."""

    name: str
    """The recipe's."""
    seed: int | None
    """Null if the stages' seeds differ."""
    recipe_fingerprint: str | None
    reference: str | None
    """This and the next five as in `Evaluation`; null without one."""
    selected: str | None
    selected_fingerprint: str | None
    reason: str | None
    kl_limit: Number
    kl_estimator: str | None
    sft: Means
    """On test prompts."""
    final: Means
    """On test prompts."""
    ood: BothMeans
    """On prompts unlike those of training."""
    demonstrations: DemonstrationMeans
    reward_model: RewardNumbers
    seconds: dict[str, Number]
    """Stage -> seconds, and their `total`."""
    peak_rss_mb: Number
    """Of the stage that held most."""
    versions: dict[str, str]
    """Package -> version; several, if stages differ."""
