"""What `prefloop reward` says that it will need, part by part."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefloop.costs.reading import Lengths
from prefloop.reward import needs as planned
from prefloop.reward.config import RewardConfig

TOLD = Lengths(count=1000, mean=100.0, longest=120, responses=20.0)


@pytest.fixture
def config(folder: str, tmp_path: Path) -> RewardConfig:
    """100 pairs to learn from and 25 held out, all of one length."""
    for name, num in (("pairs", 100), ("held_out", 25)):
        (tmp_path / f"{name}.jsonl").write_text("{}\n" * num)
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("held_out",)}
    return RewardConfig(model=folder, preferences=str(tmp_path / "pairs.jsonl"), out="o", epochs=1, **files)


def _read(config: RewardConfig, told: Lengths = TOLD) -> tuple[float, float, float]:
    """Arithmetic of learning and of looking, and activations of an update."""
    made = planned.needs(config, told)
    learning, looking = made.parts
    return learning.flops, looking.flops, next(m.activations for m in made.moments if m.name == "update")


@pytest.mark.parametrize(("changes", "held_out"), [({}, 250), ({"held_out": None}, 100), ({"held_out": "none"}, 100)])
def test_held_out_pairs_are_counted_by_bytes_or_are_a_share(
    config: RewardConfig, changes: dict[str, Any], held_out: int
):
    assert planned._held_out(config.model_copy(update=changes), 1000) == held_out


def test_what_is_read_after_training_is_counted(config: RewardConfig):
    """1000 pairs and 250 held out: 512 sequences learned from, 500 held out, 25 edits of each of 40 responses."""
    assert planned._afterwards(config, 1000, 250) == 512 + 500 + 25 * 40
    assert planned._afterwards(config, 10, 4) == 20 + 8  # too few for edits
    scaled = config.model_copy(update={"demonstrations": "d.jsonl"})
    assert planned._afterwards(scaled, 1000, 250) == 512 + 512 + 500 + 25 * 40
    learned, looked, _ = _read(config)  # 120 tokens a pair, three times forward; held-out pairs are read seven times
    assert looked / (learned / 3 / (1000 * 120)) == pytest.approx(7 * 250 * 120 + (512 + 500 + 25 * 40) * 100)


def test_the_prompt_of_a_pair_is_read_once(config: RewardConfig):
    """Of two sequences of 100 tokens with responses of 20, 120 tokens are read of 200; of responses alone, all."""
    part, whole = _read(config), _read(config, replace(TOLD, responses=100.0))
    assert part[0] == pytest.approx(0.6 * whole[0])
    assert part[2] == pytest.approx(0.6 * whole[2], rel=0.01)
