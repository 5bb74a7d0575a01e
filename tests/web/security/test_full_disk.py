"""When the disk is full or the database away, people get a sentence without paths, and the log no traceback."""

import errno
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc

from prefloop.web.exchange import importing
from prefloop.web.security import guard
from prefloop.web.store.database import refusal
from prefloop.web.store.site import Site
from web.acts import LINES, error, signed_in
from web.crowd import on_sqlite

SAYS = ["database is locked", "database or disk is full", "attempt to write a readonly database", "something /srv/x.db"]


@pytest.mark.parametrize("says", SAYS)
@on_sqlite
def test_no_path_is_told_but_to_the_log(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, says: str
):
    ann = signed_in(site, "ann", "annotator")
    problem = refusal(exc.OperationalError("x", {}, sqlite3.OperationalError(says)), "sqlite:////srv/x.db")

    def fails(work: Any) -> Any:
        raise problem

    monkeypatch.setattr(site.database, "write", fails)
    answer = ann.post("/api/v1/leases", json={})
    assert answer.status_code == 503
    assert "/srv" not in answer.text
    assert answer.json()["error"]["message"][0].isupper()
    assert str(problem).startswith("sqlite:////srv/x.db: ")
    assert any("/srv/x.db" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "problem", [OSError(errno.ENOSPC, "No space left", "/srv/x"), sqlite3.OperationalError("database or disk is full")]
)
@on_sqlite
def test_a_full_disk_is_a_sentence(site: Site, monkeypatch: pytest.MonkeyPatch, problem: Exception):
    lead = signed_in(site, "lead", "lead")

    def fails(*_: Any, **__: Any) -> Any:
        raise problem

    monkeypatch.setattr(importing, "from_file", fails)
    answer = lead.post("/api/v1/import/rows", content="{}", headers=LINES)
    assert error(answer) == (507, "disk_full")
    assert "/srv" not in answer.text


def test_a_log_that_cannot_be_written_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    handler = guard.LogFile(tmp_path / "server.log")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handler, "shouldRollover", full)
    for _ in range(3):
        handler.handle(logging.LogRecord("x", logging.WARNING, "x", 1, "hello", (), None))
    handler.close()
    told = capsys.readouterr()
    assert told.out.count("the log cannot be written") == 1
    assert "Traceback" not in told.out + told.err
