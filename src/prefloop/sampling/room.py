"""How much the rollout engine may hold at once, so that any number of prompts runs in the memory of one batch."""

import os
from dataclasses import dataclass
from typing import Self

import torch

from prefloop.models.network import Network

SHARE = 0.25
"""Of the memory that is free when responses begin to be written, for keys and values."""
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
        """What the machine has room for. Args: cache_tokens: most tokens, or None for a quarter of the free memory."""
        rows = ROWS.get(network.device.type, MOST_ROWS)
        if cache_tokens is None:
            cache_tokens = max(LEAST, int(SHARE * free_bytes(network.device) / token_bytes(network)))
        return cls(rows, cache_tokens)


def token_bytes(network: Network) -> int:
    """Bytes of the keys and values of one token, all layers together."""
    config = network.pretrained.config.get_text_config().to_dict()
    heads = config.get("num_attention_heads") or config["n_head"]
    width = config.get("hidden_size") or config["n_embd"]
    layers = config.get("num_hidden_layers") or config["n_layer"]
    pairs = config.get("num_key_value_heads") or heads
    size = config.get("head_dim") or width // heads
    on_cpu = network.device.type == "cpu"
    each = torch.float32.itemsize if on_cpu else (network.placement.autocast or network.pretrained.dtype).itemsize
    return 2 * layers * pairs * size * each


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device, or for a CPU on the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return pages * size
