"""How far the policy has drifted from the reference, in nats.

Shape letters: B responses, T response tokens, N tokens (or any leading shape), V vocabulary.
KL here is KL(policy || reference), the reverse direction, unless it says forward: the expectation is over what the
policy writes.
"""

from typing import Literal

import torch
from torch import Tensor

from prefloop.ops.logprobs import all_logprobs
from prefloop.ops.shapes import same_shape

KLEstimator = Literal["k1", "k2", "k3"]


def kl_estimate(logprobs: Tensor, ref_logprobs: Tensor, *, estimator: KLEstimator) -> Tensor:
    """KL(policy || reference) guessed from the one token sampled, by Schulman's k1, k2 or k3.

        d  = logprobs - ref_logprobs
        k1 = d                      unbiased; negative on half the tokens
        k2 = d^2 / 2                biased, little when the two are close; never negative
        k3 = exp(-d) - 1 + d        unbiased; never negative; less variance than k1 while KL is small

    Schulman 2020, http://joschu.net/blog/kl-approx.html. Unbiased means the *value*, when the tokens come from the
    policy. As a loss to differentiate, the expected gradient of k1 is 0, that of k2 is the gradient of
    KL(policy || reference), and that of k3 is the gradient of KL(reference || policy) (arXiv:2512.21852).
    In a reward use k1.

    Args:
        logprobs: (B, T) nats, under the policy that sampled the tokens.
        ref_logprobs: (B, T) nats, of the same tokens under the reference.
        estimator: "k1", "k2" or "k3".

    Returns: (B, T) nats per token. Padding is not masked here.
    Raises: ShapeError if the shapes differ; ValueError for another estimator.
    """
    same_shape(logprobs=logprobs, ref_logprobs=ref_logprobs)
    difference = logprobs - ref_logprobs
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return 0.5 * difference.square()
    if estimator == "k3":
        return torch.expm1(-difference) + difference
    raise ValueError(f"no KL estimator is called {estimator!r}: choose k1, k2 or k3")


def forward_kl_estimate(
    logprobs: Tensor, ref_logprobs: Tensor, sampled_logprobs: Tensor, *, estimator: KLEstimator
) -> Tensor:
    """KL(reference || policy) guessed from the one token that the policy sampled, by importance weights.

        w  = exp(ref_logprobs - sampled_logprobs)      what the token stands for, had the reference sampled it
        d  = ref_logprobs - logprobs
        k1 = w d                        unbiased
        k2 = w d^2 / 2                  biased, little when the two are close; never negative
        k3 = w (exp(-d) - 1 + d)        unbiased; never negative; less variance while the two are close

    Each is Schulman's estimator of KL(reference || policy) on tokens of the reference, in expectation: E over the
    sampler of w f = E over the reference of f (http://joschu.net/blog/kl-approx.html). The weight is of the sampler and
    has no gradient, so that as a loss the expected gradient of k1 and of k3 is that of KL(reference || policy) at the
    states visited, whichever policy sampled; that of k2 is near it while the two are close. The states stay those that
    the policy visits: only the next token is reweighed.

    Args:
        logprobs: (B, T) nats, under the policy whose distance is asked for; may have grad.
        ref_logprobs: (B, T) nats, of the same tokens under the reference.
        sampled_logprobs: (B, T) nats, of the same tokens under the policy that sampled them.
        estimator: "k1", "k2" or "k3".

    Returns: (B, T) nats per token. Padding is not masked here.
    Raises: ShapeError if the shapes differ; ValueError for another estimator.
    """
    same_shape(logprobs=logprobs, ref_logprobs=ref_logprobs, sampled_logprobs=sampled_logprobs)
    weights = (ref_logprobs - sampled_logprobs).detach().exp()
    return weights * kl_estimate(ref_logprobs, logprobs, estimator=estimator)


def kl_full(logits: Tensor, ref_logits: Tensor, *, temperature: float) -> Tensor:
    """KL(policy || reference) at each token, exactly, from both whole distributions.

        KL[n] = sum_v p[n, v] (log p[n, v] - log q[n, v])       p, q = softmax(logits / temperature)

    Kullback and Leibler 1951. For KL(reference || policy) pass the arguments the other way round.

    Args:
        logits: (N, V) of the policy; has grad.
        ref_logits: (N, V) of the reference, for the same places.
        temperature: above 0; divides both.

    Returns: (N,) nats, at least 0 but for rounding; inf where the policy writes what the reference cannot.
    Raises: ShapeError if the shapes differ; ValueError if temperature is not above 0.
    """
    same_shape(logits=logits, ref_logits=ref_logits)
    logprobs = all_logprobs(logits, temperature=temperature)
    ref_logprobs = all_logprobs(ref_logits, temperature=temperature)
    probabilities = logprobs.exp()
    difference = torch.where(probabilities > 0, logprobs - ref_logprobs, 0.0)
    return (probabilities * difference).sum(-1)


def adapted_kl_coef(coef: float, kl: float, *, target: float, horizon: float, num_responses: int) -> float:
    """The KL coefficient for the next step: up when the policy has drifted past the target, down when short of it.

        error = clip(kl / target - 1, -0.2, 0.2)
        coef  <- coef * (1 + error * num_responses / horizon)

    Ziegler et al. 2019, section 2.2 (arXiv:1909.08593), with the horizon of their code.

    Args:
        coef: () reward units per nat, the coefficient of this step.
        kl: () nats per response, the mean over this step's responses.
        target: nats per response to hold; above 0.
        horizon: responses over which a full error moves the coefficient by about 20 %; above 0. They used 10000.
        num_responses: responses in this step.

    Returns: the new coefficient, reward units per nat.
    Raises: ValueError if target or horizon is not above 0, or if num_responses would turn the coefficient negative.
    """
    if not (target > 0 and horizon > 0):
        raise ValueError(f"target and horizon must be above 0, got {target} and {horizon}")
    if num_responses * 0.2 >= horizon:
        raise ValueError(f"{num_responses} responses a step need a horizon above {num_responses * 0.2}, got {horizon}")
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return coef * (1.0 + error * num_responses / horizon)
