"""What a client reads, in the shapes of OpenAI's API."""

import time
import uuid
from typing import Any

from prefloop.serve.engine import Reply


class Answer:
    """The answer to one request, whole or in chunks with the same id."""

    def __init__(self, model: str, fingerprint: str) -> None:
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        self._model, self._fingerprint = model, fingerprint

    def whole(self, reply: Reply) -> dict[str, Any]:
        """All responses, once they have ended."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": saying.text},
                "finish_reason": saying.reason,
                "logprobs": None,
            }
            for index, saying in enumerate(reply.sayings)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": reply.usage}

    def chunk(self, index: int, delta: dict[str, str], reason: str | None) -> dict[str, Any]:
        """What is new of one response."""
        choice = {"index": index, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage(self, reply: Reply) -> dict[str, Any]:
        """The last chunk, if it was asked for."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": reply.usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": self._fingerprint,
        }
