"""A model before it is loaded: the same learner as afterwards, so that plan and stage choose the same settings."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from prefloop import layout
from prefloop.costs.subject import Named, learner, scoring
from prefloop.files.documents import write_document
from prefloop.models.device import Placement
from prefloop.models.load import causal, save, save_model, scalar
from prefloop.models.memory import adapter_numbers
from prefloop.records import EnsembleCard
from prefloop.settings import Adapted, Component
from prefloop.text.codec import Codec


@pytest.mark.parametrize("adapter", ["none", "lora"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("scores", [True, False])
def test_the_learner_is_known_before(scores: bool, tied: bool, adapter: Any, codec: Codec, tmp_path: Path):
    """Where the output matrix is one of its own, a reward model is the smaller for it."""
    sizes: Any = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=300, tie_word_embeddings=tied, max_position_embeddings=64, **sizes))
    save_model(tmp_path / "model", model, codec)
    settings, path, place = Adapted(adapter=adapter), str(tmp_path / "model"), Placement(torch.device("cpu"))
    network = scalar(path, place, fresh_head=True) if scores else causal(path, place)
    said = network.train_as(settings, seed=0)
    assert adapter == "none" or "thousand numbers beside" in said[-1]
    assert learner(settings, path, scores=scores) == network.learner


@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
def test_weights_that_are_not_there_are_counted_the_same(family: str, bases: dict[str, str], tmp_path: Path):
    """An output matrix of its own, or the embedding again."""
    shutil.copytree(bases[family], tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    whole, bare = Named.of(bases[family]), Named.of(str(tmp_path / "bare"))
    assert bare.unseen
    assert replace(bare, base=whole.base, unseen="") == whole


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_members_of_an_ensemble_are_added(adapter: Any, folder: str, tmp_path: Path):
    """Whole models one by one; adapters once with their base, and then by themselves."""
    settings, place = Adapted(adapter=adapter), Placement(torch.device("cpu"))
    for index in range(3):
        network = scalar(folder, place, fresh_head=True)
        network.train_as(settings, seed=index)
        save(layout.member(tmp_path, index), network)
    write_document(layout.ensemble_card(tmp_path), EnsembleCard(num=3))
    roles = [model.role for model in scoring(settings, place, str(tmp_path))]
    assert [role.name for role in roles] == ["reward model 0", "reward model 1", "reward model 2"]
    first, *others = [role.weights for role in roles]
    alone = Named.of(str(layout.member(tmp_path, 0)), scores=True)
    assert first >= 4 * alone.anatomy.trunk().numbers
    if adapter == "none":
        assert others == [first, first]
    else:
        assert [role.shares for role in roles] == ["", "reward model 0", "reward model 0"]
        assert others == [4.0 * adapter_numbers(alone.anatomy.trunk(), alone.rank)] * 2
    named = scoring(settings, place, {"a": Component(model=str(tmp_path)), "b": Component(model="python:r.py:f")})
    assert [model.role.name for model in named] == [f"reward model a {index}" for index in range(3)]
