"""A client for programs: judges (simulated or models), pipelines that export, scripts that bring in.

    with Client("http://127.0.0.1:8765", token="pl_...") as client:
        for presentation in client.lease(3):
            client.judge(presentation["id"], {"choice": "left", "strength": 2}, active_seconds=4.2)
        preferences = list(client.export("preferences", aggregate="dawid_skene"))

Whatever can pass (no connection, 429, 5xx) is sent again with the same idempotency key, so that nothing is kept twice.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from prefloop.errors import UserError
from prefloop.files.atomic import write_bytes
from prefloop.files.outputs import output

PASSING = (408, 423, 425, 429, 500, 502, 503, 504)


class Refused(UserError):
    """The server said no, and would again."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message or f"the server answered {status}")
        self.status, self.code = status, code


class Client:
    """A signed connection to one project."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        tries: int = 6,
        first_wait: float = 0.5,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Args: tries: how often a request is sent at most; first_wait: seconds before the second, then doubled."""
        headers, base = {"Authorization": f"Bearer {token}", "Accept": "application/json"}, f"{url.rstrip('/')}/api/v1"
        self._http = httpx.Client(base_url=base, headers=headers, timeout=timeout, transport=transport)
        self._tries, self._first_wait, self._sleep = tries, first_wait, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()

    # -- judging ------------------------------------------------------------------------------------------------------

    def me(self) -> dict[str, Any]:
        """Who the token is."""
        return self._json("GET", "/me")

    def lease(self, count: int = 1, *, purpose: str = "work") -> list[dict[str, Any]]:
        """Presentations to judge; none if there is no work."""
        return self._json("POST", "/leases", body={"count": count, "purpose": purpose})["presentations"]

    def judge(
        self, presentation: str, answer: dict[str, Any], *, active_seconds: float = 0.0, comment: str = "",
        id: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Sends a judgement, once however often it is sent."""
        body = {"id": id or str(uuid.uuid4()), "presentation": presentation, "answer": answer}
        return self._json("POST", "/judgements", body={**body, "active_seconds": active_seconds, "comment": comment})

    def skip(self, presentation: str, reason: str, comment: str = "") -> dict[str, Any]:
        """Gives an item back to others."""
        return self._json("POST", f"/presentations/{presentation}/skip", body={"reason": reason, "comment": comment})

    # -- leading ------------------------------------------------------------------------------------------------------

    def quality(self) -> dict[str, Any]:
        """Agreement of the project, and a report of each annotator."""
        return self._json("GET", "/lead/quality")

    def dashboard(self) -> dict[str, Any]:
        """Progress, pace, tags, forecast."""
        return self._json("GET", "/lead/dashboard")

    def arena(self, **options: float) -> dict[str, Any]:
        """Who wins, and how certain that is."""
        return self._json("GET", "/lead/arena", query=options)

    def choose(self, num: int, **options: Any) -> dict[str, Any]:
        """Chooses what to ask next."""
        return self._json("POST", "/lead/selection", body={"num": num, **options})

    def export(self, what: str, *, aggregate: str = "majority", form: str = "prefloop") -> Iterator[dict[str, Any]]:
        """Rows of an outcome: preferences, rankings, ratings, thumbs, demonstrations, edits."""
        answer = self._send("GET", f"/export/{what}", {}, params={"aggregate": aggregate, "form": form})
        for line in answer.text.splitlines():
            yield json.loads(line)

    def download(
        self, path: str | Path, *, aggregate: str = "majority", form: str = "prefloop", format: str = "jsonl"
    ) -> int:
        """Writes the ZIP of everything, to a file that is new or was written so before. Returns: its bytes."""
        with output(path, otherwise="Choose another file.") as new:
            query = {"aggregate": aggregate, "form": form, "format": format}
            answer = self._send("GET", "/export/bundle", {}, params=query)
            write_bytes(new, answer.content)
        return len(answer.content)

    def bring_in(self, path: str | Path, *, source: str = "tickets", on_bad: str = "stop") -> dict[str, Any]:
        """Brings in a file of tickets or another tool's export."""
        return self._file("/import/rows", Path(path), {"source": source, "on_bad": on_bad})

    def bring_in_scores(self, path: str | Path, *, model: str, on_bad: str = "stop") -> dict[str, Any]:
        """Brings in a reward model's scores."""
        return self._file("/import/scores", Path(path), {"model": model, "on_bad": on_bad})

    def bring_in_arena(self, path: str | Path, *, wanted: int = 1, on_bad: str = "stop") -> dict[str, Any]:
        """Brings in responses of several samplers to the same prompts."""
        return self._file("/import/arena", Path(path), {"wanted": str(wanted), "on_bad": on_bad})

    # -- sending ------------------------------------------------------------------------------------------------------

    def _file(self, where: str, path: Path, query: dict[str, Any]) -> dict[str, Any]:
        if not path.is_file():
            raise UserError(f"{path}: there is no such file. Give the path of an existing file.")
        headers = {"Content-Type": "application/x-ndjson"}
        named = {**query, "file": path.name}
        return self._send("POST", where, headers, params=named, content=path.read_bytes()).json()

    def _json(self, method: str, where: str, *, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self._send(method, where, headers, params=query, content=content).json()

    def _send(self, method: str, where: str, headers: dict[str, str], **what: Any) -> httpx.Response:
        """Sends `what` (params, content) until there is an answer that will not change.

        Raises: Refused; UserError if there is no connection.
        """
        sent = headers | ({"Idempotency-Key": str(uuid.uuid4())} if method != "GET" else {})
        trouble = ""
        for attempt in range(self._tries):
            if attempt:
                self._sleep(self._first_wait * 2 ** (attempt - 1) * (0.5 + random.random()))
            try:
                answer = self._http.request(method, where, headers=sent, **what)
            except httpx.TransportError as problem:
                trouble = str(problem) or type(problem).__name__
                continue
            if answer.is_success:
                return answer
            refused = _refusal(answer)
            if answer.status_code not in PASSING:
                raise refused
            trouble = str(refused)
        says = f"no answer after {self._tries} tries ({trouble}). Is the server running?"
        raise UserError(f"{self._http.base_url}{where}: {says}")


def _refusal(answer: httpx.Response) -> Refused:
    try:
        error = answer.json()["error"]
        return Refused(answer.status_code, str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return Refused(answer.status_code, "unreadable", answer.text[:200])
