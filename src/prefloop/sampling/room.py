"""How much the rollout engine may hold at once, so that any number of prompts runs in the memory of one batch."""

from dataclasses import dataclass
from typing import Self

import torch

from prefloop.models.machine import whole_memory
from prefloop.models.memory import Anatomy, cache_bytes_per_token
from prefloop.models.network import Network

SHARE = 1 / 8
"""Of the memory that there is, for keys and values. What is free would be another number each time, and with it
rounding: a run that goes on must write what it would have written."""
ROWS = {"cpu": 64}
"""Most responses in the making: on a CPU more are no faster each, and cost memory."""
MOST_ROWS = 512
LEAST = 2048
"""Tokens that are held even where memory is short: one response of a small context."""


@dataclass(frozen=True)
class Room:
    """What fits."""

    rows: int
    """most responses in the making"""
    tokens: int
    """most tokens whose keys and values are held; one request alone may need more"""

    @classmethod
    def of(cls, network: Network, cache_tokens: int | None) -> Self:
        """What there is room for. Args: cache_tokens: most tokens, or None for what `SHARE` of the memory holds."""
        rows = ROWS.get(network.device.type, MOST_ROWS)
        return cls(rows, cache_tokens or tokens_held(network.device, token_bytes(network)))


def tokens_held(device: torch.device, token_bytes: float) -> int:
    """Most tokens whose keys and values are held, where nobody said."""
    return max(LEAST, int(SHARE * whole_memory(device) / token_bytes))


def token_bytes(network: Network) -> int:
    """Bytes of the keys and values of one token, all layers together."""
    on_cpu = network.device.type == "cpu"
    dtype = torch.float32 if on_cpu else network.placement.autocast or network.pretrained.dtype
    return cache_bytes_per_token(Anatomy.of_model(network.pretrained), key=dtype.itemsize, value=dtype.itemsize)
