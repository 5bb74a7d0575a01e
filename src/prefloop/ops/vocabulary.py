"""Probabilities from hidden states and the output matrix, a few tokens at a time: no tensor of tokens x vocabulary.

Shape letters: N tokens, D width of the hidden states, V vocabulary, C tokens of a chunk, S rows of a slice of the
matrix. The logits of a chunk,

    logits = cap * tanh(factor * (hidden @ weight.T + bias) / cap)      or without a cap factor * (...)

are computed in float32 at least, used, and overwritten by those of the next. The matrix is multiplied in slices, which
stay in the processor's cache while they are brought to another precision.

A token's gradient by its hidden state is a vector of D numbers, made while its logits are there,

    d logprob[n] / d hidden[n] = factor / temperature * sum_v (1[v = tokens[n]] - p[n, v]) weight[v]

and multiplied later by whatever comes back. The gradient of the matrix needs the weight of every token: a sum knows it
beforehand, so all its gradients are made on the way (as in Hsu et al. 2024, arXiv:2410.10989). Otherwise it is made in
the backward pass, from logits that are kept if they are one chunk, and else computed again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from prefloop.ops.shapes import has_shape

Entropy = Literal["none", "value", "gradient"]
CHUNK = 16 * 2**20
"""Bytes of logits at once, and the most that are kept for the backward pass."""
SLICE = 2 * 2**20
"""Bytes of the matrix at once."""
ROWS = 32
"""Tokens are multiplied in multiples of this many, so that products come in few sizes."""
ACCELERATED = 8
"""How much larger both are on an accelerator, which wants large products."""


@dataclass(frozen=True)
class Head:
    """The output matrix, and what becomes of its products."""

    weight: Tensor
    """(V, D)"""
    bias: Tensor | None
    """(V,)"""
    factor: float
    cap: float | None
    """logits stay between -cap and cap; None for no bound"""
    low: torch.dtype | None
    """what gradients are multiplied in; None for the precision of the logits"""


def token_readings(
    hidden: Tensor, tokens: Tensor, head: Head, *, temperature: float, entropy: Entropy
) -> tuple[Tensor, Tensor | None]:
    """Log-probability of each token, and the entropy at its place: `logprobs_and_entropy` of the head's logits.

    Args:
        hidden: (N, D) any float; has grad.
        tokens: (N,) int64 in [0, V).
        head: its weight and bias have grad.
        temperature: above 0; divides the logits.
        entropy: "none" computes none, "value" one without gradient.

    Returns: logprobs (N,) nats; entropy (N,) nats or None.
    Raises: ShapeError if tokens is not one for each state; ValueError if temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}: greedy choices have no logprobs")
    call = _Call(hidden, tokens, head, temperature, entropy)
    by_hidden, *by_head = call.asked
    way = _Later if any(by_head) or (by_hidden and entropy == "gradient") else _Now
    logprobs, entropies = way.apply(hidden, head.weight, head.bias, call)
    return logprobs, None if entropy == "none" else entropies


def total_surprise(hidden: Tensor, tokens: Tensor, head: Head) -> Tensor:
    """Cross-entropy summed over tokens, which all weigh the same.

        total = sum_n -log softmax(logits[n])[tokens[n]]

    Args:
        hidden: (N, D) any float; has grad.
        tokens: (N,) int64 in [0, V).
        head: its weight and bias have grad.

    Returns: () nats; divided by the number of tokens it is the usual loss.
    Raises: ShapeError if tokens is not one for each state.
    """
    call = _Call(hidden, tokens, head, 1.0, "none")
    return -_Total.apply(hidden, head.weight, head.bias, call)


