"""Losses that make a policy of preferences, thumbs or scores without sampling; the loop adds up and divides once.

Shape letters: B pairs or responses, T response tokens, N tokens, V vocabulary.
A log-ratio is log pi - log pi_ref of a whole response, summed over its tokens, in nats: 0 at the start, where the
policy is the reference. What is called a gap here is for any loss of a gap in `preferences`: DPO is
`soft_preference_loss` with share 1, with doubted labels `smoothed_preference_loss`, SLiC `hinge_preference_loss`. What
stands beside a loss, such as the surprise at the chosen response, is the caller's. Only `discounted_sums` takes a mask:
what the others are given is real, packed.

    gaps of pairs     dpo_gap (of log-ratios, or of them `linked`, less a `dpop_penalty`)  of `log_odds` (ORPO)
    losses of pairs   ipo  exo  apo_down  cpl (of `discounted_sums`)
    alone, by thumbs  kto (with its `kto_anchor`, `kto_weights`)  apo_zero
    references        followed
    offline RL        advantage_weights  reward_weights  expectile_loss  conservative_loss
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from prefloop.ops.logprobs import token_logprobs
from prefloop.ops.shapes import has_shape, same_shape

Divergence = Literal["reverse_kl", "forward_kl", "js", "alpha"]

_LARGEST_EXPONENT = 35.0
"""e^35 = 1.6e15: the squares of such gradients, and the sum of many, are finite in float32."""
_LARGEST_RATIO = 4 / 3


def dpo_gap(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Difference of two implied rewards, each of them beta times a log-ratio.

        gap = beta * (chosen - rejected)

    Rafailov et al. 2023 (arXiv:2305.18290): the optimum of E r - beta KL(pi || pi_ref) has r = beta log-ratio
    + a constant of the prompt, which a difference drops. Give means per token instead of sums, and it is
    length-normalised DPO; log pi instead of log-ratios, and it is CPO (Xu et al. 2024, arXiv:2401.08417).

    Args:
        chosen: (B,) nats, log-ratio of the preferred response; has grad.
        rejected: (B,) nats, log-ratio of the other; has grad.
        beta: reward units per nat, above 0; the larger, the nearer to the reference the policy stays.

    Returns: (B,) log-odds that the chosen one is preferred; 0 at the start.
    Raises: ShapeError if the shapes differ; ValueError if beta is not above 0.
    """
    same_shape(chosen=chosen, rejected=rejected)
    _require_above_zero(beta=beta)
    return beta * (chosen - rejected)


def linked(logratios: Tensor, *, divergence: Divergence, alpha: float | None) -> Tensor:
    """Implied reward at beta 1 when another divergence than the reverse KL holds the policy near the reference.

        w = pi / pi_ref = exp(u)           f-divergence: E_ref f(w)           link: f'(w) - f'(1)
        reverse_kl   u                     KL(pi || pi_ref); plain DPO
        forward_kl   1 - exp(-u)           KL(pi_ref || pi)
        js           log(2 / (1 + exp(-u)))
        alpha        (1 - exp(-alpha u)) / alpha       between the two KLs: alpha to 0 is the reverse, to 1 the forward

    Wang et al. 2023, table 1 (arXiv:2309.16240). A gap drops the constant f'(1): gap = beta * (linked(chosen) -
    linked(rejected)), which is `dpo_gap` of what is linked. TRL's f_alpha_divergence_coef is 1 - alpha.

    exp(-u) runs away where a response has become rare, so that the exponents -u and -alpha u are bounded: beyond 35
    the link goes on along its tangent there. It still rises and pulls, and is finite down to u = -1e23 in float32.

    Args:
        logratios: (B,) nats, u; has grad.
        divergence: "reverse_kl", "forward_kl", "js" or "alpha".
        alpha: between 0 and 1, for "alpha"; the others do not read it.

    Returns: (B,) reward units; 0 at the start, where the slope is 1 (js: 1/2); rises with the log-ratio.
    Raises: ValueError for another divergence, or for an alpha that is missing or not between 0 and 1.
    """
    if divergence == "reverse_kl":
        return logratios
    if divergence == "forward_kl":
        return -_bounded_expm1(-logratios)
    if divergence == "js":
        return math.log(2) + functional.logsigmoid(logratios)
    if divergence == "alpha":
        if alpha is None or not 0 < alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, got {alpha}: 0 is reverse_kl, 1 is forward_kl")
        return -_bounded_expm1(-alpha * logratios) / alpha
    raise ValueError(f"no divergence is called {divergence!r}: choose reverse_kl, forward_kl, js or alpha")


