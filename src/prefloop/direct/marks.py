"""How good the responses of a file are, each a number, whatever was said of them; and which of them are imitated.

Shapes: B items, K responses of an item, N responses with a mark.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from prefloop.direct.config import OfflineConfig
from prefloop.errors import UserError
from prefloop.feedback.data import asks_of
from prefloop.feedback.items import Item, Row, item_of
from prefloop.feedback.kinds import Kinds
from prefloop.feedback.objectives import Objective
from prefloop.files.hashes import hash_of
from prefloop.records import Preference, Ranking, Rated


def marks_of(item: Item) -> tuple[float, ...]:
    """(K,) the rating or thumb of each response, nan where nobody said; of a pair or ranking the share of the other
    responses that it wins against, a tie being half a win: (K - r) / (K - 1) for rank r of K."""
    if item.marks:
        return item.marks
    ranks = item.ranks
    return tuple(
        sum((other > own) + (other == own) / 2 for place, other in enumerate(ranks) if place != number)
        / max(1, len(ranks) - 1)
        for number, own in enumerate(ranks)
    )


def lowest_kept(marks: np.ndarray, *, keep: float) -> float:
    """The mark from which on (N,) marks are kept: as many of the best as are at most the share `keep`, at least the
    best; equals stay together."""
    levels, counts = np.unique(marks, return_counts=True)
    num_fit = int((counts[::-1].cumsum() <= keep * len(marks) + 1e-9).sum())
    return float(levels[::-1][max(0, num_fit - 1)])


@dataclass(frozen=True)
class Bounds:
    """From which mark on the responses of each prompt are kept."""

    prompts: np.ndarray
    """(P,) keys of prompts whose responses have different marks, ascending"""
    lowest: np.ndarray
    """(P,) the bound of each"""
    others: float
    """of all other prompts"""

    @classmethod
    def of(cls, prompts: np.ndarray, marks: np.ndarray, *, keep: float, others: float | None = None) -> Self:
        """Of (N,) responses. Args: others: see the field; None for that of all these responses together."""
        order = prompts.argsort(kind="stable")
        keys, starts = np.unique(prompts[order], return_index=True)
        parts = np.split(marks[order], starts[1:])
        differ = np.array([part.min() < part.max() for part in parts], dtype=bool)
        lowest = [lowest_kept(part, keep=keep) for part, tells in zip(parts, differ, strict=True) if tells]
        return cls(keys[differ], np.array(lowest), lowest_kept(marks, keep=keep) if others is None else others)

    def keep(self, prompt: int, mark: float) -> bool:
        """Whether a response to a prompt is kept."""
        place = int(self.prompts.searchsorted(np.uint64(prompt)))
        known = place < len(self.prompts) and int(self.prompts[place]) == prompt
        return mark >= (float(self.lowest[place]) if known else self.others)


class Marks(Objective):
    """Marks in deviations from their mean, over all that is learned from; no score is taught."""

    config: OfflineConfig
    mean: float = 0.0
    deviation: float = 1.0
    num: int = 0
    """responses with a mark"""
    num_kept: int = 0
    """of these those that are imitated"""
    bounds: Bounds | None = None
    """of what is learned from; None where all are imitated"""

    def meet(self, rows: Iterable[Row]) -> None:
        """See `Objective`: takes mean and deviation. Raises: UserError if all marks are the same."""
        asks = asks_of(type(self), self.config)
        prompts, marks = array("Q"), array("d")
        for row in rows:
            key = _key(row)
            for mark in marks_of(item_of(row, (), asks)):
                if not math.isnan(mark):
                    prompts.append(key)
                    marks.append(mark)
        known = np.array(marks)
        self.num = self.num_kept = len(known)
        self.mean, self.deviation = float(known.mean()), float(known.std())
        if self.deviation == 0:
            raise UserError(
                f"{self.config.preferences}: all marks of the {self.num} responses that are learned from are the same "
                f"({self.mean:g}), so none is better than another. Fine-tune on them (prefloop sft), or add others."
            )
        if self.config.method == "filtered":
            keys = np.array(prompts, dtype=np.uint64)
            self.bounds = Bounds.of(keys, known, keep=self.config.keep)
            self.num_kept = sum(map(self.bounds.keep, prompts, marks))

    def sentence(self) -> str:
        """What the marks are."""
        kept = f", and the best {self.num_kept} are imitated" if self.bounds else ""
        return (
            f"{self.num} responses to learn from have marks, with mean {self.mean:.3g} and deviation "
            f"{self.deviation:.3g}, in which they are counted{kept}."
        )

    def used(self, rows: Sequence[Row], items: Sequence[Item], *, held_out: bool = False) -> list[Item]:
        """Items of the responses that are imitated, with their marks in deviations; each weighs as its row says.

        Args:
            held_out: True for rows that nothing was learned from, all of them.
        """
        found, bounds, keys = list[Item](), self.bounds, [_key(row) for row in rows]
        if bounds and held_out:
            each = [(key, mark) for key, item in zip(keys, items, strict=True) for mark in marks_of(item)]
            told = [(key, mark) for key, mark in each if not math.isnan(mark)]
            prompts = np.array([key for key, _ in told], dtype=np.uint64)
            known = np.array([mark for _, mark in told])
            bounds = Bounds.of(prompts, known, keep=self.config.keep, others=bounds.others)
        for key, item in zip(keys, items, strict=True):
            marks = marks_of(item)
            some = [
                i for i, mark in enumerate(marks) if not math.isnan(mark) and (not bounds or bounds.keep(key, mark))
            ]
            if some:
                made = replace(
                    item,
                    sequences=tuple(item.sequences[i] for i in some),
                    begins=tuple(item.begins[i] for i in some),
                    ranks=tuple(item.ranks[i] for i in some),
                    letters=tuple(item.letters[i] for i in some),
                    marks=tuple((marks[i] - self.mean) / self.deviation for i in some),
                    weight=item.trust if item.marks else item.weight,
                )
                found.append(made)
        return found

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """See `Objective`: no score is taught, so that none has a loss."""

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`."""
        return {}

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`: what the marks are."""
        named = {"method": self.config.method, "num_marks": self.num, "num_imitated": self.num_kept}
        return named | {"mark_mean": self.mean, "mark_deviation": self.deviation}


class Ratings(Marks):
    """Ratings on one axis."""

    READS = (Rated,)


class Thumbs(Marks):
    """1 for a thumb up, 0 for one down."""

    READS = (Rated,)
    THUMBS = True


class Wins(Marks):
    """The share of the others in its row that a response wins against."""

    READS = (Ranking, Preference)


def columns_of(items: Sequence[Item], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) marks, (N,) weights of their rows, and (N,) tokens of the responses of items."""
    marks = [mark for item in items for mark in item.marks]
    shares = [item.weight for item in items for _ in item.marks]
    lengths = [len(ids) - begin for item in items for ids, begin in zip(item.sequences, item.begins, strict=True)]
    told = (marks, shares, [float(length) for length in lengths])
    known, weights, tokens = (torch.tensor(column, device=device) for column in told)
    return known, weights, tokens


def _key(row: Row) -> int:
    return hash_of("\0".join(f"{message.role} {message.content}" for message in row.messages))


OFFLINE = Kinds(
    {"ratings": Ratings, "thumbs": Thumbs, "wins": Wins},
    {"ratings": "ratings", "thumbs": "thumbs", "preferences": "wins", "rankings": "wins"},
)
"""Those of offline learning: all."""
