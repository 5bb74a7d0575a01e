"""Settings that several algorithms share that learn from rollouts."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from prefloop.config import LEFT, Config
from prefloop.settings import (
    Adapted,
    Batched,
    Gated,
    Optimised,
    Refreshed,
    Reward,
    Rewarded,
    Templated,
    Trained,
    Varied,
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

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_cut_off(cls, values: Any) -> Any:
        for name in ("top_p", "top_k", "min_p"):
            if isinstance(values, dict) and name in values and name not in cls.model_fields:
                raise ValueError(
                    f"there is no {name} where a policy learns from what it writes: what is cut off is never sampled, "
                    "so its probabilities would be those of another policy than the one that wrote, and drift and "
                    "ratios wrong. Leave it out, or set temperature = 0.7, say."
                )
        return values

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


class Dumped(Config):
    """Which steps are written down token by token."""

    dump_rollouts: int | tuple[int, ...] = 0
    """Steps whose tokens are written to rollouts-*.parquet, with all that their updates knew of them: every so
    many steps (10), or these ([1, 40]); 0 for none."""

    @model_validator(mode="after")
    def _names_steps(self) -> Self:
        some = self.dump_rollouts
        if (some < 0) if isinstance(some, int) else any(step < 1 for step in some):
            raise ValueError(
                f"dump_rollouts = {some if isinstance(some, int) else [*some]}: steps are counted from 1. Give every "
                "how many of them are written (10), or a list of them ([1, 40])."
            )
        return self


class Mixed(Config):
    """What a policy imitates beside earning rewards (PPO-ptx)."""

    ptx: str | None = None
    """File of texts (as pretrain reads them) or demonstrations (as sft does) that every update also learns to imitate,
    so that what they know is not forgotten (Ouyang 2022, PPO-ptx)."""

    ptx_coef: float = Field(default=1.0, gt=0)
    """Weight of their mean surprise in the loss, per token; with ptx."""

    ptx_tokens: int = Field(default=1024, ge=16, le=100_000_000)
    """Most tokens of them in an update, whole rows; with ptx."""

    @model_validator(mode="after")
    def _nothing_is_mixed_without_a_file(self) -> Self:
        for name in ("ptx_coef", "ptx_tokens"):
            if self.ptx is None and dict(self)[name] != type(self).model_fields[name].default:
                raise ValueError(f"{name} does nothing without ptx. Leave it out, or set ptx = FILE.")
        return self


class Following(Refreshed):
    """Whether the reference follows the policy, step by step."""

    reference_every: int = Field(default=0, ge=0)
    """Steps after which the reference is refreshed from the policy; 0 never does. Drift is charged from the refreshed
    one, and told from what it began as too (rewards/kl_start)."""


class Limited(Config):
    """Where a run counts as diverged, and stops."""

    max_kl: float | None = Field(default=None, gt=0)
    """Stop the run if the mean drift of a step's responses from the reference passes this, in nats per response; None
    never does."""

    max_score: float | None = Field(default=None, gt=0)
    """Stop the run if a score, or a value of the critic, is further from 0 than this; None only if it is no number."""


class RatioLimited(Config):
    """The same of algorithms that have a ratio."""

    max_ratio: float | None = Field(default=None, gt=2)
    """Stop the run if a probability ratio to the policy of the step's beginning passes this, of a token, or of a
    response where that is what is clipped; None never does."""


class Replayed(Config):
    """Whether rollouts of earlier steps are learned from again."""

    replay_steps: int = Field(default=0, ge=0, le=10_000)
    """Earlier steps whose rollouts are kept and learned from again, each as if written now, by truncated importance
    weights; 0 for none."""

    replay_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of an update's responses that are such ones, beside the new ones of minibatch_size; with replay_steps."""

    replay_cap: float = Field(default=1.0, gt=0)
    """Most that a token of theirs weighs: how much likelier the present policy makes it than the one that wrote it, cut
    off here (Espeholt 2018)."""

    @model_validator(mode="after")
    def _what_is_kept_is_used(self) -> Self:
        if (self.replay_steps > 0) != (self.replay_share > 0):
            raise ValueError(
                "replay_steps (4, say) and replay_share (0.25, say) need each other: how many earlier steps are kept, "
                "and which share of an update they are."
            )
        if not self.replay_steps and self.replay_cap != type(self).model_fields["replay_cap"].default:
            raise ValueError(
                "replay_cap does nothing without replay_steps. Leave it out, or set replay_steps = 4, say."
            )
        return self


