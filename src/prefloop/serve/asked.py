"""What a client may ask for, and a sentence for everything else: nothing asked for is left out silently."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prefloop.config import should_be
from prefloop.errors import UserError
from prefloop.files.decoding import DECODER, KeyTwice, twice
from prefloop.records import Message

MOST_RESPONSES = 16
"""Responses to one request: they share one batch."""
MOST_STOPS, LONGEST_STOP = 16, 200
"""Stop texts of a request, and characters of each."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "tools": ([],), "tool_choice": ("none", "auto"), "functions": ([],), "presence_penalty": (0,),
    "frequency_penalty": (0,), "logprobs": (False,), "logit_bias": ({},),
    "response_format": ({"type": "text"},), "modalities": (["text"],), "store": (False,),
}  # fmt: skip
"""Settings that clients send with a value that changes nothing -> those values."""
ABOUT = ("user", "metadata", "parallel_tool_calls", "service_tier", "safety_identifier", "prompt_cache_key")
"""Settings that say who asks or how it is billed, and nothing about the response: taken, and not used."""
FIELDS = {"missing": "is needed", "extra_forbidden": "is not supported here; leave it out"}
"""What validation finds wrong with fields themselves, in words."""
SETTINGS = (
    "messages", "model", "n", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens",
    "max_completion_tokens", "seed", "stop", "stream", "stream_options",
)  # fmt: skip


class Refusal(UserError):
    """What is not done, and why: `{"error": {"message", "type", "param", "code"}}` with an HTTP status."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


class StreamOptions(BaseModel):
    """How a streamed response is sent."""

    model_config = ConfigDict(strict=True, extra="ignore")
    include_usage: bool = False


class Asked(BaseModel):
    """A request for responses."""

    model_config = ConfigDict(strict=True, extra="ignore")
    messages: Annotated[list[Message], Field(min_length=1)]
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MOST_RESPONSES)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]], Field(max_length=MOST_STOPS)
    ] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None


def parsed(body: bytes) -> Asked:
    """The request in a body. Raises: Refusal (400) with a sentence."""
    try:
        values = DECODER.decode(body.decode("utf-8-sig"))
    except KeyTwice as problem:
        raise Refusal(400, "invalid", f"In the body {twice(problem)}", param=str(problem)[:60]) from None
    except (ValueError, RecursionError):
        raise Refusal(400, "not_json", "The body is not JSON; send an object with `messages`.") from None
    if not isinstance(values, dict):
        raise Refusal(400, "not_json", f"The body is a {type(values).__name__}; send an object with `messages`.")
    given = {key: value for key, value in values.items() if value is not None}
    for key, value in given.items():
        if key in SETTINGS or key in ABOUT or any(value == harmless for harmless in NEUTRAL.get(key, ())):
            continue
        message = f"`{key[:60]}` is not supported here; leave it out. There are: {', '.join(SETTINGS)}."
        raise Refusal(400, "unsupported", message, param=key[:60])
    _joined_limit(given)
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]] if given["stop"] else []
    if given.get("top_k") == -1:
        given["top_k"] = 0
    if isinstance(given.get("messages"), list):
        turns = [_message(message, place) for place, message in enumerate(given["messages"])]
        given["messages"] = [turn for turn in turns if turn != {"role": "assistant", "content": ""}]
    try:
        asked = Asked.model_validate(given)
    except ValidationError as problem:
        error = problem.errors()[0]
        place = ".".join(str(part) for part in error["loc"])
        says = FIELDS.get(error["type"]) or should_be(error) or error["msg"].removeprefix("Value error, ")
        message = f"`{place}` {says}."
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


def _message(message: Any, place: int) -> Any:
    """A message of the API as one of ours: parts of text joined, `developer` is `system`, what is empty or only names
    who speaks left out. Raises: Refusal (400) if a part is no text, or it calls tools."""
    if not isinstance(message, dict):
        return message
    kept = {key: value for key, value in message.items() if value not in (None, [], {})}
    if isinstance(kept.get("name"), str):
        del kept["name"]  # whom a turn is by: no chat template here reads it
    for key in ("tool_calls", "function_call", "audio", "refusal"):
        if key in kept:
            text = f"`messages.{place}.{key}` is not supported here: a turn is text. Leave that turn out."
            raise Refusal(400, "unsupported", text, param=f"messages.{place}.{key}")
    kept.pop("annotations", None)
    if kept.get("role") == "developer":
        kept["role"] = "system"
    if isinstance(kept.get("content"), list):
        kept["content"] = "\n".join(_text(part, place) for part in kept["content"])
    return kept


def _text(part: Any, place: int) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return part["text"]
    kind = str(part.get("type") if isinstance(part, dict) else type(part).__name__)[:40]
    text = f"`messages.{place}.content` has a part of type `{kind}`; this model reads text only. Leave that part out."
    raise Refusal(400, "unsupported", text, param=f"messages.{place}.content")
