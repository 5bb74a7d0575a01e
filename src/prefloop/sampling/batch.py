"""The rollout engine: responses to many requests in one batch, which come and go between two tokens.

Shapes: R rows (responses in the making), V vocabulary.

- each prompt is read once, as part of a stream without padding, whatever the number K of its responses; on a CPU its
  keys and values are stored and met once too (`models.cache`);
- a row that has ended leaves at once, and a waiting prompt takes its place as far as the cache has room;
- a request's random numbers are its own, so what it is answered does not depend on who else is in the batch (but for
  rounding: a matrix product of more rows may differ in the last bit);
- the host looks at the tokens after each on a CPU, and after every few on an accelerator, which would wait for it: what
  a row says past its end in the meantime is thrown away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from prefloop.errors import UserError
from prefloop.models.cache import Cache, Prompts
from prefloop.models.decoding import Quick
from prefloop.models.network import Network
from prefloop.sampling.choosing import next_tokens
from prefloop.sampling.protocol import Sampled
from prefloop.sampling.room import Room
from prefloop.settings import SamplingConfig

PREFILL = 8192
"""Tokens of prompts that are read together."""
UNSEEN = 8
"""Tokens that an accelerator writes before the host looks at them."""


class Request:
    """Somebody who waits for responses to a prompt."""

    def __init__(self, prompt: Sequence[int], sampling: SamplingConfig, draws: Tensor) -> None:
        """Args: prompt: token ids, not empty. draws: (copies, max_new_tokens) uniform in [0, 1), a row for each
        response wanted."""
        self.prompt, self.sampling, self.draws = tuple(prompt), sampling, draws
        self.copies = len(draws)

    @classmethod
    def drawn(cls, prompt: Sequence[int], sampling: SamplingConfig, generator: torch.Generator, *, copies: int) -> Self:
        """With the generator's next random numbers. They come in the order of requests, so that many in turn get what
        one large draw would give them."""
        return cls(prompt, sampling, uniform(copies, sampling.max_new_tokens, generator))


def uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """(rows, columns) uniform in [0, 1), the numbers that choose tokens; drawn on the CPU."""
    return torch.rand(rows, columns, generator=generator, dtype=torch.float64).to(torch.float32)


@dataclass
class _Row:
    """A response in the making."""

    request: Request
    copy: int
    """which of the request's responses"""
    limit: int
    """most tokens"""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """A response that has been written."""

    request: Request
    copy: int
    """which of the request's responses"""
    sampled: Sampled


OnToken = Callable[[Request, int, int, bool], bool | None]
"""Called with a request, which of its responses, the token and whether the response ends by itself with it; False gives
it up."""


