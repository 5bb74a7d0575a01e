"""Choosing the next token, cut off and penalised as the logits processors of transformers do it, in their order.

Shapes: R rows, V vocabulary.
"""

import math

import torch
from torch import Tensor

from prefloop.settings import SamplingConfig

LIKELIEST = 64
"""Tokens that are looked at before a whole vocabulary is sorted for top_p, which takes forty times as long."""


def next_tokens(
    logits: Tensor, draws: Tensor, sampling: SamplingConfig, *, said: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One token a row by inverting the cumulative distribution at a uniform number, and its logprob.

    The logprob is that of the model itself at the sampling temperature (1 if that is 0), before anything is cut off or
    penalised: the number that training reads.

    Args:
        logits: (R, V) float32
        draws: (R,) uniform in [0, 1)
        sampling: temperature, cut-offs and penalties
        said: (R, V) bool, tokens of the prompt and of the response so far; needed for a repetition penalty.

    Returns: (R,) token ids; (R,) nats, float32
    """
    temperature = sampling.temperature or 1.0
    scaled = logits if temperature == 1 else logits / temperature
    if sampling.repetition_penalty == 1:
        if sampling.temperature == 0:
            chosen = logits.argmax(-1)
            return chosen, _logprobs(scaled, chosen)
        return _drawn(scaled, draws, sampling)
    penalised = penalty(logits, said, sampling.repetition_penalty)
    if sampling.temperature == 0:
        chosen = penalised.argmax(-1)
    else:
        chosen, _ = _drawn(penalised / temperature, draws, sampling)
    return chosen, _logprobs(scaled, chosen)


def penalty(logits: Tensor, said: Tensor | None, by: float) -> Tensor:
    """(R, V) logits, those of tokens that were said divided by `by`, or multiplied where they are below 0
    (Keskar et al. 2019, arXiv:1909.05858, section 4.1)."""
    assert said is not None
    return torch.where(said, torch.where(logits < 0, logits * by, logits / by), logits)


def _drawn(logits: Tensor, draws: Tensor, sampling: SamplingConfig) -> tuple[Tensor, Tensor]:
    """A token of each row's distribution (R, V), cut off, and its logprob before that."""
    top = logits.amax(-1, keepdim=True)
    shares = (logits - top).exp_()  # of the likeliest token's probability
    least = _least(logits, top, sampling)
    if least is None:
        mass = shares.cumsum(-1)
        total = mass[:, -1:]
    else:
        total = shares.sum(-1, keepdim=True)
        mass = shares.masked_fill_(logits < least, 0.0).cumsum(-1)
    whole = mass[:, -1:]
    target = (draws[:, None] * whole).clamp(max=whole.nextafter(torch.zeros_like(whole)))
    chosen = torch.searchsorted(mass, target, right=True)
    return chosen[:, 0], (logits.gather(-1, chosen) - top - total.log())[:, 0]


def _logprobs(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(-1, chosen[:, None])[:, 0] - logits.logsumexp(-1)


def _least(logits: Tensor, top: Tensor, sampling: SamplingConfig) -> Tensor | None:
    """(R, 1) the least logit that is kept; None if all are. Equal ones are kept together."""
    num = logits.shape[-1]
    cuts = []
    if sampling.top_k and sampling.top_k < num:
        likeliest = logits.topk(sampling.top_k, dim=-1).values
        cuts.append(likeliest[:, -1:])
        if sampling.top_p < 1:  # of those that are left
            cuts.append(_nucleus(likeliest, likeliest.logsumexp(-1, keepdim=True), sampling.top_p)[0])
    elif sampling.top_p < 1:
        cuts.append(_least_of_nucleus(logits, sampling.top_p))
    if sampling.min_p > 0:
        cuts.append(top + math.log(sampling.min_p))
    return torch.stack(cuts).amax(0) if cuts else None


def _least_of_nucleus(logits: Tensor, top_p: float) -> Tensor:
    """(R, 1) the least logit of the likeliest tokens that together have probability `top_p`."""
    whole = logits.logsumexp(-1, keepdim=True)
    if logits.device.type != "cpu" or logits.shape[-1] <= LIKELIEST:  # looking first would make the host wait
        return _nucleus(logits.sort(-1, descending=True).values, whole, top_p)[0]
    least, mass = _nucleus(logits.topk(LIKELIEST, dim=-1).values, whole, top_p)
    short = (mass < top_p).nonzero()[:, 0]
    if len(short):
        least[short] = _nucleus(logits[short].sort(-1, descending=True).values, whole[short], top_p)[0]
    return least


def _nucleus(ordered: Tensor, whole: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Args: ordered: (R, k) logits, the largest first. whole: (R, 1) logarithm of the sum over all. Returns: (R, 1) the
    least that is kept, and (R,) the probability of all of `ordered`."""
    mass = (ordered - whole).exp().cumsum(-1)
    kept = 1 + (mass[:, :-1] < top_p).sum(-1, keepdim=True)  # the first that reach it
    return ordered.gather(-1, kept - 1), mass[:, -1]
