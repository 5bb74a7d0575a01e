"""Random streams: named, in one table, and none draws what another draws."""

import itertools
import re
from pathlib import Path

import pytest
import torch

import prefloop
from prefloop.ops.draws import seeded, shuffled
from prefloop.seeds import STREAMS, seed_of


def test_streams_places_and_seeds_never_meet():
    """Collect's chunk 12 once drew what PPO's step 0 drew: here every stream at every place is a stream of its own."""
    places = [(), (0,), (1,), (12,), (20,), (0, 1), (1, 0), (0, 0), (12, 3), (3, 12)]
    seeds = [seed_of(seed, stream, *place) for seed in range(3) for stream in STREAMS for place in places]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_what_is_drawn_is_uncorrelated_and_comes_again():
    keys = list(itertools.product((0, 1), ("sft.split", "sft.batches"), (0, 1)))
    draws = torch.stack([torch.rand(2000, generator=seeded(*key)) for key in keys])
    assert (torch.corrcoef(draws) - torch.eye(len(keys))).abs().max() < 0.1
    assert torch.equal(draws[2], torch.rand(2000, generator=seeded(*keys[2])))
    assert sorted(shuffled(50, 0, "sft.split")) == list(range(50))
    assert shuffled(50, 0, "sft.split") == shuffled(50, 0, "sft.split") != shuffled(50, 1, "sft.split")


def test_every_stream_is_in_the_table_and_used_by_one_name_only():
    """Nobody invents a stream, and no entry is left over."""
    texts = [p.read_text(encoding="utf-8") for p in Path(prefloop.__path__[0]).rglob("*.py") if p.name != "seeds.py"]
    assert {name for text in texts for name in re.findall(r'"([a-z]+\.[a-z]+)"', text)} >= set(STREAMS)
    with pytest.raises(ValueError, match=r"no random stream is called 'ppo\.rolouts'"):
        seed_of(0, "ppo.rolouts")
    assert not [text for text in texts if re.search(r"manual_seed\(\s*(?!place|seed_of|\s)", text)]
