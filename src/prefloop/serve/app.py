"""The routes: GET /v1/models and POST /v1/chat/completions, and every error as a sentence in OpenAI's shape."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

import prefloop
from prefloop.serve.answers import Answer
from prefloop.serve.asked import Refusal, parsed
from prefloop.serve.engine import Engine, Piece, Reply

MOST_BYTES = 4_000_000
"""Of a request's body."""
HOSTS = ("127.0.0.1", "localhost")
log = logging.getLogger("prefloop.serve")


def create_app(engine: Engine) -> FastAPI:
    """The API of one model, as an ASGI application."""
    app = FastAPI(title="prefloop serve", version=prefloop.__version__, openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/v1/models")
    def models() -> dict[str, object]:
        return {"object": "list", "data": [engine.model()]}

    @app.get("/v1/models/{name:path}")
    def model(name: str) -> dict[str, object]:
        engine.check_model(name)
        return engine.model()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        asked = parsed(await body_of(request))
        pieces: asyncio.Queue[Piece] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(piece: Piece) -> None:
            with contextlib.suppress(RuntimeError):  # the server is being stopped
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        reply = await run_in_threadpool(engine.submit, asked, tell)
        answer = Answer(engine.name, engine.fingerprint)
        if asked.stream:
            lines = streamed(engine, reply, pieces, answer, with_usage=asked.stream_options.include_usage)
            return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        return await whole(engine, reply, pieces, answer, request)

    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(500, _broken)
    app.add_middleware(KnownHost)
    return app


class KnownHost:
    """Answers only to this machine's own names, so that no other site can lead a browser here."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses (400) a request to another host name."""
        host = dict(scope.get("headers", [])).get(b"host", b"").decode("latin-1")
        if scope["type"] == "http" and host.partition(":")[0] not in HOSTS:
            message = f"This server does not answer to the name `{host[:100]}`; ask 127.0.0.1 or localhost."
            await sentence(400, "wrong_host", message)(scope, receive, send)
            return
        await self.app(scope, receive, send)


async def whole(
    engine: Engine, reply: Reply, pieces: asyncio.Queue[Piece], answer: Answer, request: Request
) -> Response:
    """The answer once all responses have ended; whoever has hung up is not answered any further."""
    running = reply.request.copies
    gone = asyncio.ensure_future(_gone(request))
    try:
        while running:
            coming = asyncio.ensure_future(pieces.get())
            await asyncio.wait((coming, gone), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return Response(status_code=499)  # nobody reads it
            piece = coming.result()
            if piece.reason == "error":
                return sentence(500, "model_failed", f"The model failed: {piece.text}")
            running -= piece.reason is not None
        return JSONResponse(answer.whole(reply))
    finally:
        gone.cancel()
        engine.give_up(reply)


async def _gone(request: Request) -> None:
    """Returns once the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def streamed(
    engine: Engine, reply: Reply, pieces: asyncio.Queue[Piece], answer: Answer, *, with_usage: bool
) -> AsyncIterator[str]:
    """The answer as events, piece by piece."""
    running = reply.request.copies
    try:
        for index in range(running):
            yield _event(answer.chunk(index, {"role": "assistant", "content": ""}, None))
        while running:
            piece = await pieces.get()
            if piece.reason == "error":
                yield _event(problem_of(500, "model_failed", f"The model failed: {piece.text}"))
                return
            if piece.text:
                yield _event(answer.chunk(piece.index, {"content": piece.text}, None))
            if piece.reason is not None:
                running -= 1
                yield _event(answer.chunk(piece.index, {}, piece.reason))
        if with_usage:
            yield _event(answer.usage(reply))
        yield "data: [DONE]\n\n"
    finally:
        engine.give_up(reply)  # changes nothing for what has ended


def _event(value: object) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


async def body_of(request: Request, *, most: int = MOST_BYTES) -> bytes:
    """The body, of at most so many bytes.

    Raises: Refusal (413) if it is too large, (415) if it is not called JSON: other sites' forms cannot.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "not_json", "Send JSON, with Content-Type: application/json.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise Refusal(413, "too_large", f"The body is larger than the {most} bytes allowed here. Send less.")
    return body


def sentence(status: int, code: str, message: str, *, param: str | None = None) -> Response:
    """An error in the shape that clients of OpenAI's API read."""
    return JSONResponse(problem_of(status, code, message, param=param), status_code=status)


def problem_of(status: int, code: str, message: str, *, param: str | None = None) -> dict[str, object]:
    """What an error's body holds."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Refusal)
    return sentence(problem.status, problem.code, str(problem), param=problem.param)


def _http(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    here = "There are GET /v1/models and POST /v1/chat/completions."
    return sentence(
        problem.status_code, "not_found" if problem.status_code == 404 else "wrong_method", f"{problem.detail}. {here}"
    )


def _broken(request: Request, problem: Exception) -> Response:
    log.error("broken: %s %s", request.method, request.url.path, exc_info=problem)
    return sentence(500, "broken", "Something is broken on the server; its output tells what.")