def _bounded_expm1(exponents: Tensor) -> Tensor:
    """exp(x) - 1, beyond the largest exponent along its tangent there."""
    beyond = functional.relu(exponents - _LARGEST_EXPONENT)
    return exponents.clamp(max=_LARGEST_EXPONENT).expm1() + math.exp(_LARGEST_EXPONENT) * beyond


def _require_above_zero(**coefficients: float) -> None:
    for name, value in coefficients.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def followed(reference: Tensor, policy: Tensor, *, mix: float) -> Tensor:
    """A weight of a reference that is refreshed, or of a target that lags behind.

        reference <- mix * policy + (1 - mix) * reference

    Gorbatovski et al. 2024, eqs. 4 and 5 (arXiv:2404.09656): a hard update at mix 1, which is exact, a soft one below.
    Done after every update with a small mix it is the average of Polyak.

    Args:
        reference: of any shape, as it is.
        policy: of the same shape, where the policy has it; no grad is passed on.
        mix: above 0 and at most 1.

    Returns: the same shape.
    Raises: ShapeError if the shapes differ; ValueError if mix is not in (0, 1].
    """
    same_shape(reference=reference, policy=policy)
    if not 0 < mix <= 1:
        raise ValueError(f"mix must be above 0 and at most 1, got {mix}")
    return torch.lerp(reference, policy.detach().to(reference.dtype), mix)


def dpop_penalty(chosen: Tensor, *, coef: float) -> Tensor:
    """What a gap loses when the preferred response has become rarer than it was under the reference.

        penalty = coef * max(0, -chosen)            gap = beta * (chosen - penalty - rejected)

    Pal et al. 2024 (arXiv:2402.13228), DPO-Positive. It belongs inside the sigmoid and inside beta, as above:
    `dpo_gap(chosen - dpop_penalty(chosen, coef=coef), rejected, beta=beta)`. DPO alone is content with a chosen
    response that falls, if the rejected one falls faster.

    Args:
        chosen: (B,) nats, log-ratio of the preferred response, summed over its tokens; has grad.
        coef: their lambda, nats per nat, at least 0.

    Returns: (B,) nats, at least 0; 0 at the start.
    """
    return coef * functional.relu(-chosen)


def ipo_loss(chosen: Tensor, rejected: Tensor, *, tau: float) -> Tensor:
    """Squared error of a difference of log-ratios that should be 1 / (2 tau), however sure the labels are.

        loss = (chosen - rejected - 1 / (2 tau))^2

    Azar et al. 2023, eq. 17 (arXiv:2310.12036). With labels that never contradict each other DPO's gap has no end;
    this one stops. There are two conventions of length, and the caller decides by what is given: sums over the tokens
    of a response, as the paper writes it, or means per token, as TRL does, whose code says that the paper's results are
    of means. The same tau asks for a way that is longer by the length of a response where means are given.

    Args:
        chosen: (B,) nats, or nats per token: log-ratio of the preferred response; has grad.
        rejected: (B,) in the same unit, log-ratio of the other; has grad.
        tau: per nat, or tokens per nat; above 0; the larger, the nearer to the reference the policy stays.

    Returns: (B,) squared nats (per token) per pair; 1 / (4 tau^2) at the start.
    Raises: ShapeError if the shapes differ; ValueError if tau is not above 0.
    """
    same_shape(chosen=chosen, rejected=rejected)
    _require_above_zero(tau=tau)
    return (chosen - rejected - 1 / (2 * tau)).square()


def log_odds(mean_logprobs: Tensor) -> Tensor:
    """Score of a response by the odds of its mean token, which needs no reference.

        p = exp(mean logprob)       log odds = log(p / (1 - p))

    Hong et al. 2024, eq. 7 (arXiv:2403.07691): ORPO's loss is -log sigmoid of the difference of two, beside the
    surprise at the chosen response. 1 - p is taken for no less than a float near 1 can tell (1.2e-7 in float32,
    2.2e-16 in float64): so a response known by heart has finite odds, and as a rejected one is still pushed away.

    Args:
        mean_logprobs: (B,) or (B, K) nats per token, at most 0: log pi of a response over its length; has grad.

    Returns: the same shape, log-odds, finite at any finite mean.
    """
    others = -torch.expm1(mean_logprobs)
    return mean_logprobs - others.clamp(min=torch.finfo(mean_logprobs.dtype).eps).log()


