"""What a model costs in memory: arithmetic on its sizes, before anything is loaded.

Units: bytes, and numbers (a weight is one number). Letters as in the code of a Llama layer: W width, I width inside the
feed-forward part, Q all query heads together, KV all key (or value) heads together, H heads, L longest sequence, V
vocabulary, N tokens, M response tokens.

What is kept of a token for the backward pass is counted from what the layers of transformers hand to autograd; the
counts are those of a Llama (RMS norms, gated feed-forward, rotary positions), and near enough for its relatives.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from prefloop.models.attention import BLOCK, SHORT
from prefloop.models.checkpoint import number
from prefloop.ops.vocabulary import CHUNK

FLOAT, HALF = 4, 2
"""Bytes of a number in float32 and in bfloat16."""
ADAM = 2 * FLOAT
"""Bytes that AdamW keeps for each trained number: mean and mean square of its gradients."""
SAMPLED = 3.1
"""How many float32 tensors of (tokens, V) are alive at once while tokens are chosen."""
CHUNKS = 3
"""How many of the chunks of logits, or slices of the matrix, that `ops.vocabulary` works on are there at once."""


@dataclass(frozen=True)
class Anatomy:
    """The sizes of a model."""

    layers: int
    width: int
    inner: int
    """I, of all experts that a token goes through"""
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    embeddings: int
    """numbers in the embedding (and in an output matrix of its own)"""
    matrices: int
    """numbers in the matrices of the layers"""
    vectors: int
    """numbers in norms and biases"""
    context: int = 0
    """most tokens that it reads"""
    tied: bool = True
    """whether the output matrix is the embedding"""

    @property
    def numbers(self) -> int:
        """All weights."""
        return self.embeddings + self.matrices + self.vectors

    @property
    def queries(self) -> int:
        """Q"""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """KV"""
        return self.kv_heads * self.head_width

    @classmethod
    def of(cls, config: PretrainedConfig, made: Any) -> Self:
        """The sizes that a configuration describes; its model is made of shapes only, without memory for weights.

        Args:
            made: transformers' class for it (`checkpoint.structure`).
        """
        with torch.device("meta"):
            return cls.of_model(made(config))

    @classmethod
    def of_model(cls, model: PreTrainedModel) -> Self:
        """The sizes of a plain model, its head of one number a sequence left aside."""
        config = model.config.get_text_config()
        trunk: Any = model.base_model
        table = trunk.get_input_embeddings().get_parameter("weight")
        output = model.get_output_embeddings()
        tied = output is None or output.get_parameter("weight") is table
        inside = [p for name, p in trunk.named_parameters() if p is not table]
        width, heads = int(config.hidden_size), int(number(config, "num_attention_heads") or 1)
        return cls(
            layers=int(config.num_hidden_layers),
            width=width,
            inner=_inner(config, width),
            heads=heads,
            kv_heads=int(number(config, "num_key_value_heads") or heads),
            head_width=int(number(config, "head_dim") or width // heads),
            vocabulary=int(table.shape[0]),
            embeddings=table.numel() * (1 if tied else 2),
            matrices=sum(p.numel() for p in inside if p.ndim >= 2),
            vectors=sum(p.numel() for p in inside if p.ndim < 2),
            context=int(number(config, "max_position_embeddings") or 0),
            tied=tied,
        )

    def trunk(self) -> "Anatomy":
        """The same without an output matrix of its own."""
        return self if self.tied else replace(self, embeddings=self.embeddings // 2, tied=True)

    def scaled(self, factor: float) -> "Anatomy":
        """A model of `factor` times as many weights, with the same vocabulary: width and inner width shrink alike."""
        side = factor**0.5
        width, inner = (max(1, round(size * side)) for size in (self.width, self.inner))
        return Anatomy(
            layers=self.layers,
            width=width,
            inner=inner,
            heads=max(1, round(self.heads * side)),
            kv_heads=max(1, round(self.kv_heads * side)),
            head_width=self.head_width,
            vocabulary=self.vocabulary,
            embeddings=round(self.embeddings * side),
            matrices=round(self.matrices * factor),
            vectors=round(self.vectors * side),
            context=self.context,
            tied=self.tied,
        )


def _inner(config: PretrainedConfig, width: int) -> int:
    """I: the width inside the feed-forward part, of all experts that a token goes through."""
    experts = int(number(config, "num_experts_per_tok") or 1)
    of_expert = number(config, "moe_intermediate_size")
    plain = next(
        (size for name in ("intermediate_size", "ffn_dim", "n_inner") if (size := number(config, name))), 4 * width
    )
    return experts * int(of_expert) if of_expert else experts * int(plain)


@dataclass(frozen=True)
class Way:
    """How tokens are read."""

    half: bool = False
    """products in bfloat16 (autocast)"""
    longest: int = SHORT
    """L, tokens of the longest sequence"""
    grid: float = 1.0
    """places of the attention's grid, padding included, for each token"""
    cpu: bool = True
    """on a CPU, bfloat16 attention is written out"""
    recompute: bool = False
    """layers keep their input only, and are computed again in the backward pass"""
    adapter: bool = False
    """weights are frozen, and adapters beside all matrices are trained"""
    rank: int = 0
    """of the adapters"""


