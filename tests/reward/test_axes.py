"""Ratings on several axes: each its own column and edges, and nothing for a column of which nothing was said."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from broken import broken_off
from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.feedback.items import Asks, Item, rated, tokenised
from prefloop.feedback.kinds import OBJECTIVES
from prefloop.feedback.objectives import Objective
from prefloop.models.columns import columns_of
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.models.network import Network
from prefloop.records import Message, Rated
from prefloop.reward.config import RewardConfig
from prefloop.reward.heads import Heads, heads_of
from prefloop.reward.stage import train
from prefloop.scoring.reward_model import RewardModel

CPU = Placement(torch.device("cpu"))
LEVELS = {"helpfulness": (0.0, 1.0, 2.0), "verbosity": (1.0, 5.0)}
TEXTS = ("on my never go", "on my sorry go", "sorry my sorry go")


def row(number: int, **ratings: Any) -> Rated:
    return Rated(
        id=f"r{number}",
        messages=(Message(role="user", content=f"where is {number}?"),),
        responses=TEXTS,
        ratings=ratings,
    )


ROWS = [
    row(0, verbosity=(5, None, 1), helpfulness=(0, 1, 2)),
    row(1, helpfulness=(1, 2, None)),
    row(2, helpfulness=(2, None, 0), verbosity=(None, 1, None)),
    row(3, verbosity=(1, 5, 5), helpfulness=(None, None, None)),
]


def config(**settings: Any) -> RewardConfig:
    return RewardConfig(**{"out": "o", "model": "m", "preferences": "p.jsonl", **settings})


def learned(
    network: Network, heads: Heads, rows: list[Rated], objective: str, *, asks: Asks, parts: int = 1
) -> tuple[dict[str, torch.Tensor], Objective, list[Item]]:
    """The gradient of everything that an update over these rows has, and how they taught."""
    batch = heads.spoken(tokenised(rows, network, asks=asks))
    items = [item for voices in batch for item in voices]
    levels = LEVELS if asks.each else {"": LEVELS["helpfulness"]}
    taught = heads.objective(lambda some: OBJECTIVES[objective](config(objective=objective), some), levels)
    taught.begin(sorted(items, key=lambda item: item.sequences))
    network.zero_grad()
    for part in range(parts):
        few = [item for voices in batch[part::parts] for item in voices]
        losses, _ = heads.losses(network, taught, few)
        weights = torch.tensor([item.weight for item in few])
        ((losses * weights).sum() / sum(item.weight for item in items)).backward()
    named = [*network.named_parameters(), *taught.named_parameters()]
    return {name: value.grad.clone() for name, value in named if value.grad is not None}, taught, items


def judge(folder: str, *names: str) -> Network:
    made = scalar(folder, CPU, fresh_head=True, columns=names)
    weight = made.pretrained.get_submodule("score").get_parameter("weight")
    nn.init.normal_(weight, generator=torch.Generator().manual_seed(5))
    return made


def test_marks_of_each_axis_by_hand():
    """The main axis first; an axis on which nobody said anything is none; a mark weighs one."""
    asks = Asks(False, None, each=True)
    assert list(asks.by_axis(ROWS[0])) == ["helpfulness", "verbosity"]
    assert list(asks.by_axis(ROWS[3])) == ["verbosity"]
    assert asks.marks(ROWS[3]) == (1.0, 5.0, 5.0)
    heads = Heads("axes", {"helpfulness": 3, "verbosity": 3}, config(heads="axes"))
    item = Item(([1], [2], [3]), letters=(1, 1, 1))
    helps, long = heads.voices(ROWS[0], item)
    assert (helps.column, helps.weight, helps.pairs) == (0, 3.0, ((1, 0), (2, 0), (2, 1)))
    assert (long.column, long.weight, long.pairs) == (1, 2.0, ((0, 2),))
    assert [voice.column for row in ROWS[1:] for voice in heads.voices(row, item)] == [0, 0, 1, 1]


@pytest.mark.parametrize("objective", ["ordinal", "regression"])
def test_one_axis_is_one_score_of_that_axis(folder: str, objective: str):
    """Losses, all gradients, and where edges begin, to the bit."""
    one, axes = judge(folder, "score"), judge(folder, "helpfulness")
    alone = Heads("one", {"score": 3}, config())
    several = Heads("axes", {"helpfulness": 3}, config(heads="axes"))
    rows = ROWS[:3]
    expected, plain, _ = learned(one, alone, rows, objective, asks=Asks(False, "helpfulness"))
    found, taught, items = learned(axes, several, rows, objective, asks=Asks(False, None, each=True))
    assert {name.removeprefix("of.0."): value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in expected.items()
    }
    said, wanted = dict[Any, float](), dict[Any, float]()
    taught.count(items, said)
    plain.count([rated(item, item.marks) for item in items], wanted)
    assert taught.without_opinion(said) == pytest.approx(plain.without_opinion(wanted))
    assert taught.learned(said) == {what: {"helpfulness": value} for what, value in plain.learned(wanted).items()}


@pytest.mark.parametrize("objective", ["ordinal", "regression"])
def test_neither_the_order_of_rows_nor_how_they_are_split_matters(folder: str, objective: str):
    heads, asks = Heads("axes", dict.fromkeys(LEVELS, 3), config(heads="axes")), Asks(False, None, each=True)
    network = judge(folder, *LEVELS)
    expected, *_ = learned(network, heads, ROWS, objective, asks=asks)
    for rows, parts in ((ROWS[::-1], 1), (ROWS, 3)):
        found, *_ = learned(network, heads, rows, objective, asks=asks, parts=parts)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4 * float(value.norm()))


@pytest.mark.parametrize("objective", ["ordinal", "regression"])
def test_a_missing_axis_teaches_nothing(folder: str, objective: str):
    """Neither its column nor its edges; and one response's missing mark leaves that response out."""
    heads, asks = Heads("axes", dict.fromkeys(LEVELS, 3), config(heads="axes")), Asks(False, None, each=True)
    network = judge(folder, *LEVELS)
    found, taught, items = learned(network, heads, ROWS[1:2], objective, asks=asks)
    assert found["model.score.weight"][1].tolist() == [0.0] * 16
    assert float(found["model.score.weight"][0].abs().min()) > 0
    assert not [name for name in found if name.startswith("of.1.")]
    assert [name for name in found if name.startswith("of.0.")]
    scores = torch.tensor([[0.5, -1.0, 9.0]], requires_grad=True)
    taught(scores, items).sum().backward()
    assert scores.grad is not None
    assert scores.grad[0, 2] == 0
    assert scores.grad[0, :2].abs().min() > 0


