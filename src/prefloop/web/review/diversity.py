"""Items that cover what is asked: spread by a reward model's embeddings where they came, else by the prompts' words."""

import itertools
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from prefloop.stats import choosing
from prefloop.stats.text import tokens
from prefloop.web.review import reward_scores
from prefloop.web.store.comparisons import prompts_of
from prefloop.web.store.tables import items, judgements

Array = NDArray[np.float64]
DIMENSIONS = 256
"""Of the vectors that texts are hashed to."""
LABELLED = 300
"""Judged comparisons that are kept away from."""


def vectors(texts: Sequence[str]) -> Array:
    """(n, DIMENSIONS) words and pairs of words, hashed, weighted by how rare they are, of length 1."""
    counts = np.zeros((len(texts), DIMENSIONS))
    for row, text in enumerate(texts):
        words = [token for token in tokens(text[:20_000]) if token.isalnum()]
        for gram in (*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))):
            counts[row, zlib.crc32(gram.encode()) % DIMENSIONS] += 1
    rare = np.log((1 + len(texts)) / (1 + (counts > 0).sum(0))) + 1
    weighted = np.log1p(counts) * rare
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    return weighted / np.where(lengths > 0, lengths, 1.0)


def spread(connection: Connection, names: Sequence[str], number: int) -> tuple[Array, str | None]:
    """Marks the comparisons that cover all of them best, given those that were judged last.

    Every dimension of embeddings is scaled to deviation 1: language models have a few that would drown all others.

    Returns: (n,) 1 for `number` of them, 0 for others; and the model gone by, None for the prompts' words.
    """
    judged = select(items.c.comparison).join(judgements, judgements.c.item == items.c.id)
    recent = connection.execute(judged.order_by(judgements.c.at.desc()).limit(LABELLED)).scalars()
    before = list(dict.fromkeys(recent))
    seen = reward_scores.embeddings(connection, names, before)
    if seen is None:
        by, texts = None, prompts_of(connection, [*names, *before])
        points = vectors([texts.get(name, "") for name in (*names, *before)])
    else:
        by, places = seen
        points = np.stack([places[name] for name in (*names, *before) if name in places])
        points = points / np.where(points.std(0) > 0, points.std(0), 1.0)
    labelled = list(range(len(names), len(points)))
    marks = np.zeros(len(names))
    marks[choosing.farthest_points(points, num=min(number, len(names)), labelled=labelled)] = 1.0
    return marks, by
