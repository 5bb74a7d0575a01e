"""What tests of models share: a tokenizer and a tiny random Llama, built once, in plain folders.

Nothing here imports torch until a fixture is asked for, so that the tests without models stay quick.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prefloop.models.device import Placement
    from prefloop.models.network import Network
    from prefloop.text.codec import Codec

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores; and sums that come out the same each time
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a model that is not here is an error at once, not after a minute

settings.register_profile("search", derandomize=False)
settings.register_profile(
    "same", derandomize=True
)  # `make test` says the same twice; HYPOTHESIS_PROFILE=search looks further
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

CORPUS = [
    "where is my parcel 12?",
    "i am sorry, it is on its way.",
    "please send my money back",
    "包裹在哪里？很抱歉。",
]
CONTEXT = 64


@pytest.fixture(scope="session")
def cpu() -> "Placement":
    import torch

    from prefloop.models.device import Placement

    torch.set_num_threads(1)
    return Placement(torch.device("cpu"))


@pytest.fixture(scope="session")
def codec() -> "Codec":
    """Byte-level BPE of 300 tokens with the template `turns`."""
    from prefloop.pretrain.tokenizer import trained_tokenizer
    from prefloop.text.codec import Codec
    from prefloop.text.templates import template_text

    tokenizer = trained_tokenizer(CORPUS * 3, vocab_size=300)
    tokenizer.chat_template = template_text("turns")
    return Codec(tokenizer, (tokenizer.eos_token_id,), CONTEXT)


@pytest.fixture(scope="session")
def new_llama(codec: "Codec") -> "Callable[[int], PreTrainedModel]":
    """Makes a random Llama of width 16, with weights so large that every token matters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    def make(seed: int, spread: float = 0.3) -> "PreTrainedModel":
        config = LlamaConfig(
            vocab_size=len(codec.tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
            bos_token_id=codec.stop_ids[0],
            eos_token_id=codec.stop_ids[0],
            pad_token_id=codec.tokenizer.pad_token_id,
            initializer_range=spread,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return LlamaForCausalLM(config)

    return make


@pytest.fixture(scope="session")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    codec: "Codec",
    new_llama: "Callable[..., PreTrainedModel]",
    cpu: "Placement",
) -> str:
    """A model folder, only to be read."""
    from prefloop.models.load import save_model

    path = tmp_path_factory.mktemp("tiny") / "model"
    save_model(path, new_llama(1), codec)
    return str(path)


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The GGUF file of SmolLM2-135M-Instruct; skips without its package. Who asks for it is marked `smollm2`."""
    from prefloop.errors import UserError
    from prefloop.models import gguf

    try:
        return str(gguf.packaged("smollm2"))
    except UserError as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def bases(folder: str, codec: "Codec", tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Model folders, only to be read: the Llama, and a GPT-2, whose embeddings are tied and whose layers hold their
    weights the other way round."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from prefloop.models.load import save_model

    size = {"vocab_size": len(codec.tokenizer), "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
    end = codec.stop_ids[0]
    config = GPT2Config(**size, initializer_range=0.3, bos_token_id=end, eos_token_id=end)
    path = tmp_path_factory.mktemp("gpt") / "model"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        save_model(path, GPT2LMHeadModel(config), codec)
    return {"Llama": folder, "GPT-2": str(path)}


@pytest.fixture(scope="session")
def door(codec: "Codec", cpu: "Placement") -> "Callable[[PreTrainedModel], Network]":
    """Puts a model behind the door, in float32."""
    from prefloop.models.network import Network

    return lambda model: Network(model, codec, path="made here", placement=cpu)


@pytest.fixture
def network(folder: str, cpu: "Placement") -> "Network":
    """The folder's model, fresh for each test."""
    from prefloop.models.load import causal

    return causal(folder, cpu)


@pytest.fixture(scope="session")
def plain(folder: str) -> "PreTrainedModel":
    """The same weights as transformers itself runs them: the outside reference."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa").eval()


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., str]:
    """Writes rows as JSON lines. Returns: the path."""

    def write(name: str, rows: Sequence[dict[str, Any]]) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def prompts_file(write_rows: Callable[..., str]) -> str:
    """Twelve prompts."""
    return write_rows(
        "prompts.jsonl", [{"id": f"p{i}", "messages": [{"role": "user", "content": text(i)}]} for i in range(12)]
    )


def text(number: int) -> str:
    """A prompt's text, different for each number and of different lengths."""
    return f"where is my parcel {number}?" if number % 2 else f"i am sorry {number}"


@pytest.fixture(scope="session")
def read_lines() -> Callable[[Path], list[dict[str, Any]]]:
    """The rows of a JSON lines file."""

    def read(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    return read
