"""Asking many questions at once: whoever must stop does not wait for those that wait."""

import time
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import failed, said, serving
from prefloop.asking.answers import Answers, Question
from prefloop.asking.config import AskedConfig
from prefloop.asking.many import Endpoints
from prefloop.errors import UserError


class Undisturbed:
    def stop_if_interrupted(self) -> None:
        """Nobody asks."""


def ask(url: str, path: Path, names: str) -> None:
    answers = Answers(path, {})
    config = AskedConfig(base_url=url, concurrency=4, backoff=30.0)
    Endpoints(config, "m", answers).ask(
        names,
        lambda name, attempt: Question(name, attempt=attempt),
        lambda name: answers.get(Question(name)) is not None,
        Undisturbed(),
        lambda num: None,
    )


def test_a_wrong_key_ends_the_waiting_of_the_others(tmp_path: Path):
    """Three are told to come again in half a minute, the fourth that its key is wrong: that is said at once."""

    def busy(body: dict[str, Any], number: int) -> Any:
        if body["messages"][0]["content"] != "d":
            return failed(503, "busy")
        time.sleep(0.2)
        return failed(401, "no such key")

    began = time.monotonic()
    with serving(busy) as fake, pytest.raises(UserError, match="the model says 401: no such key"):
        ask(fake.url, tmp_path / "asked.jsonl", "abcd")
    assert time.monotonic() - began < 25


def test_it_can_be_asked_again_after_it_stopped(tmp_path: Path):
    """What was answered is kept, and only the rest is asked."""

    def some(body: dict[str, Any], number: int) -> Any:
        return failed(400, "bad words") if body["messages"][0]["content"] == "c" and number < 3 else said("yes")

    with serving(some) as fake:
        with pytest.raises(UserError, match="bad words"):
            ask(fake.url, tmp_path / "asked.jsonl", "abc")
        before = len(fake.bodies)
        ask(fake.url, tmp_path / "asked.jsonl", "c")
    assert len(fake.bodies) == before + 1
    assert all(Answers(tmp_path / "asked.jsonl", {}).get(Question(name)) is not None for name in "abc")
