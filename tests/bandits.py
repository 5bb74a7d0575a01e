"""A model of four tokens, small enough that all that it may say can be enumerated."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prefloop.models.load import save_model
from prefloop.text.codec import Codec
from prefloop.text.templates import template_text

END = 1
"""The token that ends a response; 0 is padding, 2 is `a`, 3 is `b`."""


def save(folder: Path) -> None:
    """Writes the model and its tokenizer."""
    tokenizer = Tokenizer(models.BPE(vocab={"<|pad|>": 0, "<|end|>": 1, "a": 2, "b": 3}, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>")
    fast.chat_template = template_text("plain")
    config = LlamaConfig(
        vocab_size=4,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = LlamaForCausalLM(config)
    save_model(folder, model, Codec(fast, (END,), 16))
