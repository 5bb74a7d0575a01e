"""Preferences by words alone: a logistic regression on TF-IDF of words and word pairs, blind to prompt and order.

What a reward model must be better than to have read anything. Shape letters: n pairs, m texts, D places for n-grams.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from prefloop.stats.arrays import Array
from prefloop.stats.curve import learned
from prefloop.stats.text import tokens

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


def bag_margins(training: Sequence[tuple[str, str]], held_out: Sequence[tuple[str, str]]) -> Array:
    """(n,) log-odds that the first of each held-out pair is preferred, learned from pairs (chosen, rejected).

    Args:
        training: at least one.
        held_out: n pairs.
    """
    differences = []
    weights: Array | None = None
    for pairs in (training, held_out):
        places = {text: number for number, text in enumerate(dict.fromkeys(itertools.chain(*pairs)))}
        counted = counts(list(places))
        weights = inverse_frequency(counted) if weights is None else weights
        features = tf_idf(counted, weights)
        first, second = ([places[pair[side]] for pair in pairs] for side in (0, 1))
        differences.append(features[first] - features[second])
    known = np.unique(differences[0].indices)
    taught, asked = (each[:, known] for each in differences)
    return np.asarray(asked @ learned(taught, np.ones(len(training)), RIDGE))
