"""A sweep of weights: the best of n at each, a front that never turns back, and a run that goes on to the bit."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prefloop import layout
from prefloop.errors import UserError
from prefloop.sampling.in_process import InProcess
from prefloop.sweep.config import SweepConfig
from prefloop.sweep.stage import best, sweep

REWARD = """
def short(prompts, responses):
    return [-len(r) for r in responses]
def odd(prompts, responses):
    return [sum(map(ord, r)) % 7 for r in responses]
"""


@pytest.fixture
def make_config(folder: str, prompts_file: str, tmp_path: Path) -> Callable[..., SweepConfig]:
    (tmp_path / "reward.py").write_text(REWARD, encoding="utf-8")

    def make(name: str, **settings: Any) -> SweepConfig:
        reward = {part: {"model": f"python:{tmp_path / 'reward.py'}:{part}"} for part in ("odd", "short")}
        values: dict[str, Any] = {
            "out": str(tmp_path / name),
            "policy": folder,
            "reward": reward,
            "prompts": prompts_file,
            "responses_per_prompt": 6,
            "batch_prompts": 5,
            "max_new_tokens": 6,
            "dtype": "float32",
            "threads": 1,
        }
        return SweepConfig(**{**values, **settings})

    return make


def test_the_best_by_hand_and_by_trying_all():
    """Scores (1, 0), (0, 2), (0.9, 1.5): at weight 0 the first, at 1 the third, at 2 the second."""
    scores = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [0.9, 1.5]]])
    taken = [best(scores, torch.tensor([1.0, weight]))[0].tolist() for weight in (0.0, 1.0, 2.0)]
    assert taken == [pytest.approx([1, 0]), pytest.approx([0.9, 1.5]), pytest.approx([0, 2])]
    many = torch.randn(40, 8, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.5, -1.0, 2.0])
    assert (best(many, weights) @ weights).equal((many @ weights).amax(1))


def test_a_larger_weight_never_lowers_the_mean_of_its_reward():
    many = torch.randn(60, 16, 2, generator=torch.Generator().manual_seed(1))
    means = [best(many, torch.tensor([1.0, weight])).mean(0) for weight in (-1.0, 0.0, 0.3, 1.0, 3.0, 30.0)]
    assert all(b[1] >= a[1] and b[0] <= a[0] for a, b in itertools.pairwise(means[1:]))
    assert float(means[1][0]) == pytest.approx(float(many[:, :, 0].amax(1).mean()))


def test_a_killed_sweep_goes_on_and_draws_the_same(
    make_config: Callable[..., SweepConfig], monkeypatch: pytest.MonkeyPatch
):
    """Twelve prompts in three parts; killed in the second."""
    whole = sweep(make_config("whole"))
    real, calls = InProcess.sample, [0]

    def dies(*args: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(InProcess, "sample", dies)
    with pytest.raises(KeyboardInterrupt):
        sweep(make_config("broken"))
    broken = sweep(make_config("broken"))
    assert calls[0] == 4
    found = [(page.parent / layout.SWEEP).read_text(encoding="utf-8") for page in (whole, broken)]
    assert found[0] == found[1]
    told = json.loads(found[0])
    assert told["vary"] == "short"
    assert [point["weight"] for point in told["points"]] == [0, 0.25, 0.5, 1, 2, 4, 8]
    assert told["points"][-1]["parts"]["short"]["mean"] > told["points"][0]["parts"]["short"]["mean"]
    page = whole.read_text(encoding="utf-8")
    assert "<svg" in page
    assert "odd against short" in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward": "model"}, "Give two or more"),
        ({"vary": "kind"}, "vary = kind is none of the rewards. There are: odd, short"),
        ({"reward": {"a": {"model": "m"}, "b": {"model": "n", "at_least": 1.0}}}, "at_least is a constraint"),
    ],
)
def test_what_cannot_be_swept_is_refused(
    make_config: Callable[..., SweepConfig], settings: dict[str, Any], message: str
):
    with pytest.raises((UserError, ValueError), match=message):
        make_config("none", **settings)


def test_no_two_parts_of_the_prompts_draw_alike(
    make_config: Callable[..., SweepConfig], monkeypatch: pytest.MonkeyPatch
):
    real, seeds = InProcess.sample, list[int]()

    def noted(self: InProcess, prompts: Any, settings: Any, seed: int, **more: Any) -> Any:
        seeds.append(seed)
        return real(self, prompts, settings, seed, **more)

    monkeypatch.setattr(InProcess, "sample", noted)
    sweep(make_config("seeds"))
    assert len({*seeds}) == len(seeds) == 3
