"""Settings of the methods that learn from preferences directly: what they share, and what is each one's own."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prefloop.config import LEFT
from prefloop.feedback.config import FeedbackConfig
from prefloop.settings import Adapted, Batched, Optimised, Refreshed, Templated, Varied, Watched

Objective = Literal[
    "auto", "votes", "bradley_terry", "robust", "hinge", "ipo", "exo", "apo_down", "rao_kupper", "davidson",
    "plackett_luce", "all_pairs",
]  # fmt: skip
REFERENCE_FREE = ("simpo", "cpo", "orpo")
"""Scores of a response that no reference is asked for."""
BETAS: Mapping[str, float] = {"simpo": 2.0, "orpo": 1.0}
"""Score -> its `beta`, where that is left out: what its paper takes."""


class DirectConfig(FeedbackConfig, Templated, Adapted, Batched, Varied, Optimised, Watched):
    """What every method has that moves a policy by what people said, without a reward model."""

    policy: str
    """Model folder (or hub id) to start from, normally the SFT model; the frozen reference is a copy of it."""

    temperature: float = Field(default=1.0, gt=0)
    """Of the responses that the policy writes at last. Learning, drift and entropy are at temperature 1 whatever it is.
    """

    save_every: int = Field(default=0, ge=0)
    """Updates between policies that are kept; 0 keeps the last alone."""

    num_samples: int = Field(default=64, ge=0, le=100_000)
    """Held-out prompts that the policy answers at last, for its drift, length and entropy: rows that were learned from
    say nothing of what it writes by itself."""


class RatioConfig(DirectConfig, Refreshed):
    """What methods have that score a response by how much likelier than the reference the policy makes it."""

    beta: float = Field(default=LEFT, gt=0)
    """Score of a response for each nat by which the policy has made it likelier than the reference does: the smaller,
    the further the policy may go; left out, what suits the model (of dpo 2 with score = simpo, 1 with score = orpo)."""

    length: Literal["sum", "mean"] = "sum"
    """Whether the nats of a response are those of all its tokens, or of the mean token: by mean, longer responses count
    no more than short ones, and beta must be given: about as many times larger as responses have tokens."""

    @model_validator(mode="after")
    def _beta_suits_its_length(self) -> Self:
        if self.length == "mean" and self.beta is None:
            raise ValueError("length = mean needs beta = NUMBER, about 0.1 for each token that a response has: 5, say.")
        return self

    @model_validator(mode="after")
    def _what_moves_is_read_anew(self) -> Self:
        if self.reuse is not None and self.reference_every:
            raise ValueError(
                "reuse takes over what a reference said that stayed, and with reference_every it moves. Leave one of "
                "them out."
            )
        return self

    reuse: str | None = None
    """Folder of a finished run from the same policy and rows, whose reading of the reference is taken over: for trying
    another beta, objective or rate."""


class DPOConfig(RatioConfig):
    """Everything that changes what `prefloop dpo` does."""

    BELONGS: ClassVar[Mapping[str, tuple[str, ...]]] = {**FeedbackConfig.BELONGS, "exo_smoothing": ("exo",)}

    objective: Objective = "auto"  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower, and frozen
    """How what was said of responses teaches; auto is what suits the file: pairs by each annotator's vote with its
    strength (votes; DPO's own loss where only decisions are known), rankings as a whole (plackett_luce).
    docs/stages/dpo.md has them all in a table."""

    score: Literal["dpo", "simpo", "cpo", "orpo"] = "dpo"
    """What a response's score is: beta times its log-ratio to the reference (dpo); or, without a reference, beta times
    its mean logprob per token (simpo), beta times its logprob (cpo), its log-odds (orpo)."""

    divergence: Literal["reverse_kl", "forward_kl", "js", "alpha"] = "reverse_kl"
    """Of score = dpo: what the policy is held to the reference by; it bends the log-ratio."""

    divergence_alpha: float | None = Field(default=None, gt=0, lt=1)
    """Of divergence = alpha, which needs it: near 0 it is the reverse, near 1 the forward KL."""

    margin: float = Field(default=0.0, ge=0)
    """Score units by which the better response of a pair must be ahead (SimPO's gamma)."""

    dpop_coef: float = Field(default=0.0, ge=0)
    """Of score = dpo: charge in the score of the better response for each nat by which it has become less likely than
    the reference has it (DPO-Positive)."""

    nll_coef: float = Field(default=LEFT, ge=0)
    """Charge for the surprise of the better response, in nats per token, beside the loss; left out, 1 for cpo, 10 for
    orpo (whose weight 0.1 is here 1 / 10 of it), else 0."""

    exo_smoothing: float = Field(default=1e-3, gt=0, lt=0.5)
    """Of exo: the share that its target leaves to the worse response."""

    @model_validator(mode="before")
    @classmethod
    def _beta_suits_its_score(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("beta") is None and values.get("score") in BETAS:
            return {**values, "beta": BETAS[values["score"]]}
        return values

    @model_validator(mode="after")
    def _fits_its_score(self) -> Self:
        for name in ("divergence", "dpop_coef", "reuse", "reference_every"):
            if self.score != "dpo" and dict(self)[name] != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} is about the reference, which score = {self.score} does without. Leave it out, or set "
                    "score = dpo."
                )
        if self.score in REFERENCE_FREE and self.length != "sum":
            raise ValueError(f"score = {self.score} says itself what a response's length is. Leave length out.")
        if (self.divergence == "alpha") != (self.divergence_alpha is not None):
            raise ValueError("divergence = alpha and divergence_alpha = NUMBER (0.5, say) need each other.")
        if self.score in REFERENCE_FREE and self.center_coef:
            raise ValueError(
                f"center_coef holds scores near 0, which those of score = {self.score}, made of logprobs, are not. "
                "Leave it out."
            )
        if self.objective == "apo_down" and (self.margin or self.dpop_coef):
            raise ValueError(
                "objective = apo_down takes the better response down too, so margin and dpop_coef contradict it. Leave "
                "them out."
            )
        if self.objective in ("ipo", "apo_down") and self.score != "dpo":
            raise ValueError(
                f"objective = {self.objective} is about how far the policy is from the reference, which score = "
                f"{self.score} does without. Leave one of them out."
            )
        return self

    @property
    def nll(self) -> float:
        """`nll_coef`, also where it is left out."""
        given: Any = self.nll_coef
        return {"cpo": 1.0, "orpo": 10.0}.get(self.score, 0.0) if given is None else given


class KTOConfig(RatioConfig):
    """Everything that changes what `prefloop kto` does."""

    BELONGS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **FeedbackConfig.BELONGS, "good_weight": ("kto",), "bad_weight": ("kto",)
    }  # fmt: skip

    objective: Literal["auto", "kto", "apo_zero"] = "auto"  # pyright: ignore[reportIncompatibleVariableOverride]
    """How a thumb teaches: kto (auto) asks whether the response has become likelier than others have, apo_zero whether
    it has become likelier at all."""

    good_weight: float | None = Field(default=None, gt=0)
    """Of kto: weight of a thumb up; left out, 1, or more where thumbs up are few: so that both kinds weigh about as
    much together."""

    bad_weight: float | None = Field(default=None, gt=0)
    """Of kto: weight of a thumb down; left out, in the same way."""


