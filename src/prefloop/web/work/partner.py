"""The model server: it is asked for responses, and whatever it does, the page says so in a sentence and goes on.

Where it is, which model and which key are settings of the command line, so that nobody can point this server elsewhere
over the network. All of a message's requests share one deadline, an answer has a largest size, redirects are not
followed, few messages are asked about at a time, and no database transaction is open meanwhile. What the server said is
never logged, nor is the key.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from prefloop.errors import UserError
from prefloop.records import Response, Sampling
from prefloop.web.config import WebConfig
from prefloop.web.errors import Refusal

log = logging.getLogger("prefloop.web")
MOST_BYTES = 4_000_000
"""Of one answer."""
AT_ONCE, WAITING = 4, 12
"""Messages that are asked about at a time, and those that are here in all; each holds a thread."""
EACH = 2
"""Messages of one annotator that are here at a time: one that is sent again waits for the first."""
LONGEST_TEXT = 100_000
"""Letters of one response."""
LONGEST_SAMPLER = 200
CONTEXT = ("context_length_exceeded", "context length", "context window", "maximum context")
"""How servers say that a conversation is too long."""


@dataclass(frozen=True)
class Heard:
    """What the model said."""

    responses: tuple[Response, ...]
    sampling: Sampling


class Partner:
    """The policy under test, wherever it is served."""

    def __init__(self, config: WebConfig) -> None:
        """Raises: UserError if the environment variable of the key is not set, or the address is none."""
        try:
            httpx.URL(config.model_server)
        except httpx.InvalidURL:
            says = "model_server: this is not an address; give for instance http://127.0.0.1:8001/v1."
            raise UserError(says) from None
        self.url, self.chat, self._model = config.model_server, config.chat, config.model
        self._key = key_of(config)
        self._turns, self._places = threading.BoundedSemaphore(AT_ONCE), threading.BoundedSemaphore(WAITING)
        self._lock, self._here = threading.Lock(), Counter[int]()
        self._working: dict[int, threading.Lock] = {}

    @contextlib.contextmanager
    def place(self, user: int) -> Iterator[None]:
        """One message of an annotator at a time. Raises: Refusal (409, 503) if there are too many."""
        with self._lock:
            if self._here[user] >= EACH:
                raise Refusal(409, "chat_waits", "Your last message is still being answered. Wait for it.")
            if not self._places.acquire(blocking=False):
                says = "Many people are talking to the model just now. Try again in a moment."
                raise Refusal(503, "model_busy", says)
            self._here[user] += 1
            mine = self._working.setdefault(user, threading.Lock())
        try:
            with mine:
                yield
        finally:
            with self._lock:
                self._places.release()
                self._here[user] -= 1
                if not self._here[user]:
                    del self._here[user], self._working[user]

    def ask(self, messages: Sequence[dict[str, str]]) -> Heard:
        """Responses to a conversation. Raises: Refusal (422 too long; 502, 503, 504 the server fails)."""
        started = time.monotonic()
        if not self._turns.acquire(timeout=self.chat.seconds):
            raise _failed("model_busy", "too many messages at a time")
        try:
            left = self.chat.seconds - (time.monotonic() - started)
            return asyncio.run(self._within(messages, max(left, 0.0)))
        except TimeoutError:
            raise _failed("model_slow", "it took too long") from None
        except (httpx.HTTPError, OSError) as problem:
            raise _failed("model_down", type(problem).__name__) from None
        finally:
            self._turns.release()

    async def _within(self, messages: Sequence[dict[str, str]], seconds: float) -> Heard:
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        safe = self.url.startswith("https:")  # for http no certificates need to be read
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(headers=headers, timeout=None, trust_env=False, verify=safe) as client,
        ):
            return await self._responses(client, messages)

    async def _responses(self, client: httpx.AsyncClient, messages: Sequence[dict[str, str]]) -> Heard:
        """As many as are wanted; a server that gives one at a time is asked again."""
        model = self._model or await self._first_model(client)
        seed = random.SystemRandom().getrandbits(31)
        how = {"temperature": self.chat.temperature, "max_tokens": self.chat.max_tokens}
        wanted, heard = self.chat.responses, list[Response]()
        for attempt in range(wanted):
            lacking = wanted - len(heard)
            body = {"model": model, "messages": list(messages), "n": lacking, **how, "seed": seed + attempt}
            answer = await self._exchange(client, "POST", "/chat/completions", body)
            heard += _responses_of(answer, model)[:lacking]
            if len(heard) == wanted:
                break
        if not any(response.text.strip() for response in heard):
            says = "The model said nothing. What you wrote is kept; say it in other words, or try again."
            raise Refusal(502, "model_silent", says)
        sampling = Sampling(temperature=self.chat.temperature, max_new_tokens=self.chat.max_tokens, seed=seed)
        return Heard(tuple(heard), sampling)

    async def _first_model(self, client: httpx.AsyncClient) -> str:
        listed = await self._exchange(client, "GET", "/models")
        rows = listed.get("data") if isinstance(listed, dict) else None
        name = rows[0].get("id") if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
        if not isinstance(name, str) or not name:
            raise _broken("its list of models names none")
        return name

    async def _exchange(self, client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
        """An answer's JSON."""
        data = bytearray()
        async with client.stream(method, self.url + path, json=body) as answer:
            async for part in answer.aiter_raw():
                data += part
                if len(data) > MOST_BYTES:
                    raise _broken(f"an answer of more than {MOST_BYTES} bytes")
        if answer.status_code != 200:
            raise _unwilling(answer.status_code, bytes(data))
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _broken("an answer that is not JSON") from None


