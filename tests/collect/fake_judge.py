"""A judge's endpoint of the tests' own: a server with as much of OpenAI's API as is needed, which fails on demand."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ("yes", "no, never", "i am sorry to hear that", "your parcel is on its way to you")
"""Responses that are judged, each longer than the one before."""
Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Behaviour = Callable[[dict[str, Any], int], Reply]
"""From a request's body, and how many came before it, to a status, a body and headers."""


def said(text: str | None, *, logprobs: dict[str, float] | None = None, **message: Any) -> Reply:
    """A whole answer, for which 100 tokens were read and 2 written."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text, **message}}
    if logprobs is not None:
        top = [{"token": token, "logprob": nats} for token, nats in logprobs.items()]
        choice["logprobs"] = {"content": [{"token": text, "logprob": 0.0, "top_logprobs": top}]}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 2}}


def failed(status: int, message: str, code: str = "", **headers: str) -> Reply:
    """An error as OpenAI's API has it."""
    return status, {"error": {"message": message, "code": code}}, headers


def shown(body: dict[str, Any]) -> tuple[str, str]:
    """The two responses in a request, A and B."""
    text = body["messages"][-1]["content"]
    left, right = text.split("[Response A]\n")[1].split("\n\n[Response B]\n")
    return left, right.split("\n\n[End]")[0]


def longer(body: dict[str, Any], number: int) -> Reply:
    """A judge that takes the longer response, and of equal ones the one that comes first in the alphabet."""
    left, right = shown(body)
    return said("A" if (len(left), right) > (len(right), left) else "B")


class FakeJudge:
    """What was asked, and how it answers."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour, self.lock = behaviour, threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most = self.under_way = 0
        self.url = ""


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[FakeJudge]:
    """Runs it in a thread, on a port of its own."""
    fake = FakeJudge(behaviour)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                number = len(fake.bodies)
                fake.bodies.append(body)
                fake.headers.append(dict(self.headers))
                fake.under_way += 1
                fake.most = max(fake.most, fake.under_way)
            try:
                status, reply, *headers = fake.behaviour(body, number)
            finally:
                with fake.lock:
                    fake.under_way -= 1
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Says nothing: a client that waits no longer is what is tested."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
