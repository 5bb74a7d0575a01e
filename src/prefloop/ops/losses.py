"""Losses of the policy and the critic, one number per token; the loop adds them up and divides once.

Shape letters: B responses, T response tokens, N packed tokens. What people prefer has its losses in `preferences`.
They are elementwise, so (B, T) and packed (N,) are alike, and none takes a mask: give them `x[mask]`, packed. Masking
only their result lets a NaN in the padding of one input reach the gradient of another (0 * NaN is NaN).
"""

import torch
from torch import Tensor

from prefloop.ops.shapes import same_shape


def ppo_policy_loss(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, clip: float) -> Tensor:
    """Clipped surrogate of Schulman et al. 2017, eq. 7 (arXiv:1707.06347).

        ratio = exp(logprobs - old_logprobs)
        loss  = -min(ratio * A, clamp(ratio, 1 - clip, 1 + clip) * A)

    The minimum is pessimistic: the gradient stops once the ratio has gone past the clip in the direction that the
    advantage asked for, and never when it has gone the wrong way.

    Args:
        logprobs: (B, T) or (N,) nats, under the policy in training; has grad.
        old_logprobs: (B, T) or (N,) nats, under the policy that sampled; no grad.
        advantages: (B, T) or (N,) reward units; no grad.
        clip: half-width of the trust region around ratio 1.

    Returns: (B, T) or (N,) loss per token. Padding is not masked here.
    Raises: ShapeError if the three shapes differ.
    """
    same_shape(logprobs=logprobs, old_logprobs=old_logprobs, advantages=advantages)
    ratio = (logprobs - old_logprobs).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def ppo_policy_clipped(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, clip: float) -> Tensor:
    """Where `ppo_policy_loss` has no gradient because it was cut off: the ratio has gone past the clip as A asked.

        ratio > 1 + clip and A > 0,    or    ratio < 1 - clip and A < 0

    A ratio that has gone the wrong way is still pulled back; a token with A = 0 teaches nothing, clipped or not.

    Args:
        logprobs, old_logprobs, advantages, clip: as in `ppo_policy_loss`.

    Returns: (B, T) or (N,) bool.
    Raises: ShapeError if the three shapes differ.
    """
    same_shape(logprobs=logprobs, old_logprobs=old_logprobs, advantages=advantages)
    ratio = torch.exp(logprobs - old_logprobs)
    return ((ratio > 1 + clip) & (advantages > 0)) | ((ratio < 1 - clip) & (advantages < 0))


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
