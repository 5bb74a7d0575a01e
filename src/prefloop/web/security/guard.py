"""What stands before every route: headers, the size of bodies, and whether a write comes from our own page.

The cookie is SameSite=Lax; besides, a browser says where a request comes from (Sec-Fetch-Site, Origin), and only our
own page may write. A write of the API is JSON, which no form of another site can send. What is refused is logged.
"""

import contextlib
import ipaddress
import logging
import sys
import time
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prefloop.files.atomic import make_folder
from prefloop.web.config import WebConfig
from prefloop.web.errors import Refusal

log = logging.getLogger("prefloop.web")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE = ("GET", "HEAD", "OPTIONS")
JSON_TYPES = ("application/json", "application/x-ndjson")
FILE_TYPES = (*JSON_TYPES, "text/csv", "application/octet-stream")
"""Of what is brought in as a file. A browser sends none of these to another site unasked, as it does forms."""
_FILE = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILE_TYPES}
FILE_BODY = {"requestBody": {"required": True, "content": _FILE}}
"""How OpenAPI tells that a file is sent as it is."""
FORM = "application/x-www-form-urlencoded"
QUIET = 60.0
"""Seconds between two complaints that the log cannot be written."""
IMPORT = "/api/v1/import/"
"""Under it bodies may be as large as `max_import_mb`; they are never held in memory."""


Answer = Callable[[Request, int, str, str, dict[str, str]], Response]


class TooLarge(HTTPException):
    """A body is larger than allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(413, detail=f"This is larger than the {most} bytes allowed here. Send less at a time.")


def host_of(header: str) -> str:
    """A Host header's name, without the port."""
    name, colon, port = header.rpartition(":")
    return (name if colon and port.isdigit() else header).strip("[]")


def is_loopback(host: str) -> bool:
    """True for this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def believed(proxies: Sequence[str]) -> list[str]:
    """The networks of the servers in front, as uvicorn takes them: IPv4's also as a socket of IPv6 sees them."""
    networks = [ipaddress.ip_network(proxy) for proxy in proxies]
    mapped = [f"::ffff:{net.network_address}/{96 + net.prefixlen}" for net in networks if net.version == 4]
    return [*map(str, networks), *mapped]


class Guard:
    """ASGI middleware: refuses what must not come in, and puts the headers on what goes out."""

    def __init__(self, app: ASGIApp, config: WebConfig, answer: Answer) -> None:
        """Args: answer: makes the response to what is refused, of its status, code, sentence and headers."""
        self.app, self.config, self.answer = app, config, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = self.config.max_import_mb * 10**6 if scope["path"].startswith(IMPORT) else self.config.max_body_kb * 1000
        out = _with_headers(send, api=scope["path"].startswith("/api/"))
        problem = self._refused(scope, headers, most)
        if problem is not None:
            log_refusal(scope, problem)
            answer = self.answer(Request(scope), problem.status, problem.code, problem.message, {"Connection": "close"})
            await answer(scope, receive, out)
            return
        await self.app(scope, _counted(receive, most), out)

    def _refused(self, scope: Scope, headers: Headers, most: int) -> Refusal | None:
        """Why the request may not come in; None if it may."""
        host = host_of(headers.get("host", ""))
        if is_loopback(self.config.host) and not is_loopback(host) and host not in self.config.names:
            says = f"This page is not called {host[:80]}. Open it by the address that was printed, or set names=."
            return Refusal(421, "wrong_host", says)
        length = headers.get("content-length", "0")
        if not length.isdigit():
            return Refusal(400, "bad_length", "The Content-Length is not a number.")
        if int(length) > most:
            return Refusal(413, "too_large", f"This is larger than the {most} bytes allowed here. Send less at a time.")
        if scope["method"] in SAFE:
            return None
        if not headers.get("authorization", "").lower().startswith("bearer ") and not _is_ours(scope, headers):
            return Refusal(403, "cross_site", "This was sent by another site. Open the page itself and do it there.")
        return _wrong_type(scope, headers)


def _is_ours(scope: Scope, headers: Headers) -> bool:
    """True if the browser says that our own page sent this; a program that says nothing may send JSON, no form can."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return origin.partition("://")[2] == headers.get("host", "") and origin != "null"
    return site is not None or (not scope["path"].startswith(("/login", "/join")) and _is_json(headers))


def _type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(headers: Headers) -> bool:
    is_empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    return _type(headers) in JSON_TYPES or (not _type(headers) and is_empty)


def _wrong_type(scope: Scope, headers: Headers) -> Refusal | None:
    """What is wrong with the type of a body; None if nothing is."""
    kind, path = _type(headers), scope["path"]
    if _is_json(headers) or (path.startswith(IMPORT) and kind in FILE_TYPES):
        return None
    if path.startswith(IMPORT):
        return Refusal(415, "not_json", f"Send a file, with Content-Type: {', '.join(FILE_TYPES)}.")
    if path.startswith("/api/"):
        return Refusal(415, "not_json", "Send JSON, with Content-Type: application/json.")
    return None if kind == FORM else Refusal(415, "not_a_form", f"Send a form, with Content-Type: {FORM}.")


def _counted(receive: Receive, most: int) -> Receive:
    """The body, as long as it is not too large; a length that was not announced is counted."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise TooLarge(most)
        return message

    return counted


def _with_headers(send: Send, *, api: bool) -> Send:
    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            if api or "cache-control" not in headers:
                headers["Cache-Control"] = "no-store"
        await send(message)

    return out


# -- the log of what was refused --------------------------------------------------------------------------------------


def log_refusal(scope: Any, problem: Refusal) -> None:
    """One line: from where, what, why. Never a secret: paths of invitations are cut."""
    path = scope["path"]
    shown = "/join/..." if path.startswith("/join/") else path[:200]
    address = scope["client"][0] if scope.get("client") else "-"
    log.warning("refused %s %s %r from %s: %s", problem.status, scope["method"], shown, address, problem.code)


class LogFile(RotatingFileHandler):
    """The log's file; when it cannot be written the terminal is told so, in a line, once in a while."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._told = -QUIET

    def handleError(self, record: logging.LogRecord) -> None:
        """Says why nothing is logged, instead of a traceback for every line."""
        now = time.monotonic()
        if now - self._told < QUIET:
            return
        self._told = now
        with contextlib.suppress(OSError, ValueError):  # the terminal may be gone, or full, too
            print(f"web: the log cannot be written: {sys.exc_info()[1]}. The page goes on without it.", flush=True)


def log_to(folder: Path) -> None:
    """Keeps the log in `server.log`, five files of 2 MB at most."""
    make_folder(folder)
    handler = LogFile(folder / "server.log", maxBytes=2_000_000, backupCount=4, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
