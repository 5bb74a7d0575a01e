"""What a cluster's log shows of a run: seldom a line, and in it the numbers that matter."""

import time

import pytest

from prefloop.run.progress import Progress


def test_without_a_terminal_a_line_comes_by_time_and_one_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """100 updates of 4 s, 10 of them done before: the first line after 32 s, where 8 of 90 are done."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress("ppo")
    progress.start(100, 10, unit="step")
    for step in range(90):
        now += 4.0
        progress.advance(score=0.61234, kl=step / 10)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "ppo step 18/100 · score 0.612 · kl 0.7 · 4 s/step · 5 min left"
    assert lines[1].startswith("ppo step 26/100 · ")
    assert lines[-1] == "ppo step 100/100 · score 0.612 · kl 8.9 · 4 s/step · done"
    assert len(lines) == 12


@pytest.mark.parametrize(("seconds", "left"), [(1.0, "58 s"), (60.0, "58 min"), (3600.0, "58.0 h")])
def test_time_left_is_said_as_people_say_it(
    seconds: float, left: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress("sft")
    progress.start(88)
    for _ in range(30):
        now += seconds
        progress.advance()
    assert f"{left} left" in capsys.readouterr().err.splitlines()[0 if seconds == 1.0 else -1]


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]):
    progress = Progress("sft")
    progress.start(3)
    for _ in range(3):
        progress.advance(loss=1.0)
    assert capsys.readouterr().err == ""
