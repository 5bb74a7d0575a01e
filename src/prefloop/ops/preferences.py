"""Losses of what people prefer, one number per pair, per ranking or per response; the loop adds up and divides once.

Shape letters: B pairs, rankings or responses, K responses per prompt, L levels of a rating.
A gap is the score of one response less that of the other: log-odds, where a loss says nothing else. Losses of single
responses and of pairs take no mask: give them what is real, packed. Those of K responses take one, (B, K) bool, for
rows with fewer; neither the scores nor the ranks that stand elsewhere matter, NaN included.

    pairs       bradley_terry  soft  smoothed  robust  flipped  hinge  graded  rao_kupper  davidson
    K at once   plackett_luce  all_pairs
    alone       regression  ordinal  thumb  centring
"""

import math
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from prefloop.ops.shapes import has_shape, same_shape

_MAX_TIED_RANKING = 12  # ranks with ties above the last place cost 2^K
_NEVER = -1e30  # a logarithm of nothing; finite, so that what never happens has gradient 0 and not NaN


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


def soft_preference_loss(gap: Tensor, share: Tensor) -> Tensor:
    """Surprise at a preference of which only a share is known: 0.8 says that four of five would choose the first.

        loss = -share * log sigmoid(gap) - (1 - share) * log sigmoid(-gap)

    The mean of `bradley_terry_loss` over a crowd; least where sigmoid(gap) = share. Share 1 is a plain win.

    Args:
        gap: (B,) score of the first response less that of the second; has grad.
        share: (B,) of those who prefer the first, in [0, 1]; a tie is 1/2.

    Returns: (B,) nats per pair, finite at any finite gap.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(gap=gap, share=share)
    return -share * functional.logsigmoid(gap) - (1 - share) * functional.logsigmoid(-gap)


def smoothed_preference_loss(gap: Tensor, *, smoothing: float) -> Tensor:
    """Surprise at a preference that is believed a little less than said, so that the gap never has to grow for ever.

        loss = -(1 - smoothing) * log sigmoid(gap) - smoothing * log sigmoid(-gap)

    Szegedy et al. 2016 (arXiv:1512.00567), for two classes, with the share that the other one gets (half of their
    epsilon); for preferences, Mitchell 2023 (cDPO). Least at gap = log((1 - smoothing) / smoothing).

    Args:
        gap: (B,) score of the chosen response less that of the rejected one; has grad.
        smoothing: share given to the rejected response, in [0, 1/2]; 0 is `bradley_terry_loss`.

    Returns: (B,) nats per pair, finite at any finite gap.
    Raises: ValueError if smoothing is not in [0, 1/2].
    """
    if not 0 <= smoothing <= 0.5:
        raise ValueError(f"smoothing must be from 0 to 0.5, got {smoothing}")
    return soft_preference_loss(gap, torch.full_like(gap, 1 - smoothing))


def robust_preference_loss(gap: Tensor, *, flip_rate: float) -> Tensor:
    """A loss whose mean over labels flipped by chance is the `bradley_terry_loss` of the labels that were not.

        l(gap) = -log sigmoid(gap)        loss = ((1 - e) l(gap) - e l(-gap)) / (1 - 2 e)
        (1 - e) loss(gap) + e loss(-gap) = l(gap)

    Natarajan et al. 2013, lemma 1; for preferences, Chowdhury et al. 2024 (arXiv:2403.00409). It has no floor: the pull
    on a gap is never less than e / (1 - 2 e), so that a model which can learn single labels by heart runs away;
    `flipped_preference_loss` says the same with a floor.

    Args:
        gap: (B,) score of the chosen response less that of the rejected one; has grad.
        flip_rate: e, share of the labels that are the wrong way round, in [0, 1/2); 0 is `bradley_terry_loss`.

    Returns: (B,) nats per pair, finite at any finite gap, below 0 at large ones.
    Raises: ValueError if flip_rate is not in [0, 1/2).
    """
    _require_flip_rate(flip_rate)
    right, wrong = functional.logsigmoid(gap), functional.logsigmoid(-gap)
    return (flip_rate * wrong - (1 - flip_rate) * right) / (1 - 2 * flip_rate)


def flipped_preference_loss(gap: Tensor, *, flip_rate: float) -> Tensor:
    """Surprise at a label that was the wrong way round with a known chance: the likelihood of what was seen.

        loss = -log((1 - e) sigmoid(gap) + e sigmoid(-gap))

    Forward correction of Patrini et al. 2017 (arXiv:1609.03683), for two classes. In the mean over flips it is least at
    the gap of the labels that were not flipped, as `robust_preference_loss` is; but it lies between -log(1 - e) and
    -log e, and a label that contradicts a large gap pulls no more: it is taken for a flip.

    Args:
        gap: (B,) score of the chosen response less that of the rejected one; has grad.
        flip_rate: e, share of the labels that are the wrong way round, in [0, 1/2); 0 is `bradley_terry_loss`.

    Returns: (B,) nats per pair, finite at any finite gap.
    Raises: ValueError if flip_rate is not in [0, 1/2).
    """
    _require_flip_rate(flip_rate)
    if flip_rate == 0:
        return -functional.logsigmoid(gap)
    right, wrong = functional.logsigmoid(gap), functional.logsigmoid(-gap)
    return -torch.logaddexp(right + math.log1p(-flip_rate), wrong + math.log(flip_rate))


def _require_flip_rate(flip_rate: float) -> None:
    if not 0 <= flip_rate < 0.5:
        raise ValueError(f"flip_rate must be at least 0 and below 0.5, got {flip_rate}: at 0.5 a label says nothing")


def hinge_preference_loss(gap: Tensor, *, margin: float) -> Tensor:
    """How much a preference lacks of a margin; one that has it teaches nothing.

        loss = max(0, margin - gap)

    Herbrich et al. 2000; for preferences of texts, Zhao et al. 2023 (arXiv:2305.10425). The scores are no log-odds.

    Args:
        gap: (B,) score of the chosen response less that of the rejected one; has grad.
        margin: score units above 0; it only sets the scale.

    Returns: (B,) score units per pair.
    Raises: ValueError if margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"margin must be above 0, got {margin}: with 0, scores that are all equal have no loss")
    return functional.relu(margin - gap)


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


