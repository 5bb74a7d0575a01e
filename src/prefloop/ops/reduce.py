"""Sums, means and maxima of real tokens only.

Shape letters: B responses, T response tokens; any shape will do. The choice is made by `where`, before any arithmetic:
multiplying by a mask would let a NaN through, since NaN * 0 is NaN. A loop that accumulates micro-batches wants
`masked_sum` and one division by the step's tokens: the mean of the means is another number.
"""

import torch
from torch import Tensor

from prefloop.ops.shapes import same_shape


def masked_sum(x: Tensor, mask: Tensor, *, dim: int | None = None) -> Tensor:
    """Sum of x where the mask is True.

    Args:
        x: (B, T) any units.
        mask: (B, T) bool.
        dim: the dimension to sum; None for all.

    Returns: () in the units of x, or x's shape without dim. 0 where nothing is real.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(x=x, mask=mask)
    chosen = torch.where(mask, x, 0)
    return chosen.sum() if dim is None else chosen.sum(dim)


def masked_mean(x: Tensor, mask: Tensor, *, dim: int | None = None) -> Tensor:
    """Mean of x where the mask is True.

        sum of x under the mask / number of True in the mask

    Args:
        x: (B, T) any units; bool gives a share.
        mask: (B, T) bool.
        dim: the dimension to average; None for all.

    Returns: () in the units of x, or x's shape without dim.
    Raises: ShapeError if the shapes differ; ValueError if there is nothing real to average.
    """
    return masked_sum(x, mask, dim=dim) / _count(mask, dim)


def masked_var(x: Tensor, mask: Tensor, *, dim: int | None = None) -> Tensor:
    """Population variance of x where the mask is True: divided by n, not by n - 1.

        mean of (x - mean)^2 under the mask

    Args:
        x: (B, T) any units.
        mask: (B, T) bool.
        dim: the dimension to reduce; None for all.

    Returns: () in the squared units of x, or x's shape without dim. 0 for a single number.
    Raises: ShapeError if the shapes differ; ValueError if there is nothing real.
    """
    mean = masked_mean(x, mask, dim=dim)
    mean = mean if dim is None else mean.unsqueeze(dim)
    return masked_mean((torch.where(mask, x, mean) - mean).square(), mask, dim=dim)


def masked_max(x: Tensor, mask: Tensor, *, dim: int | None = None) -> Tensor:
    """Largest x where the mask is True.

    Args:
        x: (B, T) floating, any units.
        mask: (B, T) bool.
        dim: the dimension to reduce; None for all.

    Returns: () in the units of x, or x's shape without dim.
    Raises: ShapeError if the shapes differ; ValueError if there is nothing real.
    """
    same_shape(x=x, mask=mask)
    _count(mask, dim)
    chosen = torch.where(mask, x, -torch.inf)
    return chosen.amax() if dim is None else chosen.amax(dim)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """How much of the returns the critic foresees.

        1 - var(returns - values) / var(returns)        under the mask

    Args:
        values, returns: (B, T) reward units.
        mask: (B, T) bool.

    Returns: () at most 1; 0 for a constant guess, negative for worse; nan if the returns are all alike.
    Raises: ShapeError if the shapes differ; ValueError if there is nothing real.
    """
    same_shape(values=values, returns=returns, mask=mask)
    spread = masked_var(returns, mask)
    return torch.where(spread > 0, 1 - masked_var(returns - values, mask) / spread, torch.nan)


def _count(mask: Tensor, dim: int | None) -> Tensor:
    """Real places, at least one wherever a division is coming."""
    count = mask.sum() if dim is None else mask.sum(dim)
    if bool((count == 0).any()):
        raise ValueError(f"nothing to reduce: a mask of shape {tuple(mask.shape)} has no True along dim={dim}")
    return count
