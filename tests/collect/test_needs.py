"""Responses that are written at once, by hand."""

from typing import Any

from prefloop.collect.config import CollectConfig
from prefloop.collect.needs import needs
from prefloop.costs.reading import Lengths


def test_the_cache_by_hand(folder: str):
    """
    a token's keys and values: 2 layers x 2 heads x 4 wide x 2 x 4 bytes = 128; a response has 12 + 8 tokens
    12 prompts with 4 responses each are 48 together, or 8 where two prompts are; but 3 prompts of the file 12
    """
    cases: list[tuple[dict[str, Any], int]] = [({}, 48), ({"batch_prompts": 2}, 8), ({"num_prompts": 3}, 12)]
    for said, rows in cases:
        config = CollectConfig(model=folder, prompts="p", out="o", max_new_tokens=8, device="cpu", **said)
        found = needs(config, Lengths(12, mean=10, longest=12, responses=0))
        assert max(moment.cache for moment in found.moments) == rows * 20 * 128
        assert found.roles[0].optimiser == found.roles[0].gradients == 0