def key_of(config: WebConfig) -> str:
    """The key for the model server; empty if it wants none. Raises: UserError if its variable is not set."""
    if not config.model_key_env:
        return ""
    key = os.environ.get(config.model_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise UserError(
            f"model_key_env={config.model_key_env}: this environment variable holds no key. "
            "Set it, or leave model_key_env out."
        )
    return key


def _responses_of(answer: Any, model: str) -> list[Response]:
    """The responses of an answer. Raises: Refusal (502) if it has not the shape that OpenAI's API gives."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices:
        raise _broken("an answer without choices")
    fingerprint = answer.get("system_fingerprint")
    sampler = f"{model}@{fingerprint}" if isinstance(fingerprint, str) and fingerprint else model
    name, num_tokens = _storable(sampler)[:LONGEST_SAMPLER], _num_tokens(answer, len(choices))
    return [_response(choice, name, num_tokens) for choice in choices]


def _response(choice: Any, sampler: str, num_tokens: int) -> Response:
    message = choice.get("message") if isinstance(choice, dict) else None
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise _broken("a choice without a text, or with too long a one")
    finished = choice.get("finish_reason") == "stop"
    return Response(text=_storable(text), num_tokens=num_tokens, finished=finished, sampler=sampler)


def _num_tokens(answer: dict[str, Any], num_choices: int) -> int:
    """Tokens of the one response; 0, which is unknown, if several share the count."""
    usage = answer.get("usage")
    number = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return number if num_choices == 1 and type(number) is int and 0 <= number < 2**31 else 0


def _storable(text: str) -> str:
    """Without NUL and halves of characters, which no database keeps."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unwilling(status: int, data: bytes) -> Refusal:
    """What an answer that is none means."""
    said = data[:20_000].decode("utf-8", "replace").lower()
    if status in (400, 413, 422) and any(mark in said for mark in CONTEXT):
        return too_long()
    if status in (429, 503):
        return _failed("model_busy", f"HTTP {status}")
    return _broken(f"HTTP {status}")


def too_long() -> Refusal:
    """The conversation does not fit."""
    says = "The conversation is longer than the model can read. Say it shorter, or begin another."
    return Refusal(422, "chat_too_long", says)


LATER = "What you wrote is kept; try again in a moment."
FAILURES = {
    "model_down": (502, f"The model cannot be reached just now. {LATER}"),
    "model_slow": (504, f"The model took too long. {LATER}"),
    "model_busy": (503, f"The model has too much to do just now. {LATER}"),
    "model_broken": (
        502, "The model's server does not answer as it should. What you wrote is kept; tell whoever leads this project."
    ),
}  # fmt: skip
"""Code -> status, and what the annotator is told."""


def _failed(code: str, why: str) -> Refusal:
    """A failure of the server, whose reason goes to the log."""
    log.warning("model server: %s", why)
    return Refusal(FAILURES[code][0], code, FAILURES[code][1])


def _broken(why: str) -> Refusal:
    return _failed("model_broken", why)
