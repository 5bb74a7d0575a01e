"""What a reward pays for by itself: words that a policy has learned to say, or the length, by what they add to scores.

    score = a + c * judge + sum over words w of b_w * count_w + e      least squares over the samples of a run

Of the words that are exploited, and the length, those are left whose b is above 0 by `CLEAR` standard errors once the
others are gone (the least clear goes first). A charge of b for each takes off what was paid for it, and leaves the rest
of the score as it is. With a second judge (`c`, else 0) a word costs nothing for being said where he likes a response;
without one, that a word pays is no proof that it should not: people read what is charged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefloop.stats.text import tokens

LEAST = 0.25
"""Share of the scores' variance that the counts must explain together before they are charged."""
SMALL = 0.01
"""Share of the scores' deviation below which what a count adds is left alone."""
CLEAR = 3.0
"""Standard errors by which a word's price is above 0."""
FEWEST = 16
"""Samples below which nothing is charged; and of each count that may be charged there are at least four."""
LENGTH = ""
"""Stands for the length, among words."""
TEXT = '''"""What `prefloop doctor` charges for in the reward of {run}: prices of words, "" of any."""

from prefloop.stats.text import tokens

PRICES = {prices!r}


def charged(prompts, responses):
    """What was paid for them in each response."""
    said = [tokens(response) for response in responses]
    return [sum(price * (each.count(word) if word else len(each)) for word, price in PRICES.items()) for each in said]
'''


@dataclass(frozen=True)
class Charge:
    """What is charged."""

    prices: Mapping[str, float]
    """word, or `LENGTH` -> reward units for each"""
    explained: float
    """share of the scores' variance, or of what a judge leaves of it"""
    beside: bool = False
    """whether there was a judge"""

    def file(self, run: str) -> str:
        """The text of a reward function that adds it up. Args: run: whose samples said so."""
        return TEXT.format(run=run, prices=dict(self.prices))


def charge(
    responses: Sequence[str], scores: Sequence[float], words: Sequence[str], beside: Sequence[float] | None = None
) -> Charge | None:
    """What of some words and the length is paid for by itself. Returns: None if nothing clearly is.

    Args:
        beside: what another judge says of each response: what scores and it have in common is no price of a word.
    """
    if len(responses) < FEWEST:
        return None
    fixed = constant(len(scores), beside)
    said = [tokens(text) for text in responses]
    counts = {LENGTH: [len(each) for each in said]}  # first, for of many words the last are left out
    counts |= {word: [each.count(word) for each in said] for word in words if word.isalnum()}
    left = [word for word, count in counts.items() if len({*count}) > 1][: len(said) // 4]
    while left:
        count = np.array([counts[word] for word in left], dtype=float).T
        prices, errors, explained = _fit(fixed, count, np.array(scores))
        clear = prices / np.maximum(errors, 1e-12)
        clear[prices * count.std(0) < SMALL * np.std(scores)] = 0.0
        worst = int(clear.argmin())
        if clear[worst] >= CLEAR:
            found = {word: float(f"{price:.3g}") for word, price in zip(left, prices, strict=True)}
            return Charge(found, explained, beside is not None) if explained >= LEAST else None
        left.pop(worst)
    return None


def constant(num: int, beside: Sequence[float] | None) -> np.ndarray:
    """(num, 1 or 2) what every fit has: a constant, and what another judge says if there is one."""
    return np.column_stack([np.ones(num), *([] if beside is None else [beside])])


def unexplained(scores: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """(n,) what least squares on (n, F) leave of (n,) scores."""
    return scores - fixed @ np.linalg.lstsq(fixed, scores, rcond=None)[0]


def _fit(fixed: np.ndarray, counts: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(K,) prices, (K,) their standard errors, and which share of the variance they explain that `fixed` leaves. Counts
    that say the same share a price. Args: fixed: (n, F); counts: (n, K); scores: (n,)."""
    design = np.column_stack([fixed, counts])
    inverse = np.linalg.pinv(design.T @ design)
    prices = inverse @ design.T @ scores
    before = unexplained(scores, fixed)
    rest, total = float(np.square(scores - design @ prices).sum()), float(np.square(before).sum())
    variance = rest / max(1, len(scores) - design.shape[1])
    errors = np.sqrt(np.maximum(variance * np.diag(inverse), 0.0))
    own = slice(fixed.shape[1], None)
    return prices[own], errors[own], 1 - rest / total if total else 0.0