def planted(num: int) -> list[dict[str, Any]]:
    """Helpful is who says sorry, of 3 levels; verbosity likes it least, of 2. One row in three has no verbosity, one
    response in four no helpfulness; `charm` is always the same, and `wit` stands in 7 rows late in the file."""
    rows = []
    for i in range(num):
        ratings: dict[str, Any] = {"helpfulness": [None if (i + j) % 4 == 0 else j for j in range(3)], "charm": [3] * 3}
        if i % 3:
            ratings["verbosity"] = [5, 5, 1]
        if num - 8 < i:
            ratings["wit"] = [1, None, 2]
        asked = [{"role": "user", "content": f"where is {i}?"}]
        rows.append({"id": f"r{i}", "messages": asked, "responses": TEXTS, "ratings": ratings})
    return rows


@pytest.fixture
def settings(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> dict[str, Any]:
    return {
        "out": str(tmp_path / "reward"), "model": folder, "preferences": write_rows("rated.jsonl", planted(66)),
        "heads": "axes", "validation": 0.25, "epochs": 6, "batch_pairs": 24, "lr": 0.02, "threads": 1,
        "dtype": "float32",
    }  # fmt: skip


def finished(made: Path) -> dict[str, Any]:
    return json.loads((made.parent / "finished.json").read_text())["result"]


@pytest.mark.parametrize("objective", ["auto", "regression"])
def test_axes_are_learned_and_told_and_reload(
    settings: dict[str, Any], objective: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("prefloop.reward.stage.FIRST", 8)  # the first rows say nothing of `wit`
    made = train(RewardConfig(**settings, objective=objective))
    result, said = finished(made), capsys.readouterr().out
    columns = result["columns"]
    assert list(columns) == list(columns_of(str(made)).names) == ["helpfulness", "verbosity", "wit"]
    assert min(columns["helpfulness"]["accuracy"], columns["verbosity"]["accuracy"]) > 0.9
    assert "all ratings are the same on charm: nothing is learned from them" in said
    for name, numbers in columns.items():
        assert f"{name} {numbers['num_training']} with {numbers['num_marks']} ratings" in said
    if objective == "auto":
        assert {name: len(edges) for name, edges in result["rating_edges"].items()} == {
            "helpfulness": 2, "verbosity": 1, "wit": 1,
        }  # fmt: skip
        assert result["rating_levels"]["verbosity"] == [1, 5]
    else:
        assert result["rating_offset"].keys() == columns.keys()
    metrics = [json.loads(line) for line in (made.parent / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["loss/validation"] < result["loss_no_opinion"]
    raw = AutoModelForSequenceClassification.from_pretrained(str(made)).eval()
    asked = [(Message(role="user", content="where is 999?"),)] * 3
    for place, column in enumerate(columns_of(str(made)).columns):
        known = RewardModel(f"{made}:{column.name}", CPU)
        with torch.no_grad():
            logits = [raw(torch.tensor([ids])).logits[0, place] for ids in known.sequences(asked, TEXTS)]
        expected = (torch.stack(logits) - column.mean) / column.std
        torch.testing.assert_close(known.score(asked, TEXTS), expected, rtol=1e-5, atol=1e-4)
        if column.name != "wit":
            scores = known.score(asked, TEXTS).tolist()
            assert (scores[2] > scores[0]) == (column.name == "helpfulness")


def test_what_is_held_out_is_measured_on_all_axes(settings: dict[str, Any]):
    """Before anything is learned the held-out loss is that of edges alone: the mean over all marks that are known."""
    made = train(RewardConfig(**settings | {"lr": 1e-9, "head_lr": 1e-9, "epochs": 1}, objective="regression"))
    rows = [json.loads(line) for line in (made.parent / "metrics.jsonl").read_text().splitlines()]
    parts, offsets = split(RewardConfig(**settings)), finished(made)["rating_offset"]
    losses = [
        (mark - offsets[axis]) ** 2
        for each in parts.validation
        if isinstance(each, Rated)
        for axis, marks in (each.ratings or {}).items()
        for mark in marks
        if mark is not None and axis in offsets
    ]
    assert rows[-1]["loss/validation"] == pytest.approx(sum(losses) / len(losses), rel=1e-3)
    assert not math.isnan(finished(made)["loss_at_start"])


def test_axes_are_resumed_to_the_bit(settings: dict[str, Any], tmp_path: Path):
    """Edges too: what is told of them after a run that was broken off is what an unbroken one tells."""
    settings |= {"epochs": 1, "checkpoint_every": 1}
    whole = train(RewardConfig(**settings))
    settings["out"] = str(tmp_path / "again")
    with broken_off(3):
        train(RewardConfig(**settings))
    again = train(RewardConfig(**settings))
    for file in ("model.safetensors", "prefloop_scores.json"):
        assert (again / file).read_bytes() == (whole / file).read_bytes()
    for name in ("rating_edges", "loss_at_start", "loss_no_opinion", "columns"):
        assert finished(again).get(name) == finished(whole).get(name)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"axis": "helpfulness", "objective": "ordinal"}, "heads = axes learns all. Leave axis out, or heads"),
        ({"objective": "thumbs"}, "thumbs are of no axis"),
    ],
)
def test_settings_that_contradict_axes(given: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        config(heads="axes", **given)


def test_one_axis_alone_has_nothing_to_part(write_rows: Callable[..., str]):
    """Of two axes one is the same everywhere; too many levels name their axis."""
    path = write_rows("f.jsonl", [row(i, tone=(1, 2, 3), charm=(3, 3, 3)).model_dump() for i in range(4)])
    made = RewardConfig(model="m", out="o", preferences=path, heads="axes", validation=0.5)
    parts = split(made)
    with pytest.raises(UserError, match=r"f\.jsonl: heads=axes needs rows that tell of axes \(found: .*tone 2"):
        heads_of(made, parts.training, print, parts.levels)
    fine = write_rows("g.jsonl", [row(i, tone=(i, 2, 3), charm=(3, 4, 3)).model_dump() for i in range(80)])
    with pytest.raises(UserError, match="80 different ratings on the axis tone, which are too many levels"):
        split(RewardConfig(model="m", out="o", preferences=fine, heads="axes"))


def test_held_out_rows_that_speak_of_no_column_are_refused(settings: dict[str, Any], write_rows: Callable[..., str]):
    other = [row(900 + i, zest=(1, 2, 3)).model_dump() for i in range(4)]
    with pytest.raises(UserError, match=r"z\.jsonl: no row speaks of what is learned, which is helpfulness, verbosity"):
        train(RewardConfig(**settings, held_out=write_rows("z.jsonl", other)))
