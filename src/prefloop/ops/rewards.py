"""From one score per response to one reward per token.

Shape letters: B responses, T response tokens, E members of an ensemble.
"""

from typing import Literal

import torch
from torch import Tensor

from prefloop.ops.shapes import has_shape, same_shape

Combine = Literal["mean", "min", "variance"]


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, kl_coef: float) -> Tensor:
    """What the optimiser sees: a charge for drift at every token, and the score at the last one.

        reward[b, t] = -kl_coef * kl[b, t] + (scores[b] if t is the last real token of b else 0)

            tokens   yes   ,    of  course  <end>  .pad  .pad
            kl       0.1  0.0  0.3   0.0    0.1
            reward  -0.1  0.0 -0.3   0.0    s-0.1    0     0         (kl_coef = 1)

    Ziegler et al. 2019, eq. 2 (arXiv:1909.08593); the place of the score, Huang et al. 2024, detail 9.

    Args:
        scores: (B,) reward units, one per response.
        kl: (B, T) nats per token, usually k1 of `kl_estimate`.
        mask: (B, T) bool, True for the tokens of the response, its end-of-text included.
        kl_coef: reward units charged per nat.

    Returns: (B, T) reward units, 0 at padding. Over a row they sum to score - kl_coef * sum of kl.
    Raises: ShapeError if the shapes disagree; ValueError if a row has no real token.
    """
    same_shape(kl=kl, mask=mask)
    has_shape(tuple(mask.shape[:-1]), scores=scores)
    is_last = torch.arange(mask.shape[-1], device=mask.device) == last_index(mask).unsqueeze(-1)
    charges = torch.where(mask, kl_coef * kl, 0.0)
    return torch.where(is_last, scores.unsqueeze(-1), 0.0) - charges


def repeated_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, kl_coef: float) -> Tensor:
    """The whole score at every token, beside the charge: a response of T tokens is paid T times.

        reward[b, t] = scores[b] - kl_coef * kl[b, t]

    Not what "the final reward is given to every (token, state)" means where returns are summed: as a return each token
    has the score once already, with `token_rewards` and a discount of 1. Here the return at t is (T - t) scores.

    Args:
        scores, kl, mask, kl_coef: as in `token_rewards`.

    Returns: (B, T) reward units, 0 at padding.
    Raises: ShapeError if the shapes disagree.
    """
    same_shape(kl=kl, mask=mask)
    has_shape(tuple(mask.shape[:-1]), scores=scores)
    return torch.where(mask, scores.unsqueeze(-1) - kl_coef * kl, 0.0)


def last_index(mask: Tensor) -> Tensor:
    """Where the last real token of each row stands; padding may be on the right, on the left, or between.

    Args:
        mask: (B, T) bool.

    Returns: (B,) int64 in [0, T).
    Raises: ValueError if a row has no real token.
    """
    empty = ~mask.any(-1)
    if bool(empty.any()):
        rows = empty.nonzero().flatten().tolist()
        raise ValueError(f"every row needs a real token, but {len(rows)} have none, such as row {rows[0]}")
    positions = torch.arange(mask.shape[-1], device=mask.device)
    return torch.where(mask, positions, -1).amax(-1)


def normalised_scores(raw: Tensor, *, mean: float, std: float) -> Tensor:
    """Scores on a scale where the SFT policy has mean 0 and spread 1.

        score = (raw - mean) / std

    The shift, Ouyang et al. 2022, section 3.5 (arXiv:2203.02155); both, Ziegler et al. 2019, section 2.1.

    Args:
        raw: (B,) the reward model's own output.
        mean: its mean over responses of the SFT policy.
        std: its standard deviation there; above 0. 1 to shift only.

    Returns: (B,) reward units.
    Raises: ValueError if std is not above 0.
    """
    if not std > 0:
        raise ValueError(f"std must be above 0, got {std}: a model that scores everything alike has no scale")
    return (raw - mean) / std


def combined_scores(members: Tensor, *, combine: Combine, variance_coef: float) -> Tensor:
    """One score from those of an ensemble's members.

        mean       mean over members
        min        the lowest (worst-case optimisation, WCO)
        variance   mean - variance_coef * variance (uncertainty-weighted optimisation, UWO)

    Coste et al. 2023, section 3.2 (arXiv:2310.02743); the variance is that of the members there are (divided by E). The
    order of the members does not matter: they are added in float64, from the lowest up.

    Args:
        members: (B, E) reward units.
        combine: which of the three.
        variance_coef: weight of the variance, per reward unit; only for `variance`.

    Returns: (B,) reward units, in the dtype of `members`.
    Raises: ShapeError if `members` is no matrix.
    """
    has_shape((members.shape[0], members.shape[-1]), members=members)
    ascending = members.cpu().double().sort(-1).values
    if combine == "min":
        return ascending[:, 0].to(members)
    mean = ascending.mean(-1)
    if combine == "variance":
        mean = mean - variance_coef * ascending.var(-1, correction=0)
    return mean.to(members)


def disagreement(members: Tensor) -> Tensor:
    """How far an ensemble's members are apart: the deviation of their scores, divided by E as in `combined_scores`.

    Args:
        members: (B, E) reward units.

    Returns: (B,) reward units, in the dtype of `members`.
    """
    return members.cpu().double().std(-1, correction=0).to(members)
