"""Settings of what goes on beside an algorithm, whichever it is: rollouts in a file, imitation, references that follow,
limits, older rollouts. All of them are off at first."""

from typing import Self

from pydantic import Field, model_validator

from prefloop.config import Config
from prefloop.settings import Refreshed


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
    """Stop the run if the mean drift of a step's responses from the reference passes this, in nats per response (from
    what it began as, where it follows); None never does."""

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
