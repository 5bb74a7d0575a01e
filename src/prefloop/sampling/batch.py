"""Responses to many requests in one batch: requests come and go between two tokens (continuous batching).

Shapes: R rows (responses in the making), V vocabulary.

A request's random numbers are its own, drawn as `in_process.generate` draws them, so what it is answered does not
depend on who else is in the batch (but for rounding: a matrix product of more rows may differ in the last bit).
"""

from collections.abc import Callable, Sequence

import torch

from prefloop.models.cache import Cache
from prefloop.models.network import Network
from prefloop.sampling.choosing import next_tokens
from prefloop.sampling.in_process import prefilled, uniform
from prefloop.settings import SamplingConfig

ROOM = 64
"""Columns by which the cache grows."""


class Request:
    """Somebody who waits for responses to a prompt."""

    def __init__(self, prompt: Sequence[int], sampling: SamplingConfig, place: int, *, copies: int) -> None:
        """Args: prompt: token ids, not empty. place: decides every random number. copies: responses wanted."""
        self.prompt, self.sampling, self.copies = tuple(prompt), sampling, copies
        self.draws = uniform(copies, sampling.max_new_tokens, torch.Generator().manual_seed(place))
        """(copies, max_new_tokens) uniform in [0, 1)"""


OnToken = Callable[[Request, int, int, bool], bool]
"""Called with a request, which of its responses, the token and whether it ends it by itself; False gives it up."""


class Batch:
    """All responses that are being written."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._rows: list[tuple[Request, int]] = []
        self._steps: list[int] = []
        self._stops = frozenset(network.codec.stop_ids)
        self._cache, self._logits, self._positions = Cache(), torch.empty(0), torch.empty(0)

    def __len__(self) -> int:
        """R"""
        return len(self._rows)

    @torch.inference_mode()
    def admit(self, requests: Sequence[Request]) -> None:
        """Reads the prompts of some requests; from now on they are in the batch."""
        copies = torch.tensor([request.copies for request in requests], device=self.network.device)
        with self.network.placement.precision():
            prompts = [request.prompt for request in requests]
            cache, logits, positions = prefilled(self.network, prompts, copies, room=ROOM)
        if self._rows:
            self._cache.join(cache)
            logits, positions = torch.cat([self._logits, logits]), torch.cat([self._positions, positions])
        else:
            self._cache = cache
        self._logits, self._positions = logits, positions
        self._rows += [(request, row) for request in requests for row in range(request.copies)]
        self._steps += [0] * (len(self._rows) - len(self._steps))

    @torch.inference_mode()
    def step(self, on_token: OnToken) -> None:
        """One more token of every response. Those that have ended, or whose listener gives them up, leave."""
        new = self._chosen()
        kept = []
        for place, ((request, row), token) in enumerate(zip(self._rows, new.tolist(), strict=True)):
            self._steps[place] += 1
            ended = token in self._stops
            full = self._steps[place] == request.sampling.max_new_tokens
            if on_token(request, row, token, ended) and not ended and not full:
                kept.append(place)
        if len(kept) < len(self._rows):
            self._rows, self._steps = [self._rows[i] for i in kept], [self._steps[i] for i in kept]
            index = torch.tensor(kept, dtype=torch.long, device=new.device)
            new, self._positions = new[index], self._positions[index]
            self._cache.keep(index)
        if kept:
            self._cache.make_room(ROOM)
            with self.network.placement.precision():
                self._logits = self.network.logits(self.network.next_hidden_states(new, self._positions, self._cache))
            self._positions = self._positions + 1
            self._cache.advance()

    def _chosen(self) -> torch.Tensor:
        """(R,) the next token of each row, by the settings of its own request."""
        groups: dict[SamplingConfig, list[int]] = {}
        for place, (request, _) in enumerate(self._rows):
            groups.setdefault(request.sampling, []).append(place)
        draws = torch.stack([r.draws[row, step] for (r, row), step in zip(self._rows, self._steps, strict=True)])
        draws = draws.to(self._logits.device)
        new = torch.empty(len(self._rows), dtype=torch.long, device=self._logits.device)
        for sampling, places in groups.items():
            new[places] = next_tokens(self._logits[places], draws[places], sampling)
        return new
