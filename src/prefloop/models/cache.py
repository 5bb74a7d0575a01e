"""The key-value cache of the rollout engine. Shapes: R rows, C columns, H heads, D width."""

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from prefloop.errors import UserError
from prefloop.models.attention import capped_attention
from prefloop.models.stream import Stream


class Cache:
    """Keys and values of every layer for R rows, prompts pushed right so that all rows write the same column."""

    def __init__(self) -> None:
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._column = 0
        self.mask = torch.empty(0)

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Tensor, Tensor]:
        """Called by each attention layer: remembers new keys and values, returns all that queries may meet."""
        if not self._keys:
            if layer != len(self._seen):
                raise UserError(
                    "this model shares keys and values between layers, which the rollout engine does not do yet; use "
                    "another base."
                )
            self._seen.append((keys, values))
            return keys, values
        end = self._column + 1
        self._keys[layer][:, :, self._column : end] = keys
        self._values[layer][:, :, self._column : end] = values
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def spread(self, stream: Stream, copies: int | Tensor, room: int) -> None:
        """Turns what the prompt stream left into rows, `copies` for each prompt (one number, or one each), with `room`
        columns to write."""
        longest = max(stream.lengths)
        lengths = torch.tensor(stream.lengths, device=stream.tokens.device)
        column = stream.positions + (longest - lengths)[stream.rows]
        for keys, values in self._seen:
            for x, kept in ((keys, self._keys), (values, self._values)):
                grid = x.new_zeros(len(stream.lengths), longest + room, x.shape[1], x.shape[3])
                grid[stream.rows, column] = x[0, :, : len(stream.rows)].transpose(0, 1)
                kept.append(grid.transpose(1, 2).repeat_interleave(copies, 0))
        columns = torch.arange(longest + room, device=stream.tokens.device)
        self.mask = (columns >= (longest - lengths)[:, None]).repeat_interleave(copies, 0)
        self._seen, self._column = [], longest

    def get_seq_length(self, _layer: int = 0) -> int:
        """Columns written so far, under the name by which some models of transformers ask (OPT)."""
        return self._column

    def advance(self) -> None:
        """The next token goes into the next column."""
        self._column += 1

    def keep(self, rows: Tensor) -> None:
        """Drops all other rows."""
        self._keys = [k[rows] for k in self._keys]
        self._values = [v[rows] for v in self._values]
        self.mask = self.mask[rows]

    def make_room(self, columns: int) -> None:
        """Grows by `columns` once all are written."""
        if self._column == self.mask.shape[1]:
            self._keys, self._values = (
                [pad(x, (0, 0, 0, columns)) for x in kept] for kept in (self._keys, self._values)
            )
            self.mask = pad(self.mask, (0, columns), value=True)

    def join(self, other: "Cache") -> None:
        """Takes over the rows of another cache behind its own: the shorter is pushed right, so that all go on writing
        the same column. Columns on the left that no row meets any more are given up."""
        ahead = [int(cache.mask.long().argmax(1).min()) for cache in (self, other)]
        column = max(self._column - ahead[0], other._column - ahead[1])
        room = max(cache.mask.shape[1] - cache._column for cache in (self, other))

        def pushed(cache: Cache, x: Tensor, skipped: int, dim: int, *, value: bool) -> Tensor:
            x = x.narrow(dim, skipped, x.shape[dim] - skipped)
            left = column - (cache._column - skipped)
            right = column + room - left - x.shape[dim]
            return pad(x, (*(0, 0) * (x.dim() - 1 - dim), left, right), value=value)

        def joined(mine: Tensor, theirs: Tensor, dim: int) -> Tensor:
            return torch.cat(
                [pushed(self, mine, ahead[0], dim, value=False), pushed(other, theirs, ahead[1], dim, value=False)]
            )

        self._keys = [joined(a, b, 2) for a, b in zip(self._keys, other._keys, strict=True)]
        self._values = [joined(a, b, 2) for a, b in zip(self._values, other._values, strict=True)]
        self.mask = joined(self.mask, other.mask, 1)
        self.mask[:, column:] = True
        self._column = column

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
    ) -> Tensor:
        """One new token per row against its cache. q (R, H, 1, D), k and v (R, Hkv, C, D) -> (R, 1, H, D)."""
        mask = self.mask[:, : k.shape[2]]
        if window is not None:
            ago = torch.arange(k.shape[2] - 1, -1, -1, device=k.device)
            mask = mask & (ago < window)
        if cap is not None:
            return capped_attention(q, k, v, mask[:, None, None], scale=scale, cap=cap).transpose(1, 2)
        out = scaled_dot_product_attention(
            q, k, v, attn_mask=mask[:, None, None], scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )
        return out.transpose(1, 2)
