"""Requests that come and go in one batch are answered as if each were alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.test_stream import FAMILIES, made
from prefloop.models.network import Network
from prefloop.sampling.batch import Batch, Request
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.room import Room
from prefloop.settings import SamplingConfig

ASKED = [  # prompt, settings, copies, at which step it comes
    ([5, 9, 7, 11], SamplingConfig(max_new_tokens=30), 2, 0),
    ([8, 6], SamplingConfig(max_new_tokens=12, temperature=0.7, top_p=0.9), 3, 0),
    ([5, 9, 7, 11, 12, 13, 14, 15, 6, 7], SamplingConfig(max_new_tokens=25, top_k=5), 1, 3),
    ([10], SamplingConfig(max_new_tokens=40, temperature=0), 1, 4),
    ([9, 9, 9], SamplingConfig(max_new_tokens=8), 4, 20),
]


ROOM = Room(rows=64, tokens=10_000)


@pytest.fixture
def ending(network: Network) -> Network:
    """So many stop tokens that random responses of all lengths come about."""
    network.codec = replace(network.codec, stop_ids=tuple(range(100, 110)))
    return network


def request(prompt: list[int], sampling: SamplingConfig, place: int, *, copies: int) -> Request:
    return Request.drawn(prompt, sampling, torch.Generator().manual_seed(place), copies=copies)


def answered(
    network: Network, asked: list[Any], *, giving_up: int | None = None, room: Room = ROOM
) -> list[list[tuple[int, ...]]]:
    batch = Batch(network, room)
    requests = [
        request(prompt, sampling, place, copies=copies) for place, (prompt, sampling, copies, _) in enumerate(asked)
    ]
    said: dict[tuple[int, int], list[int]] = {(i, row): [] for i, r in enumerate(requests) for row in range(r.copies)}

    def hear(request: Request, row: int, token: int, ended: bool) -> bool:
        said[requests.index(request), row].append(token)
        assert ended == (token in network.codec.stop_ids)
        return requests.index(request) != giving_up

    for step in range(100):
        newcomers = [request for request, (*_, at) in zip(requests, asked, strict=True) if at == step]
        if newcomers:
            batch.admit(newcomers)
        if len(batch):
            batch.step(hear)
    assert len(batch) == 0
    return [[tuple(said[i, row]) for row in range(r.copies)] for i, r in enumerate(requests)]


def alone(network: Network, asked: list[Any]) -> list[list[tuple[int, ...]]]:
    sampler = InProcess(network)
    return [
        [sampled.tokens for sampled in sampler.sample([prompt], sampling, place, copies=copies)]
        for place, (prompt, sampling, copies, _) in enumerate(asked)
    ]


def test_whoever_comes_and_goes_each_is_answered_as_alone(ending: Network):
    """The cache grows several times while others join."""
    together = answered(ending, ASKED)
    assert together == alone(ending, ASKED)
    assert len({len(response) for responses in together for response in responses}) > 3  # some ended by themselves


@pytest.mark.parametrize("tokens", [10_000, 1])
@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt2"])
def test_windows_caps_and_places_hold_whoever_comes_and_goes(family: str, tokens: int, door: Callable[[Any], Network]):
    """Rows of other lengths are pushed right beside each other: a window counts tokens of its own row. With no room to
    spare the cache is reshaped for every newcomer, narrower too."""
    network = door(made(FAMILIES[family]()))
    network.codec = replace(network.codec, stop_ids=(36, 37))
    assert answered(network, ASKED, room=Room(64, tokens)) == alone(network, ASKED)


def test_what_is_given_up_leaves_and_changes_nothing_for_the_others(network: Network):
    given_up, expected = answered(network, ASKED, giving_up=0), alone(network, ASKED)
    assert given_up[1:] == expected[1:]
    assert [len(response) for response in given_up[0]] == [1, 1]


def test_a_batch_that_never_falls_silent_does_not_grow(network: Network):
    """Three tokens, ten more, at most two at a time: four slots of 13, since slots double."""
    batch = Batch(network, ROOM)
    sizes = []
    for place in range(40):
        batch.admit([request([5, 6, 7], SamplingConfig(max_new_tokens=10, temperature=0), place, copies=1)])
        for _ in range(6):
            batch.step(lambda *_: True)
        sizes.append(batch._cache.num_bytes)
    assert set(sizes[1:]) == {2 * 13 * 2 * 2 * 2 * 4 * 4}  # layers, keys and values, heads, their width, bytes
    assert torch.isfinite(batch._logits).all()
