"""Sequences of different lengths as one stream of tokens, without padding.

Shapes: B sequences, N tokens in all, L the longest, H heads, D width, V vocabulary.

A padded batch of ragged sequences wastes its padding in every linear layer. Here all tokens lie end to end in one row
(1, N); only attention, which is cheap for short sequences, spreads them over a grid (B, L), where causality alone hides
what lies right of a sequence's end. Sequences cannot leak into each other because they never share a row of the grid.

    lengths [3, 2]    tokens  a b c d e        grid  a b c
                                                     d e .
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from prefloop.errors import UserError

ATTENTION = "prefloop_stream"
SHORT = 512
"""Longest sequence, in tokens, whose attention is written out where that is faster."""


class Layout(Protocol):
    """How queries meet keys: a stream of sequences, or one new token for each row of a cache."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None) -> Tensor:
        """Heads-second queries, keys and values in; (batch, tokens, H, D) out."""
        ...


@dataclass(frozen=True)
class Stream:
    """Tokens of B sequences end to end."""

    tokens: Tensor
    """(N,) token ids"""
    positions: Tensor
    """(N,) place within the sequence, from 0"""
    rows: Tensor
    """(N,) number of the sequence"""
    lengths: tuple[int, ...]
    """B lengths"""

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], device: torch.device) -> "Stream":
        """The stream of B non-empty lists of token ids."""
        lengths = tuple(len(sequence) for sequence in sequences)
        if not lengths or min(lengths) == 0:
            raise ValueError("a stream needs at least one sequence, and each at least one token")
        counts = torch.tensor(lengths)
        starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        return cls(
            tokens=torch.tensor(list(itertools.chain.from_iterable(sequences)), device=device),
            positions=(torch.arange(len(starts)) - starts).to(device),
            rows=torch.repeat_interleave(torch.arange(len(lengths)), counts).to(device),
            lengths=lengths,
        )

    @property
    def starts(self) -> Tensor:
        """(B,) where each sequence begins in the stream."""
        counts = torch.tensor(self.lengths)
        return (counts.cumsum(0) - counts).to(self.tokens.device)

    def grid(self, values: Tensor, *, shape: tuple[int, int] | None = None) -> Tensor:
        """(N, ...) -> (B, L, ...), zeros right of each sequence's end; `shape` asks for a larger grid than (B, L)."""
        rows, longest = shape or (len(self.lengths), max(self.lengths))
        flat = values.new_zeros((rows * longest, *values.shape[1:]))
        index = self.rows * longest + self.positions
        return flat.index_copy(0, index, values).view(rows, longest, *values.shape[1:])

    def flat(self, grid: Tensor) -> Tensor:
        """(B, L, ...) -> (N, ...), the inverse of `grid`."""
        index = self.rows * grid.shape[1] + self.positions
        return grid.flatten(0, 1).index_select(0, index)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None) -> Tensor:
        """Causal attention inside each sequence. q (1, H, N, D), k and v (1, Hkv, N, D) -> (1, N, H, D).

        Tokens after the stream's own N, which `hidden_states` adds, get zeros.
        """
        num, longest = len(self.rows), max(self.lengths)
        short = q.device.type == "cpu" and q.dtype == torch.bfloat16 and longest <= SHORT
        shape = (_multiple(len(self.lengths), 8), _multiple(longest, 16)) if short else (len(self.lengths), longest)
        added = q.shape[2] - num
        q, k, v = (self.grid(x[0, :, :num].transpose(0, 1), shape=shape).transpose(1, 2) for x in (q, k, v))
        mask = None
        if window is not None and window < shape[1]:
            ago = torch.arange(shape[1], device=q.device)[:, None] - torch.arange(shape[1], device=q.device)
            mask = (ago >= 0) & (ago < window)
        if short:
            out = _short_attention(q, k, v, mask, scale)
        else:
            out = scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
            )
        return pad(self.flat(out.transpose(1, 2)), (0, 0, 0, 0, 0, added))[None]


