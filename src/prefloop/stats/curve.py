"""How much more labels would help: a small reward model learned from growing shares of them, tried on unseen prompts.

The model is Bradley-Terry on words: it sees which words and pairs of words a response has (hashed), how long it is, and
how much of the prompt it takes up. It is no substitute for a language model; what it shows is the shape of the curve,
in a second and without a GPU. Cross-fitted: whatever it is tried on, it has learned from other prompts (Stone 1974).
Shape letters: n pairs, D features, S sizes.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, sparse, special

from prefloop.stats.arrays import Array, Ints
from prefloop.stats.intervals import clustered_error
from prefloop.stats.text import tokens

BITS = 12
FOLDS = 5
RIDGE = 10.0
"""Of the squared weights; words are many and labels are few."""
LEAST = 25
"""Pairs that the smallest model learns from."""
MARKS = 3
"""Features that are not hashed: words (log), share of words that the prompt has, numbers that the prompt has."""


@dataclass(frozen=True)
class Point:
    """How good the model is that learned from so many pairs."""

    num_pairs: int
    accuracy: float
    standard_error: float
    """Clustered by prompt."""
    gain: float | None
    """Accuracy less that of the point before; None for the first."""
    gain_error: float | None
    """Its standard error; the same pairs are tried, so it is smaller than the two errors suggest."""


def marks(prompt: str, response: str) -> tuple[dict[int, float], Array]:
    """What the model sees of a response: hashed words and pairs of words (log of 1 + count), and (MARKS,) others."""
    words, asked = tokens(response), set(tokens(prompt))
    counts = Counter([*words, *map(" ".join, itertools.pairwise(words))])
    hashed: dict[int, float] = {}
    for word, count in counts.items():
        place = zlib.crc32(word.encode("utf-8", "replace")) & ((1 << BITS) - 1)
        hashed[place] = hashed.get(place, 0.0) + float(np.log1p(count))
    copied = sum(word in asked for word in words) / max(1, len(words))
    numbers = sum(word in asked for word in set(words) if word.isdigit())
    return hashed, np.array([np.log1p(len(words)), copied, float(numbers)])


def differences(prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Any:
    """(n, D) features of the first response of each pair less those of the second."""
    rows, columns, values = [], [], []
    for row, (prompt, *both) in enumerate(zip(prompts, first, second, strict=True)):
        for response, sign in zip(both, (1.0, -1.0), strict=True):
            hashed, more = marks(prompt, response)
            features = hashed | {place + (1 << BITS): value for place, value in enumerate(more)}
            rows += [row] * len(features)
            columns += features
            values += [sign * value for value in features.values()]
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(prompts), (1 << BITS) + MARKS))


def learned(features: Any, share: Array, ridge: float = RIDGE) -> Array:
    """Weights of Bradley-Terry under a Gaussian prior.

        minimise  - sum_n [ s log sigmoid(x w) + (1 - s) log sigmoid(-x w) ] + ridge/2 |w|^2

    Args:
        features: (n, D).
        share: (n,) of the people who prefer the first.

    Returns: (D,).
    """

    def surprise(weights: Array) -> tuple[float, Array]:
        margin = features @ weights
        value = np.logaddexp(0.0, margin).sum() - share @ margin + 0.5 * ridge * weights @ weights
        return float(value), features.T @ (special.expit(margin) - share) + ridge * weights

    start = np.zeros(features.shape[1])
    return np.asarray(optimize.minimize(surprise, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x)


def sizes(num_pairs: int) -> list[int]:
    """Doubling from `LEAST` or a little more, up to all."""
    halved = [num_pairs]
    while halved[-1] // 2 >= LEAST:
        halved.append(halved[-1] // 2)
    return halved[::-1]


def learning_curve(features: Any, share: ArrayLike, prompts: Sequence[str]) -> list[Point]:
    """Accuracy on prompts not learned from, against the number of pairs learned from.

    Args:
        features: (n, D) of the first response less the second's, in the order in which they were labelled.
        share: (n,) of the people who prefer the first; exactly half is learned from and not tried.
        prompts: (n,) a name per pair; a prompt is never learned from and tried on at once.

    Returns: a point per size, smallest first; none if there are too few pairs or prompts.
    Raises: ValueError if the lengths differ.
    """
    shares = np.asarray(share, dtype=np.float64)
    if shares.shape != (features.shape[0],) or len(prompts) != len(shares):
        given = f"{features.shape[0]}, {shares.shape} and {len(prompts)}"
        raise ValueError(f"a curve needs a share and a prompt per pair, got {given}")
    folds = np.array([zlib.crc32(prompt.encode("utf-8", "replace")) % FOLDS for prompt in prompts])
    clusters = np.unique(np.asarray(prompts), return_inverse=True)[1]
    tried = shares != 0.5
    if len(shares) < 2 * LEAST or len(set(folds[tried])) < FOLDS or len(set(clusters[tried])) < LEAST:
        return []
    points: list[Point] = []
    before: Array | None = None
    for size in sizes(len(shares)):
        right = _right(features, shares, folds, size)
        mean, error = _clustered(right[tried], clusters[tried])
        gain, gain_error = (None, None) if before is None else _clustered((right - before)[tried], clusters[tried])
        points.append(Point(round(size * (FOLDS - 1) / FOLDS), mean, error, gain, gain_error))
        before = right
    return points


def _right(features: Any, shares: Array, folds: Ints, size: int) -> Array:
    """(n,) 1 where a model of the first `size` pairs of other folds orders a pair as most people do, 1/2 for equal."""
    early = np.arange(len(shares)) < size
    right = np.zeros(len(shares))
    for fold in range(FOLDS):
        inside = folds == fold
        weights = learned(features[early & ~inside], shares[early & ~inside])
        margin = features[inside] @ weights
        right[inside] = np.where(margin == 0.0, 0.5, (margin > 0) == (shares[inside] > 0.5))
    return right


def _clustered(values: Array, clusters: Ints) -> tuple[float, float]:
    """Mean and its standard error, if values of one cluster hang together."""
    return float(values.mean()), clustered_error(values, clusters)
