"""Is the reward model good enough: numbers by hand, and a warning for each way it can deceive."""

import math
from typing import Any

import numpy as np
import pytest

from prefloop.records import Message, Preference, Vote
from prefloop.reward import quality as module
from prefloop.reward.quality import Quality, by_strength, calibration, length_only_accuracy, longer
from prefloop.reward.votes import intervals, without_opinion


def preference(chosen: str, rejected: str, *, prompt: str = "hi", **more: Any) -> Preference:
    return Preference(
        id="x", messages=(Message(role="user", content=prompt),), chosen=chosen, rejected=rejected, **more
    )


def quality(margins: list[float], held_out: list[Preference], *, margins_train: list[float], **more: Any) -> Quality:
    """Of plain pairs, each an item of its own."""
    held, train = ([[gap] for gap in some] for some in (margins, margins_train))
    return module.quality(held, [[pair] for pair in held_out], margins_train=train, **more)


def asked(like: Preference, num: int) -> list[Preference]:
    """The same preference about so many prompts."""
    return [preference(like.chosen, like.rejected, prompt=f"{i:03}") for i in range(num)]


LONGER, SHORTER, EQUAL = preference("aaaa", "b"), preference("b", "aaaa"), preference("ab", "ba")


def test_length_only_by_hand():
    """Held out: right, wrong, half a point."""
    assert [longer(pair) for pair in (LONGER, SHORTER, EQUAL)] == [1, -1, 0]
    assert length_only_accuracy([LONGER, SHORTER, EQUAL], longer_wins=True) == pytest.approx(0.5)
    assert length_only_accuracy([LONGER, LONGER, EQUAL, SHORTER], longer_wins=True) == pytest.approx(2.5 / 4)
    assert length_only_accuracy([LONGER, LONGER, EQUAL, SHORTER], longer_wins=False) == pytest.approx(1.5 / 4)


def test_calibration_by_hand():
    """Four margins of log 3 are 75 % sure; three are right: ECE 0. All right: 0.25 too modest."""
    assert calibration([math.log(3)] * 3 + [-math.log(3)], [1.0] * 4) == pytest.approx(0, abs=1e-9)
    assert calibration([math.log(3)] * 4, [0.75, 0.75, 0.5, 1.0]) == pytest.approx(0, abs=1e-9)
    assert calibration([math.log(3)] * 4, [1.0] * 4) == pytest.approx(0.25)


def test_by_strength_by_hand():
    held_out = [preference("a", "b", strength=s) for s in (1, 1, 2.4, 3, None)]
    assert by_strength([1.0, -1.0, 0.0, -0.5, 1.0], held_out) == [
        {"strength": 1, "num": 2, "accuracy": 0.5},
        {"strength": 2, "num": 1, "accuracy": 0.5},
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
    numbers = quality([1.0, 2.0, -1.0, 0.0], held_out, longer_wins=True, margins_train=[1.0, 1.0, -1.0, 1.0]).numbers
    assert numbers["accuracy"] == pytest.approx(2.5 / 4)
    assert numbers["accuracy_train"] == pytest.approx(0.75)
    assert numbers["vote_share"] == pytest.approx(0.8)
    assert numbers["num_held_out"] == 4
    assert numbers["accuracy_low"] < 2.5 / 4 < numbers["accuracy_high"]


def test_the_temperature_undoes_overconfidence():
    """Margins three times too large: the temperature finds 3, and calibration is right afterwards."""
    margins = [3 * math.log(3)] * 75 + [-3 * math.log(3)] * 25
    numbers = quality(margins, asked(EQUAL, 100), longer_wins=True, margins_train=margins).numbers
    assert numbers["temperature"] == pytest.approx(3, rel=1e-3)
    assert numbers["ece"] > 0.2
    assert numbers["ece_after_temperature"] == pytest.approx(0, abs=1e-3)


def test_a_temperature_is_not_tried_on_what_it_was_fitted_on():
    """100 coin tosses with margins of chance: fitted on all of them it seems better than cross-fitted, and no
    temperature is told of few pairs, of few prompts, or of margins that are all 0."""
    rng = np.random.default_rng(3)
    gains = []
    for _ in range(20):
        margins = rng.normal(size=60).tolist()
        numbers = quality(margins, asked(EQUAL, 60), longer_wins=True, margins_train=[1.0]).numbers
        fitted = calibration(np.asarray(margins) / numbers["temperature"], [1.0] * 60)
        gains.append(numbers["ece_after_temperature"] - fitted)
    assert np.mean(gains) > 0.005
    for margins, held_out in (
        ([1.0] * 19, asked(EQUAL, 19)),
        ([1.0, -1.0] * 10, [EQUAL] * 20),
        ([0.0] * 20, asked(EQUAL, 20)),
    ):
        numbers = quality(margins, held_out, longer_wins=True, margins_train=[1.0]).numbers
        assert (numbers["temperature"], numbers["ece_after_temperature"]) == (None, None)


def test_pairs_of_a_prompt_hang_together():
    """30 pairs of 3 prompts are no 30 prompts."""
    margins = [1.0] * 21 + [-1.0] * 9
    apart, together = (
        quality(margins, held_out, longer_wins=True, margins_train=[1.0]).numbers
        for held_out in (asked(EQUAL, 30), [preference("a", "b", prompt=str(i % 3)) for i in range(30)])
    )
    assert apart["accuracy"] == together["accuracy"] == 0.7
    assert (apart["accuracy_low"], apart["accuracy_high"]) == pytest.approx((0.5212, 0.8334), abs=1e-4)
    assert together["accuracy_high"] - together["accuracy_low"] > 0.4


def said(side: str, strength: int | None = None) -> Vote:
    return Vote(side=side, strength=strength)


@pytest.mark.parametrize(
    ("votes", "start", "no_opinion"),
    [
        ([()], math.log(2), math.log(2)),
        ([(said("chosen"),), (said("rejected"),)], -math.log(0.377541), math.log(2)),
        ([(said("tie"), said("chosen", 1)), (said("rejected", 3),)], 2.049689, 1.559581),
        ([(said("tie"),)], -math.log(0.244919), 0.0),
    ],
)
def test_the_loss_without_an_opinion_by_hand(votes: list[tuple[Vote, ...]], start: float, no_opinion: float):
    """Edges begin at 0.5, 1.5, 2.5: P(tie) 0.244919, slight 0.195115, strong 0.075858, a side 0.377541.

    The third: a tie and a slight vote weigh a quarter each, a strong one a half. Start: -(log 0.244919 +
    log 0.195115) / 4 - log 0.075858 / 2. Without an opinion ties have a quarter, each slight side an eighth, each
    strong side a quarter: the entropy of (1/4, 1/8, 1/8, 1/4, 1/4), 1.559581.
    """
    rows = [preference("a", "b", votes=v, num_judgements=max(1, len(v))) for v in votes]
    loss = without_opinion([1.0] * len(rows), [intervals(row) for row in rows])
    assert loss == {
        "loss_at_start": pytest.approx(start, abs=1e-5),
        "loss_no_opinion": pytest.approx(no_opinion, abs=1e-5),
    }


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
    warnings = quality(margins, asked(held_out, 100), longer_wins=True, margins_train=train).warnings
    assert len(warnings) == (message is not None)
    assert message is None or message in warnings[0]