def exo_loss(chosen: Tensor, rejected: Tensor, *, beta: float, smoothing: float) -> Tensor:
    """KL from what the policy prefers to what the labels say, in that direction.

        q = sigmoid(beta * (chosen - rejected))
        loss = q log(q / (1 - smoothing)) + (1 - q) log((1 - q) / smoothing)

    Ji et al. 2024, eq. 16 (arXiv:2402.00856), for two responses. `smoothed_preference_loss` of the same gap is the KL
    in the other direction, plus a constant; both are least at sigmoid(gap) = 1 - smoothing. Without smoothing the
    labels leave nothing to the rejected response, and this one is infinite.

    Args:
        chosen: (B,) nats, log-ratio of the preferred response; has grad.
        rejected: (B,) nats, log-ratio of the other; has grad.
        beta: reward units per nat, above 0.
        smoothing: share given to the rejected response, above 0 and at most 1/2.

    Returns: (B,) nats per pair, at least 0 and at most -log smoothing.
    Raises: ShapeError if the shapes differ; ValueError if beta is not above 0 or smoothing not in (0, 1/2].
    """
    if not 0 < smoothing <= 0.5:
        raise ValueError(f"smoothing must be above 0 and at most 0.5, got {smoothing}")
    gap = dpo_gap(chosen, rejected, beta=beta)
    right = gap.sigmoid() * (functional.logsigmoid(gap) - math.log1p(-smoothing))
    return right + (-gap).sigmoid() * (functional.logsigmoid(-gap) - math.log(smoothing))


def kto_loss(
    logratios: Tensor, good: Tensor, anchor: Tensor, *, beta: float, good_weight: float, bad_weight: float
) -> Tensor:
    """How far a response with a thumb is from certainly better, or worse, than what the policy writes anyway.

        loss = good_weight * (1 - sigmoid(beta * (u - anchor)))     for a thumb up
               bad_weight  * (1 - sigmoid(beta * (anchor - u)))     for a thumb down

    Ethayarajh et al. 2024 (arXiv:2402.01306). The anchor is KL(pi || pi_ref) as `kto_anchor` guesses it; it
    has no gradient, whatever is given.

    Args:
        logratios: (B,) nats, u; has grad.
        good: (B,) bool, True for a thumb up.
        anchor: () one for all, or (B,) one for each; nats, at least 0, which is up to the caller.
        beta: per nat, above 0; the larger, the sooner a response counts as settled.
        good_weight: their lambda_D; see `kto_weights`.
        bad_weight: their lambda_U.

    Returns: (B,) per response, between 0 and its weight; half the weight at the start.
    Raises: ShapeError if the shapes differ; ValueError if beta is not above 0.
    """
    same_shape(logratios=logratios, good=good)
    _require_above_zero(beta=beta)
    if anchor.dim():
        has_shape(tuple(logratios.shape), anchor=anchor)
    above = logratios - anchor.detach()
    weights = torch.full_like(logratios, bad_weight).masked_fill(good, good_weight)
    return weights * torch.sigmoid(beta * torch.where(good, -above, above))


def kto_anchor(mismatched_logratios: Tensor) -> Tensor:
    """KL(pi || pi_ref), guessed from responses that were written to other prompts.

        anchor = max(0, mean of u)

    Ethayarajh et al. 2024 (arXiv:2402.01306). It is no estimate without bias: the responses are not the policy's own.

    Args:
        mismatched_logratios: (B,) nats, each of a response read after the prompt of another; no grad is passed on.

    Returns: () nats, at least 0.
    Raises: ValueError if there are none.
    """
    if not mismatched_logratios.numel():
        raise ValueError("an anchor needs at least one mismatched response, got none")
    return mismatched_logratios.detach().mean().clamp(min=0)


