"""Model folders in and out; every way a folder can be wrong is a sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CTRLConfig,
    CTRLForSequenceClassification,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import causal, codec_of, reader, save_model, scalar
from prefloop.models.network import Network
from prefloop.models.stream import Stream
from prefloop.text.codec import Codec

CPU = Placement(torch.device("cpu"))
STREAM = Stream.of([[5, 9, 7], [8, 2]], CPU.device)


@pytest.fixture
def copied(folder: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copied"))


def edit(file: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_a_saved_folder_is_plain_hugging_face(network: Network, tmp_path: Path):
    """transformers alone loads it: same weights, its own attention, template and end-of-text token in place."""
    save_model(tmp_path / "model", network.pretrained, network.codec)
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
        AutoTokenizer.from_pretrained(tmp_path / "model"),
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), network.pretrained.state_dict().values(), strict=True)
    )
    assert model.config._attn_implementation == "sdpa"
    assert model.generation_config.eos_token_id == list(network.codec.stop_ids)
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hello"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|user|>hello<|assistant|>"
    ids = model.generate(torch.tensor([[7, 8]]), max_new_tokens=3, do_sample=False)
    assert ids.shape[1] <= 5


def test_saving_leaves_the_model_as_it_was(network: Network, tmp_path: Path):
    before = network.pretrained.config._attn_implementation
    save_model(tmp_path / "model", network.pretrained, network.codec)
    assert network.pretrained.config._attn_implementation == before


def test_all_stop_tokens_are_read_and_the_trained_one_is_first(copied: Path, codec: Codec):
    edit(copied / "generation_config.json", lambda c: c.update(eos_token_id=[7, codec.stop_ids[0], 9]))
    assert codec_of(str(copied)).stop_ids == (codec.stop_ids[0], 7, 9)


def test_dropout_is_off(copied: Path):
    edit(copied / "config.json", lambda c: c.update(attention_dropout=0.5))
    model = causal(str(copied), CPU).model
    assert not model.training
    assert all(m.p == 0 for m in model.modules() if isinstance(m, torch.nn.Dropout))


def test_no_such_folder(tmp_path: Path):
    with pytest.raises(UserError, match=r"nowhere: there is no such folder, and it cannot be fetched"):
        causal(str(tmp_path / "nowhere"), CPU)


def test_a_file_is_not_a_folder(copied: Path):
    with pytest.raises(UserError, match="this is a file"):
        causal(str(copied / "config.json"), CPU)


def test_a_folder_without_config(copied: Path):
    (copied / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        causal(str(copied), CPU)


def test_a_folder_without_weights(copied: Path):
    (copied / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no weights \(model\.safetensors\)"):
        causal(str(copied), CPU)


def test_a_folder_without_tokenizer(copied: Path):
    (copied / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="no tokenizer"):
        causal(str(copied), CPU)


def test_a_folder_without_template(copied: Path):
    (copied / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="records no chat template"):
        causal(str(copied), CPU)
    assert causal(str(copied), CPU, template="plain").codec.template_name == "plain"


def test_another_template_than_trained_with(folder: str):
    with pytest.raises(UserError, match="trained with the template `turns`, but template=chatml"):
        causal(folder, CPU, template="chatml")
    assert causal(folder, CPU, template="turns").codec.template_name == "turns"


def test_a_template_that_writes_the_date_is_told(copied: Path, capsys: pytest.CaptureFixture[str]):
    file = copied / "chat_template.jinja"
    file.write_text("{{ strftime_now('%d %b %Y') }}" + file.read_text())
    causal(str(copied), CPU)
    assert "its chat template writes today's date" in capsys.readouterr().err


def test_a_tokenizer_without_end_of_text(copied: Path):
    edit(copied / "tokenizer_config.json", lambda c: c.pop("eos_token"))
    edit(copied / "generation_config.json", lambda c: c.pop("eos_token_id"))
    edit(copied / "config.json", lambda c: c.update(eos_token_id=None))
    assert causal(str(copied), CPU).codec.stop_ids == (1,)  # the token with which the template ends a turn
    (copied / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no end-of-text token"):
        causal(str(copied), CPU, template="plain")


def test_a_tokenizer_of_another_model(copied: Path):
    tokenizer = AutoTokenizer.from_pretrained(copied)
    tokenizer.add_tokens(["one", "too", "many"])
    tokenizer.save_pretrained(copied)
    with pytest.raises(UserError, match="tokenizer knows 303 tokens but the model only 300"):
        causal(str(copied), CPU)


def tensors_changed(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], object]:
    """A change of all weights in a folder, as names and tensors."""

    def changed(path: Path) -> None:
        file = path / "model.safetensors"
        save_file(change(load_file(file)), file, metadata={"format": "pt"})

    return changed


def without(name: str) -> Callable[[Path], object]:
    return tensors_changed(lambda weights: {key: value for key, value in weights.items() if key != name})


def card(**values: object) -> Callable[[Path], object]:
    return lambda path: edit(path / "config.json", lambda config: config.update(values))


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda path: (path / name).write_text(text, encoding="utf-8")


def shards(path: Path, index: str) -> None:
    (path / "model.safetensors").rename(path / "model-00001-of-00002.safetensors")
    (path / "model.safetensors.index.json").write_text(index, encoding="utf-8")


UP, INDEX = (
    "model.layers.1.mlp.up_proj.weight",
    {"a": "model-00001-of-00002.safetensors", "b": "model-00002.safetensors"},
)
DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "saved by PEFT": (
        tensors_changed(lambda weights: {f"base_model.model.{name}": value for name, value in weights.items()}),
        "weights as PEFT saves them.*merge_and_unload",
    ),
    "an adapter beside": (written("adapter_config.json", "{}"), "a PEFT folder of the kind null; prefloop reads LoRA"),
    "an adapter only": (
        lambda path: (path / "config.json").rename(path / "adapter_config.json"),
        "a PEFT folder of the kind null",
    ),
    "one tensor removed": (without(UP), rf"1 weight \({UP}\) is missing.*Download the model again"),
    "one tensor too many": (
        tensors_changed(lambda weights: {**weights, "v_head.summary.weight": torch.zeros(1, 16)}),
        r"1 weight \(v_head\.summary\.weight\) is not part of such a model",
    ),
    "more layers": (card(num_hidden_layers=3), r"9 weights \(model\.layers\.2\..*\) are missing"),
    "fewer layers": (card(num_hidden_layers=1), r"9 weights \(model\.layers\.1\..*\) are not part of such a model"),
    "another width": (card(hidden_size=20), r"of another size \(lm_head\.weight: 300 x 16 in the file, 300 x 20 by"),
    "a smaller vocabulary": (card(vocab_size=40), "300 x 16 in the file, 40 x 16 by config.json"),
    "a huge vocabulary": (card(vocab_size=10**12), r"vocab_size = 1000000000000 .*far more than"),
    "a million layers": (card(num_hidden_layers=10**6), "config.json: num_hidden_layers = 1000000 cannot be"),
    "no layer": (card(num_hidden_layers=0), "num_hidden_layers = 0 cannot be"),
    "a negative size": (card(vocab_size=-3), "vocab_size = -3, which is no size"),
    "a size in words": (card(vocab_size="many"), r"expected int, got str \(value: 'many'\)"),
    "heads that do not divide": (card(num_attention_heads=0), "cannot be loaded"),
    "no context": (card(max_position_embeddings=0), "how many tokens .* can read"),
    "an unknown activation": (card(hidden_act="nosuch"), "there is no 'nosuch'"),
    "a list": (written("config.json", "[1]"), r"config\.json: this should hold names and values, but holds a list"),
    "no JSON": (written("config.json", '{\n "a"'), r"config\.json:2: this is not JSON"),
    "nested without end": (written("config.json", "[" * 100_000), r"config\.json: this is not JSON"),
    "no family": (written("config.json", "{}"), r"does not say which \(model_type\)"),
    "an unknown family": (card(model_type="zorg"), 'no such family of models: config.json says model_type = "zorg"'),
    "architectures": (card(architectures="LlamaForCausalLM"), 'architectures = "LlamaForCausalLM" cannot be'),
    "foreign code": (card(model_type="zorg", auto_map={"AutoConfig": "a.B"}), r"Python code .*auto_map.*never"),
    "quantised": (card(quantization_config={"quant_method": "gptq"}), r"quantised \(gptq\).*the model that this one"),
    "quantised without a word": (
        tensors_changed(lambda weights: {name: value.to(torch.int8) for name, value in weights.items()}),
        "weights .* are quantised",
    ),
    "generation settings": (written("generation_config.json", "{,"), r"generation_config\.json:1: this is not JSON"),
    "an end in words": (written("generation_config.json", '{"eos_token_id": "x"}'), 'eos_token_id = "x" cannot be'),
    "tokenizer settings": (written("tokenizer_config.json", "{"), r"tokenizer_config\.json:1: this is not JSON"),
    "a tokenizer": (written("tokenizer.json", "{"), r"tokenizer\.json:1: this is not JSON"),
    "a tokenizer of a list": (written("tokenizer.json", "[]"), r"tokenizer\.json: .* but holds a list"),
    "an empty tokenizer": (written("tokenizer.json", "{}"), r"tokenizer\.json .*is damaged.*from the model's origin"),
    "a tokenizer without words": (
        written("tokenizer.json", '{"added_tokens": []}'),
        r"tokenizer\.json .*is damaged: Model missing.*from the model's origin",
    ),
    "weights cut short": (
        lambda path: (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:3000]),
        r"model\.safetensors: the weights are damaged or incomplete",
    ),
    "no weights at all": (written("model.safetensors", ""), "damaged or incomplete"),
    "only .bin": (
        lambda path: (path / "model.safetensors").rename(path / "pytorch_model.bin"),
        r"only as \.bin files.*save_pretrained",
    ),
    "a lost shard": (
        lambda path: shards(path, json.dumps({"weight_map": INDEX})),
        r"1 file \(model-00002\.safetensors\) is missing, which model\.safetensors\.index\.json names",
    ),
    "an index without a map": (lambda path: shards(path, "{}"), r"in which file each weight is \(weight_map\)"),
    "NaN": (
        tensors_changed(lambda weights: {**weights, UP: weights[UP].fill_(torch.nan)}),
        rf"has NaN weights in {UP}, so nothing comes out of it\. Download the model again",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_folder_is_one_sentence(copied: Path, case: str, monkeypatch: pytest.MonkeyPatch):
    """For whoever writes with it and whoever begins a reward model from it; nobody is asked anything."""
    damage, message = DAMAGED[case]
    damage(copied)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    with pytest.raises(UserError, match=message):
        causal(str(copied), CPU)
    if "lm_head" not in message and "another size" not in message:
        with pytest.raises(UserError, match=message):
            scalar(str(copied), CPU, fresh_head=True)


HARMLESS: dict[str, Callable[[Path], object]] = {
    "an old table of positions": tensors_changed(
        lambda weights: {**weights, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(2)}
    ),
    "an old mask": tensors_changed(
        lambda weights: {**weights, "model.layers.0.attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8)}
    ),
    "code beside a family that is built in": card(auto_map={"AutoModelForCausalLM": "foreign.Model"}),
    "no architecture named": card(architectures=None),
    "weights in bfloat16": tensors_changed(lambda weights: {name: value.bfloat16() for name, value in weights.items()}),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_does_no_harm_is_read(copied: Path, case: str, capsys: pytest.CaptureFixture[str]):
    HARMLESS[case](copied)
    assert causal(str(copied), CPU).codec.context == 64
    assert ("(auto_map) is not run" in capsys.readouterr().err) == case.startswith("code beside")


def test_positions_that_a_long_text_turns_for_all_are_not_used(
    tmp_path: Path, codec: Codec, capsys: pytest.CaptureFixture[str]
):
    """Phi-3 behind its first 16 tokens: one long text would change every short one that is read beside it."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0], "original_max_position_embeddings": 16}
    config = Phi3Config(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=64,
        original_max_position_embeddings=16,
        pad_token_id=0,
        bos_token_id=None,
        rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, **factors},
    )
    Phi3ForCausalLM(config).save_pretrained(tmp_path / "model")
    codec.tokenizer.save_pretrained(tmp_path / "model")
    network = causal(str(tmp_path / "model"), CPU)
    assert network.codec.context == 16
    assert "more than 16 tokens (longrope)" in capsys.readouterr().err


