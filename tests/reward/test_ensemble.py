"""An ensemble of the reward stage: its members are the stage's own models, broken off and gone on with to the bit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from scipy.special import expit

from prefloop import layout
from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.health.calibration import BINS
from prefloop.health.gate import card_of, gate
from prefloop.models.device import Placement
from prefloop.records import Finished, Message, Preference
from prefloop.reward import ensemble, heads
from prefloop.reward.config import RewardConfig
from prefloop.reward.ensemble import member_config
from prefloop.reward.stage import train
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.named import scorer
from prefloop.seeds import seed_of
from prefloop.stats.calibration import expected_calibration_error, sided_log_odds

from .test_stage import planted

CPU = Placement(torch.device("cpu"))
ASKED = (Message(role="user", content="where is 999?"),)
TEXTS = ["on my sorry go it", "on my never go it", "包裹"]


@pytest.fixture
def make_config(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., RewardConfig]:
    preferences = write_rows("preferences.jsonl", planted(80))

    def make(name: str, **settings: Any) -> RewardConfig:
        values: dict[str, Any] = {
            "out": str(tmp_path / name),
            "model": folder,
            "preferences": preferences,
            "validation": 0.2,
            "batch_pairs": 16,
            "lr": 0.01,
            "threads": 1,
            "dtype": "float32",
            "seed": 3,
        }
        return RewardConfig(**{**values, **settings})

    return make


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_member_is_the_model_of_its_seed_also_once_it_was_broken_off(
    make_config: Callable[..., RewardConfig], monkeypatch: pytest.MonkeyPatch
):
    """The second member dies in its third update; the first is not trained again."""
    config, calls = make_config("ensemble", members=2, checkpoint_every=2), []
    real = heads.__dict__["item_scores"]

    def dies(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == dying:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(heads, "item_scores", dies)
    dying = 0
    alone = train(make_config("alone", seed=seed_of(3, "reward.members", 1), split_seed=3))
    each = len(calls)
    dying = 2 * each + 3
    with pytest.raises(KeyboardInterrupt):
        train(config)
    made = train(config)
    assert len(calls) == 3 * each + 1  # one update was tried twice
    expected, actual = weights(alone), weights(layout.member(made, 1))
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    assert not torch.equal(weights(layout.member(made, 0))["score.weight"], expected["score.weight"])
    before = len(calls)
    assert train(config) == made
    assert len(calls) == before
    _check_ensemble(config, made, alone)


def _check_ensemble(config: RewardConfig, made: Path, alone: Path) -> None:
    """Its folder scores, tells what it has seen, and says how good it and its members are."""
    judge = scorer(str(made.parent), CPU, combine="min")
    assert isinstance(judge, Ensemble)
    said = judge.detailed([ASKED] * 3, TEXTS)
    single = scorer(str(alone), CPU).detailed([ASKED] * 3, TEXTS)
    assert said.members is not None
    assert said.members[:, 1].equal(single.scores)
    assert said.scores.equal(said.members.amin(1))
    rows = split(config, lambda _: None).validation
    messages, texts = [row.messages for row in rows] * 2, [*(r.chosen for r in rows), *(r.rejected for r in rows)]
    for known in (judge, scorer(str(alone), CPU)):
        outlier = known.detailed(messages, texts).outlier
        assert outlier is not None
        expected = [place / 32 for place in range(32)]  # on what it was calibrated, but for ties and rounding
        assert sorted(outlier.tolist()) == pytest.approx(expected, abs=0.1)
    result = json.loads((made.parent / layout.FINISHED).read_text())["result"]
    assert len(result["members"]) == 2
    assert result["accuracy"] >= min(result["members"]) - 1e-9
    assert result["num_held_out"] == 16
    _check_card(made, texts, said_of=judge_of(made).score(messages, texts).tolist(), members=result["members"])


def judge_of(made: Path) -> Ensemble:
    judge = scorer(str(made), CPU)
    assert isinstance(judge, Ensemble)
    return judge


def _check_card(made: Path, texts: list[str], *, said_of: list[float], members: list[float]) -> None:
    """Its own card is of the members' mean; and it, not the members', is what the gate reads."""
    card, half = card_of(str(made)), len(texts) // 2
    assert card is not None
    right = [good > bad for good, bad in zip(said_of[:half], said_of[half:], strict=True)]
    assert card.accuracy.mean == pytest.approx(sum(right) / half)
    assert card.parts is not None
    assert (card.parts.kind, card.parts.score, card.learning_curve) == ("ensemble", "mean", None)
    assert [part.accuracy and part.accuracy.mean for part in card.parts.of] == members
    page = (made.parent / "card.html").read_text(encoding="utf-8")
    assert "An ensemble of 2 reward models." in page
    assert "those of its members stand on their cards" in page
    refusing = {**card.model_dump(mode="json"), "verdict": "not_ready"}
    refusing["reasons"] = [{"name": "coin", "stops": True, "values": {"value": 0.5, "low": 0.4}}]
    (made / layout.MODEL_CARD).write_text(json.dumps(refusing), encoding="utf-8")
    with pytest.raises(UserError, match="model: its health card says that this reward model is not ready"):
        gate(str(made), anyway=False, say=print)
    (made / layout.MODEL_CARD).unlink()
    with pytest.raises(UserError, match="members/0: its health card says"):
        gate(str(made), anyway=False, say=print)


def test_members_have_seeds_of_their_own_and_hold_out_the_same(make_config: Callable[..., RewardConfig]):
    config = make_config("ensemble", members=3)
    members = [member_config(config, index) for index in range(3)]
    assert len({member.seed for member in members}) == 3
    assert {member.split_by for member in members} == {3}
    assert {member.members for member in members} == {1}


def test_what_members_report_is_told_as_its_mean():
    """Numbers, and lists of them, as they are read back from their files; anything else is the first one's."""
    told = [
        {"ece": 0.1, "vote_edges": [0.5, 1.0], "objective": "votes", "card": None},
        {"ece": 0.3, "vote_edges": [0.7, 2.0], "objective": "votes", "card": None},
    ]
    shared = ensemble._shared([Finished(outputs={}, result=result).result for result in told])
    assert shared == {
        "ece": pytest.approx(0.2),
        "vote_edges": [pytest.approx(0.6), 1.5],
        "objective": "votes",
        "card": None,
    }


