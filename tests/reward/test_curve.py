"""The learning curve of a run: its moments, its points, and models of shares that are the stage's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefloop import layout
from prefloop.feedback.data import split
from prefloop.reward.config import RewardConfig
from prefloop.reward.curve import moments
from prefloop.reward.stage import train

from .test_stage import planted


@pytest.fixture
def make_config(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., RewardConfig]:
    preferences = write_rows("preferences.jsonl", planted(120))

    def make(name: str, **settings: Any) -> RewardConfig:
        values: dict[str, Any] = {"out": str(tmp_path / name), "model": folder, "preferences": preferences, "seed": 3}
        values |= {"validation": 0.2, "batch_pairs": 8, "lr": 0.01, "threads": 1, "dtype": "float32"}
        return RewardConfig(**{**values, **settings})

    return make


def result(config: RewardConfig) -> dict[str, Any]:
    return json.loads((Path(config.out) / layout.FINISHED).read_text(encoding="utf-8"))["result"]


@pytest.mark.parametrize(("first_pass", "wanted"), [(1, {1}), (2, {1, 2}), (8, {1, 2, 4, 8}), (80, {10, 20, 40, 80})])
def test_moments_are_an_eighth_a_quarter_half_and_all_of_a_pass(first_pass: int, wanted: set[int]):
    assert moments(first_pass) == wanted


def test_shares_lie_within_each_other_and_hold_the_same_out(make_config: Callable[..., RewardConfig]):
    whole, half, quarter = (split(make_config("x", share=share), lambda _: None) for share in (1.0, 0.5, 0.25))
    prompts = [set(one.training.openings().tolist()) for one in (whole, half, quarter)]
    assert prompts[2] < prompts[1] < prompts[0]
    assert [len(some) / len(prompts[0]) for some in prompts] == pytest.approx([1, 0.5, 0.25], abs=0.02)
    assert whole.validation == half.validation == quarter.validation


def test_looks_in_the_first_pass_and_models_of_their_own(make_config: Callable[..., RewardConfig]):
    """The exact curve's half is the model that share=0.5 trains, and its last point is the model itself."""
    looked, exact, half = (
        make_config("looked", epochs=2),
        make_config("exact", curve=True),
        make_config("half", share=0.5),
    )
    for config in (looked, exact, half):
        train(config)
    curves = [result(config)["learning_curve"] for config in (looked, exact)]
    assert [curve["exact"] for curve in curves] == [False, True]
    for config, curve in zip((looked, exact), curves, strict=True):
        card = json.loads((Path(config.out) / "model/prefloop_card.json").read_text(encoding="utf-8"))
        assert card["learning_curve"] == curve
    numbers = [[point["num_pairs"] for point in curve["points"]] for curve in curves]
    assert numbers[0][-1] == numbers[1][-1] == result(looked)["num_training"]
    for some in numbers:
        np.testing.assert_allclose(np.array(some) / some[-1], [1 / 8, 1 / 4, 1 / 2, 1], atol=0.1)
    assert curves[1]["points"][-1]["accuracy"] == result(exact)["accuracy"]
    assert curves[1]["points"][-2]["accuracy"] == result(half)["accuracy"]
    weights = [Path(config.out) / layout.MODEL / "model.safetensors" for config in (half, exact)]
    assert weights[0].read_bytes() == (layout.share(Path(exact.out), 0.5) / "model" / "model.safetensors").read_bytes()
    assert weights[0].read_bytes() != weights[1].read_bytes()


def test_a_curve_is_of_one_model(make_config: Callable[..., RewardConfig]):
    with pytest.raises(ValueError, match="of one model"):
        make_config("x", curve=True, members=2)
