"""A reward model over HTTP: POST /get_reward, so that another prefloop is paid by it with reward=http://...

    {"messages": [[{"role", "content"}, ...], ...], "tags": [[...], ...]}    ->    {"rewards": [...]}

Each conversation ends with the assistant's turn, the response. Other keys of a request are not read: OpenRLHF's `query`
is text in somebody else's template.
"""

import threading

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

import prefloop
from prefloop.errors import RowRefused
from prefloop.records import Message
from prefloop.records.conversations import Role
from prefloop.scoring.protocol import Scorer
from prefloop.serve.app import KnownHost, body_of, sentence
from prefloop.serve.asked import Refusal

PATH = "/get_reward"
MOST_BYTES = 64_000_000
"""Of a request: a batch of responses, each as often as the request says it, other scripts in six bytes a letter."""
HINT = 'Send {"messages": [...]}, of each response its conversation as role and content, which ends with the assistant.'


class Turn(BaseModel):
    """A turn as it is sent; a response may be empty."""

    model_config = ConfigDict(strict=True, extra="ignore")
    role: Role
    content: str


class Asked(BaseModel):
    """A request for scores."""

    model_config = ConfigDict(strict=True, extra="ignore")
    messages: list[list[Turn]] = Field(min_length=1)
    tags: list[list[str]] = []


def create_scoring_app(judge: Scorer) -> FastAPI:
    """The API of one reward model, as an ASGI application."""
    app = FastAPI(title="prefloop serve", version=prefloop.__version__, openapi_url=None, docs_url=None, redoc_url=None)
    one_at_a_time = threading.Lock()

    def scored(asked: Asked) -> list[float]:
        prompts = [
            [Message.model_construct(role=t.role, content=t.content) for t in talk[:-1]] for talk in asked.messages
        ]
        tags = asked.tags or [[] for _ in prompts]
        with one_at_a_time:
            return judge.detailed(prompts, [talk[-1].content for talk in asked.messages], tags).scores.tolist()

    @app.post(PATH)
    async def get_reward(request: Request) -> Response:
        asked = parsed(await body_of(request, most=MOST_BYTES))
        try:
            return JSONResponse({"rewards": await run_in_threadpool(scored, asked)})
        except RowRefused as problem:
            raise Refusal(400, "invalid", str(problem)) from None

    def refused(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, Refusal)
        return sentence(problem.status, problem.code, str(problem), param=problem.param)

    def elsewhere(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        return sentence(problem.status_code, "not_found", f"{problem.detail}. A reward model only scores: POST {PATH}.")

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, elsewhere)
    app.add_middleware(KnownHost)
    return app


def parsed(body: bytes) -> Asked:
    """The request in a body. Raises: Refusal (400) with a sentence."""
    try:
        asked = Asked.model_validate_json(body)
    except ValidationError as problem:
        error = problem.errors()[0]
        place = ".".join(str(part) for part in error["loc"])
        message = f"`{place or 'the body'}`: {error['msg']}. {HINT}"
        raise Refusal(400, "invalid", message, param=place or None) from None
    ends = [place for place, talk in enumerate(asked.messages) if len(talk) < 2 or talk[-1].role != "assistant"]
    if ends or (asked.tags and len(asked.tags) != len(asked.messages)):
        place = f"messages.{ends[0]}" if ends else "tags"
        raise Refusal(400, "invalid", f"`{place}` is not as it should be. {HINT}", param=place)
    return asked
