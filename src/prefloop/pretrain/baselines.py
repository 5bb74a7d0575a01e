"""What a model must beat: perplexity of counting tokens, and of counting pairs of tokens."""

import math
from collections.abc import Iterator, Sequence
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
    counts = np.zeros((vocab_size, vocab_size))
    for few in _parts(documents):
        np.add.at(counts, _pairs(few), 1.0)
    totals = counts.sum(1)
    before, after = _pairs(held_out)
    pair = counts[before, after] / np.maximum(totals[before], 1.0)
    token = _unigram(documents, vocab_size)[after]

    def loss(weight: float) -> float:
        return -float(np.log(weight * pair + (1 - weight) * token).mean())

    best: Any = minimize_scalar(loss, bounds=(0.0, 0.999), method="bounded")
    return math.exp(float(best.fun))


def _unigram(documents: Sequence[Sequence[int]], vocab_size: int) -> np.ndarray:
    counts = np.ones(vocab_size)
    for few in _parts(documents):
        counts += np.bincount(_pairs(few)[1], minlength=vocab_size)
    return counts / counts.sum()


def _parts(documents: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    """A thousand documents at a time: they may lie in a file."""
    return (documents[begin : begin + 1024] for begin in range(0, len(documents), 1024))


def _pairs(documents: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    before = np.concatenate([np.asarray(d[:-1], dtype=np.int64) for d in documents])
    after = np.concatenate([np.asarray(d[1:], dtype=np.int64) for d in documents])
    return before, after
