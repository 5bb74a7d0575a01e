"""The sampler that decodes in this process: all prompts through one batch, as many at once as there is room for."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch

from prefloop.models.network import Network
from prefloop.sampling.batch import Batch, Request
from prefloop.sampling.protocol import Sampled
from prefloop.sampling.room import Room
from prefloop.settings import SamplingConfig

REFILL = 8
"""Newcomers are let in once they are one eighth of the batch, since to read a few prompts takes as long as to read
one."""


class InProcess:
    """The sampler that decodes in this process, with the policy's own weights."""

    def __init__(self, policy: Network) -> None:
        self.policy = policy

    def refresh(self, policy: Network) -> None:
        """From now on responses are those of `policy`, whose weights are read whenever `sample` is called."""
        self.policy = policy

    def sample(
        self, prompts: Sequence[Sequence[int]], sampling: SamplingConfig, place: int, *, copies: int = 1
    ) -> list[Sampled]:
        """See `protocol.Sampler`."""
        generator = torch.Generator().manual_seed(place)
        return generate(self.policy, prompts, sampling, generator=generator, copies=copies)


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
        sampling: temperature, cut-offs and length; a response ends where the model's context does, too.
        generator: source of randomness, on the CPU; advanced by exactly one draw of R x max_new_tokens numbers, of
            which row i gets the i-th part, whichever rows share its batch.
        copies: K, responses per prompt.
        on_token: for streaming one row: called with each token id as it is sampled; returning False stops.

    Returns: R = len(prompts) x copies responses, the K responses of a prompt together.
    Raises: UserError if a prompt leaves no room for a response.
    """
    room = Room.of(network, sampling.cache_tokens)
    batch = Batch(network, room, shared=copies > 1, each_token=on_token is not None)
    hear = None if on_token is None else lambda request, copy, token, ended: on_token(token)
    sampled: list[Sampled | None] = [None] * (len(prompts) * copies)
    first: dict[Request, int] = {}
    coming, waiting = _requests(prompts, sampling, generator, copies, most=room.rows), deque[Request]()
    while True:
        while len(waiting) < room.rows and (following := next(coming, None)) is not None:
            request, place = following
            first[request] = place
            waiting.append(request)
        count = batch.takes(waiting)
        if count and (count == len(waiting) or sum(waiting[i].copies for i in range(count)) * REFILL >= len(batch)):
            batch.admit([waiting.popleft() for _ in range(count)])
        if not len(batch):
            break
        for ended in batch.step(hear):
            sampled[first[ended.request] + ended.copy] = ended.sampled
    return [response for response in sampled if response is not None]


def _requests(
    prompts: Sequence[Sequence[int]], sampling: SamplingConfig, generator: torch.Generator, copies: int, *, most: int
) -> Iterator[tuple[Request, int]]:
    """A request for each prompt, several if there are more than `most` copies, and which response its first is."""
    place = 0
    for prompt in prompts:
        for start in range(0, copies, most):
            count = min(most, copies - start)
            yield Request.drawn(prompt, sampling, generator, copies=count), place
            place += count
