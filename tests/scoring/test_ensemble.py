"""Ensembles: what their members say, combined; what is wrong with their folders; what is unusual to them."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.documents import write_document
from prefloop.models.device import Placement
from prefloop.models.load import causal, model_folder, save, save_model, scalar
from prefloop.records import EnsembleCard, Message
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.named import check_reward, scorer
from prefloop.scoring.outliers import CARD, TENSORS, OutlierCard, Outliers
from prefloop.scoring.reward_model import NORMALISATION, RewardModel
from prefloop.settings import Adapted, Lora

CPU = Placement(torch.device("cpu"))
PROMPTS = [(Message(role="user", content=text),) for text in ("where is my parcel?", "money", "please")]
RESPONSES = ["i am sorry.", "", "on its way on its way"]


@pytest.fixture(scope="module")
def ensemble(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three whole models on scales of their own, only to be read."""
    path = tmp_path_factory.mktemp("ensemble") / "model"
    for i in range(3):
        network = scalar(folder, CPU, fresh_head=True)
        torch.nn.init.normal_(network.pretrained.score.weight, generator=torch.Generator().manual_seed(i))
        save_model(layout.member(path, i), network.pretrained, network.codec)
        scale = {"mean": i / 2, "std": 1.0 + i}
        (layout.member(path, i) / NORMALISATION).write_text(json.dumps(scale), encoding="utf-8")
    write_document(layout.ensemble_card(path), EnsembleCard(num=3))
    return path


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("mean", lambda m: m.mean(1)),
        ("min", lambda m: m.min(1).values),
        ("variance", lambda m: m.mean(1) - 2 * m.var(1, correction=0)),
    ],
)
def test_members_are_the_models_themselves_and_combine(ensemble: Path, combine: str, expected: object):
    said = scorer(str(ensemble), CPU, combine=combine, variance_coef=2).detailed(PROMPTS, RESPONSES)
    alone = [RewardModel(str(layout.member(ensemble, i)), CPU).score(PROMPTS, RESPONSES) for i in range(3)]
    assert said.members is not None
    assert said.members.equal(torch.stack(alone, 1))
    torch.testing.assert_close(said.scores, expected(said.members))
    torch.testing.assert_close(said.disagreement, said.members.std(1, correction=0))
    assert said.outlier is None


def test_adapters_of_one_base_share_it_with_each_other_and_the_policy(folder: str, tmp_path: Path):
    """And say what each says alone."""
    settings = Adapted(adapter="lora", lora=Lora(rank=2))
    for i in range(2):
        network = scalar(folder, CPU, fresh_head=True)
        network.train_as(settings, seed=i)
        for weight in network.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(i))
        save(layout.member(tmp_path, i), network)
    write_document(layout.ensemble_card(tmp_path), EnsembleCard(num=2))
    policy = causal(folder, CPU)
    policy.train_as(settings, seed=7)
    judge = scorer(str(tmp_path), CPU, beside=policy)
    assert isinstance(judge, Ensemble)
    trunks = {id(m.network.pretrained.base_model) for m in judge.members} | {id(policy.pretrained.base_model)}
    assert len(trunks) == 1
    alone = [RewardModel(str(layout.member(tmp_path, i)), CPU).score(PROMPTS, RESPONSES) for i in range(2)]
    members = judge.detailed(PROMPTS, RESPONSES).members
    torch.testing.assert_close(members, torch.stack(alone, 1), rtol=0, atol=1e-6)
    assert (alone[0] - alone[1]).abs().max() > 0.1


def test_a_missing_member_and_another_base_are_sentences(ensemble: Path, codec, new_llama, tmp_path: Path):
    copied = shutil.copytree(ensemble, tmp_path / "copied")
    shutil.rmtree(layout.member(copied, 1))
    with pytest.raises(UserError, match=r"an ensemble of 3 reward models, but .*1 is missing"):
        check_reward(str(copied))
    with pytest.raises(UserError, match=r"an ensemble of 3 reward models, and one model is needed here. Give one"):
        model_folder(str(ensemble))
    other = new_llama(2)
    other.config.max_position_embeddings = 32
    save_model(tmp_path / "base", other, codec)
    network = scalar(str(tmp_path / "base"), CPU, fresh_head=True)
    save_model(layout.member(copied, 1), network.pretrained, network.codec)
    with pytest.raises(UserError, match=r"models of one base, but .*1 differs from .*0 in its context"):
        scorer(str(copied), CPU)
    layout.ensemble_card(copied).write_text('{"num": "three"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"ensemble\.json: this is not as prefloop writes it"):
        check_reward(str(copied))


def test_a_stage_and_a_pipeline_stand_for_their_ensemble(ensemble: Path, tmp_path: Path):
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "model").symlink_to(ensemble)
    for path in (tmp_path, tmp_path / "reward"):
        assert model_folder(str(path), scores=True) == str(tmp_path / "reward" / "model")


def test_what_is_unusual_to_its_members_is_so_to_an_ensemble(ensemble: Path, tmp_path: Path):
    """The mean of what they say, as a share of what that was for known responses: here 0, then 0.5 twice, then 1."""
    copied = shutil.copytree(ensemble, tmp_path / "copied")
    for i in range(3):
        known = torch.randn(40, 16, generator=torch.Generator().manual_seed(i))
        for name, value in Outliers.of(known, 3 * known, torch.zeros(40)).files().items():
            path = layout.member(copied, i) / name
            save_file(dict(value), path) if name == TENSORS else path.write_text(json.dumps(value))
    assert scorer(str(copied), CPU).detailed(PROMPTS, RESPONSES).outlier is None
    alone = [RewardModel(str(layout.member(copied, i)), CPU).detailed(PROMPTS, RESPONSES).outlier for i in range(3)]
    expected = torch.stack([each for each in alone if each is not None]).double().mean(0)
    levels = torch.tensor([0.0, 0.5, 0.5, 1.0])
    write_document(copied / CARD, OutlierCard.of(levels, torch.zeros(4)))
    judge = scorer(str(copied), CPU)
    assert judge.tells_outliers
    said = judge.detailed(PROMPTS, RESPONSES)
    assert said.outlier is not None
    assert said.outlier.tolist() == [float((levels < value).float().mean()) for value in expected]
    assert said.limited is not None
    assert said.limited.equal(said.scores.clamp(max=0.0))
