"""What travels from sampling to the optimiser.

Shapes: B responses, T tokens of the longest response.

    prompt  "where is it?"    response  "on  its  way  END"      mask  [1 1 1 1]
    prompt  "thanks"          response  "bye END"                mask  [1 1 0 0]
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rollouts:
    """Prompts with sampled responses, how likely they were, and how good. Padding is False in `mask`, and never read."""

    prompts: tuple[tuple[int, ...], ...]
    """B prompts in tokens"""
    responses: tuple[tuple[int, ...], ...]
    """B responses in tokens, the end-of-text token included where it was reached"""
    scores: Tensor
    """(B,) reward units"""
    mask: Tensor
    """(B, T) bool"""
    logprobs: Tensor
    """(B, T) nats, under the policy that sampled, at the sampling temperature"""
    ref_logprobs: Tensor
    """(B, T) nats, under the reference"""
    values: Tensor
    """(B, T) reward units, the critic's prediction before the update; zeros without a critic"""
    rewards: Tensor
    """(B, T) reward units"""
    advantages: Tensor
    """(B, T) reward units, or deviations once whitened"""
    returns: Tensor
    """(B, T) reward units"""

    def __len__(self) -> int:
        """B"""
        return len(self.responses)

    def packed(self, grid: Tensor, index: list[int]) -> Tensor:
        """(M,) the real tokens of some rows of a (B, T) grid, row after row."""
        return grid[index][self.mask[index]]

    def state(self) -> dict[str, Any]:
        """As a plain mapping, for a checkpoint."""
        return {field.name: vars(self)[field.name] for field in fields(self)}

    @classmethod
    def restored(cls, state: dict[str, Any], device: torch.device) -> Self:
        """From a checkpoint."""
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in state.items()}
        return cls(**moved)
