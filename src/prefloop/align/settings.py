"""Settings that several algorithms share that learn from rollouts."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prefloop.align.switches import Dumped, Following, Limited, Mixed, RatioLimited
from prefloop.config import LEFT, Config
from prefloop.settings import (
    Adapted,
    Batched,
    Gated,
    Optimised,
    Reward,
    Rewarded,
    Templated,
    Trained,
    Varied,
    Watched,
    WithPreset,
    below_preset,
)

GONE = {
    "advantage": "td is now decay = 0, return is decay = 1, gae any decay; for batch_mean type prefloop reinforce.",
    "reward_at": "every, as a return, is now decay = 1; paid at every token it is score_at = every; for response type "
    "prefloop reinforce credit=response.",
}
"""Settings that PPO had once -> what to type instead."""


EVERYBODY = (
    "kl_unit = batch charges every response the same, and {taken} are charged it too: their difference knows nothing "
    "of it. Set kl_unit = token or response."
)
"""Why a charge for everybody does nothing beside a baseline."""


class RolloutsConfig(
    Trained, Templated, Adapted, Varied, Batched, Optimised, Rewarded, Gated, Watched, defaults={"checkpoint_every": 40}
):
    """What every algorithm needs that samples from the policy it trains."""

    leading: ClassVar[tuple[str, ...]] = ("reward", "env", "steps")

    policy: str
    """Model folder (or hub id) to start from, normally the SFT model; the frozen reference is a copy of it."""

    reward: Reward | None = None
    """Who scores: a reward model folder, python:FILE.py:FUNCTION taking (prompts, responses) as lists of strings, or a
    server's http://HOST:PORT/PATH; or several that are added, NAME: {model, weight, at_least}. May be left out where
    `env` pays."""

    env: str | None = None
    """Who answers the policy, and pays it for each turn: python:FILE.py:CLASS with the method respond(conversations,
    seeds); None for responses of one turn, which only the reward scores."""

    max_turns: int = Field(default=8, ge=1, le=1000)
    """With env: most turns of the policy in a rollout, each of at most max_new_tokens."""

    env_seconds: float = Field(default=600.0, gt=0, le=1_000_000)
    """With env: most seconds for one call; then the run stops and says in which line it was."""

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
    def most_tokens(self) -> int:
        """Tokens that the policy may write in a rollout."""
        return self.max_new_tokens * (1 if self.env is None else self.max_turns)

    @property
    def levels(self) -> dict[str, float]:
        """Name of a reward -> what its mean score is to be at least, of those that have a constraint."""
        parts = self.reward if isinstance(self.reward, dict) else {}
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
    def _somebody_pays(self) -> Self:
        if self.reward == "":
            raise ValueError("`reward` is empty. Say who scores, or leave it out where env pays.")
        if self.reward is None and self.env is None:
            raise ValueError(
                "the setting `reward` is needed. Add reward=..., a reward model folder, python:FILE.py:FUNCTION or "
                "http://HOST:PORT/PATH; or env=..., which pays by itself."
            )
        if self.env is not None and not self.env.startswith("python:"):
            raise ValueError(f"env = {self.env} is no environment. Write env=python:FILE.py:CLASS.")
        default = type(self).model_fields
        for name, value in (("max_turns", self.max_turns), ("env_seconds", self.env_seconds)):
            if self.env is None and value != default[name].default:
                raise ValueError(f"{name} does nothing without an environment. Leave it out, or set env.")
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


class Shaped(Config):
    """What becomes of scores before they are a reward: (score - mean) / deviation, times score_scale, plus score_shift,
    within score_clip."""

    score_norm: Literal["none", "running"] = "none"
    """What scores are measured by: themselves, or with running the mean and deviation of all scores of the run so far
    (Welford 1962), this step's among them."""

    score_scale: float = Field(default=1.0, gt=0)
    """What scores are multiplied by."""

    score_shift: float = 0.0
    """What is added to them then, in reward units."""

    score_clip: float | None = Field(default=None, gt=0)
    """Most that a score may be away from 0, in reward units; None for no limit."""

    unfinished_score: float | None = None
    """What a response that did not end by itself gets in place of its score (-1 in Huang 2024, the EOS trick), in
    reward units; None leaves its score, less unfinished_penalty."""

    @property
    def shapes(self) -> bool:
        """True if a score may be another number as a reward."""
        plain = (self.score_norm, self.score_scale, self.score_shift, self.score_clip, self.unfinished_score)
        return plain != ("none", 1.0, 0.0, None, None)

    @model_validator(mode="before")
    @classmethod
    def _a_score_of_its_own_is_no_penalty(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("unfinished_score") is not None:
            return {"unfinished_penalty": 0.0, **values}
        return values


class TokenRewards(RolloutsConfig):
    """How rewards lie on the tokens of a response, where each token has its own."""

    score_at: Literal["last", "every"] = "last"
    """Where a response is paid: at its last token, whose return every token shares; or the whole of it at every token,
    which counts it as often as there are tokens to come, and needs double_counting."""

    double_counting: bool = False
    """That score_at = every is meant: of T tokens the first is promised T times the score."""

    whiten_rewards: bool = False
    """Scale the step's rewards, charges included, to deviation 1 over its response tokens; their mean stays."""

    @model_validator(mode="after")
    def _a_score_counts_once(self) -> Self:
        if self.score_at == "every" and not self.double_counting:
            raise ValueError(
                "score_at = every pays a response its whole score again at each of its tokens, so that the first of T "
                "is promised T times as much. As a return every token has the score already: leave score_at out, with "
                "decay = 1 where there is a critic. If it is meant, set double_counting = true."
            )
        if self.double_counting and self.score_at == "last":
            raise ValueError("double_counting does nothing with score_at = last. Leave it out.")
        if self.score_at == "every" and self.env is not None:
            raise ValueError(
                "score_at = every pays at every token, and env says itself when it pays. Leave score_at out."
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

    whiten_shift: bool = True
    """With whiten_advantages: also move their mean to 0; false scales alone."""

    @model_validator(mode="after")
    def _what_is_shifted_is_scaled(self) -> Self:
        if not self.whiten_shift and not self.whiten_advantages:
            raise ValueError("whiten_shift is how advantages are whitened, and they are not. Leave it out.")
        return self


class Reused(RolloutsConfig, RatioLimited):
    """How often a step's rollouts are learned from, and how far from the policy that wrote them."""

    minibatch_size: int = Field(default=LEFT, ge=1)
    """Responses in one optimiser update; must divide rollouts_per_step. Left out, what suits the model."""

    epochs: int = Field(default=4, ge=1, le=1000)
    """Passes over a step's rollouts."""

    clip: float = Field(default=0.2, gt=0)
    """How far below 1 a ratio counts; and above, unless clip_high says so."""

    clip_high: float | None = Field(default=None, gt=0)
    """How far above 1 a ratio counts, more than clip to let unlikely tokens rise (DAPO); None takes clip."""

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

    @model_validator(mode="after")
    def _may_go_as_far_up_as_down(self) -> Self:
        if self.clip_high is not None and self.clip_high < self.clip:
            raise ValueError(
                f"clip_high = {self.clip_high} is below clip = {self.clip}: the ratio may go less far up than down. "
                f"Set clip_high = {self.clip} or more, or lower clip."
            )
        return self


class OnlineConfig(RolloutsConfig, Shaped, WithPreset, Following, Mixed, Limited, Dumped):
    """What algorithms have besides that optimise a reward from which drift is charged, token by token."""

    kl_coef: float = Field(default=LEFT, ge=0)
    """Reward charged for each nat of drift from the reference policy; left out, what suits the model. 0 measures drift
    and charges nothing."""

    kl_target: float | None = Field(default=None, gt=0)
    """Drift per response, in nats, that kl_coef is steered to (Ziegler 2019); None keeps kl_coef."""

    kl_target_per_token: float | None = Field(default=None, gt=0)
    """The same per token: the target is this times the mean length of the step's responses, so that longer ones may
    drift further."""

    kl_horizon: float = Field(default=10000, gt=0)
    """Responses over which the steering acts."""

    kl_where: Literal["reward", "loss", "both", "off"] = "reward"
    """Where drift is charged: in the reward of each token, as a term of the loss, in both, or nowhere; off does not
    even load the reference, so that drift is not known."""

    kl_unit: Literal["token", "response", "batch"] = "token"
    """In the reward: to each token its own drift, to the last token the response's, or to all the batch's mean per
    token (seed 003)."""

    kl_estimator: Literal["k1", "k2", "k3", "full"] = "k1"
    """How drift is told: from the sampled token (k1, k2, k3), or with full from both whole distributions, exactly. In
    the reward k1 is unbiased; in the loss use full, k2 or k3."""

    kl_loss_estimator: Literal["k1", "k2", "k3", "full"] | None = None
    """The same in the loss, where kl_where = both; None takes kl_estimator."""

    kl_direction: Literal["reverse", "forward"] = "reverse"
    """Which KL: reverse is KL(policy || reference); forward is KL(reference || policy), from the policy's tokens by
    importance weights, or exactly with full; the states are the policy's all the same."""

    entropy_coef: float = Field(default=0.0, ge=0)
    """Weight of the entropy bonus (entropy of the whole distribution, in nats)."""

    @model_validator(mode="before")
    @classmethod
    def _say_where_settings_have_gone(cls, values: Any) -> Any:
        for name, instead in GONE.items():
            if isinstance(values, dict) and name in values:
                raise ValueError(f"the setting `{name}` is gone. {instead}")
        return values

    @property
    def loss_estimator(self) -> Literal["k1", "k2", "k3", "full"]:
        """How drift is told in the loss."""
        return self.kl_loss_estimator or self.kl_estimator

    @property
    def in_reward(self) -> bool:
        """True if drift is charged in the reward."""
        return self.kl_where in ("reward", "both")

    @property
    def in_loss(self) -> bool:
        """True if drift is a term of the loss."""
        return self.kl_where in ("loss", "both")

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_charged_nowhere(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("kl_where") == "off":
            return {"kl_coef": 0.0, **values}
        return values

    @model_validator(mode="after")
    def _is_steered_within_reach(self) -> Self:
        rollouts: int | None = self.rollouts_per_step
        name = "kl_target" if self.kl_target is not None else "kl_target_per_token"
        steered = self.kl_target is not None or self.kl_target_per_token is not None
        if self.kl_target is not None and self.kl_target_per_token is not None:
            raise ValueError("kl_target and kl_target_per_token both say what kl_coef is steered to. Leave one out.")
        if steered and self.kl_where == "off":
            raise ValueError(f"kl_where = off charges no drift, so that {name} has nothing to steer. Leave it out.")
        if steered and self.kl_coef == 0:
            raise ValueError(
                f"{name} steers kl_coef by multiplying it, so it must not start at 0. Set for instance kl_coef = 0.05."
            )
        if steered and (rollouts or 0) * 0.2 >= self.kl_horizon:
            raise ValueError(
                f"kl_horizon = {self.kl_horizon:g} is so short that {self.rollouts_per_step} rollouts could turn "
                "kl_coef "
                f"negative. Set kl_horizon = {10 * self.rollouts_per_step} or more."
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _a_preset_comes_first(cls, values: Any) -> Any:
        """Before what else looks at the values as they were given: of such validators the last one runs first."""
        return below_preset(cls, values)

    @model_validator(mode="after")
    def _is_charged_where_it_can_be(self) -> Self:
        if self.in_loss and self.loss_estimator == "k1" and self.kl_direction == "reverse":
            name = "kl_loss_estimator" if self.kl_where == "both" else "kl_estimator"
            raise ValueError(
                f"{name} = k1 has no useful gradient in the loss. Set {name} = full, k2 or k3, or kl_where = reward."
            )
        if not self.in_reward and self.kl_unit != "token":
            raise ValueError(
                f"kl_unit = {self.kl_unit} only makes sense in the reward. Set kl_unit = token, or kl_where = reward."
            )
        if self.kl_loss_estimator is not None and self.kl_where != "both":
            raise ValueError(
                f"kl_loss_estimator is for kl_where = both; with kl_where = {self.kl_where} set kl_estimator alone."
            )
        if self.kl_where == "off":
            given = [
                name
                for name in ("kl_coef", "kl_estimator", "kl_direction")
                if dict(self)[name] not in (0, type(self).model_fields[name].default)
            ]
            if given:
                raise ValueError(
                    f"kl_where = off charges no drift, so that {given[0]} = {dict(self)[given[0]]} does nothing. Leave "
                    f"{given[0]} out; kl_coef = 0 with another kl_where measures drift and charges nothing."
                )
        return self

    @model_validator(mode="after")
    def _what_is_not_there_is_not_asked(self) -> Self:
        given = [name for name in ("reference_every", "max_kl") if dict(self)[name]]
        if self.kl_where == "off" and given:
            raise ValueError(
                f"kl_where = off has no reference, so that {given[0]} = {dict(self)[given[0]]} does nothing. Leave it "
                "out, or set kl_coef = 0 with another kl_where, which measures drift and charges nothing."
            )
        return self

    @model_validator(mode="after")
    def _an_unfinished_response_is_marked_once(self) -> Self:
        if self.unfinished_score is not None and self.unfinished_penalty:
            raise ValueError(
                f"unfinished_score is what an unfinished response gets; unfinished_penalty = {self.unfinished_penalty} "
                "would be taken off that too. Leave unfinished_penalty out, or set it to 0."
            )
        return self


class Grouped(OnlineConfig, Reused):
    """What algorithms have besides that measure a response against the others to its prompt, and have no critic."""

    overlong: Literal["keep", "mask", "soft"] = "keep"
    """What becomes of a response that ran into max_new_tokens: keep learns from it as from others, mask leaves it out
    of the loss, soft charges unfinished_penalty little by little towards the end (DAPO)."""

    overlong_share: float | None = Field(default=None, gt=0, le=1)
    """Of soft, which needs it: the share of max_new_tokens, at their end, over which the charge grows."""

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
        if self.kl_unit == "batch":
            raise ValueError(EVERYBODY.format(taken="the others to its prompt"))
        if (self.overlong == "soft") != (self.overlong_share is not None):
            raise ValueError("overlong = soft and overlong_share = NUMBER (0.2, say) need each other.")
        if self.overlong == "soft" and not self.unfinished_penalty:
            raise ValueError("overlong = soft charges unfinished_penalty little by little, and here it is 0. Set it.")
        return self
