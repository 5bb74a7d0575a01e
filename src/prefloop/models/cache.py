"""The key-value cache of the rollout engine: slots allocated beforehand, one for each response in the making.

Shapes: R rows, S slots, C columns, G prompts, P tokens of the longest, N tokens of a stream, H heads, D width.

- A row begins at column 0, whatever its length: rows come and go without moving the others. Those at the end move into
  the slots of those that left, so that rows lie without gaps.
- A layer with a sliding window has no more columns than its window, and is written round and round.
- With `shared`, keys and values of a prompt lie there once for all its responses, and only their own tokens in rows.
- On a CPU all is kept in float32, whatever the products are computed in: it is rounded less, and faster, since torch's
  attention of one token over keys in bfloat16 is slow. Elsewhere it has the dtype of the model's values.

    not shared                                shared
    row 0   p p p a b .                       prompt 0   p p p      row 0   a b . .
    row 1   q q a . . .                                             row 1   a . . .
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from prefloop.errors import UserError
from prefloop.models.attention import capped_attention
from prefloop.models.stream import Stream

PART = 16
"""Rows that meet as many columns as the longest of them has written."""
ENOUGH = 0.8
"""Rows are met in parts where that leaves no more than this share of the columns."""


@dataclass(frozen=True)
class _Seen:
    """What one layer made of a stream."""

    keys: Tensor
    """(1, Hkv, N, D)"""
    values: Tensor
    """(1, Hkv, N, D)"""


@dataclass(frozen=True)
class Prompts(Stream):
    """A stream that remembers each layer's keys, values and window as it is read:
    `network.hidden_states(prompts, prompts)`."""

    layers: list[_Seen] = field(default_factory=list)
    windows: list[int | None] = field(default_factory=list)

    @classmethod
    def of(  # pyright: ignore[reportIncompatibleMethodOverride]  # no stems
        cls, sequences: Sequence[Sequence[int]], device: torch.device
    ) -> "Prompts":
        """See `Stream.of`."""
        stream = Stream.of(sequences, device)
        return cls(**{each.name: vars(stream)[each.name] for each in dataclasses.fields(stream)})

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Tensor, Tensor]:
        """Called by each attention layer with new keys and values; returns all that queries may meet."""
        if layer != len(self.layers):
            raise UserError(
                "this model shares keys and values between layers, which the rollout engine does not do yet; use "
                "another base."
            )
        self.layers.append(_Seen(keys, values))
        return keys, values

    def get_seq_length(self, _layer: int = 0) -> int:
        """Nothing was read before, under the name by which some models of transformers ask (OPT)."""
        return 0

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
    ) -> Tensor:
        """See `Stream.attend`; the window is noted."""
        self.windows.append(window)
        return super().attend(q, k, v, scale=scale, window=window, cap=cap)


@dataclass
class _Layer:
    """Where one layer's keys and values lie."""

    keys: Tensor
    """(S, C, Hkv, D)"""
    values: Tensor
    """(S, C, Hkv, D)"""
    window: int | None
    prompt_keys: Tensor
    """(G, P, Hkv, D); G is 0 unless shared"""
    prompt_values: Tensor


@dataclass(frozen=True)
class _View:
    """What all layers with as many columns need for the next token."""

    index: Tensor
    """(R,) slot x C + column, where it is written"""
    num: int
    """columns that are written so far, by the longest row"""
    mask: Tensor | None
    """(R, 1, 1, num) 0 or -inf, None where all rows are as long"""
    parts: tuple[tuple[int, int, int], ...]
    """rows from, to, and columns that the longest of them has written"""


@dataclass(frozen=True)
class _Sharing:
    """Which rows meet which prompt. K most rows of a prompt."""

    members: Tensor
    """(G, K) rows, the first repeated where there are fewer"""
    places: Tensor | None
    """(R,) prompt x K + which of its rows; None where rows lie in this very order, and all prompts have K"""
    mask: Tensor | None
    """(G, 1, 1, P) 0 or -inf"""


