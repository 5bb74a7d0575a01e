"""An endpoint that speaks OpenAI's API, asked over HTTP with what Python has.

A request is sent again after an error that may pass (429, 5xx, no connection, no answer), later each time and not
before the server's Retry-After; what will not pass (a wrong key, an unknown model) stops at once, in a sentence.
"""

import email.utils
import http.client
import json
import math
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from prefloop.asking.answers import Answer, Question
from prefloop.asking.config import AskedConfig
from prefloop.errors import UserError

LONGEST_WAIT, LONGEST_ASKED = 60.0, 600.0
"""Seconds between two requests at most: by ourselves, and where the server asks for it."""
MOST_BYTES = 8_000_000
"""Of an answer that are read."""
PASSING = (408, 409, 425, 429)
"""Status codes below 500 after which it is worth to ask again."""
NUM_TOP = 5
"""Likeliest first tokens that are asked for where they are to be told."""
TOO_LONG = ("context_length_exceeded", "context length", "maximum context", "too long", "context is")
FILTERED = ("content_filter", "content_policy", "content management policy")
"""How servers say that a question is longer than their model takes, and that their filter does not let it through."""


class Failed(Exception):
    """A request that came to nothing, but may not the next time."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        """Args: why: in words. wait: seconds that the server asks for."""
        super().__init__(why)
        self.wait = wait


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key is sent to nobody else."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        """None: the answer that points elsewhere is an error, whose code is shown."""


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
        self._open = urllib.request.build_opener(_NoRedirect).open
        self._limit = "max_tokens"

    def answer(self, question: Question, seed: int) -> Answer:
        """Asks, as often as it takes. Raises: UserError if that does not help."""
        why = ""
        for retry in range(self._config.retries + 1):
            self._allowed()
            try:
                return self._asked(question, seed, requests=retry + 1)
            except Failed as problem:
                why, asked = str(problem), problem.wait
            if retry < self._config.retries:
                wait = max(asked, min(self._config.backoff * 2**retry, LONGEST_WAIT))
                self._stopped.wait(wait)
            if self._stopped.is_set():
                raise UserError(f"{self.url}: stopped while it was asked.")
        raise UserError(
            f"{self.url}: the {self._word} does not answer: {why}, after {self._config.retries + 1} requests. Start "
            f"it, or check {self._word}.base_url; what was answered so far is kept, and the same command goes on from "
            "there."
        )

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
            said, code = _said(problem)
            if problem.code == 400 and "max_completion_tokens" in said and "max_tokens" in body:
                self._limit = "max_completion_tokens"  # how newer models call it
                raise Failed(said) from None
            return self._refused(problem, said, code, requests)

    def _sent(self, body: Mapping[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "prefloop"}
        headers |= {"Authorization": f"Bearer {self._key}"} if self._key else {}
        request = urllib.request.Request(f"{self.url}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with self._open(request, timeout=self._config.timeout) as reply:
                return reply.read(MOST_BYTES)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException) as problem:  # refused, unknown, timed out, cut off
            reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
            raise Failed(str(reason) or type(reason).__name__) from None

    def _refused(self, problem: urllib.error.HTTPError, said: str, code: str, requests: int) -> Answer:
        """What an error of the server means. Raises: Failed if it may pass; UserError if not."""
        status, variable = problem.code, self._config.key_variable
        words = f"{self.url}: the {self._word} says {status}: {said}"
        if status in (401, 403):
            raise UserError(
                f"{words}. It takes the key in {variable} for wrong; set another."
                if self._key
                else f"{words}. It wants a key, and the variable {variable} is not set. Type: export {variable}=..., "
                f"or name another one with {self._word}.key_variable."
            )
        if code == "insufficient_quota":
            raise UserError(f"{words}. What was answered so far is kept; the same command goes on.")
        if status in PASSING or status >= 500:
            raise Failed(f"{status} {said}", _retry_after(problem.headers.get("Retry-After", "")))
        told = f"{code} {said}".lower()
        if status in (400, 413, 422) and any(mark in told for mark in FILTERED):
            return Answer("", requests=requests, failure="refused")
        if status in (400, 413, 422) and any(mark in told for mark in TOO_LONG):
            return Answer("", requests=requests, failure="too_long")
        if self._logprobs and "logprobs" in told:
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


def _said(problem: urllib.error.HTTPError) -> tuple[str, str]:
    """The server's words for an error, and its code."""
    try:
        text = problem.read(20_000).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        error = json.loads(text)["error"]
        said, code = (error, "") if isinstance(error, str) else (error.get("message") or "", error.get("code") or "")
    except (ValueError, TypeError, KeyError, AttributeError):
        said, code = text, ""
    said = " ".join(str(said).split())[:300].rstrip(".")
    return said or problem.reason or http.client.responses.get(problem.code, ""), str(code)


def _retry_after(text: str) -> float:
    """Seconds: a number of them, or a date."""
    try:
        wait = float(text)
    except ValueError:
        when = email.utils.parsedate_tz(text)
        wait = email.utils.mktime_tz(when) - time.time() if when else 0.0
    return min(max(wait, 0.0), LONGEST_ASKED) if wait == wait else 0.0
