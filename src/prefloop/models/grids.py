"""Where the tokens of a stream meet: sequences about as long as each other, side by side in a grid.

Shapes: B rows of a grid, Q queries and K keys of its longest row, N tokens of the stream.

A row's keys are all its sequence, those that it shares with others included; its queries are its own tokens, the last
of the keys. What lies right of a row's end is some other token, which no query of the row can see.

    stem p q, branches a b c and d        keys  p q a b c    queries  a b c    before 2
                                                p q d . .             d . .           2
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

ROWS = 8
"""Where there are more rows than this, they come in multiples of it, so that grids come in few sizes (see
`stream.round_size`)."""
COLUMNS = 16
"""And their columns in multiples of this."""
MOST = 8
"""Grids of a stream at most: each costs calls, and saves padding."""
SHORTER = 0.85
"""Sequences shorter than this share of a grid's longest go into another grid."""


@dataclass(frozen=True)
class Grid:
    """B rows of queries and of the keys that they meet."""

    queries: Tensor | None
    """(B * Q,) places in the stream; None if they are the stream itself, row after row"""
    keys: Tensor | None
    """(B * K,) places in the stream; None as for queries"""
    shape: tuple[int, int, int]
    """B, Q, K"""
    before: Tensor | None
    """(B,) keys before a row's first query; None if there are none in any row"""
    masks: dict[tuple[int | None, torch.dtype], Tensor] = field(default_factory=dict)
    """biases made so far, for every layer of a model asks for the same"""

    def seen(self, window: int | None, device: torch.device) -> Tensor:
        """(B or 1, 1, Q, K) bool: a query meets itself and what is before it in its row, at most `window` in all."""
        _, num, length = self.shape
        last = torch.arange(num, device=device) + (0 if self.before is None else self.before[:, None])
        last = last.clamp(max=length - 1)  # right of a row's end too a query meets something, or NaN would come of it
        ago = last.view(-1, 1, num, 1) - torch.arange(length, device=device)
        return ago >= 0 if window is None else (ago >= 0) & (ago < window)

    def bias(self, window: int | None, dtype: torch.dtype, device: torch.device) -> Tensor:
        """(B or 1, 1, Q, K) 0 where `seen`, -inf elsewhere."""
        if (window, dtype) not in self.masks:
            seen = self.seen(window, device)
            self.masks[window, dtype] = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill(
                ~seen, -torch.inf
            )
        return self.masks[window, dtype]

    def gathered(self, x: Tensor, places: Tensor | None, columns: int) -> Tensor:
        """(N, H, D) of the stream -> (B, H, columns, D)."""
        rows = self.shape[0]
        taken = x[: rows * columns] if places is None else x.index_select(0, places)
        return taken.view(rows, columns, *x.shape[1:]).transpose(1, 2)


@dataclass(frozen=True)
class Grids:
    """All grids of a stream, and where in them each token is a query."""

    parts: tuple[Grid, ...]
    back: Tensor | None
    """(N,) places in the rows of all grids, one grid after another; None if it is all of the only grid in its order"""

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, attention: Callable[[Grid, Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        """q (N', H, D), k and v (N', Hkv, D) -> (N', H, D); tokens after the stream's own N attend to nothing.

        Args:
            attention: of one grid: q (B, H, Q, D), k and v (B, Hkv, K, D) -> (B, H, Q, D).
        """
        outs = []
        for grid in self.parts:
            _, num, length = grid.shape
            keys, values = (grid.gathered(x, grid.keys, length) for x in (k, v))
            out = attention(grid, grid.gathered(q, grid.queries, num), keys, values)
            outs.append(out.transpose(1, 2).flatten(0, 1))
        flat = outs[0] if len(outs) == 1 else torch.cat(outs)
        own = flat if self.back is None else flat.index_select(0, self.back)
        return torch.nn.functional.pad(own, (0, 0, 0, 0, 0, len(q) - len(own)))


def grids_of(starts: Sequence[int], lengths: Sequence[int], stems: Sequence[int], device: torch.device) -> Grids:
    """The grids of a stream.

    Args:
        starts: where in the stream each sequence begins.
        lengths: tokens of each sequence that are its own.
        stems: for each sequence the one whose tokens it goes on from, or -1.
    """
    total = sum(lengths)
    if len(set(lengths)) == 1 and set(stems) == {-1} and len(lengths) > 0:
        return Grids((Grid(None, None, (len(lengths), lengths[0], lengths[0]), None),), None)
    before = [0 if stem < 0 else lengths[stem] for stem in stems]
    order = sorted(range(len(lengths)), key=lambda i: (-(before[i] > 0), -before[i] - lengths[i]))
    parts: list[Grid] = []
    back = torch.empty(total, dtype=torch.long)
    used = 0
    for rows in _cut(order, before, lengths):
        num = len(rows) if len(rows) < ROWS else multiple(len(rows), ROWS)
        columns = multiple(max(lengths[i] for i in rows), COLUMNS)
        width = columns if not before[rows[0]] else multiple(max(before[i] + lengths[i] for i in rows), COLUMNS)
        queries, keys = torch.zeros(num, columns, dtype=torch.long), torch.zeros(num, width, dtype=torch.long)
        for row, i in enumerate(rows):
            own = torch.arange(starts[i], starts[i] + lengths[i])
            queries[row, : lengths[i]] = own
            keys[row, before[i] : before[i] + lengths[i]] = own
            if before[i]:
                keys[row, : before[i]] = torch.arange(starts[stems[i]], starts[stems[i]] + before[i])
            back[own] = used + row * columns + torch.arange(lengths[i])
        used += num * columns
        ahead = torch.tensor([before[i] for i in rows] + [0] * (num - len(rows)), device=device)
        branches = bool(before[rows[0]])
        places = queries.flatten().to(device)
        held = keys.flatten().to(device) if branches else places
        parts.append(Grid(places, held, (num, columns, width), ahead if branches else None))
    return Grids(tuple(parts), back.to(device))


def _cut(order: Sequence[int], before: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Sequences, the longest first, cut into those of one grid; those with a stem are never beside those without."""
    size = multiple(-(-len(order) // MOST), ROWS)
    parts: list[list[int]] = []
    for stemmed in (True, False):
        some = [i for i in order if (before[i] > 0) == stemmed]
        longest = 0
        for start in range(0, len(some), size):
            few = some[start : start + size]
            length = before[few[0]] + lengths[few[0]]
            if start and length >= SHORTER * longest:
                parts[-1] += few
            else:
                parts.append(few)
                longest = length
    return parts


def multiple(count: int, of: int) -> int:
    """The smallest multiple of `of` that is not below `count`."""
    return -(-count // of) * of
