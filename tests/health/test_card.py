"""The card on preferences whose truth and noise are known."""

import math
import random
from typing import Any

import numpy as np
import pytest
from scipy.special import logit

from health.simulated import Judge, pairs
from prefloop.errors import UserError
from prefloop.health.card import make_card
from prefloop.health.held_out import HeldOut
from prefloop.health.labels import agreement, cycles
from prefloop.records import Message, Preference
from prefloop.records.cards import Card
from prefloop.records.evaluations import bounds
from prefloop.stats.bag import bag_margins

RIGHT = 0.85
PERFECT = Judge(lambda text: float(logit(RIGHT)) * text.endswith("good"))
BACKWARDS = Judge(lambda text: -float(text.endswith("good")))


def names(card: Card, *, stops: bool = True) -> list[str]:
    return [reason.name for reason in card.reasons if reason.stops == stops]


def test_a_perfect_judge_meets_the_ceiling():
    """Every vote is right with the chance 0.85, so that is the ceiling; a majority of three is right with the chance
    0.85^3 + 3 0.85^2 0.15 = 0.939."""
    rows = pairs(1500, right=RIGHT)
    card = make_card(PERFECT, rows, seed=0, training=[*pairs(40, seed=1)])
    assert card.accuracy_votes is not None
    assert card.agreement is not None
    assert card.calibration is not None
    assert card.accuracy.mean == pytest.approx(0.939, abs=0.015)
    assert card.accuracy_votes.mean == pytest.approx(RIGHT, abs=0.015)
    assert card.agreement.source == "repeats"
    assert card.agreement.equal.mean == pytest.approx(RIGHT**2 + (1 - RIGHT) ** 2, abs=0.015)
    assert card.agreement.ceiling_most == pytest.approx(card.accuracy_votes.mean, abs=0.015)
    surprise = -(RIGHT * math.log(RIGHT) + (1 - RIGHT) * math.log(1 - RIGHT))
    nll, noise = card.calibration.nll, card.agreement.noise
    assert nll.mean == pytest.approx(surprise, abs=0.02)
    assert bounds(nll)[0] < surprise < bounds(nll)[1]  # type: ignore[index]
    assert noise.low < noise.mean == 1 - card.agreement.ceiling.mean < noise.high
    assert card.calibration.ece < 0.02
    assert card.calibration.temperature == pytest.approx(1, abs=0.1)
    assert card.leaks is not None
    assert (card.leaks.pairs.mean, card.leaks.prompts.mean, card.leaks.num_training) == (0, 0, 40)
    assert (card.verdict, names(card)) == ("ready", [])


@pytest.mark.parametrize("judge", [PERFECT, BACKWARDS], ids=["perfect", "backwards"])
def test_the_order_of_rows_does_not_matter(judge: Judge):
    rows, training = pairs(120, votes=2), pairs(60, seed=1)
    mixed, taught = rows[:], training[:]
    random.Random(1).shuffle(mixed)
    random.Random(2).shuffle(taught)
    assert make_card(judge, rows, seed=0, training=training) == make_card(judge, mixed, seed=0, training=taught)


def test_margins_that_are_known_are_not_scored_again():
    rows = pairs(60)
    never = Judge(lambda text: math.nan)
    margins = [PERFECT.number(row.chosen) - PERFECT.number(row.rejected) for row in rows]
    known = make_card(never, rows, seed=0, margins=margins, num_probed=0)
    assert known == make_card(PERFECT, rows, seed=0, num_probed=0)


@pytest.mark.parametrize("seed", range(3))
def test_a_coin_is_not_ready(seed: int):
    drawn = random.Random(seed)
    card = make_card(Judge(lambda text: drawn.random()), pairs(400, seed=seed), seed=0)
    assert card.accuracy.low <= 0.5 <= card.accuracy.high
    assert card.verdict == "not_ready"
    assert "coin" in names(card)


def test_a_judge_to_whom_all_are_equal_is_not_ready():
    card = make_card(Judge(lambda text: 0.0), pairs(100), seed=0)
    assert (card.accuracy.mean, card.verdict) == (0.5, "not_ready")
    assert card.calibration is not None
    assert card.calibration.temperature is None


def longest_wins(rows: list[Preference]) -> list[Preference]:
    """The same pairs, decided by length."""
    by_length = [sorted((row.chosen, row.rejected), key=lambda text: (len(text), text)) for row in rows]
    known: dict[str, Any] = {"votes": (), "num_judgements": 1}
    return [
        row.model_copy(update={"chosen": longer, "rejected": shorter, **known})
        for row, (shorter, longer) in zip(rows, by_length, strict=True)
    ]


def test_a_judge_of_length_is_named():
    rows = pairs(300, num_words=(4, 30))
    mostly = [*longest_wins(rows[:220]), *rows[220:]]
    card = make_card(Judge(len), mostly, seed=0)
    length = card.baselines[0]
    assert (length.name, length.ahead.mean, length.in_turns) == ("length", 0, True)
    assert length.accuracy == card.accuracy
    assert "beside_length" in names(card)
    assert {each.name for each in card.by_length} >= {"much_longer", "longer"}


