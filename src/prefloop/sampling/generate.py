"""The rollout engine: batched decoding in this process, with a key-value cache and no wasted rows.

Shapes: R = prompts x K rows, C columns of the cache, V vocabulary.

- each prompt is read once, as part of a stream without padding, whatever the number K of its responses;
- rows that have ended are dropped from the batch, and the rest goes on;
- a row's random numbers are drawn before it starts, so what is sampled does not depend on which rows share its batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.models.stream import Stream, hidden_states, logits_of

DROP_BELOW = 0.7
"""Ended rows are dropped once fewer than this share of the batch is still running."""


class SamplingConfig(Config):
    """How responses are drawn."""

    temperature: float = Field(default=1.0, ge=0)
    """Divides the logits; 0 takes the likeliest token every time."""

    top_k: int = Field(default=0, ge=0)
    """Keep only this many likeliest tokens; 0 keeps all. PPO needs 0: its probabilities are of the whole distribution."""

    top_p: float = Field(default=1.0, gt=0, le=1)
    """Keep the likeliest tokens that together have this probability; 1 keeps all. PPO needs 1."""

    max_new_tokens: int = Field(default=64, ge=1)
    """Most tokens in a response."""


ROWS = 16
"""Batches come in multiples of this many rows, so that they come in few sizes (see `models.stream.round_size`)."""


@dataclass(frozen=True)
class Sampled:
    """One sampled response."""

    tokens: tuple[int, ...]
    """token ids; the end-of-text token is the last one if it was reached"""
    finished: bool
    """True if it ended by itself"""


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
                    "this model shares keys and values between layers, which the rollout engine does not do yet; use another base."
                )
            self._seen.append((keys, values))
            return keys, values
        end = self._column + 1
        self._keys[layer][:, :, self._column : end] = keys
        self._values[layer][:, :, self._column : end] = values
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def spread(self, stream: Stream, copies: int, room: int) -> None:
        """Turns what the prompt stream left into rows, `copies` for each prompt, with `room` columns to write."""
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

    def advance(self) -> None:
        """The next token goes into the next column."""
        self._column += 1

    def keep(self, rows: Tensor) -> None:
        """Drops all other rows."""
        self._keys = [k[rows] for k in self._keys]
        self._values = [v[rows] for v in self._values]
        self.mask = self.mask[rows]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, scale: float, window: int | None) -> Tensor:
        """One new token per row against its cache. q (R, H, 1, D), k and v (R, Hkv, C, D) -> (R, 1, H, D)."""
        mask = self.mask[:, : k.shape[2]]
        if window is not None:
            ago = torch.arange(k.shape[2] - 1, -1, -1, device=k.device)
            mask = mask & (ago < window)
        out = scaled_dot_product_attention(
            q, k, v, attn_mask=mask[:, None, None], scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )
        return out.transpose(1, 2)


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    *,
    stop_ids: Sequence[int],
    generator: torch.Generator,
    copies: int = 1,
    on_token: Callable[[int], bool | None] | None = None,
) -> list[Sampled]:
    """Samples `copies` responses to each prompt.

    Args:
        model: a causal model made ready by `models.load.causal`.
        prompts: token ids of each prompt, none empty.
        sampling: temperature, cut-offs and length.
        stop_ids: tokens that end a response.
        generator: source of randomness, on the CPU; advanced by exactly one draw of R x max_new_tokens numbers.
        copies: K, responses per prompt.
        on_token: for streaming one row: called with each token id as it is sampled; returning False stops.

    Returns: R = len(prompts) x copies responses, the K responses of a prompt together.
    """
    rows, limit = len(prompts) * copies, sampling.max_new_tokens
    device = model.device
    draws = torch.rand(rows, limit, generator=generator, dtype=torch.float64).to(torch.float32).to(device)
    tokens = torch.full((rows, limit), -1, dtype=torch.long, device=device)
    stops = torch.tensor(list(stop_ids), device=device)

    stream = Stream.of(prompts, device)
    cache = Cache()
    trunk = model.base_model
    last = hidden_states(trunk, stream, cache)[stream.starts + torch.tensor(stream.lengths, device=device) - 1]
    logits = logits_of(model, last).repeat_interleave(copies, 0)
    cache.spread(stream, copies, limit)
    positions = torch.tensor(stream.lengths, device=device).repeat_interleave(copies)[:, None]
    alive = torch.arange(rows, device=device)  # which response each row of the batch is
    running = torch.ones(rows, dtype=torch.bool, device=device)  # which rows of the batch have not ended
    for step in range(limit):
        new = next_tokens(logits, draws[alive, step], sampling)
        tokens[alive[running], step] = new[running]
        running = running & ~torch.isin(new, stops)
        if on_token is not None and on_token(int(new[0])) is False:
            break
        count = int(running.sum())
        if count == 0 or step == limit - 1:
            break
        if count < DROP_BELOW * len(alive):
            kept = running.argsort(descending=True, stable=True)[
                : -(-count // ROWS) * ROWS
            ]  # some ended ones fill it up
            cache.keep(kept)
            alive, new, positions, running = alive[kept], new[kept], positions[kept], running[kept]
        out = trunk(
            input_ids=new[:, None], position_ids=positions, past_key_values=cache, use_cache=False, layout=cache
        )
        logits = logits_of(model, out.last_hidden_state[:, 0])
        positions = positions + 1
        cache.advance()
    return [_sampled(row, set(stop_ids)) for row in tokens.tolist()]


def _sampled(row: list[int], stop_ids: set[int]) -> Sampled:
    kept = tuple(token for token in row if token >= 0)
    return Sampled(kept, bool(kept) and kept[-1] in stop_ids)


def next_tokens(logits: Tensor, draws: Tensor, sampling: SamplingConfig) -> Tensor:
    """One token a row by inverting the cumulative distribution at a uniform number.

    Args:
        logits: (R, V)
        draws: (R,) uniform in [0, 1)
        sampling: temperature and cut-offs

    Returns: (R,) token ids
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    logits = logits / sampling.temperature
    if sampling.top_k and sampling.top_k < logits.shape[-1]:
        least = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = logits.softmax(-1)
    if sampling.top_p < 1:
        ordered, index = probabilities.sort(dim=-1, descending=True)
        above = ordered.cumsum(-1) - ordered  # probability of all likelier tokens
        probabilities = torch.zeros_like(ordered).scatter(-1, index, ordered.masked_fill(above >= sampling.top_p, 0.0))
    mass = probabilities.cumsum(-1)
    target = (draws[:, None] * mass[:, -1:]).clamp(max=mass[:, -1:].nextafter(torch.zeros_like(mass[:, -1:])))
    return torch.searchsorted(mass, target, right=True)[:, 0]
