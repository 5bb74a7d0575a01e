"""A real server for the browser: comparisons, a database, people who are signed in, and a server to stop and start."""

import json
import shutil
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from prefloop.web import serving
from prefloop.web.app import create_app
from prefloop.web.config import WebConfig
from prefloop.web.exchange import comparison_files
from prefloop.web.pages import rendering
from prefloop.web.security import accounts
from prefloop.web.store.chain import record
from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, guidelines, judgements, sessions, users
from web.acts import invited, mark

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser; None if there is none here."""
PASSWORD = "a sentence is easy"
KINDS = ("pair", "ranking", "rating", "thumb", "edit", "demonstration")


def response(text: str) -> dict[str, Any]:
    """A response as comparisons.jsonl holds it."""
    return {"text": text, "num_tokens": max(1, len(text.split())), "finished": True, "sampler": "secret-sampler"}


def comparison(identity: str, messages: Sequence[tuple[str, str]], texts: Sequence[str]) -> dict[str, Any]:
    """A comparison as comparisons.jsonl holds it."""
    turns = [{"role": role, "content": content} for role, content in messages]
    made = [response(text) for text in texts]
    rest = {"prompt_id": f"prompt-{identity}", "sampling": {"temperature": 1.0}, "tags": []}
    return {"id": identity, "messages": turns, "responses": made, **rest}


def plain(number: int, responses: int = 2) -> list[dict[str, Any]]:
    """Comparisons with short texts that tell which is which."""
    texts = [[f"Answer {k} to question {n}." for k in range(responses)] for n in range(number)]
    return [comparison(f"plain-{n:04d}", [("user", f"Question number {n}?")], texts[n]) for n in range(number)]


class Stand:
    """A folder served on a port of its own; `stop` and `start` as often as wanted."""

    def __init__(self, folder: Path, rows: Sequence[dict[str, Any]], **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "comparisons.jsonl").write_text(text, encoding="utf-8")
        checks = {"gold_first": 0, "gold_every": 0, "repeat_every": 0, "calibration_pass": 0.75}
        fixed = {"password_memory_kb": 8, "checks": checks, "name": "Helpdesk", "strength": True}
        self.folder, self.config = folder, WebConfig.model_validate({**fixed, **settings})
        self.port = 0
        self.start()

    def start(self) -> None:
        """Serves, on the same port as before."""
        self.site: Site = serving.open_site(self.folder, self.config)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        settings: dict[str, Any] = {"log_level": "error", "access_log": False, "timeout_graceful_shutdown": 2}
        self.server = uvicorn.Server(uvicorn.Config(create_app(self.site), **settings))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self.thread.start()
        while not self.server.started and self.thread.is_alive():
            self.thread.join(0.01)

    def stop(self) -> None:
        """Serves no more; the port is free."""
        self.server.should_exit = True
        self.thread.join(timeout=20)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def person(self, name: str = "ada", role: str = "annotator", **preferences: Any) -> dict[str, str]:
        """Makes somebody. Returns: their session's cookie, as playwright takes it."""
        hashed = self.site.hasher.hash(PASSWORD)

        def add(connection: Any) -> None:
            number = accounts.add_user(connection, self.site, name, hashed, role=role)
            connection.execute(users.update().where(users.c.id == number).values(preferences=preferences))

        self.site.database.write(add)
        return self.signed_in(name)

    def signed_in(self, name: str) -> dict[str, str]:
        """A new session of somebody."""
        cookie = accounts.sign_in(self.site, name, PASSWORD, address="test")
        return {"name": accounts.COOKIE, "value": cookie, "url": self.url}

    def invitation(self, role: str = "annotator") -> str:
        """A link's token."""
        return invited(self.site, role)

    def sign_everybody_out(self) -> None:
        """Ends all sessions."""
        self.site.database.write(lambda c: c.execute(sessions.delete()))

    def guideline(self, text: str) -> None:
        """Publishes a guideline."""

        def add(connection: Any) -> None:
            before = connection.execute(guidelines.select().order_by(guidelines.c.version.desc())).first()
            version = (before.version if before else 0) + 1
            row = {"version": version, "text": text, "tree": rendering.tree(text), "at": self.site.clock(), "by": None}
            connection.execute(guidelines.insert().values(row))
            record(connection, "guideline", "lead", self.site.clock(), {"version": version})

        self.site.database.write(add)

    def calibration(self, identity: str, expected: dict[str, Any], explanation: str) -> None:
        """Makes a comparison's first pair a calibration item."""
        mark(self.site, identity, "calibration", expected, explanation)

    def judgements(self) -> list[Any]:
        """Everything that was decided, oldest first."""
        with self.site.database.reading() as connection:
            return list(connection.execute(judgements.select().order_by(judgements.c.at, judgements.c.revision)))

    def events(self) -> list[Any]:
        """The log."""
        with self.site.database.reading() as connection:
            return list(connection.execute(events.select().order_by(events.c.seq)))

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """More comparisons."""
        path = self.folder / "more.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        comparison_files.from_file(self.site, path)
