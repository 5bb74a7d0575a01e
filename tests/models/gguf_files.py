"""Tiny GGUF files of random weights, written with the package gguf as llama.cpp's converters lay them out."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_gguf_pytorch_utils import TensorProcessor, get_gguf_hf_weights_map

from prefloop.text.codec import Codec

WIDTH, HEADS, LAYERS = 64, 4, 2
ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "phi3": "phi3"}
"""llama.cpp's name of a family -> transformers'."""


def write(file: Path, codec: Codec, *, architecture: str = "llama", kind: Kind = Kind.F32, **keys: Any) -> Path:
    """A model of random weights with a tokenizer. `keys` replace what the header says; None leaves a key out."""
    tokenizer, vocabulary = codec.tokenizer, codec.tokenizer.get_vocab()
    model = random_model(architecture, len(vocabulary), codec.context)
    writer = gguf.GGUFWriter(file, architecture)
    values = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": architecture,
        "tokenizer.ggml.tokens": sorted(vocabulary, key=vocabulary.__getitem__),
        "tokenizer.ggml.token_type": [3 if i in tokenizer.added_tokens_decoder else 1 for i in range(len(vocabulary))],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in _merges(tokenizer)],
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
        "tokenizer.ggml.padding_token_id": tokenizer.pad_token_id,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": codec.template,
        **{f"{architecture}.{key}": value for key, value in _sizes(codec.context, _head(architecture)).items()},
    }
    for key, value in (values | keys).items():
        if value is None:
            continue
        add: Any = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
        add.get(type(value), writer.add_array)(key, value)
    for name, weight in tensors(model).items():
        many = kind if weight.ndim > 1 else Kind.F32
        writer.add_tensor(name, gguf.quants.quantize(weight, many), raw_dtype=many)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _head(architecture: str) -> int:
    return 128 if architecture == "qwen3" else WIDTH // HEADS  # transformers leaves the width of Qwen3's heads unread


def _sizes(context: int, head: int) -> dict[str, Any]:
    return {
        "block_count": LAYERS,
        "context_length": context,
        "embedding_length": WIDTH,
        "feed_forward_length": 2 * WIDTH,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS // 2,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 10000.0,
        "rope.dimension_count": head,
    }


def random_model(architecture: str, vocabulary: int, context: int) -> torch.nn.Module:
    """transformers' model of the same sizes."""
    config = AutoConfig.for_model(
        ARCHITECTURES[architecture],
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        head_dim=_head(architecture),
        max_position_embeddings=context,
        tie_word_embeddings=architecture == "gemma2",
        pad_token_id=0,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return AutoModelForCausalLM.from_config(config)


def tensors(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Weights under the names of GGUF."""
    state = model.state_dict()
    names = get_gguf_hf_weights_map(model, TensorProcessor())
    return {theirs: state[ours].numpy() for theirs, ours in names.items() if ours in state}


def _merges(tokenizer: Any) -> list[tuple[str, str]]:
    import json

    made = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    return [tuple(pair) for pair in made]
