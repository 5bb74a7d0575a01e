"""A mixture with quotas: at least so many items of a tag, and still a known chance for each item.

Follows Neyman 1934 (strata) for the tags that would fall short of their floor, and stats/choosing.py within a stratum.
Shape letters: n items, m items chosen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from prefloop.stats.arrays import Array, Ints
from prefloop.stats.choosing import mixture_inclusion, mixture_sample

FLOOR, RANDOM = "floor", "random"
"""Why an item was chosen, beside the names of strategies."""
Cell = tuple[str, ...]
"""Which of the tags with a floor an item has."""


@dataclass(frozen=True)
class Drawn:
    """m items out of n, how probable each was, and what brought it in."""

    chosen: Ints  # (m,) indices, in rising order
    inclusion: Array  # (n,) probability of each item to be among the m, exact; sums to m
    why: tuple[str, ...]
    """m names: a strategy, "random", or "floor" """


def quotas(
    tags: Sequence[Sequence[str]], *, floors: Mapping[str, int], expected: ArrayLike, num: int
) -> dict[Cell, int]:
    """How many items are drawn from those that have the same tags with floors, so that every floor is kept.

    A floor is kept as far as there are items of its tag. A cell that no floor needs has no quota: its items are drawn
    with all the others.

    Args:
        tags: tags of each of n items.
        floors: tag -> least number of its items.
        expected: (n,) probability of each item, if there were no floors.
        num: m.

    Returns: cell -> its quota, at least what floors need and otherwise what was expected of it, rounded down; more
        where the others are too few for the places left.
    Raises: ValueError if the floors need more than m places.
    """
    cells = [tuple(sorted(floors.keys() & set(some))) for some in tags]
    size, hoped = Counter(cells), Counter[Cell]()
    for cell, probability in zip(cells, np.asarray(expected, dtype=float).tolist(), strict=True):
        hoped[cell] += probability
    needed = Counter[Cell]()
    while True:
        have = {tag: sum(count for cell, count in needed.items() if tag in cell) for tag in floors}
        there = {tag: sum(count for cell, count in size.items() if tag in cell) for tag in floors}
        short = {tag for tag, floor in floors.items() if have[tag] < min(floor, there[tag])}
        free = [cell for cell in size if short & set(cell) and needed[cell] < size[cell]]
        if not free:
            break
        needed[max(sorted(free), key=lambda cell: (len(short & set(cell)), hoped[cell] - needed[cell]))] += 1
    if needed.total() > num:
        raise ValueError(f"the floors need {needed.total()} places, and there are {num}")
    quota = {cell: max(need, int(hoped[cell] + 1e-9)) for cell, need in needed.items()}
    while sum(quota.values()) > num:
        quota[max(sorted(quota), key=lambda cell: quota[cell] - needed[cell])] -= 1
    others = sum(count for cell, count in size.items() if cell not in quota)
    while num - sum(quota.values()) > others:
        free = [cell for cell in sorted(quota) if quota[cell] < size[cell]]
        quota[max(free, key=lambda cell: hoped[cell] - quota[cell])] += 1
    return quota


def sample_with_floors(
    scores: Mapping[str, ArrayLike],
    shares: Mapping[str, float],
    tags: Sequence[Sequence[str]],
    *,
    floors: Mapping[str, int],
    num: int,
    rng: np.random.Generator,
) -> Drawn:
    """Draws m items without replacement by several strategies, at least so many of each tag.

    Each cell with a quota (`quotas`) is a stratum, what is left another; within one the mixture decides. Why an item
    was chosen is drawn in proportion to what each strategy gave to its probability, so that of many items about
    share_s m name strategy s; what a stratum has beyond what was expected of it is its floor's.

    Args:
        scores: strategy -> (n,) scores, at least 0.
        shares: strategy -> share of the places, "random" among them with at least 0.2; they sum to 1.
        tags: tags of each of n items.
        floors: tag -> least number of its items, as far as there are so many.
        num: m, from 1 to n.
        rng: what is drawn from.

    Returns: Drawn.
    Raises: ValueError if shares or scores break the rules of `mixture_inclusion`, or floors need more than m places.
    """
    columns = {name: np.asarray(column, dtype=float) for name, column in scores.items()}
    expected = mixture_inclusion(columns, shares, num_items=len(tags), num=num)
    quota = quotas(tags, floors=floors, expected=expected, num=num)
    strata: dict[Cell | None, list[int]] = {cell: [] for cell in sorted(quota)}
    strata[None] = []
    for place, some in enumerate(tags):
        cell = tuple(sorted(floors.keys() & set(some)))
        strata[cell if cell in quota else None].append(place)
    inclusion, why = np.zeros(len(tags)), dict[int, str]()
    for cell, places in strata.items():
        count = num - sum(quota.values()) if cell is None else quota[cell]
        if not count:
            continue
        mine = {name: column[places] for name, column in columns.items()}
        drawn = mixture_sample(mine, shares, num_items=len(places), num=count, rng=rng)
        inclusion[places] = drawn.inclusion
        beyond = 0.0 if cell is None else max(0.0, 1.0 - float(expected[places].sum()) / count)
        for place in drawn.chosen.tolist():
            why[places[place]] = _reason(mine, shares, place, len(places), beyond, rng)
    chosen = np.array(sorted(why), dtype=np.int64)
    return Drawn(chosen, inclusion, tuple(why[place] for place in chosen.tolist()))


def _reason(
    scores: Mapping[str, Array],
    shares: Mapping[str, float],
    place: int,
    size: int,
    beyond: float,
    rng: np.random.Generator,
) -> str:
    """What an item of a stratum is there for. Args: beyond: share of its stratum that only the floor explains."""
    told = {name: shares[name] * (column[place] / column.sum()) for name, column in scores.items() if column.sum() > 0}
    told[RANDOM] = (1.0 - sum(shares[name] for name in told)) / size
    weights = np.array([beyond, *((1.0 - beyond) * np.array([*told.values()]) / sum(told.values()))])
    return [FLOOR, *told][int(rng.choice(len(weights), p=weights / weights.sum()))]
