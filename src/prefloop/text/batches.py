"""Which examples go into which batch: decided by (seed, stream, epoch), so that a position is enough to resume."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from prefloop.ops.draws import permutation

BLOCK = 1 << 15
"""Examples whose lengths are Python numbers at once."""


class Batches(Sequence[np.ndarray]):
    """The batches of many passes over all examples, each pass shuffled and cut into at most `limit` tokens.

    Of these only the pass that was asked for last is in memory, in 8 bytes an example.
    """

    def __init__(
        self, lengths: Sequence[int] | np.ndarray, *, epochs: int | None, limit: int, seed: int, stream: str
    ) -> None:
        """Args:
        lengths: tokens in each example.
        epochs: number of passes; None for as many as are asked for.
        limit: budget of a batch; an example longer than it makes a batch of its own.
        seed: the run's; with `stream` and the number of the pass it decides the order.
        stream: a name in `seeds.STREAMS`.
        """
        self._lengths = np.asarray(lengths, dtype=np.uint32)
        self._limit, self._seed, self._stream = limit, seed, stream
        self._pass: tuple[int, np.ndarray, np.ndarray] | None = None
        self._endless = epochs is None
        self._ends = list(accumulate(len(self._of_pass(epoch)[1]) for epoch in range(epochs or 1)))

    def __len__(self) -> int:
        if self._endless:
            raise TypeError("there is no last batch")
        return self._ends[-1]

    @property
    def first_pass(self) -> int:
        """Batches of the first pass: after these every example was read once."""
        return self._ends[0]

    def __getitem__(self, number: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]  # no slices
        """The examples of a batch, by number."""
        while self._endless and number >= self._ends[-1]:
            self._ends.append(self._ends[-1] + len(self._of_pass(len(self._ends))[1]))
        if not 0 <= number < self._ends[-1]:
            raise IndexError(number)
        epoch = bisect_right(self._ends, number)
        order, starts = self._of_pass(epoch)
        place = number - (self._ends[epoch - 1] if epoch else 0)
        return order[starts[place] : starts[place + 1] if place + 1 < len(starts) else None]

    def _of_pass(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The order of a pass, and where in it each batch begins."""
        if self._pass is None or self._pass[0] != epoch:
            order = permutation(len(self._lengths), self._seed, self._stream, epoch).numpy().astype(np.uint32)
            self._pass = epoch, order, _starts(order, self._lengths, self._limit)
        return self._pass[1:]


def cut(order: Sequence[int], lengths: Sequence[int], *, limit: int) -> list[list[int]]:
    """Examples in the given order, cut wherever the next one would pass `limit` tokens."""
    starts = _starts(np.asarray(order, dtype=np.int64), np.asarray(lengths, dtype=np.int64), limit).tolist()
    return [list(order[start:end]) for start, end in pairwise([*starts, len(order)])]


def _starts(order: np.ndarray, lengths: np.ndarray, limit: int) -> np.ndarray:
    """Places in an order at which a batch begins: wherever the next example would pass `limit` tokens."""
    starts, used = array("I"), limit + 1
    for begin in range(0, len(order), BLOCK):
        for place, length in enumerate(lengths[order[begin : begin + BLOCK]].tolist(), begin):
            if used + length > limit:
                starts.append(place)
                used = 0
            used += length
    return np.frombuffer(starts, dtype=np.uint32) if starts else np.zeros(0, dtype=np.uint32)
