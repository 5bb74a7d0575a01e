"""Is the reward model good enough: numbers by hand, and a warning for each way it can deceive."""

import math
from typing import Any

import pytest

from prefloop.records import Message, Preference
from prefloop.reward.quality import by_strength, calibration, length_only_accuracy, quality


def preference(chosen: str, rejected: str, **more: Any) -> Preference:
    return Preference(id="x", messages=(Message(role="user", content="hi"),), chosen=chosen, rejected=rejected, **more)


LONGER, SHORTER, EQUAL = preference("aaaa", "b"), preference("b", "aaaa"), preference("ab", "ba")


def test_length_only_by_hand():
    """The rule is chosen in training: longer wins 2 of 3. Held out: right, wrong, half a point."""
    assert length_only_accuracy([LONGER, SHORTER, EQUAL], [LONGER, LONGER, SHORTER]) == pytest.approx(0.5)
    assert length_only_accuracy([LONGER, LONGER, EQUAL, SHORTER], [LONGER]) == pytest.approx(2.5 / 4)
    assert length_only_accuracy([LONGER, LONGER, EQUAL, SHORTER], [SHORTER]) == pytest.approx(1.5 / 4)


def test_calibration_by_hand():
    """Four margins of log 3 are 75 % sure; three are right: ECE 0. All right: 0.25 too modest."""
    assert calibration([math.log(3)] * 3 + [-math.log(3)], [1.0] * 4, temperature=1.0) == pytest.approx(0, abs=1e-9)
    assert calibration([math.log(3)] * 4, [0.75, 0.75, 0.5, 1.0], temperature=1.0) == pytest.approx(0, abs=1e-9)
    assert calibration([math.log(3)] * 4, [1.0] * 4, temperature=1.0) == pytest.approx(0.25)
    assert calibration([2 * math.log(3)] * 3 + [-2 * math.log(3)], [1.0] * 4, temperature=2.0) == pytest.approx(
        0, abs=1e-9
    )


def test_by_strength_by_hand():
    held_out = [preference("a", "b", strength=s) for s in (1, 1, 2.4, 3, None)]
    assert by_strength([1.0, -1.0, 2.0, -0.5, 1.0], held_out) == [
        {"strength": 1, "num": 2, "accuracy": 0.5},
        {"strength": 2, "num": 1, "accuracy": 1.0},
        {"strength": 3, "num": 1, "accuracy": 0.0},
    ]


def test_numbers_by_hand():
    """Margins 1, 2, -1, 0 with the tie half: 2.5 / 4. Agreement is that of pairs which several judged."""
    held_out = [
        preference("a", "b", agreement=0.6, num_judgements=5),
        preference("a", "b", agreement=1.0, num_judgements=3),
        preference("a", "b", agreement=1.0),
        EQUAL,
    ]
    numbers = quality([1.0, 2.0, -1.0, 0.0], held_out, [LONGER], margins_train=[1.0, 1.0, -1.0, 1.0]).numbers
    assert numbers["accuracy"] == pytest.approx(2.5 / 4)
    assert numbers["accuracy_train"] == pytest.approx(0.75)
    assert numbers["vote_share"] == pytest.approx(0.8)
    assert numbers["num_held_out"] == 4
    assert numbers["accuracy_low"] < 2.5 / 4 < numbers["accuracy_high"]


def test_the_temperature_undoes_overconfidence():
    """Margins three times too large: the temperature finds 3, and calibration is right afterwards."""
    margins = [3 * math.log(3)] * 75 + [-3 * math.log(3)] * 25
    numbers = quality(margins, [EQUAL] * 100, [EQUAL], margins_train=margins).numbers
    assert numbers["temperature"] == pytest.approx(3, rel=1e-3)
    assert numbers["ece"] > 0.2
    assert numbers["ece_after_temperature"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("right", "right_train", "held_out", "message"),
    [
        (99, 99, EQUAL, "held-out accuracy 99.0% is above 95 %: look for"),
        (70, 90, EQUAL, "90.0% in training but 70.0% held out: it memorises"),
        (70, 70, LONGER, "70.0% is not clearly above the length-only rule's 100.0%: it may only count words"),
        (75, 75, EQUAL, None),
    ],
)
def test_warnings(right: int, right_train: int, held_out: Preference, message: str | None):
    """100 pairs; only the deception at hand is named."""
    margins, train = ([1.0] * n + [-1.0] * (100 - n) for n in (right, right_train))
    warnings = quality(margins, [held_out] * 100, [LONGER], margins_train=train).warnings
    assert len(warnings) == (message is not None)
    assert message is None or message in warnings[0]
