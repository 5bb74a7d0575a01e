"""How much better each response is than the others to its prompt; no critic says what was to be expected.

Shape letters: B responses, K responses to each prompt. The responses of a prompt, its group, stand together, row after
row, so that (B,) is (B / K, K) told in a line. What a whole response earned is one number: it was one decision.
"""

from typing import Literal

import torch
from torch import Tensor

from prefloop.ops.shapes import has_shape

Scale = Literal["group", "batch", "none"]
SMALLEST = 1e-4
"""Added to a deviation that is divided by, in reward units."""


def group_mean(earned: Tensor, *, copies: int) -> Tensor:
    """What the responses of the same prompt earned on average, the response itself among them.

        mean[i] = sum over the group of earned / K

    Args:
        earned: (B,) reward units.
        copies: K, responses of a group.

    Returns: (B,) reward units.
    Raises: ShapeError if earned is not (B,); ValueError if copies does not divide B.
    """
    return _mean(_grouped(earned, copies)).expand(-1, copies).reshape(-1)


def leave_one_out(earned: Tensor, *, copies: int) -> Tensor:
    """REINFORCE leave-one-out: what a response earned, less the mean of the others of its group.

        A[i] = earned[i] - sum over the others of earned / (K - 1)

    Kool et al. 2019; Ahmadian et al. 2024, section 3 (arXiv:2402.14740). The baseline knows nothing of the response, so
    the gradient stays unbiased. Over a group they sum to 0; of two it is their difference; and it is
    (earned - group mean) K / (K - 1).

    Args:
        earned: (B,) reward units.
        copies: K, responses of a group; at least 2.

    Returns: (B,) reward units; exactly 0 in a group whose responses all earned the same.
    Raises: ShapeError if earned is not (B,); ValueError if copies does not divide B, or is below 2.
    """
    if copies < 2:
        raise ValueError(f"leaving one out takes groups of at least 2, got {copies}")
    groups = _grouped(earned, copies)
    return _unless_flat(groups, (groups - _mean(groups)) * (copies / (copies - 1)))


def group_normalised(earned: Tensor, *, copies: int, scale: Scale) -> Tensor:
    """GRPO's advantage: what a response earned, less the mean of its group, in deviations.

        A[i] = (earned[i] - group mean) / (std + 1e-4)

        group    std of the group: Shao et al. 2024, section 4.1.2 (arXiv:2402.03300)
        batch    std of all B: Liu et al. 2025 (arXiv:2508.08221)
        none     not divided: Dr. GRPO, Liu et al. 2025, section 3.2 (arXiv:2503.20783)

    A deviation is divided by the number less 1, as in TRL and verl. Divided by its group's, a prompt on which
    responses hardly differ weighs as much as any other, so that the optimum is no longer that of the reward.

    Args:
        earned: (B,) reward units.
        copies: K, responses of a group; at least 2.
        scale: which of the three.

    Returns: (B,) deviations, or reward units for `none`; exactly 0 in a group whose responses all earned the same.
    Raises: ShapeError if earned is not (B,); ValueError if copies does not divide B, or is below 2.
    """
    if copies < 2:
        raise ValueError(f"a deviation takes groups of at least 2, got {copies}")
    groups = _grouped(earned, copies)
    centred = groups - _mean(groups)
    if scale == "group":
        centred = centred / (groups.std(1, keepdim=True) + SMALLEST)
    elif scale == "batch":
        centred = centred / (groups.std() + SMALLEST)
    return _unless_flat(groups, centred)


def flat_groups(earned: Tensor, *, copies: int) -> Tensor:
    """Which groups teach nothing, for all their responses earned the same.

        flat[g] = the largest of the group == the smallest

    Args:
        earned: (B,) any units.
        copies: K, responses of a group.

    Returns: (B / K,) bool.
    Raises: ShapeError if earned is not (B,); ValueError if copies does not divide B.
    """
    groups = _grouped(earned, copies)
    return groups.amax(1) == groups.amin(1)


def _grouped(earned: Tensor, copies: int) -> Tensor:
    """(B / K, K)"""
    has_shape((earned.numel(),), earned=earned)
    if earned.numel() % copies:
        raise ValueError(f"{copies} responses to a prompt do not divide {earned.numel()} responses")
    return earned.view(-1, copies)


def _mean(groups: Tensor) -> Tensor:
    """(B / K, 1)"""
    return groups.mean(1, keepdim=True)


def _unless_flat(groups: Tensor, advantages: Tensor) -> Tensor:
    """(B,) the advantages, and 0 where rounding of a mean would make equal responses differ."""
    flat = groups.amax(1, keepdim=True) == groups.amin(1, keepdim=True)
    return torch.where(flat, 0.0, advantages).reshape(-1)
