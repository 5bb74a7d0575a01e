"""Losses of the policy and the critic, one number per token; the loop adds them up and divides once.

Shape letters: B responses, T response tokens, N packed tokens. What people prefer has its losses in `preferences`.
They are elementwise, so (B, T) and packed (N,) are alike, and none takes a mask: give them `x[mask]`, packed. Masking
only their result lets a NaN in the padding of one input reach the gradient of another (0 * NaN is NaN).
"""

import torch
from torch import Tensor

from prefloop.ops.ratios import clipped, clipped_loss
from prefloop.ops.shapes import same_shape


def ppo_policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    *,
    clip: float,
    clip_high: float | None = None,
    dual_clip: float | None = None,
) -> Tensor:
    """Clipped surrogate of Schulman et al. 2017, eq. 7 (arXiv:1707.06347).

        ratio = exp(logprobs - old_logprobs)
        loss  = -min(ratio * A, clamp(ratio, 1 - clip, 1 + clip_high) * A)
        loss  = min(loss, -dual_clip * A) where A < 0

    The minimum is pessimistic: the gradient stops once the ratio has gone past the clip in the direction that the
    advantage asked for, and never when it has gone the wrong way. `clip_high` lets unlikely tokens grow further (DAPO,
    Yu et al. 2025, section 3.1, arXiv:2503.14476); `dual_clip` bounds what a ratio far above 1 costs where A < 0 (Ye et
    al. 2020, eq. 5, arXiv:1912.09729).

    Args:
        logprobs: (B, T) or (N,) nats, under the policy in training; has grad.
        old_logprobs: (B, T) or (N,) nats, under the policy that sampled; no grad.
        advantages: (B, T) or (N,) reward units; no grad.
        clip: how far below 1 the ratio may go.
        clip_high: how far above 1; None for `clip`.
        dual_clip: above 1; None for no bound.

    Returns: (B, T) or (N,) loss per token. Padding is not masked here.
    Raises: ShapeError if the three shapes differ.
    """
    same_shape(logprobs=logprobs, old_logprobs=old_logprobs, advantages=advantages)
    high, worst = clip if clip_high is None else clip_high, torch.inf if dual_clip is None else dual_clip
    return clipped_loss(logprobs - old_logprobs, advantages, low=clip, high=high, worst=worst)


def ppo_policy_clipped(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    *,
    clip: float,
    clip_high: float | None = None,
    dual_clip: float | None = None,
) -> Tensor:
    """Where `ppo_policy_loss` has no gradient because it was cut off: the ratio has gone past the clip as A asked.

        ratio > 1 + clip_high and A > 0,    or    ratio < 1 - clip and A < 0,    or    ratio > dual_clip and A < 0

    A ratio that has gone the wrong way is still pulled back, up to `dual_clip`; a token with A = 0 teaches nothing,
    clipped or not.

    Args:
        logprobs, old_logprobs, advantages, clip, clip_high, dual_clip: as in `ppo_policy_loss`.

    Returns: (B, T) or (N,) bool.
    Raises: ShapeError if the three shapes differ.
    """
    same_shape(logprobs=logprobs, old_logprobs=old_logprobs, advantages=advantages)
    high, worst = clip if clip_high is None else clip_high, torch.inf if dual_clip is None else dual_clip
    return clipped(logprobs - old_logprobs, advantages, low=clip, high=high, worst=worst)


def reinforce_loss(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """The score function of Williams 1992: what turned out better than expected becomes likelier.

        loss = -A * logprob                            gradient: -A * grad logprob

    Args:
        logprobs: (B, T) or (N,) nats, under the policy that sampled the tokens; has grad.
        advantages: (B, T) or (N,) reward units; no grad.

    Returns: (B, T) or (N,) loss per token. Its value means nothing, its gradient does. Padding is not masked here.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(logprobs=logprobs, advantages=advantages)
    return -advantages * logprobs


def ppo_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, *, clip: float) -> Tensor:
    """Squared error of the critic, clipped around its own old guess, the larger of the two.

        clipped = old_values + clamp(values - old_values, -clip, clip)
        loss    = 1/2 max((values - returns)^2, (clipped - returns)^2)

    From the PPO code of Dhariwal et al. 2017 (openai/baselines, ppo2); Huang et al. 2024 (arXiv:2403.17031), detail 20.

    Args:
        values: (B, T) or (N,) reward units, from the critic in training; has grad.
        old_values: (B, T) or (N,) reward units, from the critic when the rollouts were made; no grad.
        returns: (B, T) or (N,) reward units, the targets; no grad.
        clip: reward units that a value may move in one go; math.inf for no clip.

    Returns: (B, T) or (N,) loss per token, squared reward units. Padding is not masked here.
    Raises: ShapeError if the three shapes differ.
    """
    same_shape(values=values, old_values=old_values, returns=returns)
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())


def ppo_value_clipped(values: Tensor, old_values: Tensor, returns: Tensor, *, clip: float) -> Tensor:
    """Where `ppo_value_loss` has no gradient: the clipped guess is the worse of the two, and it no longer moves.

        |values - old_values| > clip    and    (clipped - returns)^2 > (values - returns)^2

    Args:
        values, old_values, returns, clip: as in `ppo_value_loss`.

    Returns: (B, T) or (N,) bool.
    Raises: ShapeError if the three shapes differ.
    """
    same_shape(values=values, old_values=old_values, returns=returns)
    moved = values - old_values
    clipped = old_values + moved.clamp(-clip, clip)
    return (moved.abs() > clip) & ((clipped - returns).square() > (values - returns).square())