def activation_bytes_per_token(anatomy: Anatomy, way: Way) -> float:
    """Bytes that each token of a micro-batch keeps until its gradients are there; heads and logits not counted."""
    ends = FLOAT * 2 * anatomy.width + FLOAT * 2 * anatomy.head_width + 16
    if not way.recompute:
        return ends + anatomy.layers * layer_bytes_per_token(anatomy, way)
    return ends + FLOAT * anatomy.width * anatomy.layers + layer_bytes_per_token(anatomy, way)


def layer_bytes_per_token(anatomy: Anatomy, way: Way) -> float:
    """What one layer keeps of a token for the backward pass."""
    width, inner, queries, keys = anatomy.width, anatomy.inner, anatomy.queries, anatomy.keys
    norms = FLOAT * (2 * width if way.adapter else 4 * width)  # a norm's weight needs what it multiplies
    rounded = HALF if way.half else FLOAT
    inputs = rounded * (5 * width if way.half else 2 * width)  # q, k, v, gate and up each round theirs
    taken = rounded * (4 * inner + queries)
    if way.half and way.cpu and way.longest <= SHORT:
        block = min(BLOCK, way.longest)
        met = rounded * (queries + 2 * keys + anatomy.heads * (way.longest + block) / 2)
    else:
        met = rounded * (2 * queries + 2 * keys) + FLOAT * anatomy.heads
    return norms + inputs + taken + met * way.grid + 2 * FLOAT


def reading_bytes_per_token(anatomy: Anatomy, way: Way) -> float:
    """Bytes that each token needs at the widest place of a reading without gradients; logits not counted."""
    width, inner, queries, keys = anatomy.width, anatomy.inner, anatomy.queries, anatomy.keys
    rounded = HALF if way.half else FLOAT
    within = FLOAT * 2 * width + rounded * (width + 3 * inner)
    met = 4 * queries + 2 * keys
    if way.half and way.cpu:
        met = 6 * queries + 2 * anatomy.heads * min(BLOCK, way.longest)
    across = FLOAT * 2 * width + rounded * met * way.grid
    return max(within, across) + FLOAT * 2 * anatomy.head_width + 16


def logit_bytes(anatomy: Anatomy, tokens: float, *, learned: bool) -> float:
    """Bytes of logits, a chunk at a time, and of the states that they are made from.

    Args:
        tokens: M, whose logprobs are wanted.
        learned: True if there are gradients, of the states and of the output matrix.
    """
    states = FLOAT * tokens * anatomy.width * (3 if learned else 1)
    return states + min(CHUNKS * CHUNK, CHUNKS * FLOAT * tokens * anatomy.vocabulary)


def choosing_bytes(anatomy: Anatomy, rows: float) -> float:
    """Bytes of the logits of R rows, and what is made of them to choose their next tokens."""
    return FLOAT * SAMPLED * rows * anatomy.vocabulary


def cache_bytes_per_token(anatomy: Anatomy, *, key: int = FLOAT, value: int = FLOAT) -> int:
    """Bytes of keys and values of one token in a cache. Args: key, value: bytes of a number."""
    return anatomy.layers * anatomy.keys * (key + value)


def adapter_numbers(anatomy: Anatomy, rank: int) -> int:
    """Numbers of a LoRA beside every matrix of the layers: rank x (what goes in + what comes out)."""
    width, inner = anatomy.width, anatomy.inner
    ends = 2 * (width + anatomy.queries) + 2 * (width + anatomy.keys) + 3 * (width + inner)
    return anatomy.layers * rank * ends


def trained_numbers(model: nn.Module) -> int:
    """Numbers of a model that are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
