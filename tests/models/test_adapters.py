"""Adapters: several roles on one base say what separate models say, and folders are PEFT's, there and back.

The outside reference is peft itself, on a Llama and on a GPT-2, whose layers hold their weights the other way round.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from adapting import moved
from prefloop.errors import UserError
from prefloop.models.adapters import adapter_kind
from prefloop.models.device import Placement
from prefloop.models.load import causal, save, save_model, scalar
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream, Stream
from prefloop.sampling.in_process import InProcess
from prefloop.settings import Adapted, Lora, SamplingConfig
from prefloop.text.codec import Codec

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


def edited(**values: Any) -> Callable[[Path], None]:
    """What changes entries of adapter_config.json."""

    def edit(folder: Path) -> None:
        file = folder / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return edit


def tensors(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    """What changes the weights."""
    name = "adapter_model.safetensors"
    return lambda folder: save_file(change(load_file(folder / name)), folder / name, metadata={"format": "pt"})


WHICH = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "IA3": (edited(peft_type="IA3"), r'of the kind "IA3"; prefloop reads LoRA .* kind\. Merge it into its base'),
    "prompt tuning": (edited(peft_type="PROMPT_TUNING"), "prefloop reads LoRA .* and no other kind"),
    "biases": (edited(bias="all"), "trained the biases of its base too .*merge_and_unload"),
    "PiSSA": (edited(init_lora_weights="pissa"), "began by changing its base"),
    "experts": (edited(target_parameters=["a.b"]), "asks for target_parameters"),
    "a revision": (edited(revision="abc"), "its base is the revision abc"),
    "no base named": (edited(base_model_name_or_path=None), "does not say which model this is an adapter of"),
    "its base is gone": (
        edited(base_model_name_or_path="/gone/model"),
        "an adapter of /gone/model, and nothing is there",
    ),
    "a hub id that is not here": (edited(base_model_name_or_path="owner/name"), "owner/name: there is no such folder"),
    "no rank": (edited(r=None), "r and lora_dropout should be numbers"),
    "another rank": (edited(r=5), "is not what adapter_config.json says of it"),
    "not JSON": (
        lambda folder: (folder / "adapter_config.json").write_text("{"),
        "adapter_config.json:1: this is not JSON",
    ),
    "no weights": (lambda folder: (folder / "adapter_model.safetensors").unlink(), "has no weights of the adapter"),
    "half a file": (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"12"), "damaged or incomplete"),
    "embeddings": (
        tensors(lambda all: {**all, "base_model.model.lm_head.weight": torch.zeros(2, 2)}),
        r"1 other weights were trained \(lm_head.weight\)",
    ),
    "half a pair": (tensors(lambda all: {k: v for k, v in all.items() if k != WHICH}), "q_proj do not fit together"),
    "another width": (
        tensors(lambda all: {**all, WHICH: torch.zeros(3, 8)}),
        r"adapter is of another base: model.layers.0.self_attn.q_proj is 16 x 8 for it, and 16 x 16 in",
    ),
    "another family": (
        tensors(lambda all: {name.replace("model.layers", "transformer.h"): each for name, each in all.items()}),
        "adapter is of another base: .* has no linear layer transformer.h.0",
    ),
}


@pytest.fixture(scope="module")
def good(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter by peft on the Llama."""
    path = tmp_path_factory.mktemp("peft") / "adapter"
    adapted(AutoModelForCausalLM.from_pretrained(folder), path, 5, task_type="CAUSAL_LM", lora_dropout=0.1)
    return path


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_a_sentence(good: Path, tmp_path: Path, case: str):
    spoil, sentence = BAD[case]
    shutil.copytree(good, tmp_path / "adapter")
    spoil(tmp_path / "adapter")
    with pytest.raises(UserError, match=sentence):
        causal(str(tmp_path / "adapter"), CPU)


def test_another_base_is_refused_and_a_moved_one_is_found(folder: str, new_llama: Any, codec: Codec, tmp_path: Path):
    """The same architecture, trained further: only the fingerprint tells."""
    shutil.copytree(folder, tmp_path / "here" / "base")
    network = causal(str(tmp_path / "here" / "base"), CPU)
    network.train_as(LORA, seed=0)
    save(tmp_path / "here" / "adapter", network)
    (tmp_path / "here").rename(tmp_path / "there")
    assert causal(str(tmp_path / "there" / "adapter"), CPU).role is not None
    save_model(tmp_path / "there" / "base2", new_llama(2), codec)
    edited(base_model_name_or_path=str(tmp_path / "there" / "base2"))(tmp_path / "there" / "adapter")
    with pytest.raises(UserError, match=r"trained on another base than .*base2 is now \(fingerprint"):
        causal(str(tmp_path / "there" / "adapter"), CPU)
    edited(base_model_name_or_path=str(tmp_path / "there" / "adapter"))(tmp_path / "there" / "adapter")
    with pytest.raises(UserError, match="this is an adapter of an adapter"):
        causal(str(tmp_path / "there" / "adapter"), CPU)


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (("q_prj",), r"has no layer called q_prj\. Did you mean q_proj.*all-linear takes all"),
        (("q_proj", "lm_head"), "lm_head is there in .*, but it is no linear layer of its trunk"),
        ("embed_tokens", "embed_tokens is there in"),
    ],
)
def test_a_layer_that_is_not_there(network: Network, targets: Any, sentence: str):
    with pytest.raises(UserError, match=sentence):
        network.train_as(Adapted(adapter="lora", lora=Lora(targets=targets)), seed=0)


