"""What to ask next: disagreement, diversity, and a mixture whose every item has a known chance to be chosen.

Follows Houlsby et al. 2011 (BALD), Gonzalez 1985 (farthest points), Madow 1949 (systematic sampling with unequal
probabilities) and Hajek 1971. Inclusion probabilities are exact: none is simulated.
Shape letters: n items, M members of an ensemble, D dimensions, m items chosen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from prefloop.stats.arrays import Array, Ints, columns

MIN_RANDOM = 0.2
"""Least share of a mixture that is drawn at random, so that no item is out of reach."""


@dataclass(frozen=True)
class Sample:
    """m items out of n, and how probable each item was."""

    chosen: Ints  # (m,) indices, in rising order
    inclusion: Array  # (n,) probability of each item to be among the m, exact; sums to m; log it with the judgements


@dataclass(frozen=True)
class Estimate:
    """A mean over all n items, from a sample with known inclusion probabilities."""

    mean: float
    standard_error: float


@dataclass(frozen=True)
class TagCoverage:
    """How much of a tag was available, chosen and asked for."""

    tag: str
    available: int
    chosen: int
    floor: int

    @property
    def missing(self) -> int:
        """Items short of the floor."""
        return max(self.floor - self.chosen, 0)

    @property
    def sentence(self) -> str:
        """What is wrong, empty if nothing is."""
        if not self.missing:
            return ""
        there = "there is none at all" if self.available == 0 else f"{self.available} are available"
        return f"tag `{self.tag}`: {self.chosen} chosen, {self.floor} asked for, {there}"


def bald(probabilities: ArrayLike) -> Array:
    """What one would learn about the ensemble from a judgement: disagreement, not noise.

        H(mean_m p_m) - mean_m H(p_m)        H(p) = -p log p - (1 - p) log(1 - p)

    Houlsby et al. 2011 (arXiv:1112.5745).

    Args:
        probabilities: (M, n) that the first response is preferred, of each member.

    Returns: (n,) nats in [0, log 2]; 0 where all members say the same, even if that is 1/2.
    Raises: ValueError if it is not a table of probabilities.
    """
    p = np.asarray(probabilities, dtype=float)
    if p.ndim != 2 or not len(p) or not np.all((p >= 0) & (p <= 1)):
        raise ValueError(f"BALD needs a row of probabilities per member, got shape {p.shape}")
    return np.maximum(_entropy(p.mean(0)) - _entropy(p).mean(0), 0.0)


def ensemble_disagreement(margins: ArrayLike) -> Array:
    """Standard deviation of the members' margins.

    Args:
        margins: (M, n) score of the first response less that of the second, of each member, in score units.

    Returns: (n,) score units; divided by M - 1.
    Raises: ValueError if there are fewer than 2 members.
    """
    table = np.asarray(margins, dtype=float)
    if table.ndim != 2 or len(table) < 2:
        raise ValueError(f"disagreement needs at least 2 members, a row each, got shape {table.shape}")
    return table.std(axis=0, ddof=1)


def farthest_points(vectors: ArrayLike, *, num: int, labelled: Sequence[int] = ()) -> Ints:
    """Items that cover the space: each next one is the farthest from all taken before.

    Gonzalez 1985: the largest distance left is at most twice the least possible. Without labelled items the first is
    the one nearest to the mean. Equal distances go to the lowest index.

    Args:
        vectors: (n, D); distances are Euclidean, so scale them first.
        num: how many to choose, at most as many as are not labelled.
        labelled: indices that are covered already, and are not chosen.

    Returns: (num,) indices in the order chosen.
    Raises: ValueError if there are not enough items.
    """
    points = np.asarray(vectors, dtype=float)
    if points.ndim != 2 or not 0 <= num <= len(points) - len(set(labelled)):
        raise ValueError(f"cannot choose {num} of {points.shape[:1]} items with {len(set(labelled))} labelled")
    distance, taken = np.full(len(points), np.inf), list(labelled)
    for index in labelled:
        distance = np.minimum(distance, np.square(points - points[index]).sum(1))
    for _ in range(num):
        want = distance.copy() if taken else -np.square(points - points.mean(0)).sum(1)
        want[taken] = -np.inf
        taken.append(int(want.argmax()))
        distance = np.minimum(distance, np.square(points - points[taken[-1]]).sum(1))
    return np.array(taken[len(labelled) :], dtype=np.int64)


def mixture_inclusion(
    scores: Mapping[str, ArrayLike], shares: Mapping[str, float], *, num_items: int, num: int
) -> Array:
    """How probable each item is to be chosen when several strategies share the places.

        weight_i = sum_s share_s score_si / sum_j score_sj + share_random / n        inclusion_i = min(1, c weight_i)

    with c such that they sum to m. A strategy that picks a set gives 1 to its items and 0 to others; to favour the
    highest scores more, pass a power of them. A strategy whose scores are all 0 has no opinion and is random.

    Args:
        scores: strategy -> (n,) scores, at least 0.
        shares: strategy -> share of the places, "random" among them with at least 0.2; they sum to 1.
        num_items: n.
        num: m, from 1 to n.

    Returns: (n,) in (0, 1], sums to m; nobody is below share_random m / n.
    Raises: ValueError if shares or scores break these rules.
    """
    if set(shares) != {*scores, "random"} or abs(sum(shares.values()) - 1.0) > 1e-9 or min(shares.values()) < 0:
        raise ValueError(f'shares need one name per strategy and "random", and sum to 1; got {dict(shares)}')
    if shares["random"] < MIN_RANDOM or not 1 <= num <= num_items:
        wanted = f"at least {MIN_RANDOM:.0%} are drawn at random, and 1 to {num_items} items"
        raise ValueError(f"{wanted}; got {shares['random']} and {num}")
    weight = np.full(num_items, shares["random"] / num_items)
    for name, column in scores.items():
        score = np.asarray(column, dtype=float)
        if score.shape != (num_items,) or not np.all((score >= 0) & np.isfinite(score)):
            raise ValueError(f"strategy {name} needs {num_items} finite scores of at least 0, got shape {score.shape}")
        weight += shares[name] * (score / score.sum() if score.sum() > 0 else 1.0 / num_items)
    sure = np.zeros(num_items, dtype=bool)
    while True:
        rest = weight[~sure].sum()
        inclusion = np.where(sure, 1.0, weight * ((num - sure.sum()) / rest if rest > 0 else 0.0))
        if not (inclusion > 1.0).any():
            return inclusion
        sure |= inclusion >= 1.0


def mixture_sample(
    scores: Mapping[str, ArrayLike], shares: Mapping[str, float], *, num_items: int, num: int, rng: np.random.Generator
) -> Sample:
    """Draws m items without replacement, with the probabilities of `mixture_inclusion`, exactly.

    Madow 1949: items lie in random order on a line, each as long as its inclusion probability; of the points
    u, u + 1, ..., u + m - 1 with u uniform in [0, 1) each picks the item under it.

    Args:
        scores, shares, num_items, num: as in `mixture_inclusion`.
        rng: what the order and u are drawn from.

    Returns: Sample.
    Raises: ValueError as in `mixture_inclusion`.
    """
    inclusion = mixture_inclusion(scores, shares, num_items=num_items, num=num)
    order = rng.permutation(num_items)
    ends = np.cumsum(inclusion[order])
    ends *= num / ends[-1]  # rounding
    place = np.searchsorted(ends, rng.random() + np.arange(num), side="right")
    return Sample(np.sort(order[np.minimum(place, num_items - 1)]), inclusion)


def hajek(values: ArrayLike, inclusion: ArrayLike) -> Estimate:
    """Mean over all items from chosen ones, such as a reward model's accuracy though hard items were preferred.

        mean = sum_i value_i / inclusion_i / sum_i 1 / inclusion_i

    Hajek 1971: nearly unbiased, and exact if all values are alike. The standard error is of the residuals, by his
    approximation for samples of fixed size: it treats the n items as all there is, so that it is 0 if all are judged.

    Args:
        values: (m,) of the chosen items, such as 1 if the reward model agrees with people.
        inclusion: (m,) their inclusion probabilities, in (0, 1].

    Returns: Estimate.
    Raises: ValueError if lengths differ, there are fewer than 2 items, or a probability is not in (0, 1].
    """
    y, pi = columns(values=values, inclusion=inclusion)
    if len(y) < 2 or not np.all((pi > 0) & (pi <= 1)):
        raise ValueError(f"an estimate needs at least 2 values, each with a probability in (0, 1], got {len(y)}")
    total = float((1.0 / pi).sum())
    mean = float((y / pi).sum()) / total
    free, expanded = 1.0 - pi, (y - mean) / pi
    if free.sum() <= 0:
        return Estimate(mean, 0.0)
    centre = (free * expanded).sum() / free.sum()
    variance = len(y) / (len(y) - 1) * (free * np.square(expanded - centre)).sum()
    return Estimate(mean, float(np.sqrt(variance)) / total)


def tag_coverage(
    tags: Sequence[Sequence[str]], chosen: Sequence[int] | Ints, *, floors: Mapping[str, int]
) -> tuple[TagCoverage, ...]:
    """How much of each tag was chosen; a tag with a floor is in the table even if no item has it.

    So a red-team tag is never silently empty: `missing` counts what is lacking, and `sentence` says so.

    Args:
        tags: tags of each of n items.
        chosen: indices of the items chosen.
        floors: tag -> least number to choose; other tags have none.

    Returns: one TagCoverage per tag, in alphabetical order.
    """
    available = Counter(tag for item in tags for tag in set(item))
    taken = Counter(tag for index in chosen for tag in set(tags[int(index)]))
    names = sorted({*available, *floors})
    return tuple(TagCoverage(tag, available[tag], taken[tag], floors.get(tag, 0)) for tag in names)


def _entropy(p: Array) -> Array:
    return special.entr(p) + special.entr(1.0 - p)
