"""Settings of the algorithms that learn from rollouts: what they share, and what is each one's own."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from prefloop.config import LEFT
from prefloop.settings import (
    Adapted,
    Batched,
    Gated,
    Optimised,
    Refreshed,
    Reward,
    Rewarded,
    RunConfig,
    SamplingConfig,
    Templated,
    Trained,
    Varied,
    Weighted,
)

GONE = {
    "advantage": "td is now decay = 0, return is decay = 1, gae any decay; for batch_mean type prefloop reinforce.",
    "reward_at": "every is now decay = 1; for response type prefloop reinforce credit=response.",
}
"""Settings that PPO had once -> what to type instead."""


class RolloutsConfig(
    Trained, Templated, Adapted, Varied, Batched, Optimised, Rewarded, Gated, defaults={"checkpoint_every": 40}
):
    """What every algorithm needs that samples from the policy it trains."""

    policy: str
    """Model folder (or hub id) to start from, normally the SFT model; the frozen reference is a copy of it."""

    reward: Reward
    """Who scores: a reward model folder, or python:FILE.py:FUNCTION taking (prompts, responses) as lists of strings; or
    several that are added, NAME: {model, weight, at_least}."""

    multiplier_lr: float = Field(default=0.05, gt=0)
    """How fast the multiplier of a constraint (at_least) moves: its change for each reward unit that is missing, a
    step."""

    outliers: Literal["ignore", "clip", "abstain"] = "ignore"
    """What becomes of responses that are unusual to the reward model: clip limits their score to what known responses
    reach, abstain gives them the mean score of the step's others."""

    outlier_limit: float = Field(default=0.99, gt=0, lt=1)
    """A response is unusual if more than this share of the known ones is less so."""

    prompts: str
    """File of prompts."""

    steps: int = Field(default=40, ge=1, le=10_000_000)
    """Turns of the spine: prompts, rollouts, scores, rewards, advantages, loss."""

    rollouts_per_step: int = Field(default=LEFT, ge=1, le=1_000_000)
    """Responses sampled in a step; left out, what suits the model."""

    responses_per_prompt: int = Field(default=1, ge=1)
    """Responses sampled for each prompt of a step."""

    unfinished_penalty: float = Field(default=1.0, ge=0)
    """Charged in the reward of a response that did not end by itself, in reward units."""

    save_every: int = Field(default=10, ge=1)
    """Steps between policies kept for `evaluate` to choose from; the last one is always kept."""

    @property
    def levels(self) -> dict[str, float]:
        """Name of a reward -> what its mean score is to be at least, of those that have a constraint."""
        parts = {} if isinstance(self.reward, str) else self.reward
        return {name: part.at_least for name, part in parts.items() if part.at_least is not None}

    @model_validator(mode="after")
    def _rewards_fit_together(self) -> Self:
        default = type(self).model_fields
        if self.multiplier_lr != default["multiplier_lr"].default and not self.levels:
            raise ValueError(
                "multiplier_lr does nothing without a constraint. Leave it out, or give a reward at_least."
            )
        if self.outlier_limit != default["outlier_limit"].default and self.outliers == "ignore":
            raise ValueError("outlier_limit does nothing with outliers = ignore. Leave it out, or set outliers = clip.")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        rollouts: int | None = self.rollouts_per_step
        if rollouts is not None and rollouts % self.responses_per_prompt:
            fits = -(-rollouts // self.responses_per_prompt) * self.responses_per_prompt
            raise ValueError(
                f"responses_per_prompt = {self.responses_per_prompt} does not divide rollouts_per_step = "
                f"{self.rollouts_per_step}. Try rollouts_per_step = {fits}."
            )
        return self


class OnlineConfig(RolloutsConfig):
    """What algorithms have besides that optimise a reward from which drift is charged, token by token."""

    kl_coef: float = Field(default=LEFT, ge=0)
    """Reward charged for each nat of drift from the reference policy; left out, what suits the model."""

    kl_target: float | None = Field(default=None, gt=0)
    """Drift per response, in nats, that kl_coef is steered to (Ziegler 2019); None keeps kl_coef."""

    kl_horizon: float = Field(default=10000, gt=0)
    """Responses over which the steering acts."""

    discount: float = Field(default=1.0, ge=0, le=1)
    """Worth of a reward one token later."""

    whiten_advantages: bool = True
    """Scale advantages to mean 0 and deviation 1 over a step's response tokens."""

    entropy_coef: float = Field(default=0.0, ge=0)
    """Weight of the entropy bonus (entropy of the whole distribution, in nats)."""

    @model_validator(mode="before")
    @classmethod
    def _say_where_settings_have_gone(cls, values: Any) -> Any:
        for name, instead in GONE.items():
            if isinstance(values, dict) and name in values:
                raise ValueError(f"the setting `{name}` is gone. {instead}")
        return values

    @model_validator(mode="after")
    def _is_steered_within_reach(self) -> Self:
        rollouts: int | None = self.rollouts_per_step
        if self.kl_target is not None and self.kl_coef == 0:
            raise ValueError(
                "kl_target steers kl_coef by multiplying it, so it must not start at 0. Set for instance kl_coef = "
                "0.05."
            )
        if self.kl_target is not None and (rollouts or 0) * 0.2 >= self.kl_horizon:
            raise ValueError(
                f"kl_horizon = {self.kl_horizon:g} is so short that {self.rollouts_per_step} rollouts could turn "
                "kl_coef "
                f"negative. Set kl_horizon = {10 * self.rollouts_per_step} or more."
            )
        return self


class PPOConfig(OnlineConfig):
    """Everything that changes what a PPO run does."""

    minibatch_size: int = Field(default=LEFT, ge=1)
    """Responses in one optimiser update; must divide rollouts_per_step. Left out, what suits the model."""

    head_lr: float = Field(default=LEFT, gt=0)
    """Peak learning rate of the critic's head, which begins at zero; left out, what suits the model."""

    epochs: int = Field(default=4, ge=1, le=1000)
    """Passes over a step's rollouts."""

    kl_where: Literal["reward", "loss"] = "reward"
    """Where drift is charged: in the reward of each token, or as a term of the loss."""

    kl_unit: Literal["token", "response", "batch"] = "token"
    """In the reward: to each token its own drift, to the last token the response's, or to all the batch's mean per
    token (seed 003)."""

    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    """How drift is estimated from a sampled token. In the reward k1 is unbiased; in the loss use k2 or k3."""

    decay: float = Field(default=0.95, ge=0, le=1)
    """GAE's lambda: 0 trusts the critic (one-step surprise), 1 the sampled return."""

    critic: str = "shared"
    """Where values come from: shared (a head on the policy's trunk), separate (a copy of the policy), or a model
    folder."""

    clip: float = Field(default=0.2, gt=0)
    """Half-width of the trust region around ratio 1."""

    value_clip: float = Field(default=0.2, gt=0)
    """Half-width of the region around the old value, in reward units."""

    value_coef: float = Field(default=0.1, ge=0)
    """Weight of the critic's loss."""

    max_policy_kl: float | None = Field(default=None, gt=0)
    """Stop a step's epochs once the mean drift from the sampling policy passes this, in nats per token; None never
    does."""

    @model_validator(mode="after")
    def _nothing_is_dropped_or_ignored(self) -> Self:
        rollouts: int | None = self.rollouts_per_step
        size: int | None = self.minibatch_size
        left = rollouts % size if rollouts is not None and size is not None else 0
        if left:
            best = max(self.minibatch_size, self.rollouts_per_step - left)
            raise ValueError(
                f"{left} of rollouts_per_step = {self.rollouts_per_step} would be dropped from every step: "
                f"minibatch_size = {self.minibatch_size} does not divide it. Try rollouts_per_step = {best}."
            )
        if self.kl_where == "loss" and self.kl_estimator == "k1":
            raise ValueError(
                "kl_estimator = k1 has no useful gradient in the loss. Set kl_estimator = k2 or k3, or kl_where = "
                "reward."
            )
        if self.kl_where == "loss" and self.kl_unit != "token":
            raise ValueError(
                f"kl_unit = {self.kl_unit} only makes sense in the reward. Set kl_unit = token, or kl_where = reward."
            )
        return self


class REINFORCEConfig(OnlineConfig):
    """Everything that changes what a REINFORCE run does."""

    credit: Literal["token", "response"] = "token"
    """What a token earns: the reward still to come, or the whole reward of its response, taken as one decision."""

    baseline: Literal["batch_mean", "none"] = "batch_mean"
    """What is taken off: the mean over the step's responses of their whole reward, or nothing."""

    @model_validator(mode="after")
    def _one_decision_has_no_later(self) -> Self:
        if self.credit == "response" and self.discount != 1:
            raise ValueError(
                f"credit = response takes a response as one decision, so discount = {self.discount} does nothing. "
                "Leave discount out."
            )
        return self


class BestOfNConfig(RunConfig, Templated, Weighted, Varied, SamplingConfig, Rewarded, Gated):
    """Everything that changes which response is the best of n."""

    policy: str
    """Model folder (or hub id) that writes the responses, normally the SFT model."""

    reward: Reward
    """Who scores: a reward model folder, or python:FILE.py:FUNCTION taking (prompts, responses) as lists of strings; or
    several that are added, NAME: {model, weight}."""

    prompts: str
    """File of prompts."""

    num_prompts: int = Field(default=0, ge=0)
    """Prompts taken from the file's beginning; 0 takes all."""

    responses_per_prompt: int = Field(default=8, ge=2, le=10_000)
    """n, responses sampled for each prompt, of which the best is kept."""

    batch_prompts: int = Field(default=64, ge=1, le=100_000)
    """Prompts sampled together."""

    @model_validator(mode="after")
    def _nothing_is_trained(self) -> Self:
        parts = {} if isinstance(self.reward, str) else self.reward
        if held := [name for name, part in parts.items() if part.at_least is not None]:
            raise ValueError(
                f"reward.{held[0]}.at_least is a constraint on a policy in training, and nothing is trained here. "
                "Leave it out."
            )
        return self


class OnlineDPOConfig(RolloutsConfig, Refreshed, defaults={"responses_per_prompt": 2}):
    """Everything that changes what an online DPO run does."""

    beta: float = Field(default=LEFT, gt=0)
    """Score of a response for each nat by which the policy has made it likelier than the reference does: the smaller,
    the further the policy may go; left out, what suits the model."""

    objective: Literal["bradley_terry", "robust", "hinge", "ipo"] = "bradley_terry"
    """How a pair teaches: bradley_terry is DPO's own loss, robust knows that some pairs are the wrong way round, hinge
    has enough at a score of 1, ipo wants the log-ratios 1 / (2 beta) apart and no further."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Of bradley_terry: share by which the reward's order of a pair is believed less than said."""

    flip_rate: float | None = Field(default=None, gt=0, lt=0.5)
    """Of robust, which needs it: share of the pairs that the reward is believed to put the wrong way round."""

    @model_validator(mode="after")
    def _there_are_pairs(self) -> Self:
        if self.responses_per_prompt < 2:
            raise ValueError("a pair is two responses to one prompt. Set responses_per_prompt = 2, or more.")
        if self.label_smoothing and self.objective != "bradley_terry":
            raise ValueError(
                f"label_smoothing is a setting of objective = bradley_terry, but here objective = {self.objective}. "
                "Leave it out, or change the objective."
            )
        if (self.objective == "robust") != (self.flip_rate is not None):
            raise ValueError("objective = robust and flip_rate = NUMBER (0.1, say) need each other.")
        return self
