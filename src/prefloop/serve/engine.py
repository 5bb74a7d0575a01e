"""A loaded policy that answers many requests at once: whoever asks joins the batch at the next token."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import jinja2
import torch

from prefloop.errors import UserError
from prefloop.models.checkpoint import FAULTS, in_words
from prefloop.models.network import Network
from prefloop.sampling.batch import Batch, Request
from prefloop.sampling.room import Room
from prefloop.seeds import seed_of
from prefloop.serve.asked import Asked, Refusal
from prefloop.serve.saying import Saying
from prefloop.settings import SamplingConfig

MOST_WAITING = 256
"""Requests that may wait for a place."""
LETTERS = 8
"""Characters for each token of the context that are tokenised first, to see whether a long prompt can fit."""
log = logging.getLogger("prefloop.serve")


@dataclass(frozen=True)
class Piece:
    """What is new of one response."""

    index: int
    """which of the request's responses"""
    text: str
    reason: str | None
    """why it ended, None while it grows; `error` if the model failed"""


class Reply:
    """A request's responses in the making."""

    def __init__(self, request: Request, sayings: list[Saying], tell: Callable[[Piece], None]) -> None:
        """Args: tell: called from the engine's thread with every piece."""
        self.request, self.sayings, self.tell = request, sayings, tell
        self.given_up = False
        self.running = request.copies
        """responses that have not ended"""

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of the prompt, of all responses, and of both."""
        counts = len(self.request.prompt), sum(len(saying.tokens) for saying in self.sayings)
        return {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)}


class Engine:
    """What answers, in a thread of its own."""

    def __init__(
        self,
        network: Network,
        *,
        name: str,
        fingerprint: str,
        max_tokens: int,
        max_rows: int,
        cache_tokens: int | None = None,
    ) -> None:
        """Args: fingerprint: of the policy's folder. max_tokens: most in a response, if a request does not say.
        max_rows: most responses in the making. cache_tokens: most tokens they hold, None for what memory allows."""
        self.network, self.name, self.fingerprint = network, name, fingerprint
        self.max_tokens = max_tokens
        self._room = replace(Room.of(network, cache_tokens), rows=max_rows)
        self.started = int(time.time())
        self._waiting: deque[Reply] = deque()
        self._writing: dict[Request, Reply] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="prefloop-serve", daemon=True).start()

    def model(self) -> dict[str, object]:
        """The one model that there is."""
        context = self.network.codec.context
        named = {"id": self.name, "object": "model", "created": self.started, "owned_by": "prefloop"}
        return {**named, "max_model_len": context}

    def submit(self, asked: Asked, tell: Callable[[Piece], None]) -> Reply:
        """Queues a request. Raises: Refusal (400 too long, 404 another model, 503 too many wait)."""
        if asked.model is not None:
            self.check_model(asked.model)
        prompt = self._prompt(asked)
        room = self.network.codec.context - len(prompt)
        sampling = SamplingConfig(
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            min_p=asked.min_p,
            repetition_penalty=asked.repetition_penalty,
            max_new_tokens=min(asked.max_tokens or self.max_tokens, room),
        )
        seed = random.SystemRandom().getrandbits(62) if asked.seed is None else asked.seed
        generator = torch.Generator().manual_seed(seed_of(seed, "serve.responses"))
        request = Request.drawn(prompt, sampling, generator, copies=asked.n)
        reply = Reply(request, [Saying(self.network.codec, asked.stop) for _ in range(asked.n)], tell)
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                message = f"{MOST_WAITING} requests are waiting already; ask again in a while."
                raise Refusal(503, "overloaded", message)
            self._waiting.append(reply)
            self._changed.notify()
        return reply

    def give_up(self, reply: Reply) -> None:
        """Nobody waits for a reply any more: its responses leave the batch at the next token."""
        with self._changed:
            reply.given_up = True
            if reply in self._waiting:
                self._waiting.remove(reply)

    def check_model(self, name: str) -> None:
        """Raises: Refusal (404) if there is no model of this name."""
        if name != self.name:
            message = f"There is no model called `{name[:120]}` here; there is `{self.name}`."
            raise Refusal(404, "model_not_found", message, param="model")

    def _run(self) -> None:
        batch = self._empty()
        while True:
            with self._changed:
                while not self._waiting and not len(batch):
                    self._changed.wait()
                newcomers = self._admitted(batch)
            try:
                if newcomers:
                    batch.admit([reply.request for reply in newcomers])
                batch.step(self._hear)
            except (*FAULTS, UserError) as problem:  # out of memory, above all; whatever it is, the next are answered
                log.error("serve: the model failed: %s: %s", type(problem).__name__, in_words(problem))
                failed, self._writing, batch = self._writing, {}, self._empty()
                for reply in failed.values():
                    reply.tell(Piece(0, in_words(problem), "error"))

    def _empty(self) -> Batch:
        return Batch(self.network, self._room, each_token=True)

    def _admitted(self, batch: Batch) -> list[Reply]:
        """Those who wait longest, as far as there is room; somebody is always let in."""
        count = batch.takes([reply.request for reply in self._waiting])
        newcomers = [self._waiting.popleft() for _ in range(count)]
        self._writing |= {reply.request: reply for reply in newcomers}
        return newcomers

    def _hear(self, request: Request, row: int, token: int, ended: bool) -> bool:
        reply = self._writing[request]
        saying = reply.sayings[row]
        full = len(saying.tokens) + 1 == request.sampling.max_new_tokens
        text = saying.hear(token, ended=ended, full=full)
        goes_on = saying.reason is None and not reply.given_up
        if not goes_on:
            reply.running -= 1
        if not reply.running:
            del self._writing[request]
        if text or saying.reason:
            reply.tell(Piece(row, text, saying.reason))
        return goes_on

    def _prompt(self, asked: Asked) -> list[int]:
        codec = self.network.codec
        try:
            text = codec.prompt_text(asked.messages)
        except (UserError, jinja2.TemplateError) as problem:  # templates refuse what the model was not trained on
            message = f"The model's chat template does not take these messages: {str(problem)[:200]}"
            raise Refusal(400, "template", message, param="messages") from None
        begins = text[: LETTERS * codec.context]
        if len(begins) < len(text):  # a book is not tokenised to be told that it is too long
            num = len(codec.tokenizer.encode(begins, add_special_tokens=False))
            if num > codec.context:
                raise self._too_long(f"more than {num} tokens")
        prompt = codec.prompt_ids(asked.messages)
        if not prompt:
            raise Refusal(400, "invalid", "The messages make no tokens at all; send some text.", param="messages")
        if len(prompt) >= codec.context:
            raise self._too_long(f"{len(prompt)} tokens")
        return prompt

    def _too_long(self, size: str) -> Refusal:
        message = (
            f"The messages have {size}, but the model's context is {self.network.codec.context}, response included. "
            "Send fewer or shorter ones."
        )
        return Refusal(400, "context_length_exceeded", message, param="messages")
