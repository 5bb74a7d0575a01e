"""Sequences of different lengths as one stream of tokens, without padding.

Shapes: B sequences, N tokens in all, L the longest, H heads, D width, V vocabulary.

A padded batch of ragged sequences wastes its padding in every linear layer. Here all tokens lie end to end in one row
(1, N); only attention, which is cheap for short sequences, spreads them over a grid (B, L), where causality alone hides
what lies right of a sequence's end. Sequences cannot leak into each other because they never share a row of the grid.

    lengths [3, 2]    tokens  a b c d e        grid  a b c
                                                     d e .

What several sequences begin with can be there once, as a stem that the others, its branches, go on from: a branch's
tokens see the whole stem and themselves, and count on from its positions.

    sequences p q a b and p q c    tokens  p q a b c    positions  0 1 2 3 2    lengths [2, 2, 1]    stems [-1, 0, 0]
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from prefloop.models.attention import causal_attention
from prefloop.models.grids import Grids, grids_of, multiple


@dataclass(frozen=True)
class Stream:
    """Tokens of B sequences end to end, a stem with its branches being several of them."""

    tokens: Tensor
    """(N,) token ids"""
    positions: Tensor
    """(N,) place within the sequence, from 0"""
    rows: Tensor
    """(N,) number of the sequence"""
    lengths: tuple[int, ...]
    """B lengths, of a branch without its stem"""
    stems: tuple[int, ...] = ()
    """for each sequence the one that it goes on from, or -1; empty if none goes on from another"""

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], device: torch.device, *, stems: Sequence[int] = ()) -> "Stream":
        """The stream of B non-empty lists of token ids.

        Args:
            stems: for each list the one that it goes on from, itself without a stem, or -1; empty for none.
        """
        lengths = tuple(len(sequence) for sequence in sequences)
        if not lengths or min(lengths) == 0:
            raise ValueError("a stream needs at least one sequence, and each at least one token")
        counts = torch.tensor(lengths)
        starts = counts.cumsum(0) - counts
        if any(stem >= 0 for stem in stems):
            starts = starts - torch.tensor([0 if stem < 0 else lengths[stem] for stem in stems])
        starts = torch.repeat_interleave(starts, counts)
        return cls(
            tokens=torch.tensor(list(itertools.chain.from_iterable(sequences)), device=device),
            positions=(torch.arange(len(starts)) - starts).to(device),
            rows=torch.repeat_interleave(torch.arange(len(lengths)), counts).to(device),
            lengths=lengths,
            stems=tuple(stems) if any(stem >= 0 for stem in stems) else (),
        )

    @property
    def starts(self) -> Tensor:
        """(B,) where each sequence begins in the stream."""
        counts = torch.tensor(self.lengths)
        return (counts.cumsum(0) - counts).to(self.tokens.device)

    @property
    def ends(self) -> Tensor:
        """(B,) the last place of each sequence in the stream."""
        return (torch.tensor(self.lengths).cumsum(0) - 1).to(self.tokens.device)

    @cached_property
    def grids(self) -> Grids:
        """Where its tokens meet."""
        starts = [0, *itertools.accumulate(self.lengths)][:-1]
        return grids_of(starts, self.lengths, self.stems or [-1] * len(self.lengths), self.tokens.device)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None, cap: float | None = None
    ) -> Tensor:
        """Causal attention inside each sequence. q (1, H, N, D), k and v (1, Hkv, N, D) -> (1, N, H, D).

        Tokens after the stream's own N, which the door to models adds, get zeros.
        """
        attention = partial(causal_attention, scale=scale, window=window, cap=cap)
        q, k, v = (x[0].transpose(0, 1) for x in (q, k, v))
        return self.grids.attend(q, k, v, attention)[None]


@dataclass(frozen=True)
class Shared:
    """Sequences as a stream in which what several begin with is there once."""

    stream: Stream
    last: Tensor
    """(B,) the place of each sequence's last token"""

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], device: torch.device) -> "Shared":
        """The stream of B non-empty lists of token ids, in any order, in which most tokens are saved."""
        parts, stems, places = [], [], [0] * len(sequences)
        for group, shared in _families(sequences):
            stem = len(parts) if shared else -1
            if shared:
                parts.append(sequences[group[0]][:shared])
                stems.append(-1)
            for i in group:
                places[i] = len(parts)
                parts.append(sequences[i][shared:])
                stems.append(stem)
        stream = Stream.of(parts, device, stems=stems)
        return cls(stream, stream.ends[torch.tensor(places, device=device)])


FAMILY = 32
"""Sequences that share a stem at most."""
STEM = 8
"""Tokens of a stem at least: a shorter one costs more than it saves."""


