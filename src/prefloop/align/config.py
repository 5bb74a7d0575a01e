"""Settings of the algorithms that learn from rollouts, one class for each."""

from typing import Literal, Self

from pydantic import Field, model_validator

from prefloop.align.settings import (
    EVERYBODY,
    Discounted,
    Grouped,
    OnlineConfig,
    Reused,
    RolloutsConfig,
    TokenRewards,
    Whitened,
)
from prefloop.align.switches import Replayed
from prefloop.config import LEFT
from prefloop.files.fingerprints import is_address
from prefloop.settings import Gated, Refreshed, Reward, Rewarded, RunConfig, SamplingConfig, Templated, Varied, Weighted


class PPOConfig(OnlineConfig, Reused, Discounted, Whitened, TokenRewards, Replayed):
    """Everything that changes what a PPO run does."""

    head_lr: float = Field(default=LEFT, gt=0)
    """Peak learning rate of the critic's head; left out, what suits the model."""

    decay: float = Field(default=0.95, ge=0, le=1)
    """GAE's lambda: 0 trusts the critic (one-step surprise), 1 the sampled return."""

    critic: str = "shared"
    """Where values come from: shared (a head on the policy's trunk), separate (a copy of the policy), reward-model (the
    folder that reward names), or a model folder."""

    critic_head: Literal["mean", "zero", "score"] = "mean"
    """How the head of a critic begins: with the mean of what follows the first step's tokens, at zero, or with the
    score that a reward model's folder gives."""

    critic_warmup: int = Field(default=0, ge=0)
    """Steps at the beginning in which only the critic learns, of a shared trunk only its head."""

    dual_clip: float | None = Field(default=None, gt=1)
    """Where the advantage is below 0: most that the ratio counts (Ye 2020), so that a token which became much likelier
    does not throw the policy back; None counts it in full."""

    value_target: Literal["returns", "td", "scores"] = "returns"
    """What the critic is to predict: the advantage plus its old value, the reward plus its old value of the next token
    (TD), or at every token the response's whole reward (seed 003)."""

    value_clip: float | None = Field(default=0.2, gt=0)
    """Half-width of the region around the old value, in reward units; None lets values move freely."""

    value_coef: float = Field(default=0.1, ge=0)
    """Weight of the critic's loss."""

    @property
    def critic_from(self) -> str | None:
        """The model whose trunk the critic begins with; None for the policy's."""
        if self.critic == "reward-model":
            return str(self.reward)
        return None if self.critic in ("shared", "separate") else self.critic

    @model_validator(mode="after")
    def _the_critic_can_begin_so(self) -> Self:
        if self.critic_head == "score" and self.critic in ("shared", "separate"):
            raise ValueError(
                f"critic_head = score takes the head of a reward model, and critic = {self.critic} has none. Set "
                "critic = reward-model, or leave critic_head out."
            )
        folder = isinstance(self.reward, str) and not (self.reward.startswith("python:") or is_address(self.reward))
        if self.critic == "reward-model" and not folder:
            raise ValueError(
                "critic = reward-model needs a reward that is one reward model's folder. Give the critic's folder "
                "itself, or critic = separate."
            )
        if self.critic_warmup >= self.steps:
            raise ValueError(
                f"critic_warmup = {self.critic_warmup} leaves no step of {self.steps} in which the policy learns. Set "
                "it lower, or raise steps."
            )
        if self.replay_steps and self.value_target != "returns":
            raise ValueError(
                f"value_target = {self.value_target} tells of the policy that wrote; what replayed rollouts are worth "
                "now is their corrected return. Leave value_target out, or replay_steps."
            )
        return self


