"""Padded batches of a saved reward model, in a process that knows nothing of prefloop: the same scores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from adapting import moved
from prefloop.export.config import MergeConfig
from prefloop.export.merge import merge
from prefloop.models.device import Placement
from prefloop.models.load import causal, save, save_model, scalar
from prefloop.models.network import Network
from prefloop.records import Message
from prefloop.settings import Adapted, Lora
from prefloop.text.templates import template_text

CPU = Placement(torch.device("cpu"))
PROMPTS, RESPONSES = ["where is my parcel?", "money"], ["i am sorry.", "on its way on its way"]
FRESH = """
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
for folder, rows in json.loads(sys.argv[1]).items():
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for side in ("right", "left"):
        batch = tokenizer.pad({"input_ids": rows}, padding_side=side, return_tensors="pt")
        places = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            scores = model(**{k: batch[k] for k in ("input_ids", "attention_mask")}, position_ids=places).logits[:, 0]
        print(json.dumps(scores.tolist()))
"""
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def bytes_of(special: list[str], **names: str) -> PreTrainedTokenizerFast:
    """One token a byte, and special ones behind them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    whole = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=whole, **names)


CASES: list[tuple[list[str], dict[str, str], str, int, int]] = [
    # special tokens (their ids begin at 256), what they are for, family, rows to spare -> the padding token
    (["<e>", "<p>"], {"eos_token": "<e>", "pad_token": "<p>"}, "llama", 0, 257),  # its own, which ends nothing
    (["<e>"], {"eos_token": "<e>", "bos_token": "<e>", "unk_token": "<e>"}, "gpt2", 0, 257),  # GPT-2: a new row
    (["<s>", "<e>"], {"eos_token": "<e>", "bos_token": "<s>"}, "llama", 0, 258),  # Llama 2: a new row
    (["<e>"], {"eos_token": "<e>"}, "llama", 7, 257),  # a row to spare
    (["<e>", "<r>", "<|reserved_3|>"], {"eos_token": "<e>"}, "llama", 0, 258),  # Llama 3: a reserved one
    (["<e>", "<mask>"], {"eos_token": "<e>", "pad_token": "<e>"}, "llama", 0, 257),  # padding that ends: another
    (["<|endoftext|>", "<|im_end|>"], {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, "qwen2", 0, 256),
]


def reward_model(case: tuple[list[str], dict[str, str], str, int, int], folder: Path) -> Network:
    """A reward model with random weights, saved and read again."""
    special, names, family, spare, expected = case
    tokenizer = bytes_of(special, **names)
    tokenizer.chat_template = template_text("plain")
    sizes = {"vocab_size": len(tokenizer) + spare, "initializer_range": 0.3, "bos_token_id": None, "pad_token_id": None}
    sizes |= {"eos_token_id": tokenizer.eos_token_id, "max_position_embeddings": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        base = {
            "llama": lambda: LlamaForCausalLM(LlamaConfig(**SMALL, **sizes)),
            "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=4, n_positions=64, **sizes)),
            "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SMALL, num_key_value_heads=4, **sizes)),
        }[family]()
    base.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(256, 256 + (family == "qwen2"))]
    base.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    made = scalar(str(folder / "base"), CPU, fresh_head=True)
    assert made.pretrained.config.pad_token_id == made.codec.tokenizer.pad_token_id == expected
    torch.nn.init.normal_(made.pretrained.get_submodule("score").weight, generator=torch.Generator().manual_seed(5))
    save_model(folder / "reward", made.pretrained, made.codec)
    return scalar(str(folder / "reward"), CPU)


def test_padded_batches_in_a_fresh_process_score_the_same(tmp_path: Path):
    """Scores of rows that end with the end-of-text token, padded right and left, are those of prefloop."""
    expected: list[torch.Tensor] = []
    rows: dict[str, list[list[int]]] = {}
    for number, case in enumerate(CASES):
        network = reward_model(case, tmp_path / str(number))
        prompts = [network.codec.prompt_ids([Message(role="user", content=prompt)]) for prompt in PROMPTS]
        written = [network.codec.response_ids(response) for response in RESPONSES]
        rows[network.path] = [[*p, *r] for p, r in zip(prompts, written, strict=True)]
        assert all(row[-1] == network.codec.stop_ids[0] for row in rows[network.path])
        with torch.no_grad():
            scores = network.scores(rows[network.path])
            early = network.scores([row[:-1] for row in rows[network.path]])
        assert (scores - early).abs().min() > 0.01  # one token early would be seen
        expected += [scores, scores]
    command = [sys.executable, "-c", FRESH, json.dumps(rows)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200).stdout.splitlines()
    actual = torch.tensor([json.loads(line) for line in said])
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES[1:3])
def test_an_adapter_cannot_bring_a_row_for_padding(
    case: tuple[list[str], dict[str, str], str, int, int], tmp_path: Path
):
    """It is read without one, by itself and on a base that others share; merged it has one."""
    reward_model(case, tmp_path)
    judge, policy = scalar(str(tmp_path / "base"), CPU, fresh_head=True), causal(str(tmp_path / "base"), CPU)
    for network in (judge, policy):
        network.train_as(Adapted(adapter="lora", lora=Lora(rank=2)), seed=0)
    save(tmp_path / "adapter", moved(judge, 1))
    rows = [[5, 9, 7, 30], [8, 2]]
    expected = judge.scores(rows)
    for beside in (None, policy):
        again = scalar(str(tmp_path / "adapter"), CPU, beside=beside)
        assert (again.pretrained.base_model is policy.pretrained.base_model) == (beside is policy)
        torch.testing.assert_close(again.scores(rows), expected)
    merge(MergeConfig(model=str(tmp_path / "adapter"), out=str(tmp_path / "whole")))
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole").eval()
    pad = AutoTokenizer.from_pretrained(tmp_path / "whole").pad_token_id
    batch = torch.tensor([rows[0], [*rows[1], pad, pad]])
    torch.testing.assert_close(plain(batch, attention_mask=(batch != pad).long()).logits[:, 0], expected)