class Batch:
    """All responses that are being written."""

    def __init__(self, network: Network, room: Room, *, shared: bool = False, each_token: bool = False) -> None:
        """Args: room: bounds the cache. shared: prompts have several responses, so their keys are stored once where
        that can be done. each_token: listeners hear every token as it is written."""
        self.network, self.room = network, room
        self._quick = Quick.of(network)
        on_cpu = network.device.type == "cpu"
        self._unseen = 1 if on_cpu or each_token else UNSEEN
        self.shared = shared and on_cpu and self._quick is not None and not self._quick.windowed
        self._stops = frozenset(network.codec.stop_ids)
        self._start()

    def _start(self) -> None:
        """Nothing is in the batch, and nothing is kept."""
        self._rows: list[_Row] = []
        self._cache = Cache(shared=self.shared, room=self.room.tokens)
        device = self.network.device
        self._logits, self._draws = torch.empty(0, device=device), torch.empty(0, 0, device=device)
        self._steps = self._positions = torch.empty(0, dtype=torch.long, device=device)
        self._said: Tensor | None = None
        self._groups: list[tuple[SamplingConfig, Tensor | None]] = []

    def __len__(self) -> int:
        """R"""
        return len(self._rows)

    def takes(self, requests: Sequence[Request]) -> int:
        """How many of the waiting requests, first come first served, there is room for; one if nobody is there."""
        count, rows, longest = 0, len(self), self._longest()
        whole = {row.request: len(row.request.prompt) for row in self._rows} if self.shared else {}
        for request in requests:
            rows, longest = rows + request.copies, max(longest, self._columns(request))
            if self.shared:
                whole[request] = len(request.prompt)
            tokens = rows * longest + len(whole) * max(whole.values(), default=0)
            if (rows > self.room.rows or tokens > self.room.tokens) and (count or self._rows):
                return count
            count += 1
        return count

    def _longest(self, newcomers: Sequence[Request] = ()) -> int:
        """Most tokens that a row comes to hold, of those there are and of newcomers."""
        return max(map(self._columns, [*(row.request for row in self._rows), *newcomers]), default=0)

    def _columns(self, request: Request) -> int:
        """Tokens that each of its rows comes to hold; on an accelerator some past their end."""
        limit = self._limit(request) + self._unseen - 1
        return limit if self.shared else len(request.prompt) + limit

    def _limit(self, request: Request) -> int:
        return min(request.sampling.max_new_tokens, self.network.codec.context - len(request.prompt))

    @torch.inference_mode()
    def admit(self, requests: Sequence[Request]) -> None:
        """Reads the prompts of some requests; from now on they are in the batch.

        Raises: UserError if a prompt leaves no room for a response.
        """
        for request in requests:
            if self._limit(request) < 1:
                raise UserError(
                    f"a prompt has {len(request.prompt)} tokens, but the model's context is "
                    f"{self.network.codec.context}, response included. Shorten it or leave it out."
                )
        if not self._rows:
            self._start()  # what a long request needed is given back
        start = 0
        while start < len(requests):
            stop, tokens = start, 0
            while stop < len(requests) and (stop == start or tokens + len(requests[stop].prompt) <= PREFILL):
                tokens += len(requests[stop].prompt)
                stop += 1
            self._read(requests[start:stop])
            start = stop
        self._regroup()

    def _read(self, requests: Sequence[Request]) -> None:
        network, device = self.network, self.network.device
        copies = [request.copies for request in requests]
        prompts = Prompts.of([request.prompt for request in requests], device)
        lengths = torch.tensor(prompts.lengths, device=device)
        hidden = network.hidden_states(prompts, prompts) if self._quick is None else self._quick.hidden_states(prompts)
        last = hidden[prompts.starts + lengths - 1]
        self._cache.admit(prompts, copies, columns=self._longest(requests))
        each = torch.tensor(copies, device=device)
        logits = self._logits_of(last).repeat_interleave(each, 0)
        self._logits = torch.cat([self._logits, logits]) if self._rows else logits
        self._positions = torch.cat([self._positions, lengths.repeat_interleave(each)])
        self._steps = torch.cat([self._steps, torch.zeros(sum(copies), dtype=torch.long, device=device)])
        draws = [request.draws for request in requests]
        width = max([self._draws.shape[1], *(x.shape[1] for x in draws)])
        self._draws = torch.cat([pad(x.to(device), (0, width - x.shape[1])) for x in [self._draws, *draws]])
        self._said = self._said_by(requests, logits)
        self._rows += [_Row(r, copy, self._limit(r)) for r in requests for copy in range(r.copies)]

    def _said_by(self, requests: Sequence[Request], logits: Tensor) -> Tensor | None:
        """(R, V) True for tokens of each row's prompt and response so far; None if nobody is penalised for them."""
        if all(r.sampling.repetition_penalty == 1 for r in requests) and self._said is None:
            return None
        old = self._said
        if old is None:
            old = logits.new_zeros(len(self), logits.shape[1], dtype=torch.bool)
        new = logits.new_zeros(len(logits), logits.shape[1], dtype=torch.bool)
        for row, prompt in enumerate(r.prompt for r in requests for _ in range(r.copies)):
            new[row, list(prompt)] = True
        return torch.cat([old, new])

    @torch.inference_mode()
    def step(self, on_token: OnToken | None = None) -> list[Ended]:
        """One more token of every response (a few on an accelerator). Returns: those that have ended; they leave, as do
        those whose listener gives them up."""
        tokens, logprobs = [], []
        for turn in range(min(self._unseen, max(row.limit - len(row.tokens) for row in self._rows))):
            if turn:
                self._forward()
            self._new, said = self._chosen()
            self._steps = self._steps + 1
            tokens.append(self._new)
            logprobs.append(said)
        ended: list[Ended] = []
        kept: list[int] = []
        heard = zip(self._rows, torch.stack(tokens, 1).tolist(), torch.stack(logprobs, 1).tolist(), strict=True)
        for place, (row, new, new_logprobs) in enumerate(heard):
            finished = self._hear(row, new, new_logprobs, on_token)
            if finished is None:
                kept.append(place)
            else:
                ended.append(Ended(row.request, row.copy, Sampled(tuple(row.tokens), finished, tuple(row.logprobs))))
        if len(kept) < len(self._rows):
            self._keep(kept)
        if self._rows:
            self._forward()
        else:
            self._logits = torch.empty(0)
        return ended

    def _hear(self, row: _Row, tokens: list[int], logprobs: list[float], on_token: OnToken | None) -> bool | None:
        """Takes down what a row has said. Returns: whether it ended by itself; None if it goes on."""
        for token, logprob in zip(tokens, logprobs, strict=True):
            row.tokens.append(token)
            row.logprobs.append(logprob)
            by_itself = token in self._stops or stopped(
                self.network.codec.decode, row.tokens, row.request.sampling.stop
            )
            given_up = on_token is not None and on_token(row.request, row.copy, token, by_itself) is False
            if by_itself or given_up or len(row.tokens) == row.limit:
                return by_itself
        return None

    def _keep(self, kept: Sequence[int]) -> None:
        order = self._cache.keep(kept)
        self._rows = [self._rows[row] for row in order]
        index = torch.tensor(order, dtype=torch.long, device=self._positions.device)
        self._new, self._positions, self._steps = self._new[index], self._positions[index], self._steps[index]
        self._draws = self._draws[index]
        if self._said is not None:
            self._said = self._said[index]
        self._regroup()

    def _regroup(self) -> None:
        """Which rows are drawn by the same settings."""
        places: dict[SamplingConfig, list[int]] = {}
        for place, row in enumerate(self._rows):
            places.setdefault(row.request.sampling, []).append(place)
        alike = len(places) == 1
        device = self.network.device
        self._groups = [(s, None if alike else torch.tensor(rows, device=device)) for s, rows in places.items()]

    def _chosen(self) -> tuple[Tensor, Tensor]:
        """(R,) the next token of each row, by the settings of its own request, and (R,) its logprob."""
        column = self._steps.clamp(max=self._draws.shape[1] - 1)
        draws = self._draws.gather(1, column[:, None])[:, 0]
        if len(self._groups) == 1:
            return next_tokens(self._logits, draws, self._groups[0][0], said=self._said)
        new, logprobs = torch.empty_like(self._steps), torch.empty_like(draws)
        for sampling, rows in self._groups:
            said = None if self._said is None else self._said[rows]
            new[rows], logprobs[rows] = next_tokens(self._logits[rows], draws[rows], sampling, said=said)
        return new, logprobs

    def _forward(self) -> None:
        """Reads the new token of every row."""
        if self._said is not None:
            self._said.scatter_(1, self._new[:, None], True)
        if self._quick is not None:
            hidden = self._quick.next_hidden_states(self._new, self._positions, self._cache)
        else:
            places = self._positions.clamp(max=self.network.codec.context - 1)  # of rows past their end
            hidden = self.network.next_hidden_states(self._new, places, self._cache)
        self._logits = self._logits_of(hidden)
        self._positions = self._positions + 1
        self._cache.advance()

    def _logits_of(self, hidden: Tensor) -> Tensor:
        return self.network.logits(hidden) if self._quick is None else self._quick.logits(hidden)


def stopped(decode: Callable[[Sequence[int]], str], tokens: Sequence[int], stop: Sequence[str]) -> bool:
    """True if the last token brings one of the texts about."""
    if not stop:
        return False
    last = 4 * max(map(len, stop)) + 4  # a character has at most four tokens
    text = decode(tokens[-last:])
    return any(each in text for each in stop)
