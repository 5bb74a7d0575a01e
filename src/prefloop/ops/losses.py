"""Losses, one number per token or per pair; the loop adds them up and divides once.

Shape letters: B responses or pairs, T response tokens, N packed tokens, V vocabulary, K responses per prompt.
The token losses are elementwise, so (B, T) and packed (N,) are alike, and none takes a mask: give them `x[mask]`,
packed. Masking only their result lets a NaN in the padding of one input reach the gradient of another (0 * NaN is NaN).
"""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from prefloop.ops.shapes import same_shape

_MAX_TIED_RANKING = 12  # ranks with ties cost 2^K


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


def bradley_terry_loss(chosen: Tensor, rejected: Tensor, *, margin: Tensor | None = None) -> Tensor:
    """Surprise at a preference, when scores are log-odds of winning.

        loss = -log sigmoid(chosen - rejected - margin)

    Bradley and Terry 1952; Stiennon et al. 2020 (arXiv:2009.01325); the margin, Touvron et al. 2023, eq. 2
    (arXiv:2307.09288), larger for a stronger preference.

    Args:
        chosen: (B,) score of the preferred response; has grad.
        rejected: (B,) score of the other; has grad.
        margin: (B,) score units, or None for no margin.

    Returns: (B,) nats per pair; log 2 at equal scores, finite at any finite gap.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(chosen=chosen, rejected=rejected)
    gap = chosen - rejected
    if margin is not None:
        same_shape(chosen=chosen, margin=margin)
        gap = gap - margin
    return -functional.logsigmoid(gap)


def graded_preference_loss(gap: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Surprise at a preference of a stated strength, when scores are log-odds of winning.

        felt = gap + logistic noise        loss = -log P(lower < felt < upper)
                                                = -log(sigmoid(upper - gap) - sigmoid(lower - gap))

    McCullagh 1980 (proportional odds); a tie is (-t, t), as in Rao and Kupper 1967; (0, inf) is `bradley_terry_loss`.
    A slight preference pulls the gap towards its interval, from either side; a strong one pulls it further.

    Args:
        gap: (B,) score of one response less that of the other; has grad.
        lower: (B,) score units, or -inf; may have grad.
        upper: (B,) score units above lower, or inf; may have grad.

    Returns: (B,) nats per preference, finite at any finite gap.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(gap=gap, lower=lower, upper=upper)
    between = torch.log(-torch.expm1(lower - upper))
    return -functional.logsigmoid(upper - gap) - functional.logsigmoid(gap - lower) - between


def plackett_luce_loss(scores: Tensor, ranks: Tensor) -> Tensor:
    """Surprise at a ranking, when responses are drawn best first with probability softmax(scores of those left).

        loss = - sum_i (score of the i-th best - log sum over those ranked i-th or worse of exp(score))

    Plackett 1975; Luce 1959. With K = 2 it is `bradley_terry_loss`. Equal ranks mean that the order between them was
    not told: the probability is the sum over every strict order that agrees with the ranks, exactly. So a ranking that
    is one tie says nothing (loss 0, no gradient), and "best of K, the rest tied" is one softmax.

    Args:
        scores: (B, K) score units; has grad.
        ranks: (B, K) any real numbers, lower is better; only their order matters.

    Returns: (B,) nats per ranking.
    Raises: ShapeError if the shapes differ; ValueError for ties in a ranking of more than 12, whose cost is 2^K.
    """
    same_shape(scores=scores, ranks=ranks)
    ordered, order = ranks.sort(dim=-1, stable=True)
    best_first = scores.gather(-1, order)
    if bool((ordered[:, 1:] == ordered[:, :-1]).any()):
        return -_tied_ranking_logprob(best_first, ordered)
    left = best_first.flip(-1).logcumsumexp(-1).flip(-1)
    return (left - best_first).sum(-1)


def _tied_ranking_logprob(scores: Tensor, ranks: Tensor) -> Tensor:
    """Log-probability (B,) of ranks (B, K), in nats, summed over the orders that agree with them.

    Goes from the sets of k responses already drawn to those of k + 1; a set is worth the sum, over which of its members
    came last, of the set without it. A draw is allowed if nobody left has a better rank.
    """
    num_ranked = scores.shape[1]
    if num_ranked > _MAX_TIED_RANKING:
        raise ValueError(f"a ranking of {num_ranked} has ties; at most {_MAX_TIED_RANKING} can be ranked with ties")
    never = -1e30  # finite, so that a set no order reaches has gradient 0 and not NaN
    everyone = frozenset(range(num_ranked))
    drawn: dict[frozenset[int], Tensor] = {frozenset(): torch.zeros_like(scores[:, 0])}
    for size in range(num_ranked):
        step: dict[tuple[frozenset[int], int], Tensor] = {}
        for before in map(frozenset, combinations(range(num_ranked), size)):
            left = sorted(everyone - before)
            allowed = ranks[:, left] == ranks[:, left].amin(-1, keepdim=True)
            total = drawn[before].unsqueeze(-1) + scores[:, left].log_softmax(-1)
            for place, item in enumerate(left):
                step[before, item] = torch.where(allowed[:, place], total[:, place], never)
        drawn = {
            after: torch.stack([step[after - {item}, item] for item in sorted(after)], -1).logsumexp(-1)
            for after in map(frozenset, combinations(range(num_ranked), size + 1))
        }
    return drawn[everyone]