def rao_kupper_loss(gap: Tensor, outcome: Tensor, *, log_threshold: Tensor) -> Tensor:
    """Surprise at a win, a tie or a loss, when a difference that is smaller than a threshold is not felt.

        t = exp(log_threshold)
        P(win) = sigmoid(gap - t)        P(loss) = sigmoid(-gap - t)        P(tie) = 1 - P(win) - P(loss)

    Rao and Kupper 1967. It is `graded_preference_loss` with the edges -t and t.

    Args:
        gap: (B,) score of the first response less that of the second; has grad.
        outcome: (B,) 1 where the first won, 0 for a tie, -1 where the second won.
        log_threshold: () one for all, or (B,) one for each, such as its annotator's; log of score units; may have grad.

    Returns: (B,) nats per pair, finite at any finite gap.
    Raises: ShapeError if the shapes differ; ValueError for another outcome.
    """
    threshold = _for_each(gap, outcome, log_threshold=log_threshold).exp()
    tie = outcome == 0
    lower = torch.where(tie, -threshold, threshold)
    upper = torch.where(tie, threshold, math.inf)
    return graded_preference_loss(torch.where(outcome < 0, -gap, gap), lower, upper)


def davidson_loss(gap: Tensor, outcome: Tensor, *, log_tie: Tensor) -> Tensor:
    """Surprise at a win, a tie or a loss, when a tie is a third outcome that is likeliest between equals.

        P(win) : P(tie) : P(loss) = exp(gap / 2) : exp(log_tie) : exp(-gap / 2)

    Davidson 1970, with nu = exp(log_tie): between equals a tie has nu / (nu + 2). Among the decided pairs the odds are
    exp(gap), as in Bradley and Terry's model.

    Args:
        gap: (B,) score of the first response less that of the second; has grad.
        outcome: (B,) 1 where the first won, 0 for a tie, -1 where the second won.
        log_tie: () one for all, or (B,) one for each, such as its annotator's; nats; may have grad.

    Returns: (B,) nats per pair, finite at any finite gap.
    Raises: ShapeError if the shapes differ; ValueError for another outcome.
    """
    tie = _for_each(gap, outcome, log_tie=log_tie)
    seen = torch.where(outcome == 0, tie, outcome * gap / 2)
    return torch.stack([gap / 2, tie, -gap / 2], -1).logsumexp(-1) - seen


def _for_each(gap: Tensor, outcome: Tensor, **parameter: Tensor) -> Tensor:
    """The parameter of ties, () or (B,), as (B,); gap and outcome are checked on the way."""
    same_shape(gap=gap, outcome=outcome)
    if not bool(((outcome == 1) | (outcome == 0) | (outcome == -1)).all()):
        raise ValueError(f"an outcome is 1, 0 or -1, got {sorted(set(outcome.flatten().tolist()))}")
    (value,) = parameter.values()
    if value.dim():
        has_shape(tuple(gap.shape), **parameter)
    return value.expand_as(gap)


