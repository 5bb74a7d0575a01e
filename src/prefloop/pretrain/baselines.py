"""What a model must beat: perplexity of counting tokens, and of counting pairs of tokens."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar


def unigram_perplexity(
    documents: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]], *, vocab_size: int
) -> float:
    """Perplexity of held-out tokens (but each document's first) under add-one token counts."""
    probabilities = _unigram(documents, vocab_size)
    _, after = _pairs(held_out)
    return math.exp(-float(np.log(probabilities[after]).mean()))


def bigram_perplexity(
    documents: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]], *, vocab_size: int
) -> float:
    """Perplexity under pair counts interpolated with token counts (Jelinek-Mercer), at the best weight for this text.

    The weight is chosen on the held-out text itself, which favours the baseline.
    """
    before, after = _pairs(documents)
    counts = np.zeros((vocab_size, vocab_size))
    np.add.at(counts, (before, after), 1.0)
    totals = counts.sum(1)
    before, after = _pairs(held_out)
    pair = counts[before, after] / np.maximum(totals[before], 1.0)
    token = _unigram(documents, vocab_size)[after]

    def loss(weight: float) -> float:
        return -float(np.log(weight * pair + (1 - weight) * token).mean())

    best: Any = minimize_scalar(loss, bounds=(0.0, 0.999), method="bounded")
    return math.exp(float(best.fun))


def _unigram(documents: Sequence[Sequence[int]], vocab_size: int) -> np.ndarray:
    _, after = _pairs(documents)
    counts = np.bincount(after, minlength=vocab_size) + 1.0
    return counts / counts.sum()


def _pairs(documents: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    before = np.concatenate([np.asarray(d[:-1], dtype=np.int64) for d in documents])
    after = np.concatenate([np.asarray(d[1:], dtype=np.int64) for d in documents])
    return before, after