class CPLConfig(DirectConfig):
    """Everything that changes what `prefloop cpl` does."""

    objective: Literal["auto", "cpl"] = "auto"  # pyright: ignore[reportIncompatibleVariableOverride]
    """How what was said of responses teaches: by the decision alone; there is nothing to choose."""

    alpha: float = Field(default=LEFT, gt=0)
    """Score of a response for each nat of its logprob: the larger, the sooner a pair counts as settled; left out, what
    suits the model."""

    discount: float = Field(default=1.0, gt=0, le=1)
    """What each token of a response counts beside the one before it: below 1, early tokens count most."""

    bias: float = Field(default=0.5, gt=0, le=1)
    """What the score of the worse response counts beside that of the better one (the paper's lambda): below 1 a pair is
    settled only once its better response is likely as well, so that the policy stays with what the data hold; at 1
    their difference is all."""

    @model_validator(mode="after")
    def _has_nothing_to_centre(self) -> Self:
        if self.center_coef:
            raise ValueError(
                "center_coef holds scores near 0, which those of cpl, made of logprobs, are not. Leave it out."
            )
        return self


class OfflineConfig(DirectConfig):
    """Everything that changes what `prefloop offline` does."""

    BELONGS: ClassVar[Mapping[str, tuple[str, ...]]] = {**FeedbackConfig.BELONGS, "axis": ("ratings",)}
    OF_METHOD: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "keep": ("filtered",),
        "beta": ("reward_weighted", "advantage_weighted", "ilql"),
        "most": ("advantage_weighted", "ilql"),
        "value_coef": ("advantage_weighted", "ilql"),
        "head_lr": ("advantage_weighted", "ilql"),
        "discount": ("ilql",),
        "expectile": ("ilql",),
        "cql_coef": ("ilql",),
        "target_mix": ("ilql",),
    }
    """Setting -> the methods that it is one of."""

    method: Literal["filtered", "reward_weighted", "advantage_weighted", "ilql"] = "advantage_weighted"
    """Which responses are imitated: the best alone (filtered), all in proportion to exp(mark / beta)
    (reward_weighted), or to exp((mark - what the prompt gets anyway) / beta), which a critic learns
    (advantage_weighted); or each token of them by itself, by what it is worth beside its place (ilql)."""

    objective: Literal["auto", "ratings", "thumbs", "wins"] = "auto"  # pyright: ignore[reportIncompatibleVariableOverride]
    """What the marks of responses are: ratings, thumbs (1 up, 0 down), or the share of the others in its row that a
    response wins against (wins: preferences and rankings); auto is what the file holds."""

    axis: str | None = None
    """Of ratings: the axis that is learned; left out, the main one (overall or helpfulness), or the mean of all."""

    keep: float = Field(default=0.25, gt=0, lt=1)
    """Of filtered: the share of the responses that is imitated, of each prompt whose responses have different marks,
    else of the file; of each at least the best, and equals stay together."""

    beta: float = Field(default=1.0, gt=0)
    """Of the weighted methods: deviations of the marks by which a response must be better to count e = 2.7 times as
    much."""

    most: float = Field(default=20.0, gt=0)
    """Of advantage_weighted and ilql: the largest weight of a response, or of a token."""

    value_coef: float = Field(default=0.1, gt=0)
    """Of advantage_weighted and ilql: weight of the critic's error beside the loss of the policy, whose trunk it
    shares."""

    head_lr: float = Field(default=1e-3, gt=0)
    """Of advantage_weighted and ilql: peak learning rate of the critic's heads, which begin at zero."""

    discount: float = Field(default=1.0, gt=0, le=1)
    """Of ilql: worth of a mark one token later."""

    expectile: float = Field(default=0.7, gt=0, lt=1)
    """Of ilql: whose worth a place has: 0.5 that of the mean token there, near 1 that of the best in the data."""

    cql_coef: float = Field(default=0.0, ge=0)
    """Of ilql: charge for tokens that are not in the data and are worth much all the same, beside the error of Q."""

    target_mix: float = Field(default=0.05, gt=0, le=1)
    """Of ilql: share of Q that its slow copy takes over after each update."""

    @property
    def axes(self) -> tuple[str | None, bool]:
        """See `FeedbackConfig`."""
        return self.axis, False

    @model_validator(mode="after")
    def _fits_its_method(self) -> Self:
        for name, methods in self.OF_METHOD.items():
            if dict(self)[name] != type(self).model_fields[name].default and self.method not in methods:
                raise ValueError(
                    f"{name} is a setting of method = {' or '.join(methods)}, but here method = {self.method}. Leave "
                    "it out, or change the method."
                )
        if self.center_coef:
            raise ValueError("center_coef holds scores near 0, and nothing is scored here. Leave it out.")
        return self
