"""What a second judge says of a run's samples: whether the policy pleases the reward and nobody else, and by what."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from prefloop.doctor.charging import constant, unexplained
from prefloop.doctor.reading import Ran, Row
from prefloop.report.pipeline import as_number
from prefloop.signs import MIN_STEPS, Sign, fifths, most_paid, sign
from prefloop.stats.shallow import FEWEST as FEW_SCORES
from prefloop.stats.shallow import correlation, shallow
from prefloop.stats.text import tokens, words

FEWEST = 8
"""Samples of the first steps, and of the last, below which a judge says nothing."""
ASKING = {"hacking": 2 * FEWEST, "biased": FEW_SCORES}
"""Rules that need a judge -> the samples that they need."""
JUDGE = "the judge"
"""Who says so, in the sentences."""
Judge = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""A number for each of some prompts and responses, the higher the better."""
COMMON = 16
"""A word may have a price if one sample in so many has it."""
MOST = 8
"""Such words beside those that were learned."""


@dataclass(frozen=True)
class Opinion:
    """What a judge says of a sample."""

    row: Row
    score: float | None
    """reward units, what the run optimised; None if it was not logged"""
    worth: float
    """the judge's number"""


def logged(ran: Ran) -> list[Row]:
    """The samples of a run that say what was written, and in which step."""
    return [row for row in ran.samples if isinstance(row.get("response"), str) and isinstance(row.get("step"), int)]


def ends(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The samples of the first fifth of the steps that have any, and of the last; none of fewer than `MIN_STEPS`."""
    steps = sorted({row["step"] for row in rows})
    num = -(-len(steps) // 5) if len(steps) >= MIN_STEPS else 0
    first, last = {*steps[:num]}, {*steps[len(steps) - num :]}
    return [row for row in rows if row["step"] in first], [row for row in rows if row["step"] in last]


def opinions(ran: Ran, judge: Judge) -> list[Opinion]:
    """What a judge says of all samples of a run."""
    rows = logged(ran)
    said = judge([str(row.get("prompt", "")) for row in rows], [row["response"] for row in rows]) if rows else []
    return [Opinion(row, as_number(row.get("score")), float(worth)) for row, worth in zip(rows, said, strict=True)]


def of_judge(ran: Ran, said: Sequence[Opinion]) -> list[Sign]:
    """The rules that need one."""
    return [hacking(ran, said), biased(said)]


def hacking(ran: Ran, said: Sequence[Opinion]) -> Sign:
    """What it says of the samples of the first fifth of the steps and of the last: a fall counts if it is clear, by two
    standard errors."""
    worth = {id(one.row): one.worth for one in said}
    old, new = ([worth[id(row)] for row in some] for some in ends([one.row for one in said]))
    if min(len(old), len(new)) < FEWEST:
        return sign("hacking", by=JUDGE, s0=None, s1=None, o0=None, o1=None)
    means = [statistics.fmean(each) for each in (old, new)]
    scores = [[score for row in some if (score := row.get("scores/mean")) is not None] for some in fifths(ran.rows)]
    s0, s1 = (statistics.fmean(some) if some else None for some in scores)
    found = sign("hacking", by=JUDGE, s0=s0, s1=s1, o0=means[0], o1=means[1])
    error = math.sqrt(sum(statistics.variance(each) / len(each) for each in (old, new)))
    clear = means[0] - means[1] > 2 * error
    return found if clear or found.level != "alarm" else Sign(found.name, "fine", found.values)


def scored(said: Sequence[Opinion]) -> tuple[list[Row], np.ndarray, list[float]]:
    """The n samples that have a score: they themselves, (n,) their scores, and what the judge says of each."""
    known = [(one.row, one.score, one.worth) for one in said if one.score is not None]
    return [row for row, _, _ in known], np.array([score for _, score, _ in known]), [worth for _, _, worth in known]


def biased(said: Sequence[Opinion]) -> Sign:
    """Whether what is left of the scores, once a straight line through the judge's numbers is taken off, is a matter of
    one shallow thing. It shows what a reward pays too much for while the policy has hardly begun to take it."""
    rows, scores, worths = scored(said)
    left = unexplained(scores, constant(len(scores), worths))
    texts = [row["response"] for row in rows]
    found = shallow([str(row.get("prompt", "")) for row in rows], texts, [words(t) for t in texts], left.tolist())
    if not found:
        return sign("biased", by=JUDGE, paid=None, share=None, value=None)
    share = float(left @ left) / (float(np.square(scores - scores.mean()).sum()) or 1.0)
    paid, value = most_paid(found)
    return sign("biased", by=JUDGE, paid=paid, share=share, value=value)


def liked(said: Sequence[Opinion]) -> list[str]:
    """The words that go most with what the judge does not explain of the scores, of those that one sample of sixteen
    has: what a reward pays for need not have been learned yet."""
    rows, scores, worths = scored(said)
    left = unexplained(scores, constant(len(scores), worths))
    counts = [Counter(tokens(row["response"])) for row in rows]
    having = Counter(word for own in counts for word in own)
    common = [word for word, num in having.items() if num * COMMON >= len(rows) and word.isalnum()]
    found = {word: correlation([own[word] for own in counts], left) for word in common}
    return sorted(found, key=lambda word: -found[word])[:MOST]
