"""Bad rows in a file of preferences: stopped at, or passed by with every one named and counted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train

EMPTY = 3


@pytest.fixture
def hh(write_rows: Callable[..., str]) -> str:
    """Eight pairs in Anthropic's form; one has an empty chosen response."""
    rows = []
    for i in range(8):
        start = f"\n\nHuman: where is my parcel {i}?\n\nAssistant:"
        rows.append({"chosen": start if i == EMPTY else f"{start} i am sorry", "rejected": f"{start} it is"})
    return write_rows("hh.jsonl", rows)


def test_by_default_the_first_bad_row_stops_and_says_how_to_pass_by(hh: str):
    with pytest.raises(UserError, match=rf"hh.jsonl:{EMPTY + 1}: `chosen` is empty.*Bad rows: 1.*on_bad=skip"):
        split(RewardConfig(model="m", preferences=hh, out="o"))


def test_skipping_names_each(hh: str):
    data = split(RewardConfig(model="m", preferences=hh, out="o", on_bad="skip"))
    assert len(data.training) + len(data.validation) == 7
    (problem,) = data.skipped
    assert f"hh.jsonl:{EMPTY + 1}: `chosen` is empty" in problem


def test_a_held_out_file_must_hold_other_prompts(hh: str):
    with pytest.raises(UserError, match=r"this file is given as preferences and as held_out, but each needs its own"):
        split(RewardConfig(model="m", preferences=hh, held_out=hh, out="o", on_bad="skip"))
    copy = shutil.copy(hh, f"{hh}.copy.jsonl")
    with pytest.raises(UserError, match=r"7 of its 7 prompts are also in"):
        split(RewardConfig(model="m", preferences=hh, held_out=copy, out="o", on_bad="skip"))


def test_the_count_is_in_the_result_and_each_is_said(
    hh: str, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    train(RewardConfig(model=folder, preferences=hh, out=str(tmp_path / "r"), on_bad="skip", threads=1))
    assert json.loads((tmp_path / "r" / "finished.json").read_text())["result"]["num_skipped"] == 1
    assert capsys.readouterr().out.count(f"reward: skipped {hh}:{EMPTY + 1}: `chosen` is empty") == 1
