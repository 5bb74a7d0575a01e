"""A run says its alarms while it goes on: each once, the same ones after it was interrupted, and all of them at the
end."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import Diverged
from prefloop.run import Run
from prefloop.run.watch import Watch
from prefloop.settings import RunConfig, Watched

SOUND = {"ratio/first_error": 0.0, "ratio/clipped": 0.1, "scores/mean": 0.0, "rollouts/finished": 1.0}


EMPTY = [{"responses/empty": 0.0}] * 5 + [{"responses/empty": 0.9}] * 5
"""Of the last of six steps, 0.9 - 0.0 of the responses more are empty."""


class WatchedConfig(RunConfig, Watched):
    """Of a stage that is watched."""


def steps(run: Run, rows: list[dict[str, float]], start: int = 1) -> None:
    for number, row in enumerate(rows, start):
        run.log(number, {**SOUND, **row})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{}] * 20, []),
        ([{}] * 4 + [{"ratio/first_error": 0.25}] + [{}], ["step 5: A step's first probability ratios are off one by"]),
        ([{"ratio/clipped": 0.4}] * 9, ["step 2: The update of 40% of the tokens is cut off at the trust region"]),
        (
            [{"entropy/mean": 2.0}, *[{"entropy/mean": 0.1}] * 5],
            ["step 5: The entropy fell from 2.00 to 0.10 nats per token, to less than 20%: the policy is collapsing"],
        ),
        (
            [{}] * 5 + [{"scores/mean": 2.0, "rollouts/finished": 0.5}] * 5,
            [
                "step 6: The score rose from 0.00 to 1.00 while fewer responses end by themselves (100%, then 75%)",
                "step 6: Responses that never end are 25% of all; they were 0%.",
            ],
        ),
    ],
)  # fmt: skip
def test_an_alarm_is_said_once_when_it_is_first_raised(
    rows: list[dict[str, float]], said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with Run(RunConfig(out=str(tmp_path / "run")), inputs={}, stage="ppo") as run:
        steps(run, rows)
        stood = run.warnings
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(said) == len(stood)
    assert all(line.startswith(f"ppo: {sentence}") for line, sentence in zip(lines, said, strict=True))


def test_what_was_said_before_an_interruption_is_not_said_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config: dict[str, Any] = {"out": str(tmp_path / "run")}
    with Run(RunConfig(**config), inputs={}, stage="ppo") as run:
        steps(run, [{"ratio/clipped": 0.4}] * 6)
        run.save(6, {})
    capsys.readouterr()
    with Run(RunConfig(**config), inputs={}, stage="ppo") as run:
        assert run.restore() == {}
        steps(run, [{"ratio/clipped": 0.4}] * 3, start=7)
        assert len(run.warnings) == 1
    assert capsys.readouterr().err == "ppo: going on from update 6\n"


def test_rows_of_stages_without_a_policy_cost_nothing():
    """Pretraining may log a hundred thousand rows: none is kept to be looked through at every step."""
    watch = Watch(RunConfig(out="run"))
    for _ in range(3):
        assert watch.see({"loss/train": 1.0}) == []
    watch.go_on([{"loss/train": 1.0}] * 3)
    assert watch._rows == []
    watch.go_on([dict(SOUND), {"loss/train": 1.0}])
    assert len(watch._rows) == 1


def test_off_looks_at_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with Run(WatchedConfig(out=str(tmp_path / "run"), watch="off"), inputs={}, stage="ppo") as run:
        steps(run, EMPTY)
        assert run.warnings == []
    assert capsys.readouterr().err == ""


def go(config: dict[str, Any], rows: list[dict[str, float]], *, start: int = 1, finish: bool = False) -> None:
    """A run, or the rest of it, that saves where it must."""
    with Run(WatchedConfig(**config), inputs={}, stage="ppo") as run:
        if start > 1:
            assert run.restore() == {"done": start - 1}
        for number, row in enumerate(rows[start - 1 :], start):
            run.log(number, {**SOUND, **row})
            if not finish:
                run.checkpoint(number, lambda: {"done": number}, every=0)  # noqa: B023
        run.finish(outputs=[], result={})


def test_stop_saves_and_ends_the_run_where_a_sign_is_grave(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What was clipped is said and ends nothing; what is empty ends the run at the next safe place, and every time
    until it is watched otherwise."""
    folder = tmp_path / "run"
    config: dict[str, Any] = {"out": str(folder), "watch": "stop"}
    rows = [{**row, "ratio/clipped": 0.4} for row in EMPTY]
    with pytest.raises(Diverged, match=r"step 6: empty: 45% of the responses say nothing.* watch=warn\.$") as said:
        go(config, rows)
    assert "See what the reward gives for nothing" in str(said.value)
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == ["2:", "6:"]
    assert json.loads((folder / "run.json").read_text())["diverged"].startswith("step 6: empty: 45%")
    assert sorted(path.name for path in (folder / "checkpoints").glob("0*")) == ["00000006"]
    with pytest.raises(Diverged, match="step 6: empty"):
        go(config, rows, start=7)
    go({**config, "watch": "warn"}, rows, start=7)
    assert json.loads((folder / "run.json").read_text())["diverged"] == ""
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 10


def test_a_sign_in_the_last_step_does_not_finish(tmp_path: Path):
    with pytest.raises(Diverged, match="step 6: empty"):
        go({"out": str(tmp_path / "run"), "watch": "stop"}, EMPTY[:6], finish=True)
    assert not (tmp_path / "run" / "finished.json").exists()


def test_preferences_are_watched_where_held_out_ones_are_looked_at():
    watch = Watch(RunConfig(out="run"))
    looks = [
        {"logprobs/chosen_validation": nats, "entropy/validation": spread} for nats, spread in ((-9, 1), (-30, 0.1))
    ]
    assert watch.see({"logprobs/chosen": -9.0}) == []
    assert watch.see(looks[0]) == []
    assert [sign.name for sign in watch.see(looks[1])] == ["chosen_falls"]


def test_long_runs_are_looked_at_less_often(monkeypatch: pytest.MonkeyPatch):
    """A thousand steps: every one of the first hundred, then where there is one more in a hundred."""
    looked: list[int] = []
    watch = Watch(RunConfig(out="run"))
    monkeypatch.setattr(watch, "_alarms", lambda: looked.append(len(watch._rows)) or [])
    for _ in range(1000):
        watch.see(SOUND)
    assert looked[:100] == [*range(1, 101)]
    assert looked[100:103] == [102, 104, 106]
    assert len(looked) < 300
    assert max(b - a for a, b in itertools.pairwise(looked)) <= 11
