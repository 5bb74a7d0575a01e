"""Objectives: what each makes of the same words by hand, and that each learns."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.feedback.items import Item
from prefloop.feedback.kinds import OBJECTIVES
from prefloop.feedback.votes import intervals
from prefloop.models.device import Placement
from prefloop.records import Message, Preference
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train
from prefloop.scoring.named import scorer
from prefloop.scoring.pair_classifier import PairClassifier
from prefloop.stats.calibration import expected_calibration_error

CPU = Placement(torch.device("cpu"))
Votes = list[dict[str, Any]]
WIN, LOSS, TIE = ({"side": side} for side in ("chosen", "rejected", "tie"))


def config(objective: str, **more: Any) -> RewardConfig:
    return RewardConfig(model="m", preferences="p", out="o", objective=objective, **more)  # pyright: ignore[reportArgumentType]


def item(*votes: dict[str, Any], **more: Any) -> Item:
    row = Preference(
        id="p",
        messages=(Message(role="user", content="?"),),
        chosen="a",
        rejected="b",
        votes=votes,  # pyright: ignore[reportArgumentType]
    )
    return Item(([1], [2]), votes=intervals(row) if votes else (), **more)


def lost(gap: float) -> float:
    """-log sigmoid(gap)."""
    return math.log1p(math.exp(-gap))


SOFT = {"share": 0.75}
MOSTLY = 0.75 * lost(1) + 0.25 * lost(-1)
SUM = math.exp(0.5) + 0.5 + math.exp(-0.5)


@pytest.mark.parametrize(
    ("objective", "settings", "said", "loss"),
    [
        ("votes", {}, item(**SOFT), MOSTLY),
        ("votes", {}, item(), lost(1)),
        ("bradley_terry", {}, item(WIN, TIE, LOSS, **SOFT), lost(1)),
        ("bradley_terry", {"margin_per_strength": 0.25}, item(strength=2.0), lost(0.5)),
        ("bradley_terry", {"label_smoothing": 0.25}, item(), MOSTLY),
        ("bradley_terry", {"center_coef": 0.1}, item(), lost(1) + 0.1 * (1.5**2 + 0.5**2) / 2),
        ("robust", {"flip_rate": 0.25}, item(), -math.log(0.75 * math.exp(-lost(1)) + 0.25 * math.exp(-lost(-1)))),
        ("hinge", {}, item(), 0.0),
        ("hinge", {"margin_per_strength": 0.5}, item(strength=3.0), 1.5),
        ("rao_kupper", {}, item(WIN, LOSS), (lost(0.5) + lost(-1.5)) / 2),
        ("rao_kupper", {}, item(TIE), -math.log(1 - math.exp(-lost(0.5)) - math.exp(-lost(-1.5)))),
        ("rao_kupper", {}, item(**SOFT), 0.75 * lost(0.5) + 0.25 * lost(-1.5)),
        ("davidson", {}, item(TIE), -math.log(0.5 / SUM)),
        ("davidson", {}, item(WIN, TIE), (-math.log(math.exp(0.5) / SUM) - math.log(0.5 / SUM)) / 2),
        ("pair_classifier", {}, item(WIN, TIE), 0.75 * lost(0.5) + 0.25 * lost(-0.5)),
        ("plackett_luce", {}, item(), lost(1)),
        ("all_pairs", {}, item(), lost(1)),
        ("all_pairs", {"divisor": "all"}, Item(([1], [2]), ranks=(1.0, 1.0)), 0.0),
    ],
)
def test_by_hand(objective: str, settings: dict[str, Any], said: Item, loss: float):
    """Scores 1.5 and 0.5: a gap of 1. A tie ends at 0.5 as learning begins, and weighs 0.5 in Davidson's model."""
    losses = OBJECTIVES[objective](config(objective, **settings))
    with torch.no_grad():
        assert float(losses(torch.tensor([[1.5, 0.5]]), [said])[0]) == pytest.approx(loss, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("objective", ["votes", "rao_kupper", "davidson", "pair_classifier"])
def test_the_order_of_votes_does_not_matter(objective: str):
    losses, scores = OBJECTIVES[objective](config(objective)), torch.tensor([[1.5, 0.5]] * 2)
    one, other = losses(scores, [item(WIN, TIE, LOSS, WIN), item(TIE, WIN, WIN, LOSS)]).tolist()
    assert one == pytest.approx(other, rel=1e-6)


@pytest.mark.parametrize(("divisor", "share"), [("pairs", 1), ("all", 2 / 3)])
def test_both_divisors(divisor: str, share: float):
    """Of ranks 1, 2, 2 two pairs of three are told apart; the sum is the same, what it is divided by is not."""
    losses = OBJECTIVES["all_pairs"](config("all_pairs", divisor=divisor))
    items = [Item(([1], [2], [3]), ranks=(1, 2, 2)), Item(([1], [2], [3], [4]), ranks=(1, 2, 3, 4))]
    scores = torch.tensor([[1.0, 0.0, -1.0, 9.0], [0.0] * 4])
    actual = losses(scores, items)
    assert actual.tolist() == pytest.approx([share * (lost(1) + lost(2)) / 2, math.log(2)])


@pytest.mark.parametrize(
    ("objective", "num_ties", "no_opinion"),
    [
        ("rao_kupper", 1, 1.5 * math.log(2)),
        ("davidson", 1, 1.5 * math.log(2)),
        ("davidson", 0, math.log(2)),
        ("bradley_terry", 1, math.log(2)),
    ],
)
def test_the_loss_without_an_opinion(objective: str, num_ties: int, no_opinion: float):
    """Half of all votes are ties: their entropy, and a coin's for the side of the others."""
    losses, said = OBJECTIVES[objective](config(objective)), dict[Any, float]()
    losses.count([item(*[TIE] * num_ties, *[LOSS] * num_ties)], said)
    assert losses.without_opinion(said)["loss_no_opinion"] == pytest.approx(no_opinion)


def planted(num: int) -> list[dict[str, Any]]:
    """Whoever says sorry wins two votes of three; of every fifth pair nobody knows."""
    rows = []
    for i in range(num):
        votes = [WIN, TIE, WIN] if i % 5 else [TIE, WIN, WIN]
        texts = {"chosen": f"on my sorry {'it ' * (i % 3)}go", "rejected": f"on my never {'it ' * ((i + 1) % 3)}go"}
        rows.append(
            {"id": f"r{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], **texts, "votes": votes}
        )
    return rows


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ("robust", {"flip_rate": 0.1}),
        ("hinge", {}),
        ("rao_kupper", {}),
        ("davidson", {}),
        ("all_pairs", {}),
        ("pair_classifier", {}),
    ],
)
def test_each_learns(
    objective: Any, settings: dict[str, Any], folder: str, tmp_path: Path, write_rows: Callable[..., str]
):
    """Its loss on what is held out falls below that of a model without an opinion, and it orders what is held out."""
    config = RewardConfig(
        model=folder,
        preferences=write_rows("p.jsonl", planted(64)),
        out=str(tmp_path / "r"),
        objective=objective,
        validation=0.25,
        epochs=4,
        batch_pairs=16,
        lr=0.02,
        threads=1,
        dtype="float32",
        **settings,
    )
    made = train(config)
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    rows = [json.loads(line) for line in (made.parent / "metrics.jsonl").read_text().splitlines()]
    assert result["accuracy"] > 0.9
    assert rows[-1]["loss/validation"] < result["loss_no_opinion"]
    assert rows[0]["loss/train"] == pytest.approx(result["loss_at_start"], rel=1e-3)
    if objective == "pair_classifier":  # as sure as the folder that it wrote says
        judge, told = scorer(str(made), CPU), [p for p in split(config).validation if isinstance(p, Preference)]
        assert isinstance(judge, PairClassifier)
        odds = judge.log_odds([p.messages for p in told], [p.chosen for p in told], [p.rejected for p in told])
        assert result["ece"] == pytest.approx(
            expected_calibration_error(odds.double().sigmoid().numpy(), [1.0] * len(told), bins=10), abs=1e-5
        )


