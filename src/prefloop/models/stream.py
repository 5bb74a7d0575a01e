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

import torch
from torch import Tensor
from torch.nn.functional import pad

from prefloop.models.attention import causal_attention, written_out


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

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
    ) -> Tensor:
        """Causal attention inside each sequence. q (1, H, N, D), k and v (1, Hkv, N, D) -> (1, N, H, D).

        Tokens after the stream's own N, which the door to models adds, get zeros.
        """
        num, shape = len(self.rows), (len(self.lengths), max(self.lengths))
        if written_out(q, shape[1]):  # few sizes, as in `round_size`
            shape = (_multiple(shape[0], 8), _multiple(shape[1], 16))
        added = q.shape[2] - num
        q, k, v = (self.grid(x[0, :, :num].transpose(0, 1), shape=shape).transpose(1, 2) for x in (q, k, v))
        out = causal_attention(q, k, v, scale=scale, window=window, cap=cap)
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
