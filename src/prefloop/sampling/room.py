"""How much the rollout engine may hold at once, so that any number of prompts runs in the memory of one batch."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from prefloop.models.network import Network

SHARE = 1 / 8
"""Of the memory that there is, for keys and values. What is free would be another number each time, and with it
rounding: a run that goes on must write what it would have written."""
LIMIT = Path("/sys/fs/cgroup/memory.max")
"""Where a container on Linux says how much memory it may use."""
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
    return max(LEAST, int(SHARE * memory(device) / token_bytes))


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


def memory(device: torch.device) -> int:
    """Bytes of memory that a device has, or that this process may use of the machine's."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    said = LIMIT.read_text(encoding="ascii").strip() if LIMIT.is_file() else ""
    return min(there, int(said)) if said.isdigit() else there
