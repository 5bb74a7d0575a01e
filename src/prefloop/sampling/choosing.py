"""Choosing the next token. Shapes: R rows, V vocabulary."""

import torch
from torch import Tensor

from prefloop.settings import SamplingConfig


def next_tokens(logits: Tensor, draws: Tensor, sampling: SamplingConfig) -> Tensor:
    """One token a row by inverting the cumulative distribution at a uniform number.

    Args:
        logits: (R, V)
        draws: (R,) uniform in [0, 1)
        sampling: temperature and cut-offs

    Returns: (R,) token ids
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    logits = logits / sampling.temperature
    if sampling.top_k and sampling.top_k < logits.shape[-1]:
        least = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = logits.softmax(-1)
    if sampling.top_p < 1:
        ordered, index = probabilities.sort(dim=-1, descending=True)
        above = ordered.cumsum(-1) - ordered  # probability of all likelier tokens
        probabilities = torch.zeros_like(ordered).scatter(-1, index, ordered.masked_fill(above >= sampling.top_p, 0.0))
    mass = probabilities.cumsum(-1)
    target = (draws[:, None] * mass[:, -1:]).clamp(max=mass[:, -1:].nextafter(torch.zeros_like(mass[:, -1:])))
    return torch.searchsorted(mass, target, right=True)[:, 0]
