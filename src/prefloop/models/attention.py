"""Attention that a layout answers: one stream of many sequences, or one new token for each row of a cache.

transformers calls it in place of its own (`AttentionInterface`), with the layout that travels with the call.
Shapes: B sequences, L the longest, H heads, D width.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from prefloop.errors import UserError
from prefloop.models.grids import Grid

ATTENTION = "prefloop_stream"
SHORT = 512
"""Longest sequence, in tokens, whose attention written out keeps its shares for the backward pass; those of longer
ones are computed again there."""
BLOCK = 128
"""Queries whose attention is written out at once: fewer products with keys that none of them sees."""


class Layout(Protocol):
    """How queries meet keys: a stream of sequences, or one new token for each row of a cache."""

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
    ) -> Tensor:
        """Heads-second queries, keys and values in; (batch, tokens, H, D) out. `cap` bounds their products softly."""
        ...


def written_out(q: Tensor) -> bool:
    """True where attention written out as two matrix products is faster than torch's kernel, whose backward is slow."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16


def causal_attention(
    grid: Grid, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
) -> Tensor:
    """Each token attends to itself and to those before it in its row, at most `window` of them in all.

    Args:
        grid: where the rows' queries and keys are from.
        q: (B, H, Q, D)
        k, v: (B, Hkv, K, D)
        scale: factor of the products of queries and keys.
        window: tokens that can be seen, the token itself included; None for all.
        cap: see `capped_attention`; None for none.

    Returns: (B, H, Q, D)
    """
    length = k.shape[2]
    window = None if window is None or window >= length else window
    if cap is not None:
        return capped_attention(q, k, v, grid.seen(window, q.device), scale=scale, cap=cap)
    if written_out(q):
        learned = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
        blocks = _Blocks.of(q, k, grid.bias(window, q.dtype, q.device), scale)
        return _WrittenOut.apply(q, k, v, blocks, learned)
    plain = window is None and grid.before is None
    mask = None if plain else grid.bias(window, q.dtype, q.device)
    return scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=plain, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )


def capped_attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, *, scale: float, cap: float) -> Tensor:
    """Attention whose products of queries and keys are bounded softly: cap * tanh(scale * q k / cap), as in Gemma 2.

    Args:
        q: (B, H, L, D)
        k, v: (B, Hkv, C, D)
        seen: bool, broadcast to (B, H, L, C): which keys each query meets, at least one.

    Returns: (B, H, L, D)
    """
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    meetings = cap * torch.tanh((q @ k.transpose(2, 3)).float() * (scale / cap))
    return meetings.masked_fill(~seen, -torch.inf).softmax(-1).to(v.dtype) @ v


@dataclass(frozen=True)
class _Blocks:
    """Attention written out, for BLOCK queries at a time and the keys up to the last of them.

    Shapes: G rows times heads of keys; S queries' heads for each of them; C queries of a block, U keys that they meet.
    """

    bias: Tensor
    """(B or 1, 1, Q, K) added to the products of queries and keys"""
    scale: float
    shape: tuple[int, int, int, int]
    """B, H, Q, D"""
    held: int
    """heads of keys"""
    spans: tuple[tuple[slice, int], ...]
    """of each block its queries, and U"""

    @classmethod
    def of(cls, q: Tensor, k: Tensor, bias: Tensor, scale: float) -> "_Blocks":
        """Those of q (B, H, Q, D) and k (B, Hkv, K, D)."""
        batch, heads, num, width = q.shape
        spans = [slice(start, min(start + BLOCK, num)) for start in range(0, num, BLOCK)]
        length = k.shape[2]  # rows of branches begin at places of their own, so their queries may meet any key
        upto = [length - num + span.stop if len(bias) == 1 else length for span in spans]
        return cls(bias, scale, (batch, heads, num, width), k.shape[1], tuple(zip(spans, upto, strict=True)))

    def block(self, x: Tensor, span: slice) -> Tensor:
        """A block of (B, H, Q, D) -> (G, S C, D)."""
        return x[:, :, span].reshape(self.shape[0] * self.held, -1, self.shape[3])

    def shares(self, block: Tensor, keys: Tensor, span: slice, upto: int) -> Tensor:
        """(G, S C, U) of each query's attention what each key gets."""
        met = torch.baddbmm(
            block.new_zeros(()).expand(*block.shape[:2], upto),
            block,
            keys[:, :upto].transpose(1, 2),
            beta=0,
            alpha=self.scale,
        )
        met.view(*self.shape[:2], -1, upto).add_(self.bias[:, :, span, :upto])
        return met.softmax(-1)


class _WrittenOut(torch.autograd.Function):
    """(B, H, Q, D) of queries, keys and values.

    torch's own kernel is fast forward, but in bfloat16 on a CPU its backward is five times as slow as this one. It is
    used without gradients too, so that a probability read twice is the same number both times.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, blocks: _Blocks, learned: bool) -> Tensor:
        keys, values, out = k.flatten(0, 1), v.flatten(0, 1), torch.empty_like(q)
        kept: list[Tensor] = []
        for span, upto in blocks.spans:
            shares = blocks.shares(blocks.block(q, span), keys, span, upto)
            met = torch.bmm(shares, values[:, :upto])
            out[:, :, span] = met.view(*q.shape[:2], -1, q.shape[3])
            if learned and k.shape[2] <= SHORT:
                kept.append(shares)
        ctx.blocks = blocks
        ctx.save_for_backward(q, k, v, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (q, k, v, *kept), blocks = ctx.saved_tensors, ctx.blocks
        keys, values = k.flatten(0, 1), v.flatten(0, 1)
        by_q, by_keys, by_values = torch.empty_like(q), torch.zeros_like(keys), torch.zeros_like(values)
        for number, (span, upto) in enumerate(blocks.spans):
            block, by_out = blocks.block(q, span), blocks.block(by[0], span)
            shares = kept[number] if kept else blocks.shares(block, keys, span, upto)
            by_values[:, :upto].baddbmm_(shares.transpose(1, 2), by_out)
            by_shares = torch.bmm(by_out, values[:, :upto].transpose(1, 2))
            slopes = torch.ops.aten._softmax_backward_data(by_shares, shares, -1, shares.dtype)
            by_keys[:, :upto].baddbmm_(slopes.transpose(1, 2), block, alpha=blocks.scale)
            by_block = torch.bmm(slopes, keys[:, :upto]).mul_(blocks.scale)
            by_q[:, :, span] = by_block.view(*q.shape[:2], -1, q.shape[3])
        return by_q, by_keys.view(k.shape), by_values.view(v.shape), None, None


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | None = None,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface, answered by the layout that travels with the call."""
    if s_aux is not None:
        raise UserError("gives its attention sinks (as GPT-OSS does), which prefloop does not compute.")
    if layout is None:
        raise UserError("does not pass on to its attention which tokens belong together.")
    dtype = value.dtype  # autocast leaves rotated queries and keys in float32
    out = layout.attend(query.to(dtype), key.to(dtype), value, scale=scaling, window=sliding_window, cap=softcap)
    return out, None


AttentionInterface.register(ATTENTION, _attention)


def prepare(model: PreTrainedModel) -> None:
    """Makes the model ask the layout. Raises: UserError if its attention cannot be replaced."""
    if not model._supports_attention_backend:
        raise UserError(
            f"{type(model).__name__}: transformers does not let prefloop replace this model's attention; use a "
            "Llama-like base."
        )
    model.set_attn_implementation(ATTENTION)
