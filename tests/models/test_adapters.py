"""Adapters: several roles on one base say what separate models say, and folders are PEFT's, there and back.

The outside reference is peft itself, on a Llama and on a GPT-2, whose layers hold their weights the other way round.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from adapting import moved
from prefloop.models.device import Placement
from prefloop.models.load import causal, save
from prefloop.models.stream import Stream
from prefloop.settings import Adapted, Lora

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's, of transformers
CPU = Placement(torch.device("cpu"))
PROMPTS, RESPONSES = [[5, 9, 7], [8]], [[30, 2, 11, 1], [12, 1]]
SEQUENCES = [[*p, *r] for p, r in zip(PROMPTS, RESPONSES, strict=True)]
KINDS: dict[str, dict[str, Any]] = {"lora": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}
LORA = Adapted(adapter="lora", lora=Lora(rank=4, alpha=8))


def adapted(model: PreTrainedModel, path: Path, seed: int, **settings: Any) -> PeftModel:
    """An adapter by peft on all linear layers, all its weights at random; its folder is written to `path`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=3, lora_alpha=6, target_modules="all-linear", init_lora_weights=False, **settings)
        made = get_peft_model(model, config)
    made.save_pretrained(path)
    return made.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_a_folder_of_peft_is_read(bases: dict[str, str], tmp_path: Path, family: str, kind: str):
    plain = AutoModelForCausalLM.from_pretrained(bases[family])
    theirs = adapted(plain, tmp_path / "adapter", 5, task_type="CAUSAL_LM", **KINDS[kind])
    ours = causal(str(tmp_path / "adapter"), CPU)
    with torch.no_grad():
        logits = ours.logits(ours.hidden_states(Stream.of(SEQUENCES, CPU.device)))
        expected = torch.cat([theirs(torch.tensor([sequence])).logits[0] for sequence in SEQUENCES])
        with theirs.disable_adapter():
            without = theirs(torch.tensor([SEQUENCES[0]])).logits[0]
    assert (expected[: len(without)] - without).abs().max() > 0.1
    assert torch.allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
def test_a_saved_adapter_is_peft_s(bases: dict[str, str], tmp_path: Path, family: str, dora: bool):
    network = causal(bases[family], CPU)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    network.train_as(Adapted(adapter="lora", lora=Lora(rank=4, alpha=8, dora=dora)), seed=0)
    fresh = network.logits(network.hidden_states(Stream.of(SEQUENCES, CPU.device)))
    moved(network, 1)
    with torch.no_grad():
        logits = network.logits(network.hidden_states(Stream.of(SEQUENCES, CPU.device)))
    for name, weight in network.state_dict().items():
        if "lora" not in name:
            assert torch.equal(weight, before[name.replace("base_layer.", "")])
    save(tmp_path / "saved", network)
    theirs = AutoPeftModelForCausalLM.from_pretrained(str(tmp_path / "saved")).eval()
    with torch.no_grad():
        expected = torch.cat([theirs(torch.tensor([sequence])).logits[0] for sequence in SEQUENCES])
    assert (fresh - logits).abs().max() > 0.1
    assert torch.allclose(logits, expected, atol=1e-5)
    again = causal(str(tmp_path / "saved"), CPU)
    assert again.role is not None
    assert network.role is not None
    assert all(torch.equal(weight, network.role.tensors[name]) for name, weight in again.role.tensors.items())
