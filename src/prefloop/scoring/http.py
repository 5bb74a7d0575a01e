"""A server as a scorer: prompts and responses as JSON in, one number for each out, as OpenRLHF has it.

    POST {"query": [...], "prompts": [...], "labels": [...], "responses": [...], "messages": [...], "tags": [...]}
    ->   {"rewards": [...]}                  one of each for each response; other keys of the answer are not read

It may be away, slow or wrong: what may pass is asked again, and all else ends in a sentence with its address.
"""

import itertools
import json
import time
import urllib.error
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import torch

from prefloop.asking.posting import Failed, passes, posted, retry_after, said, tried
from prefloop.errors import UserError
from prefloop.scoring.protocol import Conversation, Scored, Tags, joined
from prefloop.scoring.said import scored
from prefloop.scoring.seconds import TooLong, limited

TOO_LARGE = 413
"""What a server says of a request that is larger than it takes."""

BATCH, RETRIES, BACKOFF = 256, 5, 1.0
"""Responses in a request, how often it is sent again, and seconds before the first time, unless a setting says
otherwise."""
BYTES_EACH, BYTES_MORE = 100_000, 1_000_000
"""Of an answer that are read: for each response, and besides."""


class HTTPReward:
    """A server that gives numbers."""

    def __init__(
        self, url: str, *, seconds: float, batch: int = BATCH, retries: int = RETRIES, backoff: float = BACKOFF
    ) -> None:
        """A server, which is not reached for yet.

        Args:
            url: where it is asked, with its path.
            seconds: how long a request may take.
            batch: responses in a request at most.
            retries: how often one is sent again after an error that may pass.
            backoff: seconds before the first of these; each further one waits twice as long.

        Raises: UserError if that is no address.
        """
        check_address(url)
        self.name, self._seconds, self._batch, self._retries, self._backoff = url, seconds, batch, retries, backoff

    @property
    def tells_outliers(self) -> bool:
        """It does not tell what is unusual to it."""
        return False

    def score(self, prompts: Sequence[Conversation], responses: Sequence[str]) -> torch.Tensor:
        """(B,) what the server said. Raises: see `detailed`."""
        return self.detailed(prompts, responses).scores

    def detailed(self, prompts: Sequence[Conversation], responses: Sequence[str], tags: Tags = ()) -> Scored:
        """The numbers, and where they are paid. Raises: UserError if the server is away, or says something else."""
        rows = list(itertools.zip_longest(prompts, responses, tags or [()] * len(responses)))
        parts = [self._asked(rows[i : i + self._batch]) for i in range(0, len(rows), self._batch)]
        return joined(parts)

    def _asked(self, rows: Sequence[tuple[Conversation, str, Sequence[str]]]) -> Scored:
        responses = [response for _, response, _ in rows]
        try:
            reply = tried(
                lambda before: self._sent(_body(rows), len(rows)),
                retries=self._retries,
                backoff=self._backoff,
                pause=time.sleep,
            )
        except Failed as problem:
            raise UserError(
                f"{self.name}: the reward server does not answer: {problem}, after {self._retries + 1} requests. Start "
                "it, or check the address; then the same command goes on from the last checkpoint."
            ) from None
        return scored(_rewards(reply, self.name), responses, name=self.name)

    def _sent(self, body: dict[str, Any], num: int) -> bytes:
        """The answer to a request. Raises: Failed if it may be another the next time; UserError if not."""
        most = BYTES_MORE + BYTES_EACH * num
        try:
            with limited(self._seconds):
                return self._posted(body, most)
        except TooLong:
            raise UserError(
                f"{self.name}: the reward server took longer than {self._seconds:g} seconds for {num} responses. Give "
                "it more time with reward_seconds, or fewer at once with reward_batch."
            ) from None

    def _posted(self, body: dict[str, Any], most: int) -> bytes:
        """The answer; an error's words too are read within the time."""
        try:
            return posted(self.name, body, headers={}, timeout=self._seconds + 1, most_bytes=most)
        except urllib.error.HTTPError as problem:
            words, _ = said(problem)
            if passes(problem):
                raise Failed(f"it says {problem.code}: {words}", retry_after(problem)) from None
            remedy = "Lower reward_batch" if problem.code == TOO_LARGE else "Check the address and its path"
            raise UserError(f"{self.name}: the reward server says {problem.code}: {words}. {remedy}.") from None


def _body(rows: Sequence[tuple[Conversation, str, Sequence[str]]]) -> dict[str, Any]:
    """What is sent of some responses."""
    prompts = ["\n".join(message.content for message in prompt) for prompt, _, _ in rows]
    responses = [response for _, response, _ in rows]
    said = [
        [*({"role": m.role, "content": m.content} for m in prompt), {"role": "assistant", "content": response}]
        for prompt, response, _ in rows
    ]
    return {
        "query": [f"{prompt}\n{response}" for prompt, response in zip(prompts, responses, strict=True)],
        "prompts": prompts,
        "labels": [""] * len(rows),
        "responses": responses,
        "messages": said,
        "tags": [list(tags) for _, _, tags in rows],
    }


def _rewards(reply: bytes, name: str) -> list[Any]:
    """The list in an answer. Raises: UserError if there is none."""
    try:
        rewards = json.loads(reply)["rewards"]
    except (ValueError, TypeError, KeyError, RecursionError):
        rewards = None
    if not isinstance(rewards, list):
        text = " ".join(reply[:200].decode("utf-8", errors="replace").split())[:80]
        raise UserError(
            f'{name}: the reward server said {text!r}, not {{"rewards": [...]}} with one number for each response. '
            "Check the address, or mend the server."
        )
    return rewards


def check_address(url: str) -> None:
    """Raises: UserError if that is no address of a server."""
    try:
        parts = urlsplit(url)
        host, _, secret = parts.hostname, parts.port, parts.username is not None
    except ValueError:
        host, secret = None, False
    if secret:
        raise UserError(
            "reward: an address with a name or a password in it would be written into the run's folder. Leave them out."
        )
    if not host or any(letter.isspace() for letter in url):
        raise UserError(
            f"{url}: this is no address. Write http://HOST:PORT/PATH, such as http://127.0.0.1:5000/get_reward."
        )
