"""A run says its alarms while it goes on: each once, the same ones after it was interrupted, and all of them at the
end."""

from pathlib import Path
from typing import Any

import pytest

from prefloop.run import Run
from prefloop.run.watch import Watch
from prefloop.settings import RunConfig

SOUND = {"ratio/first_error": 0.0, "ratio/clipped": 0.1, "scores/mean": 0.0, "rollouts/finished": 1.0}


def steps(run: Run, rows: list[dict[str, float]], start: int = 1) -> None:
    for number, row in enumerate(rows, start):
        run.log(number, {**SOUND, **row})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{}] * 20, []),
        ([{}] * 4 + [{"ratio/first_error": 0.25}] + [{}], ["step 5: A step's first probability ratios are off one by"]),
        ([{"ratio/clipped": 0.4}] * 9, ["step 5: The update of 40% of the tokens is cut off at the trust region"]),
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
    watch = Watch()
    for _ in range(3):
        assert watch.see({"loss/train": 1.0}) == []
    watch.go_on([{"loss/train": 1.0}] * 3)
    assert watch._rows == []
    watch.go_on([dict(SOUND), {"loss/train": 1.0}])
    assert len(watch._rows) == 1
