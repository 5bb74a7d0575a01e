"""Log-probabilities and entropies of a distribution over tokens.

Shape letters: N tokens (or any leading shape, such as B, T), V vocabulary. Everything is computed in float32 at least,
whatever the dtype of the logits: in bfloat16 the ratio of two equal policies is not 1.
"""

import torch
from torch import Tensor

from prefloop.ops.shapes import has_shape


def token_logprobs(logits: Tensor, tokens: Tensor, *, temperature: float) -> Tensor:
    """Log-probability of each token under the distribution that it was sampled from.

        logprob[n] = logits[n, tokens[n]] / temperature - log sum_v exp(logits[n, v] / temperature)

    Sampling at temperature 0.7 draws from softmax(logits / 0.7), so its logprobs divide by 0.7 too
    (Huang et al. 2024, arXiv:2403.17031, detail 14).

    Args:
        logits: (N, V) any real number, -inf for a token that cannot be; has grad.
        tokens: (N,) int64 in [0, V).
        temperature: above 0; 1 is the model as trained.

    Returns: (N,) nats, at most 0, float32 (float64 if the logits are).
    Raises: ShapeError if tokens is not one per row of logits; ValueError if temperature is not above 0.
    """
    has_shape(tuple(logits.shape[:-1]), tokens=tokens)
    return _gathered(all_logprobs(logits, temperature=temperature), tokens)


def token_entropy(logits: Tensor, *, temperature: float) -> Tensor:
    """Entropy of the whole distribution at each token, not the -logprob of the one token drawn.

        H[n] = - sum_v p[n, v] log p[n, v]        p = softmax(logits / temperature)

    Shannon 1948; as a bonus, Schulman et al. 2017, eq. 9 (arXiv:1707.06347).

    Args:
        logits: (N, V) -inf for a token that cannot be; has grad.
        temperature: above 0.

    Returns: (N,) nats, in [0, log V].
    Raises: ValueError if temperature is not above 0.
    """
    return _entropy(all_logprobs(logits, temperature=temperature))


def logprobs_and_entropy(logits: Tensor, tokens: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """`token_logprobs` and `token_entropy` from one log-softmax, which is the dear part.

    Args:
        logits: (N, V) has grad.
        tokens: (N,) int64 in [0, V).
        temperature: above 0.

    Returns: logprobs (N,) nats; entropy (N,) nats.
    Raises: ShapeError if tokens is not one per row of logits; ValueError if temperature is not above 0.
    """
    has_shape(tuple(logits.shape[:-1]), tokens=tokens)
    logprobs = all_logprobs(logits, temperature=temperature)
    return _gathered(logprobs, tokens), _entropy(logprobs)


def all_logprobs(logits: Tensor, *, temperature: float) -> Tensor:
    """Log-probability of every token of the vocabulary.

        logprob[n, v] = logits[n, v] / temperature - log sum_w exp(logits[n, w] / temperature)

    Args:
        logits: (N, V) -inf for a token that cannot be; has grad.
        temperature: above 0; 1 is the model as trained.

    Returns: (N, V) nats, at most 0, float32 (float64 if the logits are).
    Raises: ValueError if temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}: greedy choices have no logprobs")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return (logits if temperature == 1 else logits / temperature).log_softmax(-1)


def _gathered(logprobs: Tensor, tokens: Tensor) -> Tensor:
    return logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _entropy(logprobs: Tensor) -> Tensor:
    """0 log 0 is 0: a token that cannot be adds nothing, and its gradient is 0 rather than NaN."""
    return -(logprobs.exp() * logprobs.masked_fill(logprobs == -torch.inf, 0.0)).sum(-1)
