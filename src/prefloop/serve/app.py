"""The routes: GET /v1/models and POST /v1/chat/completions, and every error as a sentence in OpenAI's shape."""

import logging

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, Response

import prefloop
from prefloop.serve.asked import Refusal, parsed
from prefloop.serve.engine import Engine

MOST_BYTES = 4_000_000
"""Of a request's body."""
log = logging.getLogger("prefloop.serve")


def create_app(engine: Engine) -> FastAPI:
    """The API of one model, as an ASGI application."""
    app = FastAPI(title="prefloop serve", version=prefloop.__version__, openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/v1/models")
    def models() -> dict[str, object]:
        return engine.models()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> dict[str, object]:
        asked = parsed(await body_of(request))
        return await run_in_threadpool(engine.complete, asked)

    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(500, _broken)
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]
    )  # no other site may lead a browser here
    return app


async def body_of(request: Request) -> bytes:
    """The body. Raises: Refusal (413) if it is too large, (415) if it is not called JSON: other sites' forms cannot."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "not_json", "Send JSON, with Content-Type: application/json.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refusal(413, "too_large", f"The body is larger than the {MOST_BYTES} bytes allowed here. Send less.")
    return body


def sentence(status: int, code: str, message: str, *, param: str | None = None) -> Response:
    """An error in the shape that clients of OpenAI's API read."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status_code=status)


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