class Cache:
    """Keys and values of every layer for R rows that each write one token at a time."""

    def __init__(self, *, shared: bool = False, room: int = sys.maxsize) -> None:
        """Args: shared: see above. room: most tokens to allocate for, where what is asked for is no more."""
        self.shared, self._room = shared, room
        self._layers: list[_Layer] = []
        self._lengths: list[int] = []  # of rows, as on the device, where nobody has to be asked for them
        self._own = torch.empty(0, dtype=torch.long)
        self._prompts: list[int] = []  # which prompt each row answers
        self._prompt_lengths: list[int] = []
        self._views: dict[int, _View] = {}
        self._sharing: _Sharing | None = None
        self._layer, self._dtype = 0, torch.float32  # that was written last, and the dtype that it was given

    def __len__(self) -> int:
        """R"""
        return len(self._lengths)

    @property
    def num_bytes(self) -> int:
        """What is allocated."""
        tensors = [t for x in self._layers for t in (x.keys, x.values, x.prompt_keys, x.prompt_values)]
        return sum(t.numel() * t.element_size() for t in tensors)

    def admit(self, prompts: Prompts, copies: Sequence[int], *, columns: int) -> None:
        """Prompts that were read become rows, behind those there are.

        Args:
            copies: rows of each prompt.
            columns: most tokens that any row comes to hold, of those there are too (with `shared` without its prompt).
        """
        device = prompts.tokens.device
        if not self._layers:
            self._own = self._own.to(device)
            self._layers = [_empty(*each) for each in zip(prompts.layers, prompts.windows, strict=True)]
        first, count, before = len(self), sum(copies), len(self._prompt_lengths)
        if self.shared:
            self._prompt_lengths += prompts.lengths
        self._reserve(first + count, columns)
        each = torch.tensor(list(copies), device=device)
        if self.shared:
            lengths = [0] * count
            self._prompts += [before + p for p, number in enumerate(copies) for _ in range(number)]
            self._keep_prompts(prompts, before)
        else:
            lengths = [length for length, number in zip(prompts.lengths, copies, strict=True) for _ in range(number)]
            self._fill(prompts, each, first)
        self._lengths += lengths
        self._own = torch.cat([self._own, torch.tensor(lengths, device=device)])
        self._changed()

    def _fill(self, prompts: Prompts, copies: Tensor, first: int) -> None:
        """Writes prompts into the rows from `first` on."""
        device = prompts.tokens.device
        lengths = torch.tensor(prompts.lengths, device=device)
        starts = copies.cumsum(0) - copies
        for columns in {layer.keys.shape[1] for layer in self._layers}:
            kept = (prompts.positions >= (lengths - columns)[prompts.rows]).nonzero()[:, 0]
            times = copies[prompts.rows[kept]]
            source = kept.repeat_interleave(times)
            begins = (times.cumsum(0) - times).repeat_interleave(times)
            copy = torch.arange(len(source), device=device) - begins
            slot = first + starts[prompts.rows[source]] + copy
            index = slot * columns + prompts.positions[source] % columns
            for layer, seen in zip(self._layers, prompts.layers, strict=True):
                if layer.keys.shape[1] == columns:
                    for kept_here, new in ((layer.keys, seen.keys), (layer.values, seen.values)):
                        rows = new[0].transpose(0, 1)[source].to(kept_here.dtype)
                        kept_here.flatten(0, 1).index_copy_(0, index, rows)

    def _keep_prompts(self, prompts: Prompts, before: int) -> None:
        """Writes prompts where all their rows meet them, behind the `before` that there are."""
        size = self._prompts_size
        for layer, seen in zip(self._layers, prompts.layers, strict=True):
            layer.prompt_keys, layer.prompt_values = (
                _shaped(x, *size, most=0) for x in (layer.prompt_keys, layer.prompt_values)
            )
            for kept, new in ((layer.prompt_keys, seen.keys), (layer.prompt_values, seen.values)):
                rows = new[0, :, : len(prompts.rows)].transpose(0, 1).to(kept.dtype)
                kept[before + prompts.rows, prompts.positions] = rows

    @property
    def _prompts_size(self) -> tuple[int, int]:
        """G, P"""
        return len(self._prompt_lengths), max(self._prompt_lengths, default=0)

    def _reserve(self, slots: int, columns: int) -> None:
        """Allocates, layer by layer, so that no more than one layer is there twice."""
        prompts, longest = self._prompts_size
        most = self._room - prompts * longest
        for layer in self._layers:
            wide = columns if layer.window is None else min(columns, layer.window)
            layer.keys, layer.values = (_shaped(x, slots, wide, most=most) for x in (layer.keys, layer.values))

    def keep(self, kept: Sequence[int]) -> list[int]:
        """Drops all other rows. Returns: which row is now where: no gaps, and the longest in the first `PART`s."""
        count = len(kept)
        order, gaps, ends = [-1] * count, list[int](), list[int]()
        ranked = sorted(kept, key=lambda row: -self._lengths[row])
        for start in range(0, count, PART):
            places = range(start, min(start + PART, count))
            part = ranked[start : start + PART]
            stay = set(part) & set(places)
            gaps += [place for place in places if place not in stay]
            ends += [row for row in part if row not in stay]
            for row in stay:
                order[row] = row
        for gap, end in zip(gaps, ends, strict=True):
            order[gap] = end
        device = self._own.device
        if gaps:
            to, source = torch.tensor(gaps, device=device), torch.tensor(ends, device=device)
            longest = max(self._lengths[row] for row in ends)
            for layer in self._layers:
                for x in (layer.keys, layer.values):
                    part = x[:, : min(longest, x.shape[1])]
                    part[to] = part[source]
        self._own = self._own[torch.tensor(order, dtype=torch.long, device=device)]
        self._lengths = [self._lengths[row] for row in order]
        if self.shared:
            self._keep_answered([self._prompts[row] for row in order])
        self._changed()
        return order

    def _keep_answered(self, prompts: list[int]) -> None:
        """Drops the prompts that no row answers any more. Args: prompts: of each row."""
        kept = sorted(set(prompts))
        self._prompts = [kept.index(prompt) for prompt in prompts]
        if len(kept) < len(self._prompt_lengths):
            self._prompt_lengths = [self._prompt_lengths[prompt] for prompt in kept]
            for layer in self._layers:
                for x in (layer.prompt_keys, layer.prompt_values):
                    x[: len(kept)] = x[kept]

    def advance(self) -> None:
        """The next token of each row goes into its next column."""
        self._own = self._own + 1
        self._lengths = [length + 1 for length in self._lengths]
        self._views = {}

    def get_seq_length(self, _layer: int = 0) -> int:
        """Tokens of the longest row, under the name by which some models of transformers ask (OPT)."""
        return max(self._lengths)

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Tensor, Tensor]:
        """Called by each attention layer with the keys and values (R, Hkv, 1, D) of the new tokens: remembers them, and
        returns all that queries may meet, (R, Hkv, C, D)."""
        self.write(layer, keys[:, :, 0], values[:, :, 0])
        self._dtype = values.dtype
        return self._written(len(keys))

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
    ) -> Tensor:
        """One new token per row against what `update` returned. q (R, H, 1, D) -> (R, 1, H, D). The window is in the
        number of columns."""
        with torch.autocast(q.device.type, enabled=False):
            mask = self._view(self._layers[self._layer].keys.shape[1]).mask
            queries = q[:, :, 0].to(k.dtype).view(len(q), k.shape[1], -1, q.shape[-1])
            if cap is None:
                out = scaled_dot_product_attention(queries, k, v, attn_mask=mask, scale=scale)
            else:
                seen = torch.ones((), dtype=torch.bool, device=q.device) if mask is None else mask == 0
                out = capped_attention(queries, k, v, seen, scale=scale, cap=cap)
        return out.reshape(len(q), 1, -1, v.shape[-1]).to(self._dtype)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Remembers the new tokens' keys and values, (R, Hkv, D) each, in one layer, which `meet` is then about."""
        self._layer = layer
        kept = self._layers[layer]
        index = self._view(kept.keys.shape[1]).index
        kept.keys.flatten(0, 1).index_copy_(0, index, keys.to(kept.keys.dtype))
        kept.values.flatten(0, 1).index_copy_(0, index, values.to(kept.values.dtype))

    def meet(self, q: Tensor, *, scale: float) -> Tensor:
        """Attention in the layer that was written last. q (R, H, D) -> (R, H, D)."""
        kept, rows = self._layers[self._layer], len(q)
        view = self._view(kept.keys.shape[1])
        q = q.to(kept.keys.dtype).view(
            rows, kept.keys.shape[2], -1, q.shape[-1]
        )  # all heads of one key are its queries
        out: list[Tensor] = []
        sums: list[Tensor] = []
        for start, stop, num in view.parts:
            keys, values = (x[start:stop, :num].transpose(1, 2) for x in (kept.keys, kept.values))
            mask = None if view.mask is None else view.mask[start:stop, :, :, :num]
            if self.shared:
                met, weight = _attention_and_sum(q[start:stop], keys, values, mask, scale)
                sums.append(weight)
            else:
                met = scaled_dot_product_attention(q[start:stop], keys, values, attn_mask=mask, scale=scale)
            out.append(met)
        own = out[0] if len(out) == 1 else torch.cat(out)
        if self.shared:
            own = self._with_prompts(kept, q, own, torch.cat(sums), scale)
        return own.reshape(rows, -1, own.shape[-1])

    def _written(self, rows: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the layer that was written last, (R, Hkv, C, D)."""
        kept = self._layers[self._layer]
        num = self._view(kept.keys.shape[1]).num
        return kept.keys[:rows, :num].transpose(1, 2), kept.values[:rows, :num].transpose(1, 2)

    def _with_prompts(self, kept: _Layer, q: Tensor, own: Tensor, own_sum: Tensor, scale: float) -> Tensor:
        """Attention to a prompt, all its rows at once, and to the rows' own tokens, put together by their weights."""
        if self._sharing is None:
            self._sharing = self._shared_by()
        sharing = self._sharing
        (prompts, each), (_, heads, group, width) = sharing.members.shape, q.shape
        together = q if sharing.places is None else q[sharing.members.flatten()]
        together = together.view(prompts, each, heads, group, width).transpose(1, 2)
        longest = max(self._prompt_lengths)
        keys, values = (x[:prompts, :longest].transpose(1, 2) for x in (kept.prompt_keys, kept.prompt_values))
        together = together.reshape(prompts, heads, each * group, width)
        out, out_sum = _attention_and_sum(together, keys, values, sharing.mask, scale)
        out = out.view(prompts, heads, each, group, -1).transpose(1, 2).flatten(0, 1)
        out_sum = out_sum.view(prompts, heads, each, group).transpose(1, 2).flatten(0, 1)
        if sharing.places is not None:
            out, out_sum = out[sharing.places], out_sum[sharing.places]
        return torch.lerp(own, out, torch.sigmoid(out_sum - own_sum)[..., None])

    def _view(self, columns: int) -> _View:
        if columns not in self._views:
            num = min(max(self._lengths) + 1, columns)
            device = self._own.device
            index = torch.arange(len(self), device=device) * columns + self._own % columns
            mask = None
            if min(self._lengths) + 1 < num:
                hidden = torch.arange(num, device=device) > self._own[:, None]
                mask = torch.zeros(hidden.shape, dtype=self._layers[0].keys.dtype, device=device)
                mask = mask.masked_fill_(hidden, -torch.inf)[:, None, None]
            self._views[columns] = _View(index, num, mask, self._parts(columns, num))
        return self._views[columns]

    def _parts(self, columns: int, num: int) -> tuple[tuple[int, int, int], ...]:
        """Rows in parts, each to meet no more columns than its longest row has, where that saves enough."""
        starts = range(0, len(self), PART)
        parts = [(a, min(a + PART, len(self)), max(self._lengths[a : a + PART]) + 1) for a in starts]
        parts = [(a, b, min(longest, columns)) for a, b, longest in parts]
        saves = sum((b - a) * longest for a, b, longest in parts) < ENOUGH * len(self) * num
        return tuple(parts) if saves else ((0, len(self), num),)

    def _shared_by(self) -> _Sharing:
        rows: list[list[int]] = [[] for _ in self._prompt_lengths]
        for row, prompt in enumerate(self._prompts):
            rows[prompt].append(row)
        most = max(map(len, rows))
        members = [[*each, *each[:1] * (most - len(each))] for each in rows]
        places = [prompt * most + rows[prompt].index(row) for row, prompt in enumerate(self._prompts)]
        device, mask = self._own.device, None
        ordered = places == list(range(len(members) * most))
        if min(self._prompt_lengths) < max(self._prompt_lengths):
            lengths = torch.tensor(self._prompt_lengths, device=device)
            hidden = torch.arange(max(self._prompt_lengths), device=device) >= lengths[:, None]
            mask = torch.zeros(hidden.shape, dtype=self._layers[0].keys.dtype, device=device)
            mask = mask.masked_fill_(hidden, -torch.inf)[:, None, None]
        index = None if ordered else torch.tensor(places, device=device)
        return _Sharing(torch.tensor(members, device=device), index, mask)

    def _changed(self) -> None:
        self._views, self._sharing = {}, None


def _empty(seen: _Seen, window: int | None) -> _Layer:
    """A layer without slots."""
    on_cpu = seen.values.device.type == "cpu"

    def nothing(x: Tensor) -> Tensor:
        return x.new_empty(0, 0, x.shape[1], x.shape[3], dtype=torch.float32 if on_cpu else seen.values.dtype)

    keys, values = nothing(seen.keys), nothing(seen.values)
    return _Layer(keys, values, window, keys, values)


def _shaped(x: Tensor, slots: int, columns: int, *, most: int) -> Tensor:
    """With at least as many slots and columns, and with no more where it would have more than `most` places. New ones
    are zeros, since what is masked must still be finite."""
    tall, wide = x.shape[0], max(columns, x.shape[1])
    tall = tall if tall >= slots else max(slots, 2 * tall)  # seldom
    if tall * wide > most:
        tall, wide = slots, columns
    if (tall, wide) == x.shape[:2]:
        return x
    shaped = x.new_zeros(tall, wide, *x.shape[2:])
    kept = x[:tall, :wide]
    shaped[: kept.shape[0], : kept.shape[1]] = kept
    return shaped


def _attention_and_sum(
    q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Attention, and the logarithm of the sum under its softmax. q (B, H, L, D), keys (B, H, C, D) -> (B, H, L, D) and
    (B, H, L)."""
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, keys, values, 0.0, False, attn_mask=mask, scale=scale
    )
