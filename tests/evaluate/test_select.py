"""Which checkpoint is kept, on made-up numbers."""

import pytest

from prefloop.errors import UserError
from prefloop.evaluate.select import selected
from prefloop.records.evaluations import Choice, Interval, Split, WinRate


def numbers(win_rate: float, kl: float) -> Split:
    won = WinRate(mean=win_rate, judge="gold", num=1, wins=0, ties=0, losses=0)
    return Split.model_construct(win_rate=won, kl_nats=Interval(mean=kl))


CANDIDATES = {
    "step-1": numbers(0.6, 1.0),
    "step-2": numbers(0.7, 4.0),
    "step-3": numbers(0.9, 12.0),
    "step-4": numbers(0.55, 7.9),
}


def test_the_best_within_the_limit():
    """The third wins most often but has drifted too far; the reason says so."""
    choice = selected(CANDIDATES, kl_limit=8.0)
    assert choice.name == "step-2"
    assert "step-2 wins against the reference most often" in choice.reason
    assert "70% with ties as half, judged by gold" in choice.reason
    assert choice.reason.endswith("Preferred more often, but over the limit: step-3.")


@pytest.mark.parametrize(("low", "clear"), [(0.51, True), (0.5, False), (None, False)])
def test_a_win_that_may_be_chance_is_not_called_one(low: float | None, clear: bool):
    """The interval of the win rate must lie above one half."""
    won = WinRate(mean=0.7, low=low, high=0.9, judge="gold", num=9, wins=6, ties=0, losses=3)
    selection = selected({"a": Split.model_construct(win_rate=won, kl_nats=Interval(mean=1.0))}, kl_limit=8.0)
    assert selection.choice == Choice(rule="preferred", candidates=1, clear=clear, over_limit=())
    assert ("none is clearly better than the reference" in selection.reason) == (not clear)


@pytest.mark.parametrize(
    ("limit", "name"), [(1.0, "step-1"), (4.0, "step-2"), (3.999, "step-1"), (12.0, "step-3"), (100.0, "step-3")]
)
def test_the_limit_is_included(limit: float, name: str):
    assert selected(CANDIDATES, kl_limit=limit).name == name


def test_of_equals_the_nearer_is_kept():
    assert selected({"far": numbers(0.6, 3.0), "near": numbers(0.6, 2.0)}, kl_limit=8.0).name == "near"


def test_if_all_drifted_the_nearest_is_kept_and_it_is_said():
    choice = selected({"a": numbers(0.9, 20.0), "b": numbers(0.4, 9.0)}, kl_limit=8.0)
    assert choice.name == "b"
    assert "all 2 checkpoints drifted further than 8 nats" in choice.reason
    assert choice.choice.rule == "nearest"


def test_nothing_to_choose_from():
    with pytest.raises(UserError, match="no candidate"):
        selected({}, kl_limit=8.0)
