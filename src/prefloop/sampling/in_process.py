"""The rollout engine: batched decoding in this process, with a key-value cache and no wasted rows.

Shapes: R = prompts x K rows, C columns of the cache, V vocabulary.

- each prompt is read once, as part of a stream without padding, whatever the number K of its responses;
- rows that have ended are dropped from the batch, and the rest goes on;
- a row's random numbers are drawn before it starts, so what is sampled does not depend on which rows share its batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from prefloop.models.cache import Cache
from prefloop.models.network import Network
from prefloop.models.stream import Stream
from prefloop.sampling.choosing import next_tokens
from prefloop.sampling.protocol import Sampled
from prefloop.settings import SamplingConfig

DROP_BELOW = 0.7
"""Ended rows are dropped once fewer than this share of the batch is still running."""
ROWS = 16
"""Batches come in multiples of this many rows, so that they come in few sizes (see `models.stream.round_size`)."""


class InProcess:
    """The sampler that decodes in this process, with the policy's own weights."""

    def __init__(self, policy: Network) -> None:
        self.policy = policy

    def refresh(self, policy: Network) -> None:
        """From now on responses are those of `policy`, whose weights are not copied."""
        self.policy = policy

    def sample(
        self, prompts: Sequence[Sequence[int]], sampling: SamplingConfig, place: int, *, copies: int = 1
    ) -> list[Sampled]:
        """See `protocol.Sampler`."""
        generator = torch.Generator().manual_seed(place)
        return generate(self.policy, prompts, sampling, generator=generator, copies=copies)


@torch.inference_mode()
def generate(
    network: Network,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    *,
    generator: torch.Generator,
    copies: int = 1,
    on_token: Callable[[int], bool | None] | None = None,
) -> list[Sampled]:
    """Samples `copies` responses to each prompt.

    Args:
        network: a causal model; its codec says which tokens end a response.
        prompts: token ids of each prompt, none empty.
        sampling: temperature, cut-offs and length.
        generator: source of randomness, on the CPU; advanced by exactly one draw of R x max_new_tokens numbers.
        copies: K, responses per prompt.
        on_token: for streaming one row: called with each token id as it is sampled; returning False stops.

    Returns: R = len(prompts) x copies responses, the K responses of a prompt together.
    """
    rows, limit = len(prompts) * copies, sampling.max_new_tokens
    device, stop_ids = network.device, network.codec.stop_ids
    draws = uniform(rows, limit, generator).to(device)
    tokens = torch.full((rows, limit), -1, dtype=torch.long, device=device)
    stops = torch.tensor(stop_ids, dtype=torch.long, device=device)

    with network.placement.precision():  # once around all, or every token would round all weights anew
        cache, logits, positions = prefilled(network, prompts, copies, room=limit)
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
                filled = -(-count // ROWS) * ROWS  # some ended ones fill it up
                kept = running.argsort(descending=True, stable=True)[:filled]
                cache.keep(kept)
                alive, new, positions, running = alive[kept], new[kept], positions[kept], running[kept]
            logits = network.logits(network.next_hidden_states(new, positions, cache))
            positions = positions + 1
            cache.advance()
    return [_sampled(row, set(stop_ids)) for row in tokens.tolist()]


def uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """(rows, columns) uniform in [0, 1), the numbers that choose tokens; drawn on the CPU."""
    return torch.rand(rows, columns, generator=generator, dtype=torch.float64).to(torch.float32)


def prefilled(
    network: Network, prompts: Sequence[Sequence[int]], copies: int | Tensor, *, room: int
) -> tuple[Cache, Tensor, Tensor]:
    """Prompts, each read once, as R rows that wait for their first token.

    Args:
        copies: rows for each prompt: one number, or one each.
        room: columns of the cache to write.

    Returns: the cache, logits (R, V) of the first token, and its place (R,).
    """
    cache, stream = Cache(), Stream.of(prompts, network.device)
    lengths = torch.tensor(stream.lengths, device=network.device)
    last = network.hidden_states(stream, cache)[stream.starts + lengths - 1]
    logits = network.logits(last).repeat_interleave(copies, 0)
    cache.spread(stream, copies, room)
    return cache, logits, lengths.repeat_interleave(copies)


def _sampled(row: list[int], stop_ids: set[int]) -> Sampled:
    kept = tuple(token for token in row if token >= 0)
    return Sampled(kept, bool(kept) and kept[-1] in stop_ids)
