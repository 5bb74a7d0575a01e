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

ATTENTION = "prefloop_stream"
SHORT = 512
"""Longest sequence, in tokens, whose attention is written out where that is faster."""


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
    q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
) -> Tensor:
    """Each token attends to itself and to those before it in its row, at most `window` of them in all.

    Args:
        q: (B, H, L, D)
        k, v: (B, Hkv, L, D)
        scale: factor of the products of queries and keys.
        window: tokens that can be seen, the token itself included; None for all.
        cap: see `capped_attention`; None for none.

    Returns: (B, H, L, D)
    """
    longest = q.shape[2]
    mask = None
    if window is not None and window < longest:
        ago = torch.arange(longest, device=q.device)[:, None] - torch.arange(longest, device=q.device)
        mask = (ago >= 0) & (ago < window)
    if cap is not None:
        seen = torch.ones(longest, longest, dtype=torch.bool, device=q.device).tril() if mask is None else mask
        return capped_attention(q, k, v, seen, scale=scale, cap=cap)
    if written_out(q, longest):
        return _short_attention(q, k, v, mask, scale)
    return scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
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


def _short_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Causal attention written out. (B, H, L, D) -> (B, H, L, D).

    torch's own kernel is fast forward, but in bfloat16 on a CPU its backward is five times as slow as this one. It is
    used without gradients too, so that a probability read twice is the same number both times.
    """
    batch, heads, longest, width = q.shape
    k, v = (x.repeat_interleave(heads // x.shape[1], 1) for x in (k, v))
    seen = torch.ones(longest, longest, dtype=torch.bool, device=q.device).tril() if mask is None else mask
    bias = torch.zeros(longest, longest, dtype=q.dtype, device=q.device).masked_fill(~seen, -torch.inf)
    shape = (batch * heads, longest, width)
    meetings = torch.baddbmm(
        bias.expand(batch * heads, longest, longest), q.reshape(shape), k.reshape(shape).transpose(1, 2), alpha=scale
    )
    return torch.bmm(meetings.softmax(-1), v.reshape(shape)).view(batch, heads, longest, width)


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