def _multiple(count: int, of: int) -> int:
    """The smallest multiple of `of` that is not below `count`."""
    return -(-count // of) * of


def round_size(num: int) -> int:
    """A few more tokens than `num`, so that streams come in few sizes: at most a sixteenth more, or up to 64.

    torch's CPU library prepares and keeps a kernel for every size it meets; streams of ever new sizes make it a quarter
    slower and let its memory grow by megabytes with every step.
    """
    return _multiple(num, max(64, 2 ** (num.bit_length() - 1) // 16))


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
    layout: Layout,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface, answered by the layout that travels with the call."""
    if softcap is not None or s_aux is not None:
        raise UserError(
            "this model softens its attention (softcap or sinks), which prefloop does not compute; use another base."
        )
    dtype = value.dtype  # autocast leaves rotated queries and keys in float32
    return layout.attend(query.to(dtype), key.to(dtype), value, scale=scaling, window=sliding_window), None


AttentionInterface.register(ATTENTION, _attention)


def prepare(model: PreTrainedModel) -> None:
    """Makes the model read streams. Raises: UserError if its attention cannot be replaced.

    Dropout is set to zero everywhere: probability ratios of RL must be 1 at the first minibatch.
    """
    if not model._supports_attention_backend:
        raise UserError(
            f"{type(model).__name__}: transformers does not let prefloop replace this model's attention; use a Llama-like base."
        )
    model.set_attn_implementation(ATTENTION)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if model.get_output_embeddings() is not None:
        _check_head(model)


@torch.no_grad()
def _check_head(model: PreTrainedModel) -> None:
    """Raises: UserError if the model does more to its logits than one matrix (a scale, a cap), which `logits_of` would miss."""
    stream = Stream.of([[0, 1]], model.device)
    theirs = model(
        input_ids=stream.tokens[None], position_ids=stream.positions[None], use_cache=False, layout=stream
    ).logits[0]
    if not torch.allclose(
        logits_of(model, hidden_states(model.base_model, stream)), theirs.float(), rtol=1e-2, atol=1e-3
    ):
        raise UserError(
            f"{type(model).__name__}: this model scales or caps its logits, which prefloop does not compute; use a Llama-like base."
        )


def hidden_states(trunk: torch.nn.Module, stream: Stream, cache: object | None = None) -> Tensor:
    """The trunk's last hidden states of a stream.

    Returns: (N, width), in the precision that the context asks for.
    """
    num = len(stream.tokens)
    added = round_size(num) - num  # tokens of no sequence, which nobody attends to, cut off again below
    out = trunk(
        input_ids=pad(stream.tokens, (0, added))[None],
        position_ids=pad(stream.positions, (0, added))[None],
        past_key_values=cache,
        use_cache=False,
        layout=stream,
    )
    return out.last_hidden_state[0, :num]


@dataclass(frozen=True)
class ResponseStream:
    """Prompts with their responses as one stream, and where in it response tokens are predicted.

    Shapes: M response tokens in all, T the longest response.

        prompt [p q], response [a b END]     stream   p q a b END
                                             index      ^ ^ ^        the states that predict a, b, END
    """

    stream: Stream
    """the stream of prompt + response"""
    index: Tensor
    """(M,) places in the stream whose hidden state predicts a response token"""
    tokens: Tensor
    """(M,) the response tokens"""
    rows: Tensor
    """(M,) which response"""
    columns: Tensor
    """(M,) place within the response, from 0"""
    lengths: tuple[int, ...]
    """B response lengths"""

    @classmethod
    def of(
        cls, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], device: torch.device
    ) -> "ResponseStream":
        """The stream of B prompts, each followed by its response; neither may be empty."""
        stream = Stream.of([[*p, *r] for p, r in zip(prompts, responses, strict=True)], device)
        answer = Stream.of(responses, device)
        before = torch.tensor([len(p) for p in prompts], device=device)
        index = stream.starts[answer.rows] + before[answer.rows] + answer.positions - 1
        return cls(stream, index, answer.tokens, answer.rows, answer.positions, answer.lengths)

    def grid(self, values: Tensor) -> Tensor:
        """(M,) -> (B, T), zeros right of each response's end."""
        longest = max(self.lengths)
        flat = values.new_zeros(len(self.lengths) * longest)
        return flat.index_copy(0, self.rows * longest + self.columns, values).view(len(self.lengths), longest)

    @property
    def mask(self) -> Tensor:
        """(B, T) True where there is a response token."""
        return self.grid(torch.ones_like(self.tokens)).bool()


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Output logits (N, V) in float32: bfloat16 would round log-probabilities by several hundredths of a nat."""
    head = model.get_output_embeddings()
    assert head is not None  # a causal model has one
    with torch.autocast(hidden.device.type, enabled=False):
        return head(hidden.float())
