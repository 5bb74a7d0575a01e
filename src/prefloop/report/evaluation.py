"""evaluation.json as the report reads it: every number may be absent, and absent is None, never zero."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Loose(BaseModel):
    """Base of what other stages wrote: frozen, forgiving about fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Interval(Loose):
    """A measured mean with its interval; low and high are absent if nobody estimated them."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """(low, high), or None if either is absent."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def _interval(value: Any) -> Any:
    """A bare number is a mean without an interval; nothing is an absent mean."""
    if value is None:
        return {}
    return {"mean": value} if isinstance(value, int | float) else value


def _empty(value: Any) -> Any:
    return {} if value is None else value


Estimate = Annotated[Interval, BeforeValidator(_interval)]
NONE = Interval()


class Tagged(Loose):
    """Gold verdict over the prompts that carry one tag."""

    num: int | None = None
    utility: Estimate = NONE
    satisfied: Estimate = NONE


class Gold(Loose):
    """The true preference's verdict: utility in its own units, the rest shares in [0, 1]."""

    utility: Estimate = NONE
    satisfied: Estimate = NONE
    harmful: Estimate = NONE
    over_refusal: Estimate = NONE
    axes: Annotated[dict[str, Estimate], BeforeValidator(_empty)] = {}
    by_tag: Annotated[dict[str, Tagged], BeforeValidator(_empty)] = {}


class WinRate(Loose):
    """Share of prompts on which the judge preferred a model to the reference; ties count half."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    judge: str = ""
    num: int | None = None
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """(low, high), or None if either is absent."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class Split(Loose):
    """One model on one set of prompts."""

    num_prompts: int | None = None
    score: Estimate = NONE
    kl_nats: Estimate = NONE
    length: Estimate = NONE
    finished: Estimate = NONE
    distinct_2: Estimate = NONE
    repetition: Estimate = NONE
    gold: Gold | None = None
    win_rate: WinRate | None = None


class Model(Loose):
    """One evaluated model."""

    path: str = ""
    fingerprint: str = ""
    step: int | None = None
    validation: Split | None = None
    """On the prompts that a checkpoint is selected on; absent if it was selected on the test prompts."""
    test: Split | None = None
    ood: Split | None = None


class Demonstrations(Loose):
    """The gold verdict on the demonstrations themselves: what perfect imitation would earn."""

    gold: Gold | None = None
    num: int | None = None


class Strength(Loose):
    """Accuracy over the pairs whose difference was stated this strongly."""

    strength: float | str | None = None
    num: int | None = None
    accuracy: Estimate = NONE


class Bin(Loose):
    """One bin of the reliability plot."""

    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    accuracy: float | None = None
    num: int | None = None


class RewardModel(Loose):
    """How well the reward model stands in for the people it learned from."""

    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    accuracy_labels: float | None = None
    bayes_accuracy: float | None = None
    length_only_accuracy: float | None = None
    annotator_agreement: float | None = None
    ece: float | None = None
    ece_after_temperature: float | None = None
    temperature: float | None = None
    num_pairs: int | None = None
    by_strength: Annotated[tuple[Strength, ...], BeforeValidator(lambda value: value or ())] = ()
    reliability: Annotated[tuple[Bin, ...], BeforeValidator(lambda value: value or ())] = ()


class Answer(Loose):
    """One model's response to a sample prompt."""

    text: str = ""
    score: float | None = None
    gold: dict[str, Any] | None = None


class Sample(Loose):
    """One prompt with the reference's and the selected model's responses."""

    id: str = ""
    split: str = ""
    tags: Annotated[tuple[str, ...], BeforeValidator(lambda value: value or ())] = ()
    prompt: Any = ""
    reference: Answer | None = None
    selected: Answer | None = None


class Evaluation(Loose):
    """evaluation.json."""

    reference: str | None = None
    selected: str | None = None
    reason: str | None = None
    kl_limit: float | None = None
    kl_estimator: str | None = None
    models: Annotated[dict[str, Model], BeforeValidator(_empty)] = {}
    demonstrations: Demonstrations | None = None
    reward_model: RewardModel | None = None
    samples: Annotated[tuple[Sample, ...], BeforeValidator(lambda value: value or ())] = ()

    def split(self, name: str | None, split: str = "test") -> Split | None:
        """What was measured for a model on a split, or None."""
        model = self.models.get(name) if name else None
        if model is None:
            return None
        return vars(model)[split]

    @property
    def selected_on(self) -> str:
        """The split on which all checkpoints were measured: validation if any was, else test."""
        return "validation" if any(model.validation for model in self.models.values()) else "test"
