"""An endpoint that speaks OpenAI's API, asked over HTTP with what Python has.

A request is sent again after an error that may pass (429, 5xx, no connection, no answer), later each time and not
before the server's Retry-After; what will not pass (a wrong key, an unknown model) stops at once, in a sentence.
"""

import json
import math
import os
import threading
import urllib.error
from collections.abc import Callable, Mapping
from typing import Any

from prefloop.asking.answers import Answer, Question
from prefloop.asking.config import AskedConfig
from prefloop.asking.posting import Failed, passes, posted, retry_after, said, tried
from prefloop.errors import UserError

MOST_BYTES = 8_000_000
"""Of an answer that are read."""
NUM_TOP = 5
"""Likeliest first tokens that are asked for where they are to be told."""
TOO_LONG = ("context_length_exceeded", "context length", "maximum context", "too long", "context is")
FILTERED = ("content_filter", "content_policy", "content management policy")
"""How servers say that a question is longer than their model takes, and that their filter does not let it through."""


class Endpoint:
    """Where a model is asked. Threads may use it together."""

    def __init__(
        self,
        config: AskedConfig,
        model: str,
        *,
        stopped: threading.Event,
        allowed: Callable[[], None],
        logprobs: bool = False,
    ) -> None:
        """An endpoint, which is not reached for yet.

        Args:
            config: the settings, with a base_url.
            model: the model's name there.
            stopped: once it is set no further request is sent.
            allowed: called before each request; raises UserError where it is one too many.
            logprobs: whether it is to tell how likely its words are.
        """
        assert config.base_url is not None  # whoever has none reads a folder
        self._config, self._stopped, self._allowed, self._logprobs = config, stopped, allowed, logprobs
        self._model, self._word = model, config.WORD
        self.url = config.base_url.rstrip("/")
        self._key = os.environ.get(config.key_variable, "").strip()
        self._limit = "max_tokens"

    def answer(self, question: Question, seed: int) -> Answer:
        """Asks, as often as it takes. Raises: UserError if that does not help."""

        def once(before: int) -> Answer:
            self._allowed()
            return self._asked(question, seed, requests=before + 1)

        config = self._config
        try:
            return tried(once, retries=config.retries, backoff=config.backoff, pause=self._pause)
        except Failed as problem:
            self._pause(0.0)
            raise UserError(
                f"{self.url}: the {self._word} does not answer: {problem}, after {config.retries + 1} requests. Start "
                f"it, or check {self._word}.base_url; what was answered so far is kept, and the same command goes on "
                "from there."
            ) from None

    def _pause(self, seconds: float) -> None:
        """Waits. Raises: UserError if it is stopped meanwhile."""
        if self._stopped.wait(seconds):
            raise UserError(f"{self.url}: stopped while it was asked.")

    def _asked(self, question: Question, seed: int, *, requests: int) -> Answer:
        config = self._config
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": question.prompt}],
            "temperature": config.temperature,
            self._limit: config.max_new_tokens,
        }
        body |= {"seed": seed} if config.temperature > 0 else {}
        body |= {"logprobs": True, "top_logprobs": NUM_TOP} if self._logprobs else {}
        try:
            return _read(self._sent(body), requests)
        except urllib.error.HTTPError as problem:
            words, code = said(problem)
            if problem.code == 400 and "max_completion_tokens" in words and "max_tokens" in body:
                self._limit = "max_completion_tokens"  # how newer models call it
                raise Failed(words) from None
            return self._refused(problem, words, code, requests)

    def _sent(self, body: Mapping[str, Any]) -> bytes:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        url = f"{self.url}/chat/completions"
        return posted(url, body, headers=headers, timeout=self._config.timeout, most_bytes=MOST_BYTES)

    def _refused(self, problem: urllib.error.HTTPError, told: str, code: str, requests: int) -> Answer:
        """What an error of the server means. Raises: Failed if it may pass; UserError if not."""
        status, variable = problem.code, self._config.key_variable
        words = f"{self.url}: the {self._word} says {status}: {told}"
        if status in (401, 403):
            raise UserError(
                f"{words}. It takes the key in {variable} for wrong; set another."
                if self._key
                else f"{words}. It wants a key, and the variable {variable} is not set. Type: export {variable}=..., "
                f"or name another one with {self._word}.key_variable."
            )
        if code == "insufficient_quota":
            raise UserError(f"{words}. What was answered so far is kept; the same command goes on.")
        if passes(problem):
            raise Failed(f"{status} {told}", retry_after(problem))
        low = f"{code} {told}".lower()
        if status in (400, 413, 422) and any(mark in low for mark in FILTERED):
            return Answer("", requests=requests, failure="refused")
        if status in (400, 413, 422) and any(mark in low for mark in TOO_LONG):
            return Answer("", requests=requests, failure="too_long")
        if self._logprobs and "logprobs" in low:
            raise UserError(f"{words}. It does not tell how likely its words are; leave {self._word}.soft out.")
        raise UserError(f"{words}. Check {self._word}.base_url, which mostly ends in /v1, and {self._word}.model.")


def _read(reply: bytes, requests: int) -> Answer:
    """The answer in a reply. Raises: Failed if it holds none."""
    try:
        whole = json.loads(reply)
        choice = whole["choices"][0]
        message = choice["message"]
        text, usage = message.get("content"), whole.get("usage") or {}
        refused = bool(message.get("refusal")) or choice.get("finish_reason") == "content_filter"
        if not refused and not isinstance(text, str | None):
            raise TypeError
        counts = (int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
        logprobs = _first(choice.get("logprobs"))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise Failed("200, but no answer as OpenAI's API has it") from None
    said = message.get("refusal") if refused and not text else text
    failure, finished = "refused" if refused else "", choice.get("finish_reason") != "length"
    return Answer(said or "", logprobs, *counts, requests=requests, failure=failure, finished=finished)


def _first(logprobs: Any) -> dict[str, float] | None:
    """Letter -> nats, of the first token that can be a letter: of several that write the same one all together."""
    if not logprobs or not logprobs.get("content"):
        return None
    for place in logprobs["content"]:
        found: dict[str, float] = {}
        for each in place.get("top_logprobs") or [place]:
            letter, nats = str(each["token"]).strip().upper(), float(each["logprob"])
            if letter in ("A", "B", "C") and nats == nats:
                found[letter] = _added(found.get(letter, -math.inf), nats)
        if "A" in found or "B" in found:
            return found
    return None


def _added(a: float, b: float) -> float:
    """log(e^a + e^b)."""
    high = max(a, b)
    return high + math.log(sum(math.exp(x - high) for x in (a, b))) if high > -math.inf else high
