"""Several columns on one trunk: one table, through transformers alone, from a folder, from an adapter and merged."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from adapting import moved
from prefloop.errors import UserError
from prefloop.export.config import MergeConfig
from prefloop.export.merge import merge
from prefloop.models.columns import NORMALISATION, Columns, parted
from prefloop.models.device import Placement
from prefloop.models.load import causal, model_folder, save, scalar
from prefloop.models.network import Network
from prefloop.records import Message
from prefloop.scoring.protocol import summed
from prefloop.scoring.reward_model import RewardModel
from prefloop.settings import Adapted, Lora

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's, of transformers
CPU = Placement(torch.device("cpu"))
SEQUENCES = [[5, 9, 7, 30, 2, 11], [5, 9, 7, 12, 3], [8, 12, 1]]
NAMES = ("kind", "exact", "short")
SCALE = {
    "kind": "axes",
    "columns": [{"name": name, "mean": i - 1.0, "std": 2.0**i} for i, name in enumerate(NAMES)],
    "std": 0.5,
}
PROMPTS = [(Message(role="user", content=text),) for text in ("where is my parcel?", "money")]
RESPONSES = ["i am sorry.", "on its way"]


def judge(folder: str, where: Path, *, adapter: bool, scale: object = SCALE) -> Network:
    """A reward model of three columns, all trained weights at random, saved."""
    made = scalar(folder, CPU, fresh_head=True, columns=NAMES)
    made.train_as(Adapted(adapter="lora", lora=Lora(rank=4)) if adapter else Adapted(adapter="none"), seed=0)
    save(where, moved(made, 2), beside={NORMALISATION: scale})  # pyright: ignore[reportArgumentType]  # also wrong ones
    return made


@torch.no_grad()
def padded(model: PreTrainedModel | PeftModel, folder: str | Path) -> torch.Tensor:
    """(B, C) what transformers says of a batch padded on the right."""
    pad = AutoTokenizer.from_pretrained(folder).pad_token_id
    batch = torch.tensor([[*sequence, *[pad] * (6 - len(sequence))] for sequence in SEQUENCES])
    return model(batch, attention_mask=(batch != pad).long()).logits


@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
@pytest.mark.parametrize("adapter", [False, True])
@torch.no_grad()
def test_the_table_is_the_same_everywhere(bases: dict[str, str], tmp_path: Path, family: str, adapter: bool):
    """From memory, from its folder, one row at a time, beside its base, by transformers and peft, and merged."""
    path = str(tmp_path / "reward")
    made = judge(bases[family], tmp_path / "reward", adapter=adapter)
    table = made.score_table(SEQUENCES)
    assert table.shape == (3, 3)
    assert table.std(0).min() > 0.01
    torch.testing.assert_close(made.scores(SEQUENCES), table[:, 0], rtol=0, atol=0)
    assert torch.equal(made.score_table(SEQUENCES[::-1]).flip(0).argsort(0), table.argsort(0))
    alone = torch.cat([made.score_table([sequence]) for sequence in SEQUENCES])
    torch.testing.assert_close(alone, table, rtol=0, atol=1e-5)
    again = scalar(path, CPU)
    torch.testing.assert_close(again.score_table(SEQUENCES), table, rtol=0, atol=1e-6)
    if not adapter:
        plain = AutoModelForSequenceClassification.from_pretrained(path)
        assert plain.config.id2label == dict(enumerate(NAMES))
        torch.testing.assert_close(padded(plain, path), table, rtol=0, atol=1e-5)
        return
    beside = causal(bases[family], CPU)
    beside.train_as(Adapted(adapter="lora", lora=Lora(rank=2)), seed=1)
    shared = scalar(path, CPU, beside=beside)
    assert shared.role is not None
    assert beside.role is not None
    assert shared.role.base is beside.role.base
    torch.testing.assert_close(shared.score_table(SEQUENCES), table, rtol=0, atol=1e-5)
    merge(MergeConfig(model=path, out=str(tmp_path / "whole")))
    whole = AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole")
    torch.testing.assert_close(padded(whole, tmp_path / "whole"), table, rtol=0, atol=1e-5)
    assert whole.config.id2label == dict(enumerate(NAMES))
    torch.testing.assert_close(scalar(str(tmp_path / "whole"), CPU).score_table(SEQUENCES), table, rtol=0, atol=1e-5)
    assert RewardModel(str(tmp_path / "whole"), CPU).columns == Columns.model_validate(SCALE)
    if family == "Llama":  # a GPT-2's base has no row for the padding token
        pad = AutoTokenizer.from_pretrained(path).pad_token_id
        base = AutoModelForSequenceClassification.from_pretrained(bases[family], num_labels=3, pad_token_id=pad)
        torch.testing.assert_close(padded(PeftModel.from_pretrained(base, path).eval(), path), table, rtol=0, atol=1e-5)


def test_a_new_head_begins_at_zero_whatever_the_old_one_was(folder: str, tmp_path: Path):
    """From a reward model of three columns to one of one, of two, and back to one that is as without columns."""
    for adapter in (False, True):
        path = str(tmp_path / f"reward {adapter}")
        judge(folder, tmp_path / f"reward {adapter}", adapter=adapter)
        for names in ((), ("a", "b")):
            fresh = scalar(path, CPU, fresh_head=True, columns=names)
            assert fresh.score_table(SEQUENCES).tolist() == [[0.0] * max(1, len(names))] * 3


@pytest.mark.parametrize(
    ("scale", "says"),
    [
        (None, r"gives 3 numbers, and a reward model gives one\."),
        ({"mean": 0.0, "std": 1.0}, r"gives 3 numbers, and a reward model gives one\."),
        ({**SCALE, "columns": SCALE["columns"][:2]}, r"gives 3 numbers, and prefloop_scores.json names 2 columns"),  # type: ignore[index]
        ({**SCALE, "columns": [SCALE["columns"][0]] * 3}, "two columns have one name"),  # type: ignore[index]
        ({**SCALE, "kind": "colours"}, r"prefloop_scores.json: this is not as prefloop writes it"),
    ],
)
def test_as_many_numbers_as_columns(folder: str, tmp_path: Path, scale: object, says: str):
    judge(folder, tmp_path / "reward", adapter=False)
    file = tmp_path / "reward" / NORMALISATION
    file.unlink() if scale is None else file.write_text(json.dumps(scale))
    with pytest.raises(UserError, match=says):
        scalar(str(tmp_path / "reward"), CPU)


def test_a_head_that_was_lost_is_an_error(folder: str, tmp_path: Path):
    for adapter, file, name, says in (
        (False, "model.safetensors", "score.weight", r"1 weight \(score.weight\) is missing"),
        (True, "adapter_model.safetensors", "base_model.model.score.weight", "its head is not in the folder"),
    ):
        path = tmp_path / file
        judge(folder, path, adapter=adapter)
        weights = load_file(path / file)
        del weights[name]
        save_file(weights, path / file, metadata={"format": "pt"})
        with pytest.raises(UserError, match=says):
            scalar(str(path), CPU)


def test_what_each_kind_scores_by_hand(folder: str, tmp_path: Path):
    """Columns (raw - i + 1) / 2^i; axes and members (z1 + z2 + z3) / 3 / 0.5; else the first; or the one that is named.
    A unit of an axis' score is 1 / (2/3 (1 + 1/2 + 1/4)) raw ones."""
    path = tmp_path / "reward"
    made = judge(folder, path, adapter=False)
    codec = made.codec
    sequences = [
        codec.prompt_ids(prompt) + codec.response_ids(said) for prompt, said in zip(PROMPTS, RESPONSES, strict=True)
    ]
    with torch.no_grad():
        raw = made.score_table(sequences)
    z = (raw - torch.tensor([-1.0, 0.0, 1.0])) / torch.tensor([1.0, 2.0, 4.0])
    for kind, column, expected, unit in (
        ("axes", None, z.mean(1) / 0.5, 6 / 7),
        ("members", None, z.mean(1) / 0.5, 6 / 7),
        ("annotators", None, z[:, 0], 1.0),
        ("domains", None, z[:, 0], 1.0),
        ("domains", "short", z[:, 2], 4.0),
    ):
        (path / NORMALISATION).write_text(json.dumps({**SCALE, "kind": kind}))
        model = RewardModel(str(path) + (f":{column}" if column else ""), CPU)
        torch.testing.assert_close(model.table(PROMPTS, RESPONSES), z, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.score(PROMPTS, RESPONSES), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.score_and_embed(PROMPTS, RESPONSES)[0].scores, expected, rtol=0, atol=1e-5)
        assert model.unit() == pytest.approx(unit)
        told = model.detailed(PROMPTS, RESPONSES)
        assert torch.equal(told.scores, model.score(PROMPTS, RESPONSES))
        assert (tuple(told.parts), told.members is None) == (NAMES if kind == "axes" else (), kind != "members")
        if told.parts:
            assert torch.equal(summed(told.parts), told.scores)
        if told.members is not None and told.disagreement is not None:
            torch.testing.assert_close(told.members.mean(1), told.scores, rtol=0, atol=1e-5)
            torch.testing.assert_close(told.disagreement, z.std(1, correction=0) / 0.5, rtol=0, atol=1e-5)


def test_a_column_is_named_behind_the_folder(folder: str, tmp_path: Path):
    judge(folder, tmp_path / "reward" / "model", adapter=False)
    stage = str(tmp_path / "reward")
    assert parted(f"{stage}:kind") == (stage, "kind")
    assert parted(stage) == (stage, None)
    assert parted("python:reward.py:score") == ("python:reward.py:score", None)
    assert model_folder(f"{stage}:kind", scores=True) == f"{stage}/model"
    with pytest.raises(UserError, match=r"it has no such column. Its columns are kind, exact, short"):
        RewardModel(f"{stage}:brave", CPU)
    save(tmp_path / "one", scalar(folder, CPU, fresh_head=True))
    with pytest.raises(UserError, match=r"gives one number only. Give .*one alone"):
        RewardModel(f"{tmp_path / 'one'}:kind", CPU)
