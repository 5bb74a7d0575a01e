"""Texts that are nearly the same: those that share most of their pairs of neighbouring words."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from prefloop.stats.text import Pair, word_pairs


def near_duplicates(texts: Sequence[str], others: Sequence[str], *, least: float) -> list[list[int]]:
    """Of each text, which of the others have an `overlap` of at least `least` with it.

    Exact, without comparing all with all: two sets that overlap so far share one of their rarest members, the first
    n - ceil(least n) + 1 of n in one order for all (Chaudhuri et al. 2006; Bayardo et al. 2007).

    Args:
        least: in (0, 1].

    Returns: numbers of others, ascending.
    Raises: ValueError if least is not in (0, 1].
    """
    if not 0 < least <= 1:
        raise ValueError(f"an overlap of near-duplicates lies in (0, 1], got {least}")
    known = [word_pairs(text) for text in others]
    times = Counter(pair for pairs in known for pair in pairs)

    def rarest(pairs: frozenset[Pair]) -> list[Pair]:
        num = len(pairs) - math.ceil(least * len(pairs) - 1e-9) + 1
        return sorted(pairs, key=lambda pair: (times[pair], pair))[:num]

    having: dict[Pair, list[int]] = defaultdict(list)
    for number, pairs in enumerate(known):
        for pair in rarest(pairs):
            having[pair].append(number)
    found: list[list[int]] = []
    for text in texts:
        pairs = word_pairs(text)
        candidates = {number for pair in rarest(pairs) if pair in having for number in having[pair]}
        found.append(sorted(n for n in candidates if len(pairs & known[n]) >= least * len(pairs | known[n])))
    return found