class Discounted(Config):
    """Whether what comes later counts less, where tokens and not responses are what is decided."""

    discount: float = Field(default=1.0, ge=0, le=1)
    """Worth of a reward one token later."""


class Whitened(Config):
    """Whether advantages are brought to one size."""

    whiten_advantages: bool = True
    """Scale advantages to mean 0 and deviation 1 over a step's response tokens."""


class Reused(RolloutsConfig, RatioLimited):
    """How often a step's rollouts are learned from."""

    minibatch_size: int = Field(default=LEFT, ge=1)
    """Responses in one optimiser update; must divide rollouts_per_step. Left out, what suits the model."""

    epochs: int = Field(default=4, ge=1, le=1000)
    """Passes over a step's rollouts."""

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
        return self


class OnlineConfig(RolloutsConfig, Following, Mixed, Limited, Dumped):
    """What algorithms have besides that optimise a reward from which drift is charged, token by token."""

    kl_coef: float = Field(default=LEFT, ge=0)
    """Reward charged for each nat of drift from the reference policy; left out, what suits the model."""

    kl_target: float | None = Field(default=None, gt=0)
    """Drift per response, in nats, that kl_coef is steered to (Ziegler 2019); None keeps kl_coef."""

    kl_horizon: float = Field(default=10000, gt=0)
    """Responses over which the steering acts."""

    kl_where: Literal["reward", "loss"] = "reward"
    """Where drift is charged: in the reward of each token, or as a term of the loss."""

    kl_unit: Literal["token", "response", "batch"] = "token"
    """In the reward: to each token its own drift, to the last token the response's, or to all the batch's mean per
    token (seed 003)."""

    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    """How drift is estimated from a sampled token. In the reward k1 is unbiased; in the loss use k2 or k3."""

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

    @model_validator(mode="after")
    def _is_charged_where_it_can_be(self) -> Self:
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


class Grouped(OnlineConfig, Reused):
    """What algorithms have besides that measure a response against the others to its prompt, and have no critic."""

    clip: float = Field(default=0.2, gt=0)
    """How far below 1 a ratio counts; and above, unless clip_high says so."""

    clip_high: float | None = Field(default=None, gt=0)
    """How far above 1 a ratio counts, more than clip to let unlikely tokens rise (DAPO); None takes clip."""

    overlong: Literal["keep", "mask", "soft"] = "keep"
    """What becomes of a response that ran into max_new_tokens: keep learns from it as from others, mask leaves it out
    of the loss, soft charges unfinished_penalty little by little over the last overlong_buffer tokens (DAPO)."""

    overlong_buffer: int = Field(default=0, ge=0)
    """Of soft, which needs it: how many of the last tokens cost."""

    @property
    def limits(self) -> tuple[float, float]:
        """How far below and above 1 a ratio counts."""
        return self.clip, self.clip if self.clip_high is None else self.clip_high

    @model_validator(mode="after")
    def _is_a_group(self) -> Self:
        if self.responses_per_prompt < 2:
            raise ValueError(
                "a response is measured against the others to its prompt. Set responses_per_prompt = 2, or more."
            )
        if (self.overlong == "soft") != (self.overlong_buffer > 0):
            raise ValueError("overlong = soft and overlong_buffer = NUMBER (of tokens) need each other.")
        if self.overlong_buffer > self.max_new_tokens:
            raise ValueError(
                f"overlong_buffer = {self.overlong_buffer} is longer than a response, max_new_tokens = "
                f"{self.max_new_tokens}. Lower it."
            )
        return self
