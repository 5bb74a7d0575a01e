"""Whether a score is a matter of one shallow thing: how long a response is, whether it repeats itself, one word.

A reward that follows such a thing is gamed by nothing else, and it shows in the first responses, before anything is
learned: what a policy will do is what pays now. So every step's scores are laid beside what can be counted.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from prefloop.stats.symptoms import copied, other_script
from prefloop.stats.text import pairs_again, tokens, words

FEWEST = 32
"""Responses below which nothing is said: of many words one goes with any few scores."""
COMMON = 8
"""A word or a first token is looked at if one response in so many has it."""
NAMES = ("length", "repetition", "copied", "other_script", "first_token", "word")
PAYS = "pays/"
"""What stands before them in the name of a metric."""
Numbers = NDArray[np.float64]
K = TypeVar("K")


def shallow(
    prompts: Sequence[str], responses: Sequence[str], ids: Sequence[Sequence[Hashable]], scores: Sequence[float]
) -> dict[str, float]:
    """Name -> Pearson's correlation of the scores with it, over a step's responses; 0 of what is alike everywhere.

    Args:
        prompts: what each answers, as text.
        responses: as text.
        ids: the tokens of each, the one that ends it included; or its words.
        scores: of each, in reward units.

    Returns: of `NAMES`; of the length that in tokens or in words, of a first token and of a word that one which goes
    with the scores most. Nothing for fewer than
    `FEWEST` responses, or where a score is no number.
    """
    paid = np.asarray(scores, dtype=np.float64)
    if len(paid) < FEWEST or not np.isfinite(paid).all():
        return {}
    said = [Counter(tokens(text)) for text in responses]
    one = [([prompt], [response]) for prompt, response in zip(prompts, responses, strict=True)]
    begins = [Counter(own[:1]) for own in ids]
    of_tokens, of_words = [len(own) for own in ids], [len(words(text)) for text in responses]
    return {
        "length": max((correlation(sizes, paid) for sizes in (of_tokens, of_words)), key=abs),
        "repetition": correlation([pairs_again(words(text)) for text in responses], paid),
        "copied": correlation([copied(*each) for each in one], paid),
        "other_script": correlation([other_script(*each) for each in one], paid),
        "first_token": _clearest(begins, paid),
        "word": _clearest(said, paid),
    }


def _clearest(counts: Sequence[Counter[K]], paid: Numbers) -> float:
    """The correlation of that common thing which goes with the scores most."""
    having = Counter(thing for own in counts for thing in own)
    common = [thing for thing, num in having.items() if num * COMMON >= len(counts)]
    found = [correlation([own[thing] for own in counts], paid) for thing in common]
    return max(found, key=abs, default=0.0)


def correlation(numbers: Sequence[float], paid: Numbers) -> float:
    """Pearson's; 0 where either is the same everywhere."""
    x = np.asarray(numbers, dtype=np.float64)
    x, y = x - x.mean(), paid - paid.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else 0.0
