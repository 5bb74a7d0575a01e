"""Preferences by words alone: a logistic regression on TF-IDF of words and word pairs, blind to prompt and order.

What a reward model must be better than to have read anything. Shape letters: n pairs, m texts, D places for n-grams.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from prefloop.stats.arrays import Array
from prefloop.stats.curve import learned
from prefloop.stats.text import tokens

Pair = tuple[str, str]
"""Two responses, the preferred one first where it is known."""
BITS = 18
RIDGE = 1 / 0.6
"""Of the squared weights: C = 0.3 of scikit-learn's LogisticRegression, where each pair stands both ways round. The
best of 0.1, 0.3, 1, 3, 10 on preferences of people (docs/results/hh.md)."""


def counts(texts: Sequence[str]) -> Any:
    """(m, D) how often each word and pair of words, hashed, stands in each text."""
    rows, columns, values = [], [], []
    for row, text in enumerate(texts):
        words = tokens(text)
        for gram, count in Counter([*words, *map(" ".join, itertools.pairwise(words))]).items():
            rows.append(row)
            columns.append(zlib.crc32(gram.encode("utf-8", "replace")) & ((1 << BITS) - 1))
            values.append(count)
    return sparse.csr_matrix((np.array(values, dtype=float), (rows, columns)), shape=(len(texts), 1 << BITS))


def inverse_frequency(counted: Any) -> Array:
    """(D,) log((1 + m) / (1 + texts that have it)) + 1: how rare each place is among m texts; 0 if none has it."""
    having = np.bincount(counted.indices, minlength=counted.shape[1])
    return np.where(having > 0, np.log((1 + counted.shape[0]) / (1 + having)) + 1, 0.0)


def tf_idf(counted: Any, weights: Array) -> Any:
    """(m, D) TF-IDF with logarithmic counts, each row of length 1 (Salton and Buckley 1988).

    (1 + log count) weight, divided by its length
    """
    scaled = counted.copy()
    scaled.data = (1 + np.log(scaled.data)) * weights[scaled.indices]
    lengths = np.sqrt(np.asarray(scaled.multiply(scaled).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags_array(1 / np.where(lengths > 0, lengths, 1.0)) @ scaled)


class Bag:
    """Texts whose words were counted once, for several regressions."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        """Args: pairs: all that are learned from or asked about."""
        self.places = {text: n for n, text in enumerate(dict.fromkeys(itertools.chain.from_iterable(pairs)))}
        self.counted = counts(list(self.places))

    def margins(self, training: Sequence[Pair], held_out: Sequence[Pair]) -> Array:
        """(n,) log-odds that the first of each held-out pair is preferred, learned from pairs (chosen, rejected).

        Args:
            training: at least one.
            held_out: n pairs.
        """
        known = sorted({self.places[text] for pair in training for text in pair})
        features = tf_idf(self.counted, inverse_frequency(self.counted[known]))
        taught, asked = (self._differences(features, pairs) for pairs in (training, held_out))
        used = np.unique(taught.indices)
        return np.asarray(asked[:, used] @ learned(taught[:, used], np.ones(len(training)), RIDGE))

    def _differences(self, features: Any, pairs: Sequence[Pair]) -> Any:
        first, second = ([self.places[pair[side]] for pair in pairs] for side in (0, 1))
        return features[first] - features[second]


def bag_margins(training: Sequence[Pair], held_out: Sequence[Pair]) -> Array:
    """(n,) log-odds that the first of each held-out pair is preferred: `Bag.margins` of these pairs alone."""
    return Bag([*training, *held_out]).margins(training, held_out)
