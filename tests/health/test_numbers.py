"""The card's numbers by hand: of plain pairs with known margins."""

import math
from typing import Any

import numpy as np
import pytest

from prefloop.health.baselines import baselines
from prefloop.health.calibration import calibration
from prefloop.health.held_out import HeldOut, strength
from prefloop.records import Message, Preference
from prefloop.records.cards import Calibration


def preference(chosen: str, rejected: str, *, prompt: str = "hi", **more: Any) -> Preference:
    return Preference(
        id="x", messages=(Message(role="user", content=prompt),), chosen=chosen, rejected=rejected, **more
    )


def asked(like: Preference, num: int) -> list[Preference]:
    """The same preference about so many prompts."""
    return [preference(like.chosen, like.rejected, prompt=f"{i:03}") for i in range(num)]


LONGER, SHORTER, EQUAL = preference("aaaa", "b"), preference("b", "aaaa"), preference("ab", "ba")


@pytest.mark.parametrize(
    ("held_out", "training", "accuracy"),
    [
        ([LONGER, SHORTER, EQUAL], [LONGER], 1.5 / 3),
        ([LONGER, LONGER, EQUAL, SHORTER], [LONGER], 2.5 / 4),
        ([LONGER, LONGER, EQUAL, SHORTER], [SHORTER], 1.5 / 4),
        ([LONGER, LONGER, EQUAL, SHORTER], [LONGER, SHORTER], 2.5 / 4),
    ],
)
def test_length_alone_by_hand(held_out: list[Preference], training: list[Preference], accuracy: float):
    """The longer wins, or the shorter if that is so in training; of one length is half a point."""
    (length,) = baselines(HeldOut(held_out, [1.0] * len(held_out)), training)
    assert length.accuracy.mean == pytest.approx(accuracy)
    assert length.ahead.mean == pytest.approx(1 - accuracy)


def measured(margins: list[float], rows: list[Preference]) -> Calibration:
    found = calibration(HeldOut(rows, margins), tie_edge=0.0)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("margins", "error"),
    [([math.log(3)] * 3 + [-math.log(3)], 0.0), ([math.log(3)] * 4, 0.25), ([3 * math.log(3)] * 4, 1 / 28)],
)
def test_calibration_by_hand(margins: list[float], error: float):
    """Margins of log 3 are 75 % sure: right three times in four, the error is 0; always, they are 0.25 too modest."""
    assert measured(margins, asked(EQUAL, 4)).ece == pytest.approx(error)


def test_by_strength_by_hand():
    rows = [preference("a", "b", prompt=str(i), strength=s) for i, s in enumerate((1, 1, 2.4, 3, None))]
    slices = HeldOut(rows, [1.0, -1.0, 0.0, -0.5, 1.0]).by(strength, ("1", "2", "3"))
    found = [(each.name, each.accuracy.num, each.accuracy.mean) for each in slices]
    assert found == [("1", 2, 0.5), ("2", 1, 0.5), ("3", 1, 0.0)]


def test_the_temperature_undoes_overconfidence():
    """Margins three times too large: the temperature finds 3, and calibration is right afterwards."""
    found = measured([3 * math.log(3)] * 75 + [-3 * math.log(3)] * 25, asked(EQUAL, 100))
    assert found.temperature == pytest.approx(3, rel=1e-3)
    assert found.ece > 0.2
    assert found.ece_after == pytest.approx(0, abs=1e-3)


def test_a_temperature_is_not_tried_on_what_it_was_fitted_on():
    """60 coin tosses with margins of chance: fitted on all of them it seems better than cross-fitted, and no
    temperature is told of few pairs, of few prompts, or of margins that are all 0."""
    rng = np.random.default_rng(3)
    gains = []
    for _ in range(20):
        margins = rng.normal(size=60)
        found = measured(margins.tolist(), asked(EQUAL, 60))
        assert found.temperature is not None
        assert found.ece_after is not None
        gains.append(found.ece_after - measured((margins / found.temperature).tolist(), asked(EQUAL, 60)).ece)
    assert np.mean(gains) > 0.005
    for few, rows in (([1.0] * 19, asked(EQUAL, 19)), ([1.0, -1.0] * 10, [EQUAL] * 20), ([0.0] * 20, asked(EQUAL, 20))):
        found = measured(few, rows)
        assert (found.temperature, found.ece_after) == (None, None)


def test_pairs_of_a_prompt_hang_together():
    """30 pairs of 3 prompts are no 30 prompts."""
    margins = [1.0] * 21 + [-1.0] * 9
    apart, together = (
        HeldOut(rows, margins).of_decided()
        for rows in (asked(EQUAL, 30), [preference("a", "b", prompt=str(i % 3)) for i in range(30)])
    )
    assert apart.mean == together.mean == 0.7
    assert (apart.low, apart.high) == pytest.approx((0.5212, 0.8334), abs=1e-4)
    assert together.high - together.low > 0.4