def pair_logit(first: Tensor, second: Tensor) -> Tensor:
    """Log-odds that A beats B, from a model that read both in one text: first A then B, and the other way round.

        logit(A, B) = (f(A, B) - f(B, A)) / 2 = -logit(B, A)

    So P(A > B) + P(B > A) = 1 whatever the model thinks of the place where a response stands.

    Args:
        first: (B,) f(A, B), the model's output with A in the first place; has grad.
        second: (B,) f(B, A), its output with the two exchanged; has grad.

    Returns: (B,) log-odds; a gap for any loss of pairs.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(first=first, second=second)
    return (first - second) / 2


def plackett_luce_loss(scores: Tensor, ranks: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Surprise at a ranking, when responses are drawn best first with probability softmax(scores of those left).

        loss = - sum_i (score of the i-th best - log sum over those ranked i-th or worse of exp(score))

    Plackett 1975; Luce 1959. With K = 2 it is `bradley_terry_loss`. Equal ranks mean that the order between them was
    not told: the probability is the sum over every strict order that agrees with the ranks, exactly. So a ranking that
    is one tie says nothing (loss 0, no gradient), and "best of K, the rest tied" is one softmax. A response without a
    rank (NaN) is below all that have one, which is a tie at the bottom.

    Args:
        scores: (B, K) score units; has grad.
        ranks: (B, K) any real numbers, lower is better; only their order matters; NaN where none was given.
        mask: (B, K) bool, True where a response stands; None if all do.

    Returns: (B,) nats per ranking; 0 for a row of fewer than two responses.
    Raises: ShapeError if the shapes differ; ValueError for ties above the last place in a ranking of more than 12,
        whose cost is 2^K.
    """
    scores, ranks, mask = _masked_ranking(scores, ranks, mask)
    last = torch.where(mask, ranks, -math.inf).amax(-1, keepdim=True)
    ordered, order = ranks.sort(dim=-1, stable=True)
    told = ordered < last  # the last place is left over: drawing those who share it has probability 1
    best_first = torch.where(mask, scores, _NEVER).gather(-1, order)
    if bool(((ordered[:, 1:] == ordered[:, :-1]) & told[:, 1:]).any()):
        return -_tied_ranking_logprob(best_first, ordered)
    left = best_first.flip(-1).logcumsumexp(-1).flip(-1)
    return torch.where(told, left - best_first, 0.0).sum(-1)


