"""What is done with a ratio: how likely the policy makes a token or a response now, to how likely when it was sampled.

Shape letters: R responses, M their tokens, packed row after row; `rows` says of each token which response it is of. A
ratio of responses needs all tokens of a response at once: a response is never split between micro-batches. Losses are
one number per token (or response), and the loop multiplies them by `token_weights`, adds them up, and is done.
"""

from typing import Literal

import torch
from torch import Tensor

from prefloop.ops.shapes import has_shape, same_shape

LARGEST = 60.0
"""Nats beyond which a ratio grows no further: of a whole response it could be past what float32 holds."""

LossMean = Literal["response", "token", "constant"]


def response_sums(tokens: Tensor, rows: Tensor, *, num_responses: int) -> Tensor:
    """What a response's tokens add up to: of log-ratios, the logarithm of the ratio of the response as one decision.

        sum[r] = sum over the tokens of r

    Args:
        tokens: (M,) any units; may have grad.
        rows: (M,) int, in [0, num_responses).
        num_responses: R.

    Returns: (R,) in the units of tokens.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(tokens=tokens, rows=rows)
    return tokens.new_zeros(num_responses).index_add(0, rows, tokens)


def mean_log_ratios(log_ratios: Tensor, rows: Tensor, *, num_responses: int) -> Tensor:
    """GSPO's ratio, one for all tokens of a response: the geometric mean of theirs, as a logarithm.

        s[r] = mean over the tokens of r of log_ratio
        log ratio[t] = sg(s[row of t]) + log_ratio[t] - sg(log_ratio[t])          sg: no gradient goes through

    In the form of its eq. 14 (Zheng et al. 2025, arXiv:2507.18071): the gradient is each token's own. Where all tokens
    of a response have one advantage, the mean of the tokens' losses is the loss of the response, and so are gradients.

    Args:
        log_ratios: (M,) nats, logprobs - old_logprobs; has grad.
        rows: (M,) int, in [0, num_responses).
        num_responses: R.

    Returns: (M,) nats.
    Raises: ShapeError if the shapes differ.
    """
    fixed = log_ratios.detach()
    sums = response_sums(fixed, rows, num_responses=num_responses)
    means = sums / torch.bincount(rows, minlength=num_responses).clamp(min=1)
    return means[rows] + (log_ratios - fixed)


def clipped_loss(log_ratios: Tensor, advantages: Tensor, *, low: float, high: float, worst: float) -> Tensor:
    """PPO's surrogate with a clip below and another above, and a limit to what a bad token costs.

        ratio = exp(log_ratio)
        s     = min(ratio * A, clamp(ratio, 1 - low, 1 + high) * A)
        loss  = -s                                    for A >= 0
        loss  = -max(s, worst * A)                    for A < 0

    high > low is clip-higher (DAPO, Yu et al. 2025, eq. 10, arXiv:2503.14476): unlikely tokens may rise further. worst
    is the c of dual clip (Ye et al. 2020, eq. 5, arXiv:1912.09729), usually 3: without it a ratio that has gone far up
    on a bad token has no bound. With low = high and worst = math.inf it is `ppo_policy_loss`.

    Args:
        log_ratios: (M,) nats, of tokens, of responses, or by `mean_log_ratios`; has grad.
        advantages: (M,) any units; no grad.
        low: how far below 1 a ratio counts; 1 or more is no limit.
        high: how far above 1.
        worst: largest ratio that counts where A < 0; above 1 + high, or math.inf for none.

    Returns: (M,) loss per token.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(log_ratios=log_ratios, advantages=advantages)
    ratio = log_ratios.clamp(max=LARGEST).exp()
    kept = torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)
    if worst < torch.inf:
        kept = torch.where(advantages < 0, torch.maximum(kept, worst * advantages), kept)
    return -kept


