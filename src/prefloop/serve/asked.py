"""What a client may ask for, and a sentence for everything else: nothing asked for is left out silently."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prefloop.errors import UserError
from prefloop.records import Message

MOST_RESPONSES = 16
"""Responses to one request: they share one batch."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "stream": (False,), "stop": ([], ""), "tools": ([],), "tool_choice": ("none",), "functions": ([],),
    "presence_penalty": (0,), "frequency_penalty": (0,), "logprobs": (False,), "logit_bias": ({},),
    "response_format": ({"type": "text"},), "top_k": (0, -1),
}  # fmt: skip
"""Settings that clients send with a value that changes nothing -> those values."""
SETTINGS = ("messages", "model", "n", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed")


class Refusal(UserError):
    """What is not done, and why: `{"error": {"message", "type", "param", "code"}}` with an HTTP status."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


class Asked(BaseModel):
    """A request for responses."""

    model_config = ConfigDict(strict=True, extra="ignore")
    messages: Annotated[list[Message], Field(min_length=1)]
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MOST_RESPONSES)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None


def parsed(body: bytes) -> Asked:
    """The request in a body. Raises: Refusal (400) with a sentence."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "not_json", "The body is not JSON; send an object with `messages`.") from None
    if not isinstance(values, dict):
        raise Refusal(400, "not_json", f"The body is a {type(values).__name__}; send an object with `messages`.")
    given = {key: value for key, value in values.items() if value is not None}
    for key, value in given.items():
        if key in SETTINGS or any(value == harmless for harmless in NEUTRAL.get(key, ())):
            continue
        message = f"`{key[:60]}` is not supported here; leave it out. There are: {', '.join(SETTINGS)}."
        raise Refusal(400, "unsupported", message, param=key[:60])
    _joined_limit(given)
    try:
        asked = Asked.model_validate(given)
    except ValidationError as problem:
        error = problem.errors()[0]
        place = ".".join(str(part) for part in error["loc"])
        message = f"`{place}`: {error['msg'].removeprefix('Value error, ')}."
        raise Refusal(400, "invalid", message, param=place) from None
    role = asked.messages[-1].role
    if role != "user":
        message = f"The last message is the {role}'s, but a prompt ends with the user's turn; send that last."
        raise Refusal(400, "invalid", message, param="messages")
    return asked


def _joined_limit(given: dict[str, Any]) -> None:
    """`max_completion_tokens` is the newer name of `max_tokens`."""
    newer = given.pop("max_completion_tokens", None)
    if newer is not None and given.setdefault("max_tokens", newer) != newer:
        message = "`max_tokens` and `max_completion_tokens` differ; send only the first."
        raise Refusal(400, "invalid", message, param="max_tokens")
