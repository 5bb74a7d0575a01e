"""A model server that does what a test wants: answers, is slow, breaks, or says nonsense."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Replies = Callable[[list[dict[str, str]], int], list[str]]
NAME = "secret-policy"


def numbered(messages: list[dict[str, str]], count: int) -> list[str]:
    """Responses that tell which turn and which of them they are."""
    turn = sum(message["role"] == "user" for message in messages)
    return [f"Reply {chr(97 + index)} in turn **{turn}**." for index in range(count)]


class ModelServer:
    """Listens on a port of its own until it is closed."""

    def __init__(self) -> None:
        self.replies: Replies = numbered
        self.broken: str = ""
        self.seconds = 0.0
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer.keys.append(self.headers["Authorization"])
                self.answer({"object": "list", "data": [] if outer.broken == "no_models" else [{"id": NAME}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.keys.append(self.headers["Authorization"])
                time.sleep(outer.seconds)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    outer.misbehave(self) if outer.broken else self.answer(outer.completion(body))

            def answer(self, value: Any, status: int = 200) -> None:
                self.raw(json.dumps(value).encode(), status)

            def raw(self, data: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """What OpenAI's API answers."""
        texts = self.replies(body["messages"], body["n"])
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for i, text in enumerate(texts)
        ]
        about = {"object": "chat.completion", "model": body["model"], "system_fingerprint": "f00"}
        return {**about, "choices": choices, "usage": {"completion_tokens": 7}}

    def misbehave(self, handler: Any) -> None:
        """As `broken` says."""
        if self.broken == "hangs":
            self.let_go.wait(60)
        elif self.broken == "drips":
            handler.send_response(200)
            handler.end_headers()
            while not self.let_go.wait(0.1):
                handler.wfile.write(b" ")
        elif self.broken == "huge":
            handler.send_response(200)
            handler.end_headers()
            for _ in range(100):
                handler.wfile.write(b" " * 1_000_000)
            handler.wfile.write(json.dumps(self.completion({"messages": [], "n": 2, "model": NAME})).encode())
        elif self.broken == "redirect":
            handler.send_response(302)
            handler.send_header("Location", "http://127.0.0.1:1/")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif self.broken.isdigit():
            handler.answer({"error": {"message": "secret words", "code": "x"}}, int(self.broken))
        elif self.broken == "too_long":
            handler.answer(
                {"error": {"message": "The messages have 70 tokens", "code": "context_length_exceeded"}}, 400
            )
        else:
            handler.raw(self.broken.encode())
