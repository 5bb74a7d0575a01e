"""Held-out preferences with a judge's margins: who said what, and where the judge agrees.

Shape letters: n pairs, of which d have a decision; v single votes for a side.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from prefloop.records import Preference, opening, spoken
from prefloop.records.cards import Share, Slice
from prefloop.records.evaluations import Interval
from prefloop.stats.arrays import Array
from prefloop.stats.intervals import mean_interval, share_interval
from prefloop.stats.text import words

CONFIDENCE = 0.95
MOST_SLICES = 24
"""Slices of one kind that are shown, the largest."""
DOMAINS = ("domain:", "topic:")
"""Beginnings of the tags that say what a prompt is about."""
LENGTHS = (("much_shorter", 2 / 3), ("shorter", 0.9), ("equal", 1 / 0.9), ("longer", 1.5), ("much_longer", np.inf))
"""Name -> the largest ratio of the chosen response's words to the rejected one's."""


@dataclass(frozen=True)
class Said:
    """One vote for a side."""

    row: int
    chosen: bool
    """whether it is for the chosen response"""
    annotator: str
    """empty if not known"""


class HeldOut:
    """Preferences in an order of their own, so that the order of the file does not matter."""

    def __init__(self, rows: Sequence[Preference], margins: Sequence[float] | Array) -> None:
        """Args: margins: (n,) score of chosen less rejected, in log-odds."""
        order = sorted(range(len(rows)), key=lambda i: (spoken(rows[i].messages), *texts(rows[i]), rows[i].id))
        self.rows = [rows[i] for i in order]
        self.margins = np.asarray([margins[i] for i in order], dtype=float)
        self.prompts = [opening(row.messages) for row in self.rows]
        self.decided = [i for i, row in enumerate(self.rows) if row.decided]
        self.said = [said for i, row in enumerate(self.rows) for said in sides(i, row)]

    @cached_property
    def right(self) -> Array:
        """(d,) 1 where the chosen response of a decided pair scores higher, 1/2 where both score the same."""
        return ordered(self.margins[self.decided])

    @cached_property
    def right_votes(self) -> Array:
        """(v,) the same of single votes."""
        signs = np.array([1.0 if said.chosen else -1.0 for said in self.said])
        return ordered(self.margins[[said.row for said in self.said]] * signs)

    def clusters(self, rows: Iterable[int]) -> list[str]:
        """The prompt of each row: prompts that begin alike are one."""
        return [self.prompts[row] for row in rows]

    def of_decided(self, places: Sequence[int] | None = None) -> Share:
        """Accuracy on decided pairs, or on some of them by their places in `decided`."""
        places = range(len(self.decided)) if places is None else places
        return share(self.right[list(places)], self.clusters(self.decided[place] for place in places))

    def of_votes(self, places: Sequence[int] | None = None) -> Share:
        """Accuracy on single votes, or on some of them."""
        places = range(len(self.said)) if places is None else places
        return share(self.right_votes[list(places)], self.clusters(self.said[place].row for place in places))

    def by(self, names: Callable[[Preference], Iterable[str]], order: Sequence[str] = ()) -> tuple[Slice, ...]:
        """Accuracy on the decided pairs of each name. Args: order: of the names; the largest first without it."""
        groups: dict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(self.decided):
            for name in names(self.rows[row]):
                groups[name].append(place)
        return sliced(groups, self.of_decided, order)

    def by_annotator(self) -> tuple[Slice, ...]:
        """Accuracy on the votes of each annotator whose name is known."""
        groups: dict[str, list[int]] = defaultdict(list)
        for place, said in enumerate(self.said):
            if said.annotator:
                groups[said.annotator].append(place)
        return sliced(groups, self.of_votes)

    def couples(self) -> tuple[list[bool], list[int]]:
        """Whether the votes of each couple of two annotators on one pair are equal, and the row of each."""
        equal, where = list[bool](), list[int]()
        for row, votes in itertools.groupby(self.said, key=lambda said: said.row):
            for first, second in itertools.combinations(votes, 2):
                if not first.annotator or first.annotator != second.annotator:
                    equal.append(first.chosen == second.chosen)
                    where.append(row)
        return equal, where


def sliced(
    groups: dict[str, list[int]], accuracy: Callable[[Sequence[int]], Share], order: Sequence[str] = ()
) -> tuple[Slice, ...]:
    """A slice for each group."""
    names = [name for name in order if name in groups]
    names = names or sorted(groups, key=lambda name: (-len(groups[name]), name))[:MOST_SLICES]
    return tuple(Slice(name=name, accuracy=accuracy(groups[name])) for name in names)


def texts(row: Preference) -> tuple[str, str]:
    """The chosen and the rejected response."""
    return row.chosen, row.rejected


def sides(number: int, row: Preference) -> list[Said]:
    """The votes of a row for a side; where only the decision is known and one annotator made it, that."""
    if not row.votes:
        return [Said(number, True, "")] if row.num_judgements == 1 else []
    return [Said(number, vote.side == "chosen", vote.annotator or "") for vote in row.votes if vote.side != "tie"]


def ordered(margins: Array) -> Array:
    """(n,) 1 where a margin is above 0, 1/2 where it is 0."""
    return np.where(margins == 0, 0.5, (margins > 0).astype(float))


def share(values: Sequence[float] | Array, clusters: Sequence[str] | np.ndarray) -> Share:
    """A mean with its interval, values of one cluster hanging together."""
    low, high = share_interval(values, clusters, confidence=CONFIDENCE)
    return Share(mean=float(np.mean(values)), low=low, high=high, num=len(clusters))


def interval(values: Array, clusters: Sequence[str]) -> Interval:
    """The same of any numbers; without an interval if there is one cluster."""
    ends = mean_interval(values, confidence=CONFIDENCE, clusters=clusters) if len(set(clusters)) > 1 else (None, None)
    return Interval(mean=float(values.mean()), low=ends[0], high=ends[1])


def strength(row: Preference) -> list[str]:
    """The stated strength, rounded: 1 slightly, 2 clearly, 3 much better."""
    return [] if row.strength is None else [str(round(row.strength))]


def domains(row: Preference) -> list[str]:
    """The tags that say what the prompt is about."""
    return [tag for tag in dict.fromkeys(row.tags) if tag.startswith(DOMAINS)]


def length(row: Preference) -> list[str]:
    """How long the chosen response is beside the rejected one."""
    chosen, rejected = (len(words(text)) for text in texts(row))
    ratio = chosen / rejected if rejected else 1.0 if not chosen else np.inf
    return [next(name for name, most in LENGTHS if ratio <= most)]