def test_a_judge_of_words_is_named():
    """Words tell everything here, so that words alone are as good as the judge."""
    rows, training = pairs(300, right=0.8), pairs(300, seed=1, right=0.8)
    both = [[(row.chosen, row.rejected) for row in some] for some in (training, rows)]
    card = make_card(PERFECT, rows, seed=0, margins=bag_margins(*both).tolist(), training=training)
    words = card.baselines[1]
    assert (words.name, words.ahead.mean, words.num_learned_from, words.in_turns) == ("words", 0, 300, False)
    assert "beside_words" in names(card, stops=False)
    worse = make_card(BACKWARDS, rows, seed=0, training=training)
    assert {"below_words", "coin"} <= set(names(worse))
    in_turns = make_card(PERFECT, rows, seed=0).baselines[1]
    assert in_turns.in_turns
    assert in_turns.accuracy.mean == pytest.approx(words.accuracy.mean, abs=0.1)


def test_a_planted_leak_is_named():
    rows = pairs(200)
    copied = [
        row.model_copy(update={"id": f"copy-{row.id}", "chosen": row.rejected, "rejected": row.chosen, "votes": ()})
        for row in rows[:20]
    ]
    card = make_card(PERFECT, rows, seed=0, training=[*pairs(50, seed=1), *copied])
    assert card.leaks is not None
    assert card.leaks.accuracy_without is not None
    assert (card.leaks.pairs.mean, card.leaks.prompts.mean, card.leaks.accuracy_without.num) == (0.1, 0.1, 180)
    assert "leak" in names(card)
    other = [row.model_copy(update={"chosen": "another response"}) for row in copied]
    spared = make_card(PERFECT, rows, seed=0, training=[*pairs(50, seed=1), *other])
    assert spared.leaks is not None
    assert (spared.leaks.pairs.mean, spared.leaks.prompts.mean) == (0.0, 0.1)


def test_what_cannot_be_measured_is_unchecked_and_too_few_pairs_stop():
    card = make_card(PERFECT, pairs(12), seed=0)
    assert {"beside_words", "below_words", "leak", "memorises", "miscalibrated"} <= set(card.unchecked)
    assert (card.leaks, card.verdict) == (None, "not_ready")
    assert "too_few" in names(card)


def test_a_very_high_accuracy_is_suspicious_unless_the_labels_allow_it():
    single = pairs(200, votes=1, right=1.0)
    assert "suspicious" in names(make_card(PERFECT, single, seed=0))
    united = make_card(PERFECT, pairs(200, votes=2, right=1.0), seed=0)
    assert "suspicious" not in names(united)
    assert "easy" in names(united, stops=False)


def test_more_than_anybody_can_know_is_named():
    """Votes that are coins, and a judge that knows them."""
    rows = [row for row in pairs(600, votes=2, right=0.5) if row.decided]
    undecided = [row for row in pairs(600, votes=2, right=0.5) if not row.decided]
    known = [1.0] * len(rows) + [1.0, -1.0] * (len(undecided) // 2) + [1.0] * (len(undecided) % 2)
    assert "above_ceiling" in names(make_card(PERFECT, rows + undecided, seed=0, margins=known))


def test_rows_without_a_decision():
    undecided = [row for row in pairs(100, votes=2, right=0.5) if not row.decided]
    with pytest.raises(UserError, match="none of the"):
        make_card(PERFECT, undecided, seed=0)
    rows = pairs(60, right=0.9)
    with_them = make_card(PERFECT, [*rows, *undecided], seed=0)
    assert with_them.num_pairs == 60
    assert with_them.accuracy_votes is not None
    assert with_them.accuracy_votes.num == 180 + 2 * len(undecided)


def round_trip(prompt: str, *decided: str) -> list[Preference]:
    """Single decisions on one prompt, `ab`: a before b."""
    asked = (Message(role="user", content=prompt),)
    return [
        Preference(id=f"{prompt}{number}", messages=asked, chosen=first, rejected=second)
        for number, (first, second) in enumerate(decided)
    ]


def test_cycles_by_hand():
    """One prompt in order, one that goes round, one with two pairs only, and one where a chain of four goes round."""
    rows = [
        *round_trip("order", "ab", "bc", "ac"),
        *round_trip("round", "ab", "bc", "ca"),
        *round_trip("few", "ab", "bc"),
        *round_trip("four", "ab", "bc", "cd", "da", "ac", "bd"),
    ]
    found = cycles(HeldOut(rows, [1.0] * len(rows)))
    assert found is not None
    assert (found.prompts.num, found.prompts.mean, found.triads) == (3, pytest.approx(2 / 3), 6)
    assert found.cyclic.mean == pytest.approx(3 / 6)  # abc of "round"; acd and dab of "four"
    assert cycles(HeldOut(rows[6:8], [1.0] * 2)) is None


def test_noise_is_told_from_cycles_where_nothing_was_judged_twice():
    drawn = np.random.default_rng(0)
    rows = []
    for prompt in range(500):
        sides = [pair if drawn.random() < 0.9 else pair[::-1] for pair in ("ab", "bc", "ac")]
        rows += round_trip(f"prompt {prompt}", *sides)
    held_out = HeldOut(rows, [1.0] * len(rows))
    told = agreement(held_out, cycles(held_out))
    assert told is not None
    assert told.source == "cycles"
    assert told.equal.mean == pytest.approx(0.82, abs=0.04)
    assert told.ceiling_most == pytest.approx(0.9, abs=0.03)
    assert told.equal.low <= told.equal.mean <= told.equal.high
