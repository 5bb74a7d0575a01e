"""How much better than expected each token turned out.

Shape letters: B responses, T response tokens. Rows are usually padded on the right, where a value counts as 0: after
the end there is no more reward to come. A place outside the mask is skipped, wherever it stands, so that what a tool
wrote in the middle of a response takes no discount and gets no advantage.
"""

import torch
from torch import Tensor

from prefloop.ops.reduce import masked_mean, masked_sum, masked_var
from prefloop.ops.shapes import same_shape


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, discount: float, decay: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation.

        surprise[t]  = rewards[t] + discount * values[t+1] - values[t]         values after the end = 0
        advantage[t] = surprise[t] + discount * decay * advantage[t+1]
        return[t]    = advantage[t] + values[t]

    Schulman et al. 2016, eq. 16 (arXiv:1506.02438); decay is their lambda. decay = 0 is the surprise alone, decay = 1
    the discounted return less the value.

    Args:
        rewards: (B, T) reward units.
        values: (B, T) reward units, the critic's guess of the return from each token on.
        mask: (B, T) bool; t+1 above is the next place inside it.
        discount: per token, in [0, 1]; 1 for one response.
        decay: in [0, 1]; 0.95 is usual.

    Returns: advantages (B, T) and returns (B, T), reward units, 0 at padding. Nothing is whitened: the returns are the
        critic's targets.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(rewards=rewards, values=values, mask=mask)
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    next_value = next_advantage = torch.zeros_like(rewards[:, 0])
    columns = []
    for t in reversed(range(rewards.shape[1])):
        surprise = rewards[:, t] + discount * next_value - values[:, t]
        advantage = surprise + discount * decay * next_advantage
        columns.append(torch.where(mask[:, t], advantage, 0.0))
        next_value = torch.where(mask[:, t], values[:, t], next_value)
        next_advantage = torch.where(mask[:, t], advantage, next_advantage)
    advantages = torch.stack(columns[::-1], dim=1)
    return advantages, advantages + values


def discounted_returns(rewards: Tensor, mask: Tensor, *, discount: float) -> Tensor:
    """All the reward to come, a token further away counting less.

        return[t] = rewards[t] + discount * return[t+1]                        after the end = 0

    Sutton and Barto 2018, eq. 3.9.

    Args:
        rewards: (B, T) reward units.
        mask: (B, T) bool; t+1 above is the next place inside it.
        discount: per token, in [0, 1]; 1 sums.

    Returns: (B, T) reward units, 0 at padding.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(rewards=rewards, mask=mask)
    _, returns = gae(rewards, torch.zeros_like(rewards), mask, discount=discount, decay=1.0)
    return returns


def response_returns(rewards: Tensor, mask: Tensor) -> Tensor:
    """The whole reward of a response, for each of its tokens: the response was one decision.

        return[t] = sum over the response of rewards

    Args:
        rewards: (B, T) reward units.
        mask: (B, T) bool.

    Returns: (B, T) reward units, 0 at padding.
    Raises: ShapeError if the shapes differ.
    """
    return torch.where(mask, masked_sum(rewards, mask, dim=1).unsqueeze(-1), 0.0)


def whitened(x: Tensor, mask: Tensor, *, shift_mean: bool) -> Tensor:
    """The same numbers with variance 1 under the mask, and with mean 0 if asked.

        y = (x - mean) / sqrt(var + 1e-8)    (+ mean, unless shift_mean)       var over all real tokens, divided by n

    Huang et al. 2024 (arXiv:2403.17031), details 18 and 19: advantages are shifted, rewards are not.

    Args:
        x: (B, T) any units.
        mask: (B, T) bool.
        shift_mean: True moves the mean to 0; False leaves it where it was.

    Returns: (B, T) without units, 0 at padding.
    Raises: ShapeError if the shapes differ; ValueError if the mask has no real token.
    """
    same_shape(x=x, mask=mask)
    mean, variance = masked_mean(x, mask), masked_var(x, mask)
    scaled = (torch.where(mask, x, mean) - mean) * torch.rsqrt(variance + 1e-8)
    return torch.where(mask, scaled if shift_mean else scaled + mean, 0.0)