def reward_folder(folder: str, path: Path) -> Path:
    network = scalar(folder, CPU, fresh_head=True)
    save_model(path, network.pretrained, network.codec)
    return path


def test_a_reward_model_does_not_write(folder: str, tmp_path: Path):
    """Given as a policy it would get an output matrix of random numbers. As a critic only its trunk counts."""
    path = str(reward_folder(folder, tmp_path / "reward"))
    with pytest.raises(UserError, match=r"this is a reward model: .*cannot write one\..*prefloop score model="):
        causal(path, CPU)
    states = [
        load(path if reward else folder, CPU).hidden_states(STREAM) for load, reward in ((reader, 1), (causal, 0))
    ]
    assert torch.equal(*states)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("score.weight"), r"1 weight \(score\.weight\) is missing"),
        (
            card(id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}),
            "gives 2 numbers, and a reward model gives one",
        ),
    ],
)
def test_a_reward_model_without_one_number_is_refused(
    folder: str, tmp_path: Path, damage: Callable[[Path], object], message: str
):
    path = reward_folder(folder, tmp_path / "reward")
    damage(path)
    with pytest.raises(UserError, match=message):
        scalar(str(path), CPU)


def test_a_reward_model_begun_from_another_says_that_its_head_is_new(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = reward_folder(folder, tmp_path / "reward")
    assert scalar(str(path), CPU, fresh_head=True).scores([[5, 9]]).item() == 0
    assert "its own head is not used, a new one starts at 0" in capsys.readouterr().err


def test_a_head_of_another_name_is_said(tmp_path: Path, codec: Codec):
    config = CTRLConfig(vocab_size=300, n_embd=16, n_layer=1, n_head=2, dff=16, n_positions=64)
    CTRLForSequenceClassification(config).save_pretrained(tmp_path / "model")
    codec.tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="the head of CTRLForSequenceClassification is not called `score`"):
        scalar(str(tmp_path / "model"), CPU, fresh_head=True)


def test_a_policy_is_not_a_reward_model(folder: str):
    with pytest.raises(UserError, match=r"not a reward model \(LlamaForCausalLM\)"):
        scalar(folder, CPU)


def test_a_head_that_is_left_away_is_named(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first = scalar(folder, CPU, fresh_head=True)
    torch.nn.init.ones_(first.model.score.weight)
    save_model(tmp_path / "reward", first.pretrained, first.codec)
    second = scalar(str(tmp_path / "reward"), CPU, fresh_head=True)
    assert second.model.score.weight.abs().max() == 0
    assert "this is a reward model already; its head is left away" in capsys.readouterr().err


def test_a_fresh_head_starts_at_zero_on_the_same_trunk(folder: str, plain: PreTrainedModel):
    model = scalar(folder, CPU, fresh_head=True).model
    assert model.score.weight.abs().max() == 0
    for a, b in zip(model.base_model.parameters(), plain.base_model.parameters(), strict=True):
        assert torch.equal(a, b)
