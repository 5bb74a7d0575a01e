"""A request over HTTP with what Python has: sent once, or again after an error that may pass.

What may pass is 429, 5xx, no connection, and no answer; it is sent again later each time, and not before the server's
Retry-After.
"""

import email.utils
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
LONGEST_WAIT, LONGEST_ASKED = 60.0, 600.0
"""Seconds between two requests at most: by ourselves, and where the server asks for it."""
PASSING = (408, 409, 425, 429)
"""Status codes below 500 after which it is worth to ask again."""


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


_OPEN = urllib.request.build_opener(_NoRedirect).open


def posted(url: str, body: Mapping[str, Any], *, headers: Mapping[str, str], timeout: float, most_bytes: int) -> bytes:
    """The answer to JSON that is posted.

    Args:
        headers: besides those of JSON.
        timeout: seconds without a sign of an answer after which it is given up.
        most_bytes: of an answer that are read.

    Raises: Failed without an answer; urllib.error.HTTPError for one that is an error.
    """
    told = {"Content-Type": "application/json", "User-Agent": "prefloop", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), told)
    try:
        with _OPEN(request, timeout=timeout) as reply:
            answer: bytes = reply.read(most_bytes)
            if len(answer) < min(most_bytes, int(reply.headers.get("Content-Length") or 0)):
                raise Failed("the connection was lost within its answer")
            return answer
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as problem:  # refused, unknown, timed out, cut off
        reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
        raise Failed(str(reason) or type(reason).__name__) from None


def tried(once: Callable[[int], T], *, retries: int, backoff: float, pause: Callable[[float], object]) -> T:
    """What `once` returns, which is told how often it was tried before, and tried again after `Failed`.

    Args:
        retries: how often at most.
        backoff: seconds before the first of these; each further one waits twice as long.
        pause: waits.

    Raises: Failed, the last one.
    """
    for before in range(retries):
        try:
            return once(before)
        except Failed as problem:
            pause(max(problem.wait, min(backoff * 2**before, LONGEST_WAIT)))
    return once(retries)


def passes(problem: urllib.error.HTTPError) -> bool:
    """Whether an error of a server may be over the next time."""
    return problem.code in PASSING or problem.code >= 500


def said(problem: urllib.error.HTTPError) -> tuple[str, str]:
    """The server's words for an error, and its code."""
    try:
        text = problem.read(20_000).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        error = json.loads(text)["error"]
        words, code = (error, "") if isinstance(error, str) else (error.get("message") or "", error.get("code") or "")
    except (ValueError, TypeError, KeyError, AttributeError):
        words, code = text, ""
    words = " ".join(str(words).split())[:300].rstrip(".")
    return words or problem.reason or http.client.responses.get(problem.code, ""), str(code)


def retry_after(problem: urllib.error.HTTPError) -> float:
    """Seconds that the server asks to wait: it says a number of them, or a date."""
    text = problem.headers.get("Retry-After", "")
    try:
        wait = float(text)
    except ValueError:
        when = email.utils.parsedate_tz(text)
        wait = email.utils.mktime_tz(when) - time.time() if when else 0.0
    return min(max(wait, 0.0), LONGEST_ASKED) if wait == wait else 0.0
