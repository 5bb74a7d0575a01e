"""What can be said of a judge that is a model: does the order decide, does the length, does it agree with people?

Follows Zheng et al. 2023 (arXiv:2306.05685) in asking every pair in both orders, and Fuller 1987 (Measurement Error
Models) in not taking people's word for the truth. Pairs of one prompt hang together: intervals and tests are over
prompts. Decisions are 1 for one response of a pair, -1 for the other, 0 for a tie; which response is which must be the
same everywhere, and else does not matter. Shape letters: n pairs, G prompts.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from prefloop.stats.arrays import Array, columns
from prefloop.stats.intervals import mean_interval, share_interval

LEAST_PAIRS = 30
"""Pairs, couples of votes, or prompts, below which nothing is said of a bias against people."""
KNOWN = 0.15
"""Of people's decisions, the share of their variance that must be common to two of them and not explained by what is
looked at; below it people tell too little to compare with."""
ALPHA = 0.02
"""Chance that a judge without a bias is said to have it, for each bias."""
ONE_MARK = 0.9
"""From this share on of all ratings that are the same, they tell too little."""
FLOOR = 0.1
"""A bias smaller than this is not named, however sure it is."""


@dataclass(frozen=True)
class Share:
    """A share of something with its interval."""

    value: float | None
    """None if there is nothing of it"""
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Bias:
    """How far something else than the response decides, from -1 to 1."""

    value: float | None
    """None if nothing can be said"""
    low: float
    high: float
    p_value: float
    n: int
    """pairs"""
    reason: str = ""
    """why nothing can be said, or what it rests on"""

    @property
    def named(self) -> bool:
        """Whether it is surely there, and large enough to matter."""
        return self.value is not None and self.p_value < ALPHA and abs(self.value) >= FLOOR


@dataclass(frozen=True)
class Spread:
    """How far ratings tell responses apart."""

    mean: float
    deviation: float
    level: float
    """the commonest rating"""
    share: Share
    """how often it is given"""

    @property
    def named(self) -> bool:
        """Whether nearly everything gets one rating."""
        return self.share.n >= LEAST_PAIRS and (self.share.value or 0.0) >= ONE_MARK


def share(values: Sequence[float], clusters: Sequence[Hashable], *, confidence: float) -> Share:
    """A mean of numbers in [0, 1], with `share_interval`; (None, 0, 1) of nothing.

    Args:
        values: (n,) in [0, 1].
        clusters: (n,) a label per value, such as its prompt.
        confidence: in (0, 1).
    """
    if not values:
        return Share(None, 0.0, 1.0, 0)
    low, high = share_interval(values, _numbered(clusters), confidence=confidence)
    return Share(float(np.mean(values)), low, high, len(values))


def spread(ratings: Sequence[float], clusters: Sequence[Hashable], *, confidence: float) -> Spread:
    """Mean and deviation of ratings, and how often the commonest of them is given, the lowest of several.

    Args:
        ratings: (n,) at least one.
        clusters: (n,) the prompt of each.
        confidence: in (0, 1).
    """
    levels, counts = np.unique(np.asarray(ratings, dtype=float), return_counts=True)
    level = float(levels[counts.argmax()])
    common = share([float(rating == level) for rating in ratings], clusters, confidence=confidence)
    return Spread(float(np.mean(ratings)), float(np.std(ratings)), level, common)


def flipped(first: ArrayLike, second: ArrayLike, clusters: Sequence[Hashable], *, confidence: float) -> Share:
    """Share of the pairs whose decision is another one in the other order.

    Args:
        first, second: (n,) decisions, the one response shown first, then the other.
        clusters: (n,) the prompt of each pair.
        confidence: in (0, 1).
    """
    one, other = columns(first=first, second=second)
    return share((one != other).astype(float).tolist(), clusters, confidence=confidence)


def position_bias(first: ArrayLike, second: ArrayLike, clusters: Sequence[Hashable], *, confidence: float) -> Bias:
    """How much more often the place shown first decides than the place shown second.

        value = mean of (first - second) / 2        1: it always takes the first, -1: the second, 0: neither

    The test is exact, a sign test over prompts: whoever looks at the responses alone flips either way equally often,
    however noisy they are and however good the responses.

    Args:
        first, second: (n,) decisions for the same response, with it shown first and shown second.
        clusters: (n,) the prompt of each pair.
        confidence: of the interval, in (0, 1).

    Returns: value None if there are fewer than 2 prompts.
    Raises: ValueError if the lengths differ.
    """
    one, other = columns(first=first, second=second)
    net, labels = (one - other) / 2, _numbered(clusters)
    if labels.size == 0 or labels.max() < 1:
        return Bias(None, -1.0, 1.0, 1.0, net.size, "fewer than two prompts were judged in both orders")
    low, high = mean_interval(net, clusters=labels, confidence=confidence)
    sums = np.bincount(labels, net)
    ahead, behind = int((sums > 0).sum()), int((sums < 0).sum())
    p_value = float(stats.binomtest(ahead, ahead + behind).pvalue) if ahead + behind else 1.0
    return Bias(float(net.mean()), max(low, -1.0), min(high, 1.0), p_value, net.size)


def leaning(
    judge: ArrayLike,
    people: Sequence[Sequence[float]],
    feature: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    confidence: float,
) -> Bias:
    """How far a judge follows a feature (the longer response, its own kind) beyond what people explain who judged the
    same pairs.

        E[judge | pair] = k E[vote | pair] + value feature

    People err, so that their vote is not put in for its expectation: that would leave to the length what they did not
    see of the quality. Two votes of different people on one pair tell how much of a vote is common to them, and the
    moments of the equation are solved with that:

        E[judge vote]    = k R + value E[vote feature]        R = E[vote vote'] of two people on one pair
        E[judge feature] = k E[vote feature] + value E[feature^2]

    k takes up that the judge is noisier, or surer, than people. The error is the jackknife's over prompts. Where no
    pair was judged by two people R cannot be known, and value is the mean of (judge - vote) feature: right only for a
    judge as noisy as people.

    Args:
        judge: (n,) decisions of the judge, means over both orders.
        people: of each pair the votes of different people, at least one.
        feature: (n,) 1 where the one response has it, -1 where the other has, 0 where neither or both.
        clusters: (n,) the prompt of each pair.
        confidence: of the interval, in (0, 1).

    Returns: value in [-1, 1] roughly: half of it is the share of the pairs in which the feature changed the decision;
        None with a reason if people tell too little.
    Raises: ValueError if the lengths differ.
    """
    said, having = columns(judge=judge, feature=feature)
    vote = np.array([np.mean(votes) for votes in people], dtype=float)
    columns(judge=said, people=vote)
    couples = np.array([len(votes) * (len(votes) - 1) / 2 for votes in people], dtype=float)
    products = np.array([(np.sum(v) ** 2 - np.sum(np.square(v))) / 2 for v in people], dtype=float)
    labels = _numbered(clusters)
    groups = int(labels.max()) + 1 if labels.size else 0
    if groups < LEAST_PAIRS:
        return Bias(
            None, -1.0, 1.0, 1.0, said.size, f"people judged pairs of {groups} prompts, fewer than {LEAST_PAIRS}"
        )
    num = int(np.count_nonzero(having))
    if num < LEAST_PAIRS:
        return Bias(None, -1.0, 1.0, 1.0, said.size, f"in no more than {num} pairs do the two responses differ in it")
    if couples.sum() < LEAST_PAIRS:
        beyond = (said - vote) * having
        low, high = mean_interval(beyond, clusters=labels, confidence=confidence)
        p_value = _p_value(float(beyond.mean()), (high - low) / 2, groups, confidence)
        return Bias(float(beyond.mean()), low, high, p_value, said.size, "hardly any pair was judged by two people")
    moments = np.stack([said * vote, said * having, vote * having, having**2, np.ones(said.size), products, couples])
    sums = np.stack([np.bincount(labels, row, groups) for row in moments])
    whole = sums.sum(1, keepdims=True)
    value, known = (float(part[0]) for part in _solved(whole))
    if known < KNOWN:
        return Bias(None, -1.0, 1.0, 1.0, said.size, "two people agree too little beyond it to compare with them")
    without, _ = _solved(whole - sums)
    error = float(np.sqrt((groups - 1) / groups * np.square(without - without.mean()).sum()))
    half = float(special.stdtrit(groups - 1, (1 + confidence) / 2)) * error
    return Bias(value, value - half, value + half, _p_value(value, half, groups, confidence), said.size)


def _solved(sums: Array) -> tuple[Array, Array]:
    """(m,) the value, and (m,) how well it is known, of (7, m) sums of moments."""
    with_vote, with_feature, both, square, number, products, couples = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        common = products / couples
        a, b, c, d = (part / number for part in (with_vote, with_feature, both, square))
        known = common * d - c**2
        return (b * common - a * c) / known, known


def _p_value(value: float, half: float, groups: int, confidence: float) -> float:
    """Two-sided, by t, of a value whose interval reaches `half` to either side."""
    if half <= 0:
        return 1.0 if value == 0 else 0.0
    t = abs(value) / half * float(special.stdtrit(groups - 1, (1 + confidence) / 2))
    return float(2 * special.stdtr(groups - 1, -t))


def agreement_with(
    judge: ArrayLike, people: Sequence[Sequence[float]], clusters: Sequence[Hashable], *, confidence: float
) -> tuple[Share, Share]:
    """How often the judge decides as one of the people does, and how often two of them decide alike, ties left out.

    Args:
        judge: (n,) decisions, means over both orders: 0 if they contradict each other.
        people: of each pair the votes of different people.
        clusters: (n,) the prompt of each pair.
        confidence: in (0, 1).

    Returns: (judge with people, people with each other).
    """
    (said,) = columns(judge=judge)
    ours, theirs = list[tuple[float, Hashable]](), list[tuple[float, Hashable]]()
    for decision, votes, prompt in zip(np.sign(said).tolist(), people, clusters, strict=True):
        sided = [vote for vote in votes if vote]
        ours += [(float(vote == decision), prompt) for vote in sided if decision]
        theirs += [(float(a == b), prompt) for i, a in enumerate(sided) for b in sided[:i]]
    with_people, among = ((([v for v, _ in found]), [c for _, c in found]) for found in (ours, theirs))
    return share(*with_people, confidence=confidence), share(*among, confidence=confidence)


def _numbered(clusters: Sequence[Hashable]) -> np.ndarray:
    """(n,) the clusters, numbered from 0."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=int)
