"""What is plainly finished begins no process, and what is not, does: another setting, input or output."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop import layout, running
from prefloop.running import Step, Workers, is_finished
from prefloop.stages import STAGES
from prefloop.sweep.config import SweepConfig
from prefloop.sweep.stage import sweep

REWARD = "def short(prompts, responses):\n    return [-len(r) for r in responses]\n"


@pytest.fixture
def step(folder: str, prompts_file: str, tmp_path: Path) -> Callable[..., Step]:
    (tmp_path / "reward.py").write_text(REWARD, encoding="utf-8")
    reward = {name: {"model": f"python:{tmp_path / 'reward.py'}:short"} for name in ("a", "b")}
    values: dict[str, Any] = {"out": str(tmp_path / "sweep"), "policy": folder, "reward": reward}
    values |= {"prompts": prompts_file, "responses_per_prompt": 2, "max_new_tokens": 4, "threads": 1}

    def make(**settings: Any) -> Step:
        given = {**values, **settings}
        return Step(STAGES["sweep"], SweepConfig(**given), given)

    return make


def test_only_what_is_plainly_finished_is_not_begun(
    step: Callable[..., Step], prompts_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert not is_finished(step())
    config = step().config
    assert isinstance(config, SweepConfig)
    sweep(config)
    assert is_finished(step())
    monkeypatch.setattr(running, "COMMAND", ("/nowhere/at/all",))
    Workers().run(step(), tmp_path / layout.LOG)  # begins nothing
    assert not is_finished(step(temperature=0.5))
    assert not is_finished(step(verify=True))  # that is to be read again
    with pytest.raises(FileNotFoundError):
        Workers().run(step(temperature=0.5), tmp_path / layout.LOG)

    prompts = Path(prompts_file)
    before = prompts.read_text(encoding="utf-8")
    prompts.write_text(before.replace("parcel", "letter"), encoding="utf-8")
    assert not is_finished(step())  # another input under the same name
    prompts.write_text(before, encoding="utf-8")
    assert is_finished(step())

    page = tmp_path / "sweep" / layout.PAGE
    text = page.read_text(encoding="utf-8")
    page.write_text(text[:-5], encoding="utf-8")
    assert not is_finished(step())
    page.unlink()
    assert not is_finished(step())
    page.write_text(text, encoding="utf-8")
    assert is_finished(step())
    (tmp_path / "sweep" / layout.FINISHED).unlink()
    assert not is_finished(step())