@pytest.mark.parametrize(
    ("objective", "settings", "says"),
    [
        ("votes", {"label_smoothing": 0.1}, "label_smoothing is a setting of objective = bradley_terry, but here"),
        ("plackett_luce", {"flip_rate": 0.1}, "flip_rate is a setting of objective = robust"),
        ("bradley_terry", {"divisor": "all"}, "divisor is a setting of objective = all_pairs"),
        ("robust", {}, "objective = robust needs flip_rate"),
        ("hinge", {"undecided": "u"}, "objective = hinge learns nothing from them"),
        ("pair_classifier", {"demonstrations": "d"}, "are log-odds of pairs already"),
        ("pair_classifier", {"members": 2}, "have nothing to agree on. Leave members out"),
    ],
)
def test_settings_of_another_objective_are_refused(objective: str, settings: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        config(objective, **settings)


def test_they_are_refused_too_where_the_file_decides(write_rows: Callable[..., str]):
    path = write_rows("p.jsonl", planted(4))
    with pytest.raises(UserError, match=r"p\.jsonl: this file holds preferences, and divisor is a setting of"):
        split(RewardConfig(model="m", preferences=path, out="o", divisor="all"))


def rated(num: int, marks: str) -> list[dict[str, Any]]:
    """Three responses to a prompt, rated by how often they say sorry; one in four is not."""
    texts = ["on my never go", "on my sorry go", "sorry my sorry go"]
    rows = []
    for i in range(num):
        said = [None if (i + j) % 4 == 0 else j for j in range(3)]
        some: dict[str, Any] = {"thumbs": [None if mark is None else mark > 0 for mark in said]}
        if marks == "ratings":
            helps = [None if mark is None else 1 + 2 * mark for mark in said]
            some = {"ratings": {"helpfulness": helps, "tone": [3] * 3}}
        asked = [{"role": "user", "content": f"where is {i}?"}]
        rows.append({"id": f"r{i}", "messages": asked, "responses": texts, **some})
    return rows


@pytest.mark.parametrize(
    ("objective", "marks", "learned"),
    [
        ("auto", "ratings", "rating_edges"),
        ("regression", "ratings", "rating_offset"),
        ("auto", "thumbs", "thumb_offset"),
    ],
)
def test_marks_teach_one_by_one(
    objective: Any, marks: str, learned: str, folder: str, tmp_path: Path, write_rows: Callable[..., str]
):
    """The kind is recognised; the loss falls from where it begins, and the pairs of what is held out are in order."""
    path = write_rows("rated.jsonl", rated(64, marks))
    made = train(
        RewardConfig(
            model=folder,
            preferences=path,
            out=str(tmp_path / "r"),
            objective=objective,
            validation=0.25,
            epochs=6,
            batch_pairs=24,
            lr=0.02,
            threads=1,
            dtype="float32",
        )
    )
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    rows = [json.loads(line) for line in (made.parent / "metrics.jsonl").read_text().splitlines()]
    assert result["objective"] == {"rating_edges": "ordinal", "thumb_offset": "thumbs"}.get(learned, "regression")
    assert result["accuracy"] > 0.9
    assert result[learned] is not None
    assert rows[-1]["loss/validation"] < result["loss_no_opinion"]


@torch.no_grad()
def test_marks_by_hand():
    """Ratings 1 and 3 of levels 1, 3, 5 that begin equally frequent, an offset of 2, and an up that begins at 3 / 4."""
    items = [Item(([1], [2], [3]), 2.0, marks=(1.0, math.nan, 3.0), ranks=(-1, math.nan, -3))]
    scores = torch.tensor([[1.0, 99.0, 0.0]])
    ordinal = OBJECTIVES["ordinal"](config("ordinal"), (1.0, 3.0, 5.0))
    ordinal.begin([Item(([1], [2], [3]), 3.0, marks=(1.0, 3.0, 5.0))])
    low, high = -lost(-math.log(2) - 1), math.log(1 / 3)  # edges at -log 2 and log 2
    assert float(ordinal(scores, items)) == pytest.approx(-(low + high) / 2, rel=1e-5)
    regression = OBJECTIVES["regression"](config("regression"))
    regression.begin([Item(([1], [2]), 2.0, marks=(1.0, 3.0))])
    assert float(regression(scores, items)) == pytest.approx(((1 + 2 - 1) ** 2 + (0 + 2 - 3) ** 2) / 2)
    thumbs = OBJECTIVES["thumbs"](config("thumbs"))
    thumbs.begin([Item(([1], [2]), 2.0, marks=(1.0, math.nan))])
    up = math.log(3)
    items = [Item(([1], [2]), 2.0, marks=(1.0, 0.0), ranks=(-1, 0))]
    assert float(thumbs(torch.tensor([[1.0, 0.5]]), items)) == pytest.approx((lost(1 + up) + lost(-0.5 - up)) / 2)
    assert items[0].pairs == ((0, 1),)


@torch.no_grad()
def test_a_level_that_is_never_learned_from_keeps_a_width():
    """Nothing holds its edges apart while others are learned, but a held-out row may have it: its chance is then about
    e^-10 / 4, and the run goes on."""
    ordinal = OBJECTIVES["ordinal"](config("ordinal"), (1.0, 2.0, 3.0))
    ordinal.load_state_dict({"lowest": torch.tensor(1.0), "steps": torch.tensor([-40.0])})
    loss = float(ordinal(torch.tensor([[1.0]]), [Item(([1],), marks=(2.0,))]))
    assert loss == pytest.approx(10 + math.log(4), abs=0.01)


@pytest.mark.parametrize(
    ("objective", "rows", "says"),
    [
        ("ordinal", planted(6), "holds preferences, which objective=ordinal does not learn from. Set objective=votes,"),
        ("thumbs", rated(6, "ratings"), "holds ratings, which objective=thumbs does not learn from"),
        ("ordinal", rated(6, "thumbs"), "holds thumbs, which objective=ordinal does not learn from"),
    ],
)
def test_an_objective_that_does_not_fit_the_file_is_refused(
    objective: Any, rows: list[dict[str, Any]], says: str, write_rows: Callable[..., str]
):
    with pytest.raises(UserError, match=says):
        split(RewardConfig(model="m", out="o", preferences=write_rows("f.jsonl", rows), objective=objective))


def test_rows_without_the_axis_are_told_and_the_others_learned(write_rows: Callable[..., str]):
    """Three of twelve rows lack the axis, and one response of another row: nothing else is lost."""
    rows = rated(12, "ratings")
    for i, row in enumerate(rows):
        row["ratings"] = {"tone": [3] * 3} | ({"kind": [1, 2, None if i == 3 else 3]} if i > 2 else {})
    said: list[str] = []
    path = write_rows("f.jsonl", rows)
    asked = RewardConfig(model="m", out="o", preferences=path, axis="kind", objective="ordinal", validation=0.2)
    data = split(asked, said.append)
    assert f"{path}: 3 of 12 rated rows have no mark that objective=ordinal learns from." in said
    assert len(data.training) + len(data.validation) == 9
    assert data.asks is not None
    unknown = [sum(map(math.isnan, data.asks.marks(row))) for row in [*data.training[:], *data.validation]]
    assert sum(unknown) == 1


def test_ratings_without_the_main_axis_are_not_mixed_with_those_on_it(write_rows: Callable[..., str]):
    """Of 12 rows every third is rated on the tone alone: by that it is no more helpful. Where no row has a main axis
    the mean of all is learned."""
    rows = rated(12, "ratings")
    for one in rows[::3]:
        one["ratings"] = {"tone": [5, 4, 2]}
    told = list[str]()
    path = write_rows("f.jsonl", rows)
    made = split(RewardConfig(model="m", out="o", preferences=path), told.append)
    assert (len(made.training) + len(made.validation), made.levels) == (8, {"": (1.0, 3.0, 5.0)})
    assert f"{path}: 4 of 12 rated rows have no mark that objective=ordinal learns from." in told
    for one in rows:
        one["ratings"] = {"tone": [5, 4, 2], "pace": [2, 4, None]}
    made = split(RewardConfig(model="m", out="o", preferences=write_rows("g.jsonl", rows)), told.append)
    assert made.levels == {"": (3.5, 4.0)}


def test_an_axis_that_nobody_rated_is_refused(write_rows: Callable[..., str]):
    path = write_rows("f.jsonl", rated(6, "ratings"))
    with pytest.raises(UserError, match=r"no row has ratings on the axis charm\. It has: helpfulness, tone\."):
        split(RewardConfig(model="m", out="o", preferences=path, axis="charm", objective="ordinal"))
