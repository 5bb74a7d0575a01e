"""How much is computed at once: what was said, or what the memory has room for; chosen once in a run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prefloop.models import batching
from prefloop.models.batching import Batching, batched, chosen, fitting
from prefloop.models.device import Placement
from prefloop.models.memory import Anatomy
from prefloop.models.network import Network
from prefloop.run import Run
from prefloop.settings import Batched
from prefloop.sft.config import SFTConfig

GIB = 2**30


@pytest.mark.parametrize(
    ("settings", "free", "expected"),
    [
        (Batched(), 64 * GIB, (16384, False)),  # a tiny model takes all that is ever taken
        (Batched(), 0, (256, True)),
        (Batched(micro_tokens=48), 0, (48, True)),
        (Batched(micro_tokens=48), 64 * GIB, (48, False)),
        (Batched(recompute=False), 0, (256, False)),
        (Batched(micro_tokens=48, recompute=True), 64 * GIB, (48, True)),
    ],
)
def test_what_is_chosen(
    network: Network, monkeypatch: pytest.MonkeyPatch, settings: Batched, free: int, expected: tuple[int, bool]
):
    monkeypatch.setattr(batching, "free_memory", lambda device: free)
    sizes = chosen(network, settings)
    assert (sizes.micro_tokens, sizes.recompute) == expected
    assert sizes.reading_tokens in [sizes.micro_tokens * factor for factor in (2, 4, 8, 16)]


@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [
        (64, (16384, False)),
        (0.6, (256, True)),  # 0.1 GB less than what is held already
        (0, (16384, False)),  # says nothing: what is free counts
        (1000, (16384, False)),
    ],
)
def test_memory_that_a_stage_may_take_counts_as_what_is_free_does(
    network: Network, monkeypatch: pytest.MonkeyPatch, gigabytes: float, expected: tuple[int, bool]
):
    monkeypatch.setattr(batching, "free_memory", lambda device: 64 * GIB)
    monkeypatch.setattr(batching, "held_memory", lambda device: 7 * 10**8)
    sizes = chosen(network, SFTConfig(model="m", demonstrations="d", out="o", memory=gigabytes))
    assert (sizes.micro_tokens, sizes.recompute) == expected


def test_more_memory_takes_more_and_layers_are_computed_again_only_where_little_fits(
    network: Network, monkeypatch: pytest.MonkeyPatch
):
    """From little to much: recomputation first, then none; within each, twice the memory is twice the tokens."""
    found: list[Batching] = []
    for power in range(18, 34):
        monkeypatch.setattr(batching, "free_memory", lambda device, power=power: 2**power)
        found.append(chosen(network, Batched()))
    again = [sizes.recompute for sizes in found]
    assert again == sorted(again, reverse=True)
    assert {True, False} == {*again}
    without = [sizes.micro_tokens for sizes in found if not sizes.recompute]
    assert without[:2] == [1024, 2048]
    assert without == sorted(without)


def test_on_a_cpu_no_more_is_held_than_makes_it_faster(network: Network, monkeypatch: pytest.MonkeyPatch):
    """SmolLM2-135M has 1.2 MB of activations a token, a model ten times as large 1024 tokens where there is memory."""
    monkeypatch.setattr(batching, "free_memory", lambda device: 64 * GIB)
    small = Anatomy.of_model(network.pretrained)
    sizes = {"layers": 30, "width": 576, "inner": 1536, "heads": 9, "kv_heads": 3, "head_width": 64, "context": 8192}
    numbers = {"vocabulary": 49152, "embeddings": 28_311_552, "matrices": 106_168_320, "vectors": 35_136}
    smollm2 = Anatomy(**sizes, **numbers)
    large = replace(smollm2, layers=300)
    place = Placement(torch.device("cpu"), torch.bfloat16)
    found = [fitting(a, Batched(), place, trained=0, adapter=True) for a in (small, smollm2, large)]
    assert [s.micro_tokens for s in found] == [16384, 2048, 1024]
    assert not any(s.recompute for s in found)


def test_what_memory_allows_is_what_fits(network: Network, monkeypatch: pytest.MonkeyPatch):
    """A stage chooses by `memory` as by what is free, and does not stop for what it could have done without."""
    monkeypatch.setattr(batching, "held_memory", lambda device: 10**9)
    for gigabytes, free, same_as in ((1.002, 64 * GIB, 0.002e9), (0.0, 64 * GIB, 64 * GIB), (99.0, 2**21, 2**21)):
        monkeypatch.setattr(batching, "free_memory", lambda device, free=free: free)
        found = chosen(network, SFTConfig(out="o", model="m", demonstrations="d", memory=gigabytes))
        monkeypatch.setattr(batching, "free_memory", lambda device, free=same_as: free)
        assert found == chosen(network, Batched())


def test_a_run_that_goes_on_keeps_what_it_began_with(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Where there is less memory now too: sums of floats differ by how they are split."""
    config = SFTConfig(out=str(tmp_path / "run"), model="m", demonstrations="d")
    found: list[Batching] = []
    for free in (64 * GIB, 0):
        monkeypatch.setattr(batching, "free_memory", lambda device, free=free: free)
        with Run(config, inputs={}) as run:
            found.append(batched(network, config, run))
            run.log(1, {"loss/train": 1.0})
    assert found[0] == found[1]
    assert found[0].micro_tokens == 16384
    said = capsys.readouterr().out
    assert "sft: at once 16384 tokens are learned from (micro_tokens=16384) and" in said
