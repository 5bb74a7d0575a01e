"""What drift from the reference costs: in the reward of each token, as a term of the loss, in both, or nothing.

Shapes: B responses of a step, T tokens of the longest, M tokens of some of them.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor

from prefloop.align import online, responses
from prefloop.align.config import PPOConfig
from prefloop.align.online import Before, Direction, Setup, earned
from prefloop.align.settings import Grouped, OnlineConfig, TokenRewards
from prefloop.errors import UserError
from prefloop.models.divergence import divergence
from prefloop.models.network import Network, Reading
from prefloop.models.stream import ResponseStream
from prefloop.ops.advantages import whitened
from prefloop.ops.kl import KLEstimator, adapted_kl_coef, forward_kl_estimate, kl_estimate
from prefloop.ops.rewards import last_index, placed_rewards, repeated_rewards, token_rewards
from prefloop.sampling.rollouts import Rollouts

Terms = dict[str, tuple[float, Tensor]]
"""Name in the log -> its coefficient and (M,) what each token adds to the loss."""


def rewards(
    config: OnlineConfig, rollouts: Rollouts, scores: Tensor, before: Before, placed: Tensor | None, *, kl_coef: float
) -> Tensor:
    """(B, T) reward units: the charge for drift, and at the last token what the response earns.

    Args:
        scores: (B,) reward units, as they are rewarded.
        placed: (B, T) reward units, the part of them that is paid within the responses; None for none.

    Raises: UserError if the score is to be paid at every token, but it says itself where.
    """
    whole = earned(scores, rollouts, unfinished_penalty=config.unfinished_penalty)
    kl = charged(config, before, rollouts.mask)
    every = isinstance(config, TokenRewards) and config.score_at == "every"
    if every and placed is not None:
        raise UserError(
            "score_at=every pays the whole score at every token, but this reward says itself where it is paid. Leave "
            "score_at out."
        )
    found = (repeated_rewards if every else token_rewards)(whole, kl, rollouts.mask, kl_coef=kl_coef)
    if placed is not None:
        found = placed_rewards(found, placed, rollouts.mask)
    if isinstance(config, TokenRewards) and config.whiten_rewards:
        return whitened(found, rollouts.mask, shift_mean=False)
    return found


def charged(config: OnlineConfig, before: Before, mask: Tensor) -> Tensor:
    """(B, T) nats that each token is charged for in the reward, by the estimator, direction and unit of the settings;
    0 where drift is not charged there, and at padding."""
    if not config.in_reward:
        return torch.zeros_like(before.logprobs)
    kl = before.drift(mask, config.kl_estimator, forward=config.kl_direction == "forward")
    if config.kl_unit == "token":
        return kl
    everyone = (kl.sum() / mask.sum()).expand(len(mask))
    due = kl.sum(1) if config.kl_unit == "response" else everyone
    return torch.zeros_like(kl).scatter(1, last_index(mask)[:, None], due[:, None])


class Asked(TypedDict):
    """What drift asks of the reading before the updates."""

    whole: Direction | None
    """which KL is told from both whole distributions"""
    states: bool
    """whether the reading that is kept needs its hidden states"""


def asked(config: OnlineConfig) -> Asked:
    """What `online.read` is asked for beside logprobs."""
    whole = config.kl_direction if config.in_reward and config.kl_estimator == "full" else None
    return {"whole": whole, "states": wants_states(config)}


def read(
    config: PPOConfig | Grouped, setup: Setup, rollouts: Rollouts, order: Sequence[Sequence[int]], *, limit: int
) -> Before:
    """What policy and reference say before the updates, read in the micro-batches of the first epoch.

    Args:
        order: the rows of each update of the step.
        limit: most tokens at once.
    """
    first_epoch = order[: config.rollouts_per_step // config.minibatch_size]
    parts = [rows for index in first_epoch for rows in online.micro_batches(rollouts, index, limit=limit)]
    kept = online.entropy(config) if len(parts) == 1 else None
    return online.read(setup, rollouts, parts, temperature=config.temperature, kept=kept, **asked(config))


def metrics(before: Before, mask: Tensor) -> dict[str, float]:
    """The part of the log line that only this reading knows. Args: mask: of all rows, or of the first of them."""
    found, num = responses.surprise(before.ref_logprobs, mask), len(mask)
    if before.whole is not None:
        found["rewards/kl_full"] = float(before.whole[:num].cpu().double().sum(1).mean())
    if (moved := before.kl_start(mask)) is not None:
        found["rewards/kl_start"] = float(moved.cpu().double().sum(1).mean())
    return found


def wants_states(config: OnlineConfig) -> bool:
    """True if the loss compares whole distributions, so that the policy's hidden states are needed in it."""
    return config.in_loss and config.loss_estimator == "full"


def whole(
    config: OnlineConfig, policy: Network, now: Reading, reference: Network | None, packed: ResponseStream
) -> Tensor | None:
    """(M,) nats: the exact drift at each token, with its gradient, if the loss charges it; else None.

    Args:
        now: what the policy says of the tokens.
        packed: the tokens.
    """
    if not wants_states(config):
        return None
    assert reference is not None  # drift is charged
    with torch.no_grad():
        theirs = reference.read(packed, temperature=config.temperature, entropy="none", states=True)
    forward = config.kl_direction == "forward"
    return divergence(policy, now, reference, theirs, temperature=config.temperature, forward=forward)


def terms(
    config: OnlineConfig,
    now: Reading,
    ref_logprobs: Tensor | None,
    *,
    kl_coef: float,
    old_logprobs: Tensor | None = None,
    exact: Tensor | None = None,
) -> Terms:
    """What every algorithm's loss has beside its own: the entropy, and drift if it is charged there.

    Args:
        ref_logprobs: (M,) nats, of the same tokens under the reference; None without one.
        old_logprobs: (M,) nats, under the policy that sampled; None if that is the policy as it is.
        exact: what `whole` found.
    """
    assert now.entropy is not None  # it was asked for
    found: Terms = {"loss/entropy": (config.entropy_coef, -now.entropy)}
    if not config.in_loss:
        return found
    if config.loss_estimator == "full":
        assert exact is not None  # it was asked for
        return {**found, "loss/kl": (kl_coef, exact)}
    assert ref_logprobs is not None  # drift is charged
    estimator: KLEstimator = config.loss_estimator
    if config.kl_direction == "forward":
        sampled = now.logprobs if old_logprobs is None else old_logprobs
        kl = forward_kl_estimate(now.logprobs, ref_logprobs, sampled, estimator=estimator)
    else:
        kl = kl_estimate(now.logprobs, ref_logprobs, estimator=estimator)
    return {**found, "loss/kl": (kl_coef, kl)}


def next_kl_coef(config: OnlineConfig, coef: float, metrics: Mapping[str, float]) -> float:
    """The coefficient of the next step. Args: metrics: of this one, its drift and the length of its responses."""
    target = config.kl_target
    if config.kl_target_per_token is not None:
        target = config.kl_target_per_token * metrics["rollouts/length"]
    if target is None:
        return coef
    kl = metrics["rewards/kl"]
    return adapted_kl_coef(coef, kl, target=target, horizon=config.kl_horizon, num_responses=config.rollouts_per_step)
