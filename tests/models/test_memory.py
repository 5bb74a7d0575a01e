"""What a model costs in memory, against autograd itself, against numbers worked by hand, and by laws."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from prefloop.models.device import Placement
from prefloop.models.memory import (
    ADAM,
    FLOAT,
    Anatomy,
    Way,
    activation_bytes_per_token,
    adapter_numbers,
    cache_bytes_per_token,
    choosing_bytes,
    logit_bytes,
    reading_bytes_per_token,
)
from prefloop.models.network import Network
from prefloop.models.stream import Stream
from prefloop.text.codec import Codec

LLAMA_1B = LlamaConfig(
    vocab_size=128256,
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=16,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=64,
    tie_word_embeddings=True,
    max_position_embeddings=131072,
)
"""The sizes of Llama 3.2 1B."""


@pytest.fixture(scope="module")
def large() -> Anatomy:
    return Anatomy.of(LLAMA_1B, LlamaForCausalLM)


def test_a_billion_by_hand(large: Anatomy):
    """
    embedding  128256 x 2048                                        =   262,668,288
    a layer    q, o 2048 x 2048, k, v 2048 x 512, three 2048 x 8192 =    60,817,408
    norms      33 x 2048                                            =        67,584
    all        262,668,288 + 16 x 60,817,408 + 67,584               = 1,235,814,400, as the model's card says
    full AdamW in float32: 4 for the weight, 4 for its gradient, 8 for its means = 16 bytes each = 19.8 GB
    a token in a bfloat16 cache: 16 layers x 512 x 2 x 2 bytes      = 32 KiB
    LoRA of rank 16: a layer 16 x (2 (2048 + 2048) + 2 (2048 + 512) + 3 (2048 + 8192)) = 704,512
    """
    assert large.embeddings == 262_668_288
    assert large.matrices == 16 * 60_817_408
    assert large.numbers == 1_235_814_400
    assert large.numbers * (FLOAT + FLOAT + ADAM) == 19_773_030_400
    assert cache_bytes_per_token(large, key=2, value=2) == 32 * 1024
    assert adapter_numbers(large, 16) == 16 * 704_512


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("longest", [32, 48])
def test_activations_are_what_autograd_keeps(codec: Codec, half: bool, longest: int):
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    place = Placement(torch.device("cpu"), torch.bfloat16 if half else None)
    network = Network(model, codec, path="made here", placement=place)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    held: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        rounded_weight = tensor.ndim == 2 and len(tensor) != 8 * longest
        if storage.data_ptr() not in weights and not rounded_weight:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        states = network.hidden_states(Stream.of([[9 + row] * longest for row in range(8)], network.device))
    assert states.requires_grad
    counted = 8 * longest * activation_bytes_per_token(Anatomy.of_model(model), Way(half=half, longest=longest))
    assert counted == pytest.approx(sum(held.values()), rel=0.02)


LESS: list[tuple[str, Way, Way]] = [
    ("recomputed", Way(recompute=True), Way()),
    ("in bfloat16", Way(half=True, cpu=False), Way(cpu=False)),
    ("with adapters", Way(adapter=True), Way()),
    ("without padding", Way(), Way(grid=1.5)),
    ("short", Way(half=True, longest=64), Way(half=True, longest=256)),
]


@pytest.mark.parametrize(("what", "small", "big"), LESS, ids=[what for what, _, _ in LESS])
def test_what_saves_activations(large: Anatomy, what: str, small: Way, big: Way):
    assert 0 < activation_bytes_per_token(large, small) < activation_bytes_per_token(large, big)


def test_laws(large: Anatomy):
    way = Way()
    assert reading_bytes_per_token(large, way) < activation_bytes_per_token(large, way)
    learned, read = (logit_bytes(large, 2000, learned=learned) for learned in (True, False))
    assert read < learned < FLOAT * 2000 * large.vocabulary  # no tensor of tokens x vocabulary
    assert choosing_bytes(large, 32) == 2 * choosing_bytes(large, 16)
    deeper = replace(large, layers=2 * large.layers)
    assert activation_bytes_per_token(deeper, way) > 1.9 * activation_bytes_per_token(large, way)
    smaller = large.scaled(0.5)
    assert smaller.matrices == large.matrices // 2
    assert activation_bytes_per_token(smaller, way) < activation_bytes_per_token(large, way)