@pytest.mark.parametrize("settings", [{"objective": "rao_kupper"}, {"heads": "axes"}])
def test_ties_end_for_an_ensemble_where_they_do_for_its_members(
    make_config: Callable[..., RewardConfig], write_rows: Callable[..., str], settings: dict[str, Any]
):
    """How sure it is of a held-out vote with a side is reckoned by that edge: sigmoid(gap - t) to sigmoid(-gap - t); of
    every second pair there is no majority."""
    votes = [[{"side": side} for side in ("chosen", side, "tie")] for side in ("chosen", "rejected")]
    rows = [
        {**row, "votes": votes[i % 2], "tags": ["axis:kind" if i // 2 % 2 else "axis:curt"]}
        for i, row in enumerate(planted(80))
    ]
    config = make_config("ensemble", members=2, preferences=write_rows("ties.jsonl", rows), **settings)
    made = train(config)
    result = json.loads((made.parent / layout.FINISHED).read_text())["result"]
    if "tie_edge" in result:
        judge, parts = scorer(str(made.parent), CPU), split(config, lambda _: None)
        assert isinstance(judge, Ensemble)
        assert len(parts.undecided) == len(parts.validation) == 8
        held_out = [row for row in (*parts.validation, *parts.undecided) if isinstance(row, Preference)]
        asked, pairs = [row.messages for row in held_out], [(r.chosen, r.rejected) for r in held_out]
        better, worse = (judge.score(asked, texts) for texts in zip(*pairs, strict=True))
        odds = sided_log_odds(judge.unit() * (better - worse).double().numpy(), result["tie_edge"])
        assert result["ece"] == pytest.approx(
            expected_calibration_error(expit(odds), [1.0] * 8 + [0.5] * 8, bins=BINS), abs=1e-5
        )
