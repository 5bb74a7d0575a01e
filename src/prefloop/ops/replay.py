"""Learning from what an earlier policy wrote: each token weighs what the present policy would have made of it.

Shape letters: B responses, T response tokens, N packed tokens. Padding as in `advantages`.
"""

import torch
from torch import Tensor

from prefloop.ops.shapes import same_shape


def truncated_weights(logprobs: Tensor, behaviour_logprobs: Tensor, *, cap: float) -> Tensor:
    """How much likelier the present policy makes a token than the one that wrote it, cut off above.

        weight = min(exp(logprobs - behaviour_logprobs), cap)

    Espeholt et al. 2018 (arXiv:1802.01561), section 4.1, rho and c with one cap for both. Uncapped, weighted means are
    those of the present policy, with a variance that can be any; a cap keeps that small, and what it changes is that
    the values learned are those of a policy between the two (their eq. 3).

    Args:
        logprobs: (B, T) or (N,) nats, under the present policy.
        behaviour_logprobs: (B, T) or (N,) nats, of the same tokens under the policy that wrote them.
        cap: above 0; math.inf for none.

    Returns: (B, T) or (N,) without units, in (0, cap]. Padding is not masked here.
    Raises: ShapeError if the shapes differ; ValueError if the cap is not above 0.
    """
    same_shape(logprobs=logprobs, behaviour_logprobs=behaviour_logprobs)
    if not cap > 0:
        raise ValueError(f"cap must be above 0, got {cap}")
    return (logprobs - behaviour_logprobs).exp().clamp(max=cap)


def effective_share(weights: Tensor) -> Tensor:
    """Which share of some weighted tokens teaches in effect.

        (sum of weights)^2 / (number * sum of squares)

    Kish 1965, as a share of their number.

    Args:
        weights: (N,) at least 0, without units.

    Returns: () in (0, 1]; 1 where all weigh the same; nan if all are 0.
    """
    weights = weights.cpu().double()
    return weights.sum().square() / (len(weights) * weights.square().sum())


def vtrace(
    rewards: Tensor, values: Tensor, weights: Tensor, mask: Tensor, *, discount: float, decay: float
) -> tuple[Tensor, Tensor]:
    """Advantages and value targets of the present policy on what another one wrote: V-trace with GAE's decay.

        surprise[t]  = rewards[t] + discount * values[t+1] - values[t]              values after the end = 0
        advantage[t] = surprise[t] + discount * decay * weights[t+1] * advantage[t+1]
        return[t]    = values[t] + weights[t] * advantage[t]

    Espeholt et al. 2018 (arXiv:1802.01561), eq. 1 with c[t] = decay * rho[t] (their remark 2) and both cut off at the
    same cap. With all weights 1 it is `advantages.gae`; with decay = 1 the advantage is theirs, r + discount * v[t+1] -
    V[t]. The loss weighs a token's advantage by its own weight, which is not in it.

    Args:
        rewards: (B, T) reward units.
        values: (B, T) reward units, of the present critic.
        weights: (B, T) of `truncated_weights`.
        mask: (B, T) bool; t+1 above is the next place inside it.
        discount: per token, in [0, 1].
        decay: in [0, 1].

    Returns: advantages (B, T) and returns (B, T), reward units, 0 at padding.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(rewards=rewards, values=values, weights=weights, mask=mask)
    rewards, values, weights = (torch.where(mask, grid, 0.0) for grid in (rewards, values, weights))
    next_value = following = torch.zeros_like(rewards[:, 0])
    columns = []
    for t in reversed(range(rewards.shape[1])):
        surprise = rewards[:, t] + discount * next_value - values[:, t]
        advantage = surprise + discount * decay * following
        columns.append(torch.where(mask[:, t], advantage, 0.0))
        next_value = torch.where(mask[:, t], values[:, t], next_value)
        following = torch.where(mask[:, t], weights[:, t] * advantage, following)
    advantages = torch.stack(columns[::-1], dim=1)
    return advantages, values + weights * advantages
