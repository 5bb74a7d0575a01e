"""What a client may ask for, and a sentence for everything else: nothing that was asked for is ever left out silently."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prefloop.errors import UserError
from prefloop.records import Message

MOST_RESPONSES = 16
"""Responses to one request: they share one batch."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "stream": (False,), "stop": ([], ""), "tools": ([],), "tool_choice": ("none",), "functions": ([],), "presence_penalty": (0,),
    "frequency_penalty": (0,), "logprobs": (False,), "logit_bias": ({},), "response_format": ({"type": "text"},), "top_k": (0, -1),
}  # fmt: skip
"""Settings that clients send with a value that changes nothing -> those values."""
PROMPTS = ("messages", "model", "n", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed")


class Refusal(UserError):
    """What is not done, and why: `{"error": {"message", "type", "param", "code"}}` with an HTTP status."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


class Turn(BaseModel):
    """One message."""

    model_config = ConfigDict(strict=True, extra="forbid")
    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1)]


class Asked(BaseModel):
    """A request for responses."""

    model_config = ConfigDict(strict=True, extra="ignore")
    messages: Annotated[list[Turn], Field(min_length=1)]
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MOST_RESPONSES)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None

    @property
    def conversation(self) -> list[Message]:
        """The messages as records."""
        return [Message(role=turn.role, content=turn.content) for turn in self.messages]


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
        if key in PROMPTS or any(value == harmless for harmless in NEUTRAL.get(key, ())):
            continue
        raise Refusal(
            400,
            "unsupported",
            f"`{key[:60]}` is not supported here; leave it out. Known are: {', '.join(PROMPTS)}.",
            param=key[:60],
        )
    _one_limit(given)
    try:
        asked = Asked.model_validate(given)
    except ValidationError as problem:
        error = problem.errors()[0]
        place = ".".join(str(part) for part in error["loc"])
        raise Refusal(
            400, "invalid", f"`{place}`: {error['msg'].removeprefix('Value error, ')}.", param=place
        ) from None
    if asked.messages[-1].role != "user":
        message = f"The last message is the {asked.messages[-1].role}'s, but a prompt ends with the user's turn; send that last."
        raise Refusal(400, "invalid", message, param="messages")
    if any("\ud800" <= letter <= "\udfff" for turn in asked.messages for letter in turn.content):
        raise Refusal(
            400, "invalid", "A message holds half a character (a lone surrogate); remove it.", param="messages"
        )
    return asked


def _one_limit(given: dict[str, Any]) -> None:
    """`max_completion_tokens` is the newer name of `max_tokens`."""
    newer = given.pop("max_completion_tokens", None)
    if newer is not None and given.setdefault("max_tokens", newer) != newer:
        raise Refusal(
            400, "invalid", "`max_tokens` and `max_completion_tokens` differ; send one of them.", param="max_tokens"
        )
