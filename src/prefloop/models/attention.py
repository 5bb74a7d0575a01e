"""Attention that a layout answers: one stream of many sequences, or one new token for each row of a cache.

transformers calls it in place of its own (`AttentionInterface`), with the layout that travels with the call.
Shapes: B sequences, L the longest, H heads, D width.
"""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from prefloop.errors import UserError
from prefloop.models.grids import Grid

ATTENTION = "prefloop_stream"
SHORT = 512
"""Longest sequence, in tokens, whose attention is written out where that is faster."""
BLOCK = 128
"""Queries whose attention is written out at once: fewer products with keys that none of them sees."""


class Layout(Protocol):
    """How queries meet keys: a stream of sequences, or one new token for each row of a cache."""

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
    ) -> Tensor:
        """Heads-second queries, keys and values in; (batch, tokens, H, D) out. `cap` bounds their products softly."""
        ...


def written_out(q: Tensor, longest: int) -> bool:
    """True where attention written out as two matrix products is faster than torch's kernel, whose backward is slow."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and longest <= SHORT


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
    if written_out(q, length):
        return _short_attention(q, k, v, grid.bias(window, q.dtype, q.device), scale)
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


def _short_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float) -> Tensor:
    """Attention written out, for some queries at a time and the keys up to the last of them. (B, H, Q, D) -> the same.

    torch's own kernel is fast forward, but in bfloat16 on a CPU its backward is five times as slow as this one. It is
    used without gradients too, so that a probability read twice is the same number both times.

    Args:
        bias: (B or 1, 1, Q, K) added to the products of queries and keys.
    """
    batch, heads, num, width = q.shape
    held, length = k.shape[1], k.shape[2]
    shared = heads // held  # queries' heads for each head of keys
    keys, values = (x.reshape(batch * held, length, width) for x in (k, v))
    outs = []
    for start in range(0, num, BLOCK):
        end = min(start + BLOCK, num)
        upto = length - num + end if len(bias) == 1 else length
        block = q[:, :, start:end].reshape(batch * held, shared * (end - start), width)
        meetings = torch.baddbmm(
            q.new_zeros(()).expand(len(block), block.shape[1], upto),
            block,
            keys[:, :upto].transpose(1, 2),
            beta=0,
            alpha=scale,
        )
        met = meetings.view(batch, heads, end - start, upto).add_(bias[:, :, start:end, :upto])
        out = torch.bmm(met.softmax(-1).view(meetings.shape), values[:, :upto])
        outs.append(out.view(batch, heads, end - start, width))
    return outs[0] if len(outs) == 1 else torch.cat(outs, 2)


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
