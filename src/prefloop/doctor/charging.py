"""What a reward pays for by itself: the word, or the length, whose number explains the scores of a run's samples best.

    score = a + b * count                        least squares over the samples, for each count that it may be
    explained = 1 - residual / total variance    the count that explains most is what is charged, b for each

A charge of b for each takes off what was paid for it, and leaves the rest of the score as it is.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefloop.stats.text import tokens

LEAST = 0.25
"""Share of the scores' variance that a count must explain before it is charged."""
FEWEST = 16
"""Samples below which nothing is charged."""
LENGTH = ""
"""Stands for the length, among words."""
TEXT = '''"""What `prefloop doctor` charges for in the reward of {run}: {what}, {slope:.3g} for each."""

from prefloop.stats.text import tokens

WORD = {word!r}


def charged(prompts, responses):
    """How often each response has it."""
    return [float({count}) for response in responses]
'''


@dataclass(frozen=True)
class Charge:
    """What is charged."""

    word: str
    """or `LENGTH`"""
    slope: float
    """reward units for each"""
    explained: float
    """share of the scores' variance"""

    def file(self, run: str) -> str:
        """The text of a reward function that counts it. Args: run: whose samples said so."""
        counted = "len(tokens(response))" if self.word == LENGTH else "tokens(response).count(WORD)"
        what = "length in words" if self.word == LENGTH else f"the word {self.word!r}"
        return TEXT.format(run=run, what=what, slope=self.slope, word=self.word, count=counted)


def charge(responses: Sequence[str], scores: Sequence[float], words: Sequence[str]) -> Charge | None:
    """What explains the scores best, of some words and the length. Returns: None if nothing does that is paid for."""
    if len(responses) < FEWEST or len({*scores}) < 2:
        return None
    said = [tokens(text) for text in responses]
    counts: Mapping[str, list[int]] = {
        LENGTH: [len(each) for each in said],
        **{word: [each.count(word) for each in said] for word in words},
    }
    found = [Charge(word, *_line(count, scores)) for word, count in counts.items() if len({*count}) > 1]
    paid = [each for each in found if each.slope > 0 and each.explained >= LEAST]
    return max(paid, key=lambda each: each.explained, default=None)


def _line(counts: Sequence[int], scores: Sequence[float]) -> tuple[float, float]:
    """(slope, explained) of the line through the scores."""
    slope = statistics.linear_regression(counts, scores).slope
    return slope, statistics.correlation(counts, scores) ** 2
