"""KL between two whole distributions from hidden states, a few tokens at a time: no tensor of tokens x vocabulary.

Shape letters: N tokens, D width of the hidden states, V vocabulary, C tokens of a chunk.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from prefloop.ops.kl import kl_full
from prefloop.ops.vocabulary import chunks

Logits = Callable[[Tensor], Tensor]
"""(C, D) hidden states -> (C, V) logits."""


def exact_kl(
    hidden: Tensor,
    ref_hidden: Tensor,
    logits: Logits,
    ref_logits: Logits,
    *,
    size: int,
    temperature: float,
    forward: bool,
) -> Tensor:
    """`kl_full` at every token, with its gradient by the policy's hidden states and by what is in `logits`.

        reverse   KL[n] = sum_v p[n, v] (log p[n, v] - log q[n, v])      gradient by the policy's logits, times 1/T:
                                                                         p (log p - log q - KL)
        forward   KL[n] = sum_v q[n, v] (log q[n, v] - log p[n, v])      p - q

    p is the policy, q the reference. What a chunk makes is forgotten, and made again in the backward pass.

    Args:
        hidden: (N, D) of the policy; may have grad.
        ref_hidden: (N, D') of the reference, for the same tokens; no grad.
        logits, ref_logits: the output matrix of each.
        size: V.
        temperature: above 0; divides both.
        forward: True for KL(reference || policy).

    Returns: (N,) nats.
    Raises: ShapeError if the two vocabularies differ; ValueError if temperature is not above 0.
    """

    def of_chunk(states: Tensor, ref_states: Tensor) -> Tensor:
        with torch.no_grad():
            theirs = ref_logits(ref_states)
        ours = logits(states)
        if forward:
            return kl_full(theirs, ours, temperature=temperature)
        return kl_full(ours, theirs, temperature=temperature)

    parts = [
        checkpoint(of_chunk, hidden[part], ref_hidden[part], use_reentrant=False, preserve_rng_state=False)
        for part in chunks(len(hidden), size, device=hidden.device)
    ]
    return torch.cat([part for part in parts if isinstance(part, Tensor)])