def test_only_the_layers_asked_for_are_adapted(network: Network):
    network.train_as(Adapted(adapter="lora", lora=Lora(targets=("0.self_attn.q_proj", "down_proj"))), seed=0)
    assert network.role is not None
    assert {name.rpartition(".lora_")[0] for name in network.role.tensors} == {
        "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"
    }  # fmt: skip
    assert network.role.settings["target_modules"] == sorted({n.rpartition(".lora_")[0] for n in network.role.tensors})


@pytest.mark.parametrize(
    "lora", [Lora(rank=2), Lora(alpha=1), Lora(dora=True), Lora(scaling="rslora"), Lora(targets="q")]
)
def test_an_adapter_goes_on_as_it_was_made(good: Path, lora: Lora):
    network = causal(str(good), CPU)
    with pytest.raises(UserError, match=r"lora\.\w+: training goes on with the adapter in"):
        network.train_as(Adapted(lora=lora), seed=0)


def test_all_weights_of_an_adapter_are_trained_once_it_is_merged(good: Path):
    network = causal(str(good), CPU)
    with torch.no_grad():
        before = network.logits(network.hidden_states(Stream.of(SEQUENCES, CPU.device)))
    assert (
        "is merged into its base, and all weights are trained" in network.train_as(Adapted(adapter="none"), seed=0)[0]
    )
    logits = network.logits(network.hidden_states(Stream.of(SEQUENCES, CPU.device)))
    assert torch.allclose(logits, before, atol=1e-5)
    assert all(weight.requires_grad for weight in network.parameters())
    assert not any("lora" in name for name, _ in network.named_parameters())


def test_auto_is_by_size_and_by_what_it_begins_with():
    assert [adapter_kind("auto", n, begun=False) for n in (700_000, 19_999_999, 134_515_008)] == [
        "none",
        "none",
        "lora",
    ]
    assert adapter_kind("auto", 5, begun=True) == "lora"
    assert [adapter_kind(asked, 5, begun=True) for asked in ("none", "lora")] == ["none", "lora"]
    with pytest.raises(UserError, match="what stands under lora does nothing"):
        Adapted.parse({"adapter": "none", "lora": {"rank": 4}}, where="here")


@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
def test_in_bfloat16_an_adapter_is_float32_and_what_is_read_twice_is_the_same(bases: dict[str, str], family: str):
    network = causal(bases[family], Placement(torch.device("cpu"), torch.bfloat16))
    network.train_as(LORA, seed=0)
    assert network.role is not None
    assert {weight.dtype for weight in moved(network, 1).role.tensors.values()} == {torch.float32}  # pyright: ignore
    packed = ResponseStream.of(PROMPTS, RESPONSES, CPU.device)
    now = network.read(packed, temperature=1.0)
    now.logprobs.sum().backward()
    with torch.no_grad():
        assert torch.equal(network.logprobs(packed, temperature=1.0), now.logprobs)
    assert all(weight.grad is not None for weight in network.role.tensors.values())
    assert len(InProcess(network).sample(PROMPTS, SamplingConfig(max_new_tokens=3), 0)) == 2


@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
def test_a_saved_reward_model_scores_through_peft(bases: dict[str, str], tmp_path: Path, family: str):
    """In a padded batch, its head from `modules_to_save`."""
    judge = scalar(bases[family], CPU, fresh_head=True)
    judge.train_as(LORA, seed=0)
    assert judge.scores(SEQUENCES).tolist() == [0, 0]
    save(tmp_path / "reward", moved(judge, 2))
    pad = AutoTokenizer.from_pretrained(tmp_path / "reward").pad_token_id
    base = AutoModelForSequenceClassification.from_pretrained(bases[family], num_labels=1, pad_token_id=pad)
    theirs = PeftModel.from_pretrained(base, str(tmp_path / "reward")).eval()
    batch = torch.tensor([SEQUENCES[0], [*SEQUENCES[1], *[pad] * (len(SEQUENCES[0]) - len(SEQUENCES[1]))]])
    with torch.no_grad():
        scores = theirs(input_ids=batch, attention_mask=(batch != pad).long()).logits[:, 0].tolist()
        assert judge.scores(SEQUENCES).tolist() == pytest.approx(scores, abs=1e-5)
        assert scalar(str(tmp_path / "reward"), CPU).scores(SEQUENCES).tolist() == pytest.approx(scores, abs=1e-5)
    with pytest.raises(UserError, match="this is a reward model: it gives a response a number"):
        causal(str(tmp_path / "reward"), CPU)


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