def kto_weights(num_good: int, num_bad: int) -> tuple[float, float]:
    """Weights of thumbs up and down that make up for having many more of one kind.

        1 <= (good_weight * num_good) / (bad_weight * num_bad) <= 4/3

    Ethayarajh et al. 2024, eq. 8 of the first version (arXiv:2402.01306); the last one, eq. 9, allows up to 3/2. One
    weight is 1, and the other is raised from 1 only as far as it takes: with too few good ones to the ratio 1, with too
    few bad ones to the ratio 4/3.

    Args:
        num_good: number of thumbs up, above 0.
        num_bad: number of thumbs down, above 0.

    Returns: good_weight, bad_weight, each at least 1.
    Raises: ValueError if a kind is missing.
    """
    if num_good < 1 or num_bad < 1:
        raise ValueError(f"thumbs of both kinds are needed, got {num_good} up and {num_bad} down")
    ratio = num_good / num_bad
    return max(1.0, 1 / ratio), max(1.0, ratio / _LARGEST_RATIO)


def apo_zero_loss(logratios: Tensor, good: Tensor, *, beta: float) -> Tensor:
    """`kto_loss` with the anchor 0 and no weights: good responses are to rise above the reference, bad ones to fall.

        loss = 1 - sigmoid(beta * u)     for a thumb up
               sigmoid(beta * u)         for a thumb down

    D'Oosterlinck et al. 2024, eq. 7 (arXiv:2408.06266), there for pairs: the sum of the two, 1 more than in the paper.
    For responses that are better than the policy's own.

    Args:
        logratios: (B,) nats, u; has grad.
        good: (B,) bool, True for a thumb up, or for the chosen one of a pair.
        beta: per nat, above 0.

    Returns: (B,) per response, in [0, 1]; 1/2 at the start.
    Raises: ShapeError if the shapes differ; ValueError if beta is not above 0.
    """
    same_shape(logratios=logratios, good=good)
    _require_above_zero(beta=beta)
    return torch.sigmoid(beta * torch.where(good, -logratios, logratios))


