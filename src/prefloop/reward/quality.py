"""Is the reward model good enough? Numbers with what they must be compared to, and warnings in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from prefloop.records import Preference, opening
from prefloop.reward.votes import sided_log_odds
from prefloop.signs import RULES, Sign, of_reward_model
from prefloop.stats.calibration import cross_fitted, expected_calibration_error, fitted_temperature
from prefloop.stats.intervals import share_interval

BINS, FOLDS = 10, 5
ENOUGH = 20
"""Held-out pairs with votes from which a temperature is fitted."""
WARNINGS = {
    "suspicious": "held-out accuracy {value:.1%} is above {percent:.0f} %: look for held-out prompts "
    "among the training ones, or a shortcut such as length.",
    "memorises": "accuracy is {training:.1%} in training but {value:.1%} held out: it memorises. "
    "Use fewer epochs or more preferences.",
    "length_only": "held-out accuracy {value:.1%} is not clearly above the length-only rule's {length:.1%}: "
    "it may only count words.",
}
"""Sign -> what its alarm says."""


@dataclass(frozen=True)
class Quality:
    """What held-out preferences say about a reward model."""

    numbers: dict[str, Any]
    warnings: tuple[str, ...]


def quality(
    margins: Sequence[Sequence[float]],
    held_out: Sequence[Sequence[Preference]],
    *,
    longer_wins: bool,
    margins_train: Sequence[Sequence[float]],
    undecided: Sequence[tuple[float, Preference]] = (),
    first_edge: float = 0.0,
) -> Quality:
    """Accuracy with its interval beside the annotators' agreement and a length-only baseline; calibration; warnings.

    An item, such as a ranking, weighs one, whatever the number of its pairs; one without pairs says nothing.

    Args:
        margins: of each held-out item the raw score of chosen minus rejected (log-odds) of its pairs.
        held_out: of each item its pairs; a preference is one.
        longer_wins: whether in training the longer response is chosen as often as the shorter one, or more often.
        margins_train: margins of some of the training items.
        undecided: (margin, pair) of held-out pairs without a majority, whose votes count for calibration.
        first_edge: log-odds where a tie ends.
    """
    items = [(gaps, pairs) for gaps, pairs in zip(margins, held_out, strict=True) if pairs]
    accuracy, low, high, length = _mean_ordered([some for some, _ in items]), None, None, None
    if items:
        right = [float(np.mean(_ordered(some))) for some, _ in items]
        low, high = share_interval(right, [opening(pairs[0].messages) for _, pairs in items], confidence=0.95)
        length = float(np.mean([length_only_accuracy(pairs, longer_wins=longer_wins) for _, pairs in items]))
    in_training = _mean_ordered(margins_train)
    gaps = [gap for some, _ in items for gap in some]
    rows = [pair for _, pairs in items for pair in pairs]
    shared = [p.agreement for p in rows if p.agreement is not None and p.num_judgements > 1]
    voted = [(m, p) for m, p in [*zip(gaps, rows, strict=True), *undecided] if p.outcome is not None]
    log_odds = sided_log_odds([m for m, _ in voted], first_edge)
    outcomes = [p.outcome for _, p in voted if p.outcome is not None]
    tempered = None
    if len(voted) >= ENOUGH:
        tempered = cross_fitted(log_odds, outcomes, [opening(p.messages) for _, p in voted], folds=FOLDS)
    numbers = {
        "accuracy": accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_train": in_training,
        "length_only_accuracy": length,
        "vote_share": sum(shared) / len(shared) if shared else None,
        "ece": calibration(log_odds, outcomes) if voted else None,
        "temperature": None if tempered is None else fitted_temperature(log_odds, outcomes),
        "ece_after_temperature": None if tempered is None else calibration(tempered, outcomes),
        "num_held_out": len(margins),
        "by_strength": by_strength(gaps, rows),
    }
    signs = of_reward_model(accuracy, low, high, in_training, length)
    return Quality(numbers, _warnings(signs))


def calibration(log_odds: ArrayLike, outcomes: Sequence[float]) -> float:
    """Expected calibration error of P(chosen wins) = sigmoid(log_odds), over confidence from 1/2 to 1."""
    return expected_calibration_error(expit(np.asarray(log_odds)), np.asarray(outcomes), bins=BINS)


def _mean_ordered(margins: Sequence[Sequence[float]]) -> float | None:
    """Accuracy over items, each weighing one; None if none has a pair."""
    right = [float(np.mean(_ordered(some))) for some in margins if len(some)]
    return float(np.mean(right)) if right else None


def _ordered(margins: Sequence[float]) -> list[float]:
    """1 where the chosen response scores higher, 1/2 where both score the same."""
    return [0.5 if m == 0 else float(m > 0) for m in margins]


def length_only_accuracy(held_out: Sequence[Preference], *, longer_wins: bool) -> float:
    """Accuracy of "the longer wins" or "the shorter wins", whichever is right more often in training; ties are half."""
    sign = 1 if longer_wins else -1
    return sum((1 + sign * longer(p)) / 2 for p in held_out) / len(held_out)


def longer(preference: Preference) -> int:
    """1 if the chosen response is the longer one, -1 if the rejected one is, 0 if both are of one length."""
    difference = len(preference.chosen) - len(preference.rejected)
    return (difference > 0) - (difference < 0)


def by_strength(margins: Sequence[float], held_out: Sequence[Preference]) -> list[dict[str, float]]:
    """Accuracy for each stated strength: 1 slightly, 2 clearly, 3 much better."""
    rows = []
    for strength in (1, 2, 3):
        chosen = [
            m
            for m, p in zip(margins, held_out, strict=True)
            if p.strength is not None and round(p.strength) == strength
        ]
        if chosen:
            rows.append({"strength": strength, "num": len(chosen), "accuracy": float(np.mean(_ordered(chosen)))})
    return rows


def _warnings(signs: Sequence[Sign]) -> tuple[str, ...]:
    return tuple(
        WARNINGS[sign.name].format(**sign.values, percent=100 * (RULES[sign.name].limit or 0))
        for sign in signs
        if sign.level == "alarm"
    )
