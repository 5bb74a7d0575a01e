"""From end to end: `prefloop serve` with a tiny random model, and the page's chat in front of it."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from prefloop.files import fingerprints
from prefloop.web.config import WebConfig
from prefloop.web.exchange import export
from prefloop.web.serving import open_site
from prefloop.web.store import chain
from web.acts import comparison, post, signed_in


@pytest.fixture
def served(folder: str) -> Iterator[str]:
    """Yields: the address of the running program."""
    command = [sys.executable, "-m", "prefloop.cli", "serve", folder, "port=0", "name=tiny"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def say(speaker: TestClient, text: str, before: dict) -> dict:
    body = {"text": text, "conversation": before.get("conversation"), "turns": before.get("turns", 0)}
    return speaker.post("/api/v1/chat/messages", json=body, headers={"Idempotency-Key": str(uuid.uuid4())}).json()


def test_two_turns_with_a_policy_that_is_served(served: str, folder: str, tmp_path: Path):
    (tmp_path / "comparisons.jsonl").write_text(comparison(0).model_dump_json() + "\n", encoding="utf-8")
    chat = {"max_tokens": 6, "responses": 3}
    config = WebConfig.model_validate({"password_memory_kb": 64, "model_server": served, "chat": chat})
    site = open_site(tmp_path, config)
    try:
        ann = signed_in(site)
        first = say(ann, "where is it?", {})
        assert post(ann, first["presentation"]["id"], choice="right", strength=1).json()["counted"]
        second = say(ann, "please", first)
        post(ann, second["presentation"]["id"], choice="left", strength=3)
        with site.database.reading() as connection:
            chain.verify(connection)
            kept = [c for c in export.compared(connection) if "chat" in c.tags]
            judged = [j for j in export.judged(connection, export.EVERYTHING) if j.comparison != "c-0000"]
        assert [[m.role for m in c.messages] for c in kept] == [["user"], ["user", "assistant", "user"]]
        assert kept[1].messages[1].content == first["presentation"]["responses"][1]["text"]
        assert {r.sampler for c in kept for r in c.responses} == {f"tiny@{fingerprints.of_path(folder)}"}
        assert [c.sampling.max_new_tokens for c in kept] == [6, 6]
        assert len(judged) == 2
        assert "tiny" not in json.dumps([first, second])
        too_long = say(ann, "where is it? " * 60, second)
        assert too_long["error"]["code"] == "chat_too_long"
    finally:
        site.database.close()