def chunks(num: int, size: int, *, device: torch.device) -> list[slice]:
    """`num` tokens in chunks whose logits over a vocabulary of `size` take at most CHUNK bytes in float32.

    Args:
        num: tokens.
        size: vocabulary.
        device: where they are.

    Returns: slices of a multiple of ROWS tokens, but for the last.
    """
    step = max(1, _room(CHUNK, device) // (4 * size * ROWS)) * ROWS
    return [slice(start, min(start + step, num)) for start in range(0, num, step)]


def _room(on_cpu: int, device: torch.device) -> int:
    return on_cpu if device.type == "cpu" else ACCELERATED * on_cpu


@dataclass
class _Gradients:
    """Sums of what was asked for; None where nothing was."""

    hidden: Tensor | None
    """(N, D)"""
    weight: Tensor | None
    """(V, D)"""
    bias: Tensor | None
    """(V,)"""


class _Call:
    """One reading of N tokens: its chunks one after another, in buffers that are used again."""

    def __init__(self, hidden: Tensor, tokens: Tensor, head: Head, temperature: float, entropy: Entropy) -> None:
        has_shape((hidden.shape[0],), tokens=tokens)
        trained = (hidden, head.weight, head.bias)
        self.asked = [torch.is_grad_enabled() and t is not None and t.requires_grad for t in trained]
        self.hidden, self.weight, self.tokens = hidden.detach(), head.weight.detach(), tokens[:, None]
        self.bias = None if head.bias is None else head.bias.detach()
        self.wide = torch.promote_types(torch.promote_types(hidden.dtype, self.weight.dtype), torch.float32)
        self.low, self.cap, self.entropy = head.low or self.wide, head.cap, entropy
        self.scale = head.factor / (head.cap or temperature)
        self.height = 1.0 if head.cap is None else head.cap / temperature
        size, width = self.weight.shape
        self.parts = chunks(len(hidden), size, device=hidden.device)
        step = max(64, _room(SLICE, hidden.device) // (4 * width))
        self._slices = [slice(start, min(start + step, size)) for start in range(0, size, step)]
        self._rooms: dict[str, Tensor] = {}

    def zeros(self, *asked: bool) -> _Gradients:
        """Gradients of nothing yet."""
        shapes = (self.hidden.shape, self.weight.shape, self.weight.shape[:1])
        dtypes = (self.hidden.dtype, self.wide, self.wide)
        zeros = [self.weight.new_zeros(s, dtype=d) for s, d, a in zip(shapes, dtypes, asked, strict=True) if a]
        return _Gradients(*(zeros.pop(0) if a else None for a in asked))

    def room(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor of no particular content, which whoever asks next for that name overwrites."""
        held = self._rooms.get(name)
        size = math.prod(shape)
        if held is None or held.numel() < size or held.dtype != dtype:
            held = self._rooms[name] = self.weight.new_empty(size, dtype=dtype)
        return held[:size].view(*shape)

    def forget(self, *, but: str) -> None:
        """Gives the buffers back, except one."""
        self._rooms = {name: held for name, held in self._rooms.items() if name == but}

    def states(self, part: slice) -> Tensor:
        """(C', D) hidden states times the scale; C' is C and some rows of 0, up to a multiple of ROWS."""
        num = part.stop - part.start
        states = self.room("states", (-(-num // ROWS) * ROWS, self.hidden.shape[1]), self.wide)
        states[num:] = 0
        states[:num] = self.hidden[part]
        return states if self.scale == 1 else states.mul_(self.scale)

    def logits(self, states: Tensor) -> Tensor:
        """(C', V) what the softmax is taken of."""
        logits = self.room("logits", (len(states), len(self.weight)), self.wide)
        for some in self._slices:
            torch.mm(states, self._part_of_weight(some, self.wide).T, out=logits[:, some])
        if self.bias is not None:
            logits += self.bias.to(self.wide) * self.scale
        return logits if self.cap is None else logits.tanh_().mul_(self.height)

    @property
    def few(self) -> bool:
        """True if all logits are one chunk, which is kept for the backward pass."""
        return len(self.parts) == 1

    def logits_again(self, states: Tensor) -> Tensor:
        """(C', V) the same in the backward pass."""
        return self.room("logits", (len(states), len(self.weight)), self.wide) if self.few else self.logits(states)

    def add(self, sums: _Gradients, part: slice, slopes: Tensor, states: Tensor, logits: Tensor, by: Tensor) -> None:
        """Adds the gradients of a chunk.

        Args:
            slopes: (C', V) by the logits, except for a factor; overwritten. 0 in the rows that were added.
            states: (C', D) that the logits come from; overwritten.
            logits: (C', V); read if there is a cap.
            by: (C, 1) the factor of each row.
        """
        num = part.stop - part.start
        if self.cap is not None:
            slopes *= self.height - logits.square() / self.height
        by_states = slopes.new_zeros(states.shape)
        states[:num] *= by
        states = states.to(self.low)
        for some in self._slices:
            narrow = slopes[:, some]
            if self.low != self.wide:
                narrow = self.room("slopes", narrow.shape, self.low).copy_(narrow)
            if sums.hidden is not None:
                by_states += narrow @ self._part_of_weight(some, self.low)
            if sums.weight is not None:
                sums.weight[some] += narrow.T @ states
        if sums.hidden is not None:
            sums.hidden[part] = by_states[:num] * (self.scale * by)
        if sums.bias is not None:
            sums.bias += (self.scale * by * slopes[:num]).sum(0)

    def _part_of_weight(self, some: slice, dtype: torch.dtype) -> Tensor:
        """(S, D) rows of the matrix in that precision."""
        rows = self.weight[some]
        return rows if rows.dtype == dtype else self.room("weight", rows.shape, dtype).copy_(rows)

    def read(self, sums: _Gradients | None, *, kept: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """(N,) logprobs, (N,) entropies, or (0,) if none are wanted, and (N, 1) logarithms of the softmax's sums.

        The gradients of all logprobs, each weighing 1, are added to `sums`. With `kept` the last logits are left whole.
        """
        again = kept or self.entropy != "none" or (sums is not None and self.cap is not None)
        num = len(self.hidden)
        logprobs, log_sums = (self.weight.new_empty((num, 1), dtype=self.wide) for _ in range(2))
        entropies = self.weight.new_empty(0 if self.entropy == "none" else num, dtype=self.wide)
        for part in self.parts:
            states, tokens, rows = self.states(part), self.tokens[part], part.stop - part.start
            all_logits = self.logits(states)
            logits = all_logits[:rows]
            largest, said = logits.amax(1, keepdim=True), logits.gather(1, tokens)
            all_shares = self.room("shares", all_logits.shape, self.wide) if again else all_logits
            shares = torch.sub(logits, largest, out=all_shares[:rows]).exp_()
            total = shares.sum(1, keepdim=True)
            log_sums[part] = largest + total.log()
            logprobs[part] = said - log_sums[part]
            if self.entropy != "none":
                entropies[part] = log_sums[part, 0] - torch.linalg.vecdot(shares, logits) / total[:, 0]
            if sums is not None:
                shares.scatter_add_(1, tokens, -total)
                all_shares[rows:] = 0
                self.add(sums, part, all_shares, states, all_logits, by=-1 / total)
        return logprobs[:, 0], entropies, log_sums


class _Now(torch.autograd.Function):
    """Logprobs and entropies; the gradient by the hidden states is made on the way."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, call: _Call) -> tuple[Tensor, Tensor]:
        ctx.sums = call.zeros(True, False, False) if call.asked[0] else None
        logprobs, entropies, _ = call.read(ctx.sums)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        by_logprobs, _ = by
        return ctx.sums.hidden * by_logprobs[:, None].to(ctx.sums.hidden.dtype), None, None, None


class _Later(torch.autograd.Function):
    """Logprobs and entropies; the gradients are made in the backward pass, which knows what each token weighs."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, call: _Call) -> tuple[Tensor, Tensor]:
        logprobs, entropies, ctx.log_sums = call.read(None, kept=call.few)
        call.forget(but="logits" if call.few else "")
        ctx.call, ctx.entropies = call, entropies
        ctx.save_for_backward(hidden, weight, bias)  # so that torch notices if they change in between
        if call.entropy != "gradient":
            ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (by_logprobs, by_entropies), call, _ = by, ctx.call, ctx.saved_tensors
        sums = call.zeros(*call.asked)
        for part in call.parts:
            states, tokens, rows = call.states(part), call.tokens[part], part.stop - part.start
            all_logits = call.logits_again(states)
            all_slopes = call.room("shares", all_logits.shape, call.wide)
            slopes = torch.sub(all_logits[:rows], ctx.log_sums[part], out=all_slopes[:rows])
            weights = by_logprobs[part, None].to(call.wide)
            if call.entropy == "gradient":  # - p (weight of the logprob + weight of the entropy * (log p + entropy))
                by_entropy = by_entropies[part, None].to(call.wide)
                factors = (slopes + ctx.entropies[part, None]).mul_(by_entropy).add_(weights)
                slopes.exp_().mul_(factors)
            else:
                slopes.exp_().mul_(weights)
            slopes.scatter_add_(1, tokens, -weights)
            all_slopes[rows:] = 0
            call.add(sums, part, all_slopes, states, all_logits, by=-torch.ones_like(weights))
        call.forget(but="logits")
        return sums.hidden, *_as_given(sums, call), None


class _Total(torch.autograd.Function):
    """The sum of all logprobs; all gradients are made on the way."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, call: _Call) -> Tensor:
        ctx.sums, ctx.call = call.zeros(*call.asked), call
        logprobs, _, _ = call.read(ctx.sums if any(call.asked) else None)
        call.forget(but="")
        return logprobs.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if ctx.sums is None:
            raise RuntimeError("the gradients of a sum are given away in the backward pass: none is left a second time")
        sums, ctx.sums = ctx.sums, None
        for each in (sums.hidden, sums.weight, sums.bias):
            if each is not None:
                each *= by[0]
        return sums.hidden, *_as_given(sums, ctx.call), None


def _as_given(sums: _Gradients, call: _Call) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of the matrix and its bias, in the dtype of each."""
    return (
        None if sums.weight is None else sums.weight.to(call.weight.dtype),
        None if sums.bias is None or call.bias is None else sums.bias.to(call.bias.dtype),
    )