def apo_down_loss(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Both responses are to fall below the reference, the rejected one further: for pairs worse than the policy's own.

        loss = sigmoid(beta * chosen) + 1 - sigmoid(beta * (chosen - rejected))

    D'Oosterlinck et al. 2024, eq. 8 (arXiv:2408.06266), which leaves the 1 out.

    Args:
        chosen: (B,) nats, log-ratio of the preferred response; has grad.
        rejected: (B,) nats, log-ratio of the other; has grad.
        beta: per nat, above 0.

    Returns: (B,) per pair, in [0, 2]; 1 at the start.
    Raises: ShapeError if the shapes differ; ValueError if beta is not above 0.
    """
    return torch.sigmoid(beta * chosen) + torch.sigmoid(-dpo_gap(chosen, rejected, beta=beta))


def discounted_sums(logprobs: Tensor, mask: Tensor, *, discount: float, alpha: float) -> Tensor:
    """Implied advantage of a whole response: how much better than the optimum's average its tokens were.

        sum = sum_t discount^t * alpha * logprob_t           t = 0 at the first token that the mask leaves

    Hejna et al. 2023 (arXiv:2310.13639): under an optimum of maximum entropy the advantage of a token is alpha
    log pi. A discount below 1 asks more of early tokens.

    Args:
        logprobs: (B, T) nats, under the policy in training; has grad.
        mask: (B, T) bool, True where there is a token of the response; what stands elsewhere does not matter.
        discount: per token, above 0 and at most 1.
        alpha: reward units per nat, above 0.

    Returns: (B,) reward units, at most 0; 0 for a row without a token.
    Raises: ShapeError if the shapes differ; ValueError if discount is not in (0, 1] or alpha not above 0.
    """
    same_shape(logprobs=logprobs, mask=mask)
    _require_above_zero(discount=discount, alpha=alpha)
    if discount > 1:
        raise ValueError(f"discount must be at most 1, got {discount}")
    steps = (mask.cumsum(-1) - 1).clamp(min=0).to(logprobs.dtype)
    return alpha * (torch.where(mask, logprobs, 0.0) * discount**steps).sum(-1)


def cpl_loss(chosen: Tensor, rejected: Tensor, *, bias: float) -> Tensor:
    """Surprise at a preference, when people prefer what has less regret.

        loss = -log(exp(chosen) / (exp(chosen) + exp(bias * rejected)))

    Hejna et al. 2023 (arXiv:2310.13639), contrastive preference learning; bias is their lambda. Below 1 it is
    conservative: of two pairs with the same difference, that of likelier responses has the smaller loss, so that the
    policy stays with what the data hold. At discount 1 and bias 1 it is DPO with a uniform reference and responses of
    equal length.

    Args:
        chosen: (B,) reward units, `discounted_sums` of the preferred response; has grad.
        rejected: (B,) reward units, of the other; has grad.
        bias: above 0 and at most 1; 1 for none.

    Returns: (B,) nats per pair; log 2 at equal sums if bias is 1.
    Raises: ShapeError if the shapes differ; ValueError if bias is not in (0, 1].
    """
    same_shape(chosen=chosen, rejected=rejected)
    if not 0 < bias <= 1:
        raise ValueError(f"bias must be above 0 and at most 1, got {bias}")
    return -functional.logsigmoid(chosen - bias * rejected)


def advantage_weights(advantages: Tensor, *, beta: float, most: float) -> Tensor:
    """Weights of a regression on recorded responses that favour what turned out better than expected.

        weight = min(exp(A / beta), most)

    Peng et al. 2019 (arXiv:1910.00177), advantage-weighted regression: loss = -weight * logprob.

    Args:
        advantages: (B,) reward units, or (N,) one for each token; no grad is passed on.
        beta: reward units, above 0; the smaller, the more the best responses count.
        most: the largest weight, above 0; they used 20; math.inf for no bound.

    Returns: (B,) or (N,), above 0 and at most `most`; 1 at A = 0.
    Raises: ValueError if beta or most is not above 0.
    """
    _require_above_zero(beta=beta, most=most)
    return (advantages.detach() / beta).exp().clamp(max=most)


def reward_weights(scores: Tensor, *, beta: float) -> Tensor:
    """Weights of a regression on recorded responses by their scores, among those that are given.

        weight = B * softmax(scores / beta)

    Peters and Schaal 2007 (reward-weighted regression): loss = -weight * logprob. What is added to all scores makes
    no difference, so they need no baseline.

    Args:
        scores: (B,) score units; no grad is passed on.
        beta: score units, above 0; the smaller, the more the best responses count.

    Returns: (B,) at least 0, mean 1.
    Raises: ValueError if beta is not above 0.
    """
    _require_above_zero(beta=beta)
    return scores.numel() * (scores.detach() / beta).softmax(0)


def expectile_loss(values: Tensor, targets: Tensor, *, expectile: float) -> Tensor:
    """Squared error that weighs what is above the value otherwise than what is below it.

        u = target - value        loss = |expectile - 1(u < 0)| * u^2

    Kostrikov et al. 2021 (arXiv:2110.06169); of tokens, Snell et al. 2022 (arXiv:2206.11871). Near 1 the value is that
    of the best responses in the data, without asking what others would be worth; 1/2 is half of a squared error.

    Args:
        values: (N,) reward units, from the critic in training; has grad.
        targets: (N,) reward units; no grad.
        expectile: between 0 and 1; often 0.7 to 0.9.

    Returns: (N,) squared reward units per token.
    Raises: ShapeError if the shapes differ; ValueError if expectile is not between 0 and 1.
    """
    same_shape(values=values, targets=targets)
    if not 0 < expectile < 1:
        raise ValueError(f"expectile must be between 0 and 1, got {expectile}")
    missing = targets - values
    return (expectile - (missing < 0).to(missing.dtype)).abs() * missing.square()


def conservative_loss(q_logits: Tensor, actions: Tensor) -> Tensor:
    """Keeps action values low where the data say nothing: surprise at the token in the data, by the softmax of Q.

        loss = log sum_v exp(Q[n, v]) - Q[n, actions[n]]

    Kumar et al. 2020 (arXiv:2006.04779), CQL; of tokens, Snell et al. 2022 (arXiv:2206.11871).

    Args:
        q_logits: (N, V) reward units, a value for each token of the vocabulary; has grad.
        actions: (N,) int64 in [0, V), the tokens in the data.

    Returns: (N,) nats per token, at least 0.
    Raises: ShapeError if actions is not one per row of q_logits.
    """
    has_shape(tuple(q_logits.shape[:-1]), actions=actions)
    return -token_logprobs(q_logits, actions, temperature=1.0)
