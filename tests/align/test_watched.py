"""A policy in training is watched: what its responses look like is logged, and a grave sign ends the run at a step's
end, from where it goes on exactly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from prefloop.align import responses
from prefloop.errors import Diverged
from prefloop.stats.shallow import NAMES

from .conftest import expected_score
from .test_first_batch import ALGORITHMS

Make = Callable[..., Any]
Weights = Callable[[Path], dict[str, Tensor]]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_step_says_what_responses_look_like(make_config: Make, read_lines: Any, name: str):
    train, settings, own = ALGORITHMS[name]
    config = make_config(settings, steps=2, **own)
    train(config)
    wanted = {*responses.NAMES.values(), "responses/surprise"} - ({"responses/surprise"} if name == "rft" else set())
    for row in read_lines(Path(config.out) / "metrics.jsonl"):
        assert {key for key in row if key.startswith("responses/")} == wanted
        assert all(0 <= row[key] <= 1 for key in responses.NAMES.values())
    assert len(read_lines(Path(config.out) / "samples.jsonl")) == 2 * 8


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_step_of_enough_responses_says_what_its_scores_go_with(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, read_lines: Any, name: str
):
    """Every response is beside its own score, also where steps are sampled again."""
    seen, real = list[tuple[Any, ...]](), responses.shallow

    def shallow(*asked: Any) -> dict[str, float]:
        seen.append(asked)
        return real(*asked)

    monkeypatch.setattr(responses, "shallow", shallow)
    train, settings, own = ALGORITHMS[name]
    config = make_config(settings, **{**own, "rollouts_per_step": 32, "steps": 1})
    train(config)
    (row,) = read_lines(Path(config.out) / "metrics.jsonl")
    ((_, texts, ids, scores),) = seen
    assert {key for key in row if key.startswith("pays/")} == {f"pays/{each}" for each in NAMES}
    assert scores == pytest.approx([expected_score(text) for text in texts])
    assert len({*scores}) > 1
    assert len(ids) == len(texts) == 32


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_grave_sign_ends_a_run_at_a_steps_end_and_it_goes_on_exactly(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, weights: Weights, read_lines: Any, name: str
):
    """From step 5 on nine of ten responses are said to be empty."""
    train, settings, own = ALGORITHMS[name]
    real = responses.metrics

    def metrics(codec: Any, prompts: Any, rollouts: Any, scores: Tensor) -> dict[str, float]:
        calls.append(1)
        still = dict.fromkeys(real(codec, prompts, rollouts, scores), 0.5)
        return {**still, "responses/empty": 0.9 * (len(calls) >= 5)}

    monkeypatch.setattr(responses, "metrics", metrics)
    usual: dict[str, Any] = {"steps": 7, "checkpoint_every": 0, "lr": 1e-4, **own}
    calls = list[int]()
    whole = train(make_config(settings, **usual))
    calls = list[int]()
    config = make_config(settings, **usual, watch="stop")
    with pytest.raises(Diverged, match="step 5: empty: 90% of the responses say nothing"):
        train(config)
    assert len(calls) == 5
    assert json.loads((Path(config.out) / "run.json").read_text(encoding="utf-8"))["diverged"].startswith(
        "step 5: empty"
    )
    resumed = train(config.model_copy(update={"watch": "warn"}))
    assert len(calls) == 7
    rows = [read_lines(folder.parents[1] / "metrics.jsonl") for folder in (whole, resumed)]
    assert rows[0] == rows[1]
    before, after = weights(whole), weights(resumed)
    assert all(before[key].equal(after[key]) for key in before)
