"""Scores that a policy implies: read as transformers reads them, and made of them as the papers say."""

import math
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from prefloop.direct.config import DPOConfig
from prefloop.direct.implied import Packed, Said, best, charged, ends, scores
from prefloop.feedback.items import Item
from prefloop.models.device import Placement
from prefloop.models.load import causal

CPU = Placement(torch.device("cpu"))
ITEMS = [
    Item(([5, 6, 7, 8, 1], [5, 6, 7, 9, 10, 11, 1]), begins=(3, 3)),
    Item(([4, 12, 1], [4, 13, 14, 1], [4, 15, 1]), begins=(1, 1, 1), ranks=(2, 3, 1)),
    Item(([6, 7, 8, 1], [5, 6, 7, 8, 1]), begins=(2, 3)),  # prompts cut to the context by different amounts
]


def _config(**settings: Any) -> DPOConfig:
    return DPOConfig(**{"out": "o", "policy": "p", "preferences": "f", "beta": 0.5, **settings})


def test_logprobs_are_those_of_each_response_read_alone_by_transformers(folder: str):
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        packed = Packed.of(ITEMS, CPU.device)
        ours = packed.logprobs(causal(folder, CPU))
        for row, item in enumerate(ITEMS):
            for column, (ids, begin) in enumerate(zip(item.sequences, item.begins, strict=True)):
                logprobs = theirs(torch.tensor([ids])).logits[0].log_softmax(-1)
                alone = sum(float(logprobs[t - 1, ids[t]]) for t in range(begin, len(ids)))
                assert float(ours[row, column]) == pytest.approx(alone, abs=1e-4)
    assert packed.there.tolist() == [[True, True, False], [True, True, True], [True, True, False]]
    assert ours[0, 2] == 0
    assert packed.lengths.tolist() == [[2, 4, 1], [2, 3, 2], [2, 2, 1]]


SAID = Said(
    torch.tensor([[-2.0, -6.0]]), torch.tensor([[-1.0, -8.0]]), torch.tensor([[2.0, 4.0]]), torch.tensor([[-1.5, -5.0]])
)
"""Log-ratios -1 and 2, of the mean token -1/2 and 1/2; means -1 and -3/2."""
ODDS = [math.log(p / (1 - p)) for p in (math.exp(-1), math.exp(-1.5))]
SCORES = [
    ({}, [-0.5, 1.0]),
    ({"length": "mean"}, [-0.25, 0.25]),
    ({"divergence": "forward_kl"}, [0.5 * (1 - math.e), 0.5 * (1 - math.exp(-2))]),
    ({"score": "simpo"}, [-0.5, -0.75]),
    ({"score": "cpo"}, [-1.0, -3.0]),
    ({"score": "orpo"}, [0.5 * ODDS[0], 0.5 * ODDS[1]]),
]


@pytest.mark.parametrize(("settings", "expected"), SCORES)
def test_scores_by_hand(settings: dict[str, Any], expected: list[float]):
    """beta = 1/2, the first response chosen."""
    found = scores(_config(**settings), SAID, [Item(([1, 2], [1, 3]), begins=(1, 1))])
    assert found.tolist() == [pytest.approx(expected)]


CHARGED = [
    ({}, [-0.5, 1.0]),
    ({"dpop_coef": 3.0}, [-0.5 - 0.5 * 3 * 1, 1.0]),
    ({"margin": 0.25}, [-0.75, 1.0]),
    ({"score": "simpo", "margin": 0.25}, [-0.75, -0.75]),
]


@pytest.mark.parametrize(("settings", "expected"), CHARGED)
def test_margin_and_penalty_are_shown_to_the_objective_alone(settings: dict[str, Any], expected: list[float]):
    """Of a tie nothing is charged."""
    config, pair, tie = _config(**settings), Item(([1, 2], [1, 3])), Item(([1, 2], [1, 3]), ranks=(1, 1))
    plain = scores(_config(score=config.score), SAID, [pair])
    assert scores(config, SAID, [pair]).tolist() == plain.tolist()
    assert charged(config, SAID, plain, [pair]).tolist() == [pytest.approx(expected)]
    assert charged(config, SAID, plain, [tie]).tolist() == plain.tolist()


def test_best_and_worst_of_several_are_by_rank_and_of_ties_none():
    items = [
        Item(([1], [2], [3]), ranks=(2, 1, 3)),
        Item(([1], [2]), ranks=(1, 1)),
        Item(([1], [2], [3]), ranks=(math.nan, 2, 1)),
    ]
    assert ends(items) == ([0, 2], [1, 2], [2, 1])
    assert best(items, torch.zeros(3, 3)).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