def _families(sequences: Sequence[Sequence[int]]) -> list[tuple[list[int], int]]:
    """Sequences with what they share, so that most tokens are saved: (their numbers, tokens that all begin with).

    In alphabetical order those that share much are neighbours; the best cut into neighbours is found from the left.
    Each keeps at least one token of its own.
    """
    order = sorted(range(len(sequences)), key=lambda i: list(sequences[i]))
    alike = [0, *(_alike(sequences[a], sequences[b]) for a, b in itertools.pairwise(order))]
    saved, cuts = [0] * (len(order) + 1), [(0, 0)] * (len(order) + 1)
    for end in range(1, len(order) + 1):
        saved[end], cuts[end] = saved[end - 1], (end - 1, 0)
        shared = alike[end - 1]
        for begin in range(end - 2, max(-1, end - 1 - FAMILY), -1):
            shared = min(shared, alike[begin + 1])
            if shared < STEM:
                break
            gain = saved[begin] + (end - begin - 1) * shared
            if gain > saved[end]:
                saved[end], cuts[end] = gain, (begin, shared)
    found, end = [], len(order)
    while end:
        begin, shared = cuts[end]
        found.append((order[begin:end], shared))
        end = begin
    return found[::-1]


def _alike(first: Sequence[int], second: Sequence[int]) -> int:
    """Tokens that both begin with, at least one of each left over."""
    most = min(len(first), len(second)) - 1
    return next((i for i in range(most) if first[i] != second[i]), most)


def round_size(num: int) -> int:
    """A few more tokens than `num`, so that streams come in few sizes: at most a sixteenth more, or up to 64.

    torch's CPU library prepares and keeps a kernel for every size it meets; streams of ever new sizes make it a quarter
    slower and let its memory grow by megabytes with every step.
    """
    return multiple(num, max(64, 2 ** (num.bit_length() - 1) // 16))


@dataclass(frozen=True)
class ResponseStream:
    """Prompts with their responses as one stream, and where in it response tokens are predicted.

    Shapes: M response tokens in all, T the longest response.

        prompt [p q], response [a b END]     stream   p q a b END
                                             index      ^ ^ ^        the states that predict a, b, END
    """

    stream: Stream
    """the stream of prompt + response; a prompt of several responses is its stem"""
    index: Tensor
    """(M,) places in the stream whose hidden state predicts a response token"""
    tokens: Tensor
    """(M,) the response tokens, of all or of `only` some"""
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
        """The stream of B prompts, each followed by its response, or its responses; neither may be empty."""
        if len(prompts) != len(responses):
            raise ValueError(f"{len(prompts)} prompts and {len(responses)} responses")
        asked: dict[tuple[int, ...], list[int]] = {}
        for i, prompt in enumerate(prompts):
            asked.setdefault(tuple(prompt), []).append(i)
        parts: list[Sequence[int]] = []
        stems: list[int] = []
        first, then = [0] * len(prompts), [0] * len(prompts)  # places that predict a response's first and second token
        place = 0
        for prompt, members in asked.items():
            if len(members) == 1:
                i = members[0]
                parts.append([*prompt, *responses[i]])
                stems.append(-1)
                first[i], then[i] = place + len(prompt) - 1, place + len(prompt)
                place += len(parts[-1])
                continue
            stem = len(parts)
            parts.append(prompt)
            stems.append(-1)
            place += len(prompt)
            ahead = place - 1
            for i in members:
                parts.append(responses[i])
                stems.append(stem)
                first[i], then[i] = ahead, place
                place += len(responses[i])
        stream, answer = Stream.of(parts, device, stems=stems), Stream.of(responses, device)
        begin, second = (torch.tensor(places, device=device)[answer.rows] for places in (first, then))
        index = torch.where(answer.positions == 0, begin, second + answer.positions - 1)
        return cls(stream, index, answer.tokens, answer.rows, answer.positions, answer.lengths)

    def only(self, keep: Tensor) -> "ResponseStream":
        """The same stream, of whose response tokens some are predicted. Args: keep: (M,) bool; the others are read
        like a prompt."""
        some = keep.nonzero()[:, 0].to(self.index.device)
        index, tokens, rows, columns = (
            x.index_select(0, some) for x in (self.index, self.tokens, self.rows, self.columns)
        )
        return replace(self, index=index, tokens=tokens, rows=rows, columns=columns)

    def grid(self, values: Tensor) -> Tensor:
        """(M,) -> (B, T), zeros right of each response's end."""
        longest = max(self.lengths)
        flat = values.new_zeros(len(self.lengths) * longest)
        return flat.index_copy(0, self.rows * longest + self.columns, values).view(len(self.lengths), longest)

    @property
    def mask(self) -> Tensor:
        """(B, T) True where there is a response token."""
        return self.grid(torch.ones_like(self.tokens)).bool()
