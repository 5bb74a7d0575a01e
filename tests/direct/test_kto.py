"""KTO: thumbs alone teach; the anchor is the whole update's, without a gradient."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broken import broken_off
from prefloop.direct import kto
from prefloop.direct.config import KTOConfig
from prefloop.direct.kto import mismatched
from prefloop.errors import UserError
from prefloop.feedback.items import Item

from .planted import asked, pairs, thumbs

Make = Callable[..., KTOConfig]


def _result(folder: Path) -> dict[str, Any]:
    return json.loads((folder.parents[1] / "finished.json").read_text())["result"]


@pytest.fixture
def few(write_rows: Callable[..., str]) -> str:
    """120 thumbs up and 30 down."""
    rows = thumbs(150)
    up, down = ([row for row in rows if row["thumbs"] == [thumb]] for thumb in (True, False))
    return write_rows("few.jsonl", up[:120] + down[:30])


@pytest.mark.parametrize("objective", ["auto", "apo_zero"])
def test_it_learns_from_thumbs_alone(make_kto: Make, read_lines: Any, objective: str):
    made = kto.train(make_kto(objective=objective, epochs=5))
    lines = read_lines(made.parents[1] / "metrics.jsonl")
    assert lines[0]["loss/train"] == pytest.approx(0.5, abs=1e-6)
    assert lines[-1]["accuracy/validation"] > 0.8
    assert lines[-1]["scores/chosen"] > lines[-1]["scores/rejected"]
    assert ("scores/anchor" in lines[0]) == (objective == "auto")


def test_how_an_update_is_split_changes_nothing(make_kto: Make, few: str, read_lines: Any):
    """The anchor is the mean over all of it."""
    runs = [kto.train(make_kto(f"split{n}", preferences=few, micro_tokens=n)).parents[1] for n in (24, 4096)]
    parts, whole = (read_lines(run / "metrics.jsonl") for run in runs)
    for one, other in zip(parts, whole, strict=True):
        assert one == pytest.approx(other, rel=2e-3, abs=5e-4)
    assert any(row["scores/anchor"] > 0 for row in whole)


def test_a_run_that_was_broken_off_goes_on_to_the_bit(make_kto: Make):
    whole = kto.train(make_kto("whole", checkpoint_every=4)).parents[1]
    config = make_kto("broken", checkpoint_every=4)
    with broken_off(8):
        kto.train(config)
    broken = kto.train(config).parents[1]
    assert (broken / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_thumbs_of_the_rarer_kind_weigh_more(make_kto: Make, write_rows: Callable[..., str]):
    """120 up and 30 down: a thumb down weighs so much that both kinds weigh alike, but for a third at most."""
    rows = thumbs(150)
    few = [row for row in rows if row["thumbs"] == [True]][:120] + [row for row in rows if row["thumbs"] == [False]][
        :30
    ]
    result = _result(kto.train(make_kto(preferences=write_rows("few.jsonl", few), epochs=1)))
    ratio = result["good_weight"] * result["num_good"] / (result["bad_weight"] * result["num_bad"])
    assert result["good_weight"] == 1.0
    assert 0.7 < ratio < 1.6


def test_thumbs_of_one_kind_are_refused_in_a_sentence(make_kto: Make, write_rows: Callable[..., str]):
    up = write_rows("up.jsonl", [row for row in thumbs(40) if row["thumbs"] == [True]])
    with pytest.raises(UserError, match=r"up\.jsonl: all its"):
        kto.train(make_kto(preferences=up))


def test_responses_are_put_to_the_next_prompt():
    """The next one that is another; a prompt too long loses its beginning; of one prompt alone there is none."""
    items = [Item(([5, 6, 7, 1],), begins=(2,)), Item(([8, 9, 1],), begins=(1,)), Item(([8, 10, 1],), begins=(1,))]
    made = mismatched(items, context=4)
    assert [item.sequences for item in made] == [([8, 7, 1],), ([5, 6, 9, 1],), ([5, 6, 10, 1],)]
    assert [item.begins for item in made] == [(1,), (2,), (2,)]
    assert mismatched(items, context=3)[2].sequences == ([6, 10, 1],)
    assert mismatched(items[1:], context=9) == []


def test_pairs_may_be_held_out_and_an_update_without_thumbs_up_tells_none(
    make_kto: Make, write_rows: Callable[..., str], read_lines: Any
):
    held_out = write_rows("pairs.jsonl", [{**row, "messages": asked(900 + 2 * i)} for i, row in enumerate(pairs(20))])
    made = kto.train(make_kto(held_out=held_out, batch_pairs=1, epochs=1))
    lines = read_lines(made.parents[1] / "metrics.jsonl")
    assert _result(made)["accuracy"] is not None
    assert _result(made)["loss_no_opinion"] is None
    assert all(("scores/chosen" in row) == ("logprobs/chosen" in row) for row in lines)
    assert 0.0 not in {row.get("logprobs/chosen") for row in lines}