FRESH_ADAPTER = """
import json, sys, torch
from peft import AutoPeftModelForSequenceClassification, PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
base, adapter, merged, rows = json.loads(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(adapter)
named = {"num_labels": 1, "pad_token_id": tokenizer.pad_token_id}
models = [
    AutoModelForSequenceClassification.from_pretrained(merged),
    PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(base, **named), adapter),
    AutoPeftModelForSequenceClassification.from_pretrained(adapter, **named),
]
batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
with torch.no_grad():
    print(json.dumps([model.eval()(**batch).logits[:, 0].tolist() for model in models]))
"""


def test_an_adapter_and_what_is_merged_of_it_score_the_same_in_a_fresh_process(tmp_path: Path):
    """In one padded batch: merged, and by peft on its base in two ways."""
    case = CASES[0]
    reward_model(case, tmp_path)
    judge = scalar(str(tmp_path / "base"), CPU, fresh_head=True)
    judge.train_as(Adapted(adapter="lora", lora=Lora(rank=2)), seed=0)
    save(tmp_path / "adapter", moved(judge, 1))
    merge(MergeConfig(model=str(tmp_path / "adapter"), out=str(tmp_path / "whole")))
    rows = [[5, 9, 7, 30, 256], [8, 256], [1, 2, 3, 256]]
    told = json.dumps([*(str(tmp_path / name) for name in ("base", "adapter", "whole")), rows])
    command = [sys.executable, "-W", "ignore", "-c", FRESH_ADAPTER, told]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()[-1]
    expected = judge.scores(rows).detach()
    assert expected.std() > 0.1
    torch.testing.assert_close(torch.tensor(json.loads(said)), expected.expand(3, -1), rtol=1e-5, atol=1e-5)
