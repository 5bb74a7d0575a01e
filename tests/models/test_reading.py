"""Weights are brought to the form that they are held in as they are read: the same bits, without all of them before."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from models.gguf_files import write
from prefloop.errors import UserError
from prefloop.models import quantised
from prefloop.models.device import Placement
from prefloop.models.load import causal, save, save_model, scalar
from prefloop.models.network import Network
from prefloop.models.quantised import NF4, Int8
from prefloop.settings import Adapted, Lora
from prefloop.text.codec import Codec

CPU = Placement(torch.device("cpu"))
FORMS = ("float32", "bfloat16", "int8", "nf4")


@pytest.fixture(scope="module")
def sources(folder: str, codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of every kind, with and without an adapter."""
    path = tmp_path_factory.mktemp("sources")
    made: dict[str, str] = {"float32": folder}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float16", torch.float16), ("mixed", torch.bfloat16)):
        model = causal(folder, CPU).pretrained.to(dtype)
        if name == "mixed":
            model.get_submodule("model.layers.0.mlp").float()
        save_model(path / name, model, codec)
        made[name] = str(path / name)
    tied = causal(folder, CPU).pretrained
    tied.config.tie_word_embeddings = True
    tied.tie_weights()
    tied.to(torch.bfloat16).save_pretrained(path / "tied", max_shard_size="4KB")
    codec.tokenizer.save_pretrained(path / "tied")
    adapted = causal(made["bfloat16"], CPU)
    adapted.train_as(Adapted(adapter="lora", lora=Lora(rank=2)), seed=1)
    with torch.no_grad():
        for weight in adapted.role.tensors.values():
            weight += 0.1
    save(path / "adapter", adapted)
    for kind in (Kind.Q4_1, Kind.BF16):
        made[f"GGUF {kind.name}"] = str(write(path / f"{kind.name}.gguf", codec, kind=kind))
    return made | {"tied shards": str(path / "tied"), "adapter": str(path / "adapter")}


SOURCES = ("float32", "bfloat16", "float16", "mixed", "tied shards", "adapter", "GGUF Q4_1", "GGUF BF16")


@pytest.mark.parametrize("source", SOURCES)
def test_it_is_what_is_read_whole_and_held_then(source: str, sources: dict[str, str]):
    """Every weight and scale to the bit, and the sentence; the reference is a model in float32, held afterwards."""
    for form in FORMS:
        whole, ours = causal(sources[source], CPU), causal(sources[source], CPU, weights=form)
        said = whole.hold(form)
        assert ours.hold(form) == said
        assert ours.hold(form) == []  # once
        _same(ours, whole)
    if source != "adapter":
        whole, ours = (scalar(sources[source], CPU, fresh_head=True, weights=form) for form in ("float32", "int8"))
        assert any(isinstance(layer, Int8) for layer in ours.modules()) == (source != "mixed")
        assert ours.hold("int8") == whole.hold("int8")
        _same(ours, whole)


def _same(ours: Network, theirs: Network) -> None:
    expected, found = theirs.pretrained.state_dict(), ours.pretrained.state_dict()
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert found[name].dtype == weight.dtype, name
        assert torch.equal(found[name], weight), name
    buffers = dict(theirs.pretrained.named_buffers())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in ours.pretrained.named_buffers())


@pytest.mark.parametrize("kind", [Int8, NF4])
def test_a_few_rows_at_once_are_quantised_as_all_are(kind: type[Int8] | type[NF4], monkeypatch: pytest.MonkeyPatch):
    plain = torch.nn.Linear(37, 50)
    whole = kind(plain)
    monkeypatch.setattr(quantised, "AT_ONCE", 128)
    few = kind(plain)
    assert torch.equal(few.weight, whole.weight)
    assert torch.equal(few.scale, whole.scale)


@pytest.mark.parametrize("bad", ["nan", "inf"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_number_is_found_in_any_form(form: str, bad: str, folder: str, codec: Codec, tmp_path: Path):
    model = causal(folder, CPU).pretrained.to(torch.bfloat16)
    with torch.no_grad():
        model.get_parameter("model.layers.1.mlp.up_proj.weight")[3, 2] = float(bad)
    save_model(tmp_path / "bad", model, codec)
    with pytest.raises(UserError, match=r"the model has (NaN|infinite) weights in model\.layers\.1\.mlp\.up_proj\."):
        causal(str(tmp_path / "bad"), CPU, weights=form)


MEASURE = """
import sys
from pathlib import Path
import torch
from prefloop.models.device import Placement
from prefloop.models.load import causal
from prefloop.models.machine import give_back, held_memory

place = Placement(torch.device("cpu"))
causal(sys.argv[2], place, weights="bfloat16")  # what is imported and laid out once
give_back()
Path("/proc/self/clear_refs").write_text("5")
around = held_memory(place.device)
network = causal(sys.argv[1], place, weights="bfloat16")
line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(1024 * int(line.split()[1]) - around)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not tell peaks")
def test_the_peak_is_the_final_size_and_a_little(folder: str, codec: Codec, tmp_path: Path):
    """In a process that only loads a file in bfloat16: never are 4 bytes a weight there."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(codec.tokenizer), max_position_embeddings=256, **sizes)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(0.01) if "norm" in name else weight.view(-1).copy_(torch.arange(weight.numel()) % 97 / 2000)
    save_model(tmp_path / "model", model, codec)
    run = [sys.executable, "-c", MEASURE, str(tmp_path / "model"), folder]
    told = (subprocess.run(run, capture_output=True, text=True, check=True).stdout for _ in range(2))
    peak = min(int(said.splitlines()[-1]) for said in told)  # what a busy machine adds to one
    assert 2 * 0.9 < peak / model.num_parameters() < 4 * 0.9
