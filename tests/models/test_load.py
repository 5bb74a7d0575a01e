"""Model folders in and out; every way a folder can be wrong is a sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import causal, codec_of, save_model, scalar
from prefloop.models.network import Network
from prefloop.text.codec import Codec

CPU = Placement(torch.device("cpu"))


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


def test_a_policy_is_not_a_reward_model(folder: str):
    with pytest.raises(UserError, match=r"not a reward model \(LlamaForCausalLM\)"):
        scalar(folder, CPU)


def test_a_fresh_head_starts_at_zero_on_the_same_trunk(folder: str, plain: PreTrainedModel):
    model = scalar(folder, CPU, fresh_head=True).model
    assert model.score.weight.abs().max() == 0
    for a, b in zip(model.base_model.parameters(), plain.base_model.parameters(), strict=True):
        assert torch.equal(a, b)