def _masked_ranking(scores: Tensor, ranks: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Scores that are 0 and ranks that are inf where nothing stands, ranks that are inf where none was given, the mask;
    each (B, K)."""
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    same_shape(scores=scores, ranks=ranks, mask=mask)
    ranks = ranks if ranks.is_floating_point() else ranks.float()
    return torch.where(mask, scores, 0.0), torch.where(mask & ~ranks.isnan(), ranks, math.inf), mask


def _tied_ranking_logprob(scores: Tensor, ranks: Tensor) -> Tensor:
    """Log-probability (B,) of ranks (B, K), in nats, summed over the orders that agree with them.

    Goes from the sets of k responses already drawn to those of k + 1; a set is worth the sum, over which of its members
    came last, of the set without it. A draw is allowed if nobody left has a better rank.
    """
    num_ranked = scores.shape[1]
    if num_ranked > _MAX_TIED_RANKING:
        raise ValueError(f"a ranking of {num_ranked} has ties; at most {_MAX_TIED_RANKING} can be ranked with ties")
    everyone = frozenset(range(num_ranked))
    drawn: dict[frozenset[int], Tensor] = {frozenset(): torch.zeros_like(scores[:, 0])}
    for size in range(num_ranked):
        step: dict[tuple[frozenset[int], int], Tensor] = {}
        for before in map(frozenset, combinations(range(num_ranked), size)):
            left = sorted(everyone - before)
            allowed = ranks[:, left] == ranks[:, left].amin(-1, keepdim=True)
            total = drawn[before].unsqueeze(-1) + scores[:, left].log_softmax(-1)
            for place, item in enumerate(left):
                step[before, item] = torch.where(allowed[:, place], total[:, place], _NEVER)
        drawn = {
            after: torch.stack([step[after - {item}, item] for item in sorted(after)], -1).logsumexp(-1)
            for after in map(frozenset, combinations(range(num_ranked), size + 1))
        }
    return drawn[everyone]


def all_pairs_loss(
    scores: Tensor, ranks: Tensor, *, divisor: Literal["pairs", "all"], mask: Tensor | None = None
) -> Tensor:
    """Mean surprise at the pairs that a ranking decides, each taken as a preference.

        loss = - sum over i ranked above j of log sigmoid(score_i - score_j) / divisor

    Ouyang et al. 2022, eq. 1 (arXiv:2203.02155). The pairs of one ranking are no independent votes:
    `plackett_luce_loss` is the likelihood of a ranking, this is not.

    Args:
        scores: (B, K) score units; has grad.
        ranks: (B, K) any real numbers, lower is better; NaN where none was given: below all that have one.
        divisor: "pairs", the decided pairs of the row, so that ties take no weight from the others; "all",
            K (K - 1) / 2 of the responses that stand there, so that a row with ties weighs less.
        mask: (B, K) bool, True where a response stands; None if all do.

    Returns: (B,) nats per pair; 0 for a row that decides nothing.
    Raises: ShapeError if the shapes differ.
    """
    scores, ranks, mask = _masked_ranking(scores, ranks, mask)
    above = (ranks.unsqueeze(-1) < ranks.unsqueeze(-2)) & mask.unsqueeze(-2)
    losses = -functional.logsigmoid(scores.unsqueeze(-1) - scores.unsqueeze(-2))
    num_standing = mask.sum(-1)
    num_pairs = above.sum((-1, -2)) if divisor == "pairs" else num_standing * (num_standing - 1) // 2
    return torch.where(above, losses, 0.0).sum((-1, -2)) / num_pairs.clamp(min=1)


def regression_loss(scores: Tensor, ratings: Tensor) -> Tensor:
    """Squared error of scores that should be the ratings.

        loss = (score - rating)^2

    As HelpSteer's reward models, Wang et al. 2023 (arXiv:2311.09528). It takes the steps of the scale for equally far;
    `ordinal_loss` does not.

    Args:
        scores: (B,) has grad.
        ratings: (B,) on the scale that the scores are meant to have.

    Returns: (B,) squared units of the ratings per response.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(scores=scores, ratings=ratings)
    return (scores - ratings).square()


def ordinal_loss(scores: Tensor, levels: Tensor, edges: Tensor) -> Tensor:
    """Surprise at a rating, when it is the level in which a felt quality lies, and how far apart levels are is learned.

        felt = score + logistic noise        loss = -log P(edges[level - 1] < felt < edges[level])
        edges[-1] = -inf                     edges[L - 1] = inf

    McCullagh 1980 (proportional odds). Two levels with the edge 0 are `thumb_loss`.

    Args:
        scores: (B,) log-odds; has grad.
        levels: (B,) int64 in [0, L), 0 the worst.
        edges: (L - 1,) score units, ascending; may have grad.

    Returns: (B,) nats per rating, finite at any finite score.
    Raises: ShapeError if the shapes differ; ValueError for edges that do not ascend, or a level outside.
    """
    same_shape(scores=scores, levels=levels)
    has_shape((edges.numel(),), edges=edges)
    if not bool((edges.diff() > 0).all()):
        raise ValueError(f"edges must ascend, got {edges.tolist()}")
    if not bool(((levels >= 0) & (levels <= edges.numel())).all()):
        raise ValueError(f"levels must lie from 0 to {edges.numel()}, got {sorted(set(levels.flatten().tolist()))}")
    outside = edges.new_full((1,), math.inf)
    return graded_preference_loss(scores, torch.cat([-outside, edges])[levels], torch.cat([edges, outside])[levels])


def thumb_loss(scores: Tensor, good: Tensor) -> Tensor:
    """Surprise at a thumb up or down for one response, when its score is the log-odds of a thumb up.

        loss = -log sigmoid(score) if good else -log sigmoid(-score)

    Logistic regression (Cox 1958). The gap of two scores is then also the log-odds of a Bradley-Terry pair.

    Args:
        scores: (B,) log-odds; has grad.
        good: (B,) bool, True for a thumb up.

    Returns: (B,) nats per response, finite at any finite score.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(scores=scores, good=good)
    return -functional.logsigmoid(torch.where(good, scores, -scores))


def centring_loss(scores: Tensor) -> Tensor:
    """Holds scores near 0: pairs and rankings leave open what is added to all of them.

        loss = score^2

    Eisenstein et al. 2023 (arXiv:2312.09244), there of the sum of a pair's two scores.

    Args:
        scores: (B,) score units; has grad.

    Returns: (B,) squared score units per response.
    """
    return scores.square()