def clipped(log_ratios: Tensor, advantages: Tensor, *, low: float, high: float, worst: float) -> Tensor:
    """Where `clipped_loss` has no gradient because it was cut off.

        A > 0 and ratio > 1 + high,    or    A < 0 and (ratio < 1 - low or ratio > worst)

    Args:
        log_ratios, advantages, low, high, worst: as in `clipped_loss`.

    Returns: (M,) bool.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(log_ratios=log_ratios, advantages=advantages)
    ratio = log_ratios.exp()
    return ((ratio > 1 + high) & (advantages > 0)) | (((ratio < 1 - low) | (ratio > worst)) & (advantages < 0))


def cispo_loss(logprobs: Tensor, log_ratios: Tensor, advantages: Tensor, *, low: float, high: float) -> Tensor:
    """REINFORCE with a clipped importance weight: no token is ever without a gradient.

        loss = -sg(clamp(ratio, 1 - low, 1 + high)) * A * logprob                sg: no gradient goes through

    CISPO, MiniMax 2025, eq. 4 (arXiv:2506.13585), who clip above alone (low = 1).

    Args:
        logprobs: (M,) nats, under the policy in training; has grad.
        log_ratios: (M,) nats, of tokens, of responses, or by `mean_log_ratios`.
        advantages: (M,) any units; no grad.
        low: how far below 1 a weight may be; 1 or more is no limit.
        high: how far above 1.

    Returns: (M,) loss per token. Its value means nothing, its gradient does.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(logprobs=logprobs, log_ratios=log_ratios, advantages=advantages)
    return -log_ratios.detach().exp().clamp(1 - low, 1 + high) * advantages * logprobs


def cispo_clipped(log_ratios: Tensor, *, low: float, high: float) -> Tensor:
    """Where `cispo_loss` has another weight than the ratio.

        ratio < 1 - low,    or    ratio > 1 + high

    Args:
        log_ratios: (M,) nats.
        low, high: as in `cispo_loss`.

    Returns: (M,) bool.
    """
    ratio = log_ratios.exp()
    return (ratio < 1 - low) | (ratio > 1 + high)


def token_weights(lengths: Tensor, learned: Tensor, *, mean: LossMean, longest: int) -> Tensor:
    """What each token of a response weighs in the loss of an update, whose R responses these are.

        response   1 / (R' |r|)          the mean of each response, then over responses: GRPO (arXiv:2402.03300)
        token      1 / sum of |r|        all tokens alike: DAPO, eq. 8 (arXiv:2503.14476)
        constant   1 / (R' longest)      Dr. GRPO, as its code has it (arXiv:2503.20783, listing 1)

    Sums are over the R' responses that are learned from. By `response` a token of a long response weighs less, so that
    long bad responses are cheap; by `constant` neither its own length nor that of others matters, and the gradient is
    that of the expected reward, over `longest`.

    Args:
        lengths: (R,) int tokens, of all responses of the update.
        learned: (R,) bool, False for a response that is left out of the loss.
        mean: which of the three.
        longest: tokens that a response may have; only for `constant`.

    Returns: (R,) weight of each of the response's tokens, 0 where it is not learned from.
    Raises: ShapeError if the shapes differ.
    """
    same_shape(lengths=lengths, learned=learned)
    counted = torch.where(learned, lengths, 0).float()
    num = learned.sum().clamp(min=1)
    if mean == "response":
        weights = 1 / (num * counted.clamp(min=1))
    elif mean == "token":
        weights = (1 / counted.sum().clamp(min=1)).expand(len(counted))
    else:
        weights = (1.0 / (num * longest)).expand(len(counted))
    return torch.where(learned, weights, 0.0)


def overlong_share(lengths: Tensor, *, longest: int, buffer: int) -> Tensor:
    """How far a response has gone into the last tokens that it may have.

        share = clamp((length - (longest - buffer)) / buffer, 0, 1)

    The soft overlong punishment of DAPO is minus this (Yu et al. 2025, eq. 13, arXiv:2503.14476).

    Args:
        lengths: (R,) int tokens.
        longest: tokens that a response may have.
        buffer: the last of them that cost; at least 1.

    Returns: (R,) in [0, 1].
    Raises: ValueError if buffer is below 1.
    """
    if buffer < 1:
        raise ValueError(f"the buffer must have a token, got {buffer}")
    has_shape((lengths.numel(),), lengths=lengths)
    return ((lengths - (longest - buffer)).float() / buffer).clamp(0, 1)