class REINFORCEConfig(OnlineConfig, Discounted, Whitened, TokenRewards):
    """Everything that changes what a REINFORCE run does."""

    credit: Literal["token", "response"] = "token"
    """What a token earns: the reward still to come, or the whole reward of its response, taken as one decision."""

    baseline: Literal["batch_mean", "group_mean", "none"] = "batch_mean"
    """What is taken off: the mean over the step's responses of their whole reward, the mean over those to the same
    prompt, or nothing."""

    @model_validator(mode="after")
    def _a_baseline_leaves_something(self) -> Self:
        if self.kl_unit == "batch" and self.baseline != "none":
            raise ValueError(EVERYBODY.format(taken="those of the baseline"))
        return self

    @model_validator(mode="after")
    def _one_decision_has_no_later(self) -> Self:
        if self.credit == "response" and self.discount != 1:
            raise ValueError(
                f"credit = response takes a response as one decision, so discount = {self.discount} does nothing. "
                "Leave discount out."
            )
        if self.baseline == "group_mean" and self.responses_per_prompt < 2:
            raise ValueError(
                "baseline = group_mean leaves nothing of a single response to a prompt. Set responses_per_prompt = 2, "
                "or more."
            )
        return self


class RLOOConfig(Grouped, Whitened, defaults={"responses_per_prompt": 4, "epochs": 1, "whiten_advantages": False}):
    """Everything that changes what an RLOO run does."""


class GRPOConfig(Grouped, defaults={"responses_per_prompt": 8, "epochs": 1, "kl_where": "loss", "kl_estimator": "k3"}):
    """Everything that changes what a GRPO run does."""

    scale: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the deviation of what the responses to the prompt earned, of what all of the step
    did, or nothing (Dr. GRPO)."""

    ratio: Literal["token", "response"] = "token"
    """What is compared with the policy that sampled: each token, or the whole response, by the geometric mean of its
    tokens' ratios (GSPO)."""

    surrogate: Literal["clipped", "cispo"] = "clipped"
    """What is done beyond clip: clipped gives up a token's gradient, cispo keeps it with a weight that grows no
    further."""

    loss_mean: Literal["response", "token", "constant"] = "response"
    """What is averaged: responses, each the mean of its tokens; all tokens of an update alike (DAPO); or responses,
    each the sum of its tokens over max_new_tokens (Dr. GRPO)."""

    tries: int = Field(default=1, ge=1, le=100)
    """How often a step samples at most, each time other prompts, until it has all its rollouts of prompts whose
    responses did not all earn the same (DAPO's dynamic sampling); 1 takes what comes."""


class RFTConfig(RolloutsConfig, defaults={"responses_per_prompt": 8, "steps": 10}):
    """Everything that changes what an RFT run does."""

    keep: Literal["best", "share", "above"] = "best"
    """Which responses are imitated, of those that ended by themselves: the best of each prompt, a share of all the
    step's, the best of them, or all that score above a threshold."""

    share: float | None = Field(default=None, gt=0, le=1)
    """Of share, which needs it: how many of the step's responses."""

    above: float | None = None
    """Of above, which needs it: the threshold, in reward units."""

    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over what a step kept."""

    minibatch_size: int = Field(default=LEFT, ge=1)
    """Kept responses in one optimiser update; left out, what suits the model."""

    @property
    def most_kept(self) -> int:
        """Responses of a step that can be kept."""
        match self.keep:
            case "best":
                return self.rollouts_per_step // self.responses_per_prompt
            case "share":
                return max(1, round((self.share or 0.0) * self.rollouts_per_step))
            case "above":
                return self.rollouts_per_step

    @model_validator(mode="after")
    def _says_what_is_kept(self) -> Self:
        for name, value in (("share", self.share), ("above", self.above)):
            if (self.keep == name) != (value is not None):
                raise ValueError(f"keep = {name} and {name} = NUMBER need each other.")
        if self.keep == "best" and self.responses_per_prompt < 2:
            raise ValueError("the best of one response is that response. Set responses_per_prompt = 2, or more.")
        if self.unfinished_penalty != type(self).model_fields["unfinished_penalty"].default:
            raise ValueError(
                "only responses that ended by themselves are imitated, so unfinished_penalty does nothing. Leave it "
                "out."
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
