"""Is the reward model good enough? Numbers with what they must be compared to, and warnings in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from prefloop.records import Preference
from prefloop.reward.votes import sided_log_odds
from prefloop.signs import RULES, of_reward_model
from prefloop.stats.calibration import expected_calibration_error, fitted_temperature
from prefloop.stats.intervals import wilson_interval

BINS = 10
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
    margins: Sequence[float],
    held_out: Sequence[Preference],
    training: Sequence[Preference],
    *,
    margins_train: Sequence[float],
    undecided: Sequence[tuple[float, Preference]] = (),
    first_edge: float = 0.0,
) -> Quality:
    """Accuracy with its interval beside the annotators' agreement and a length-only baseline; calibration; warnings.

    Args:
        margins: raw score of chosen minus rejected (log-odds), one for each held-out preference.
        held_out: those preferences.
        training: the preferences trained on (the length-only rule is chosen there).
        margins_train: margins of some of the training preferences.
        undecided: (margin, pair) of held-out pairs without a majority, whose votes count for calibration.
        first_edge: log-odds where a tie ends.
    """
    n = len(margins)
    right = sum(m > 0 for m in margins) + sum(m == 0 for m in margins) / 2
    low, high = wilson_interval(right, n, confidence=0.95)
    shared = [p.agreement for p in held_out if p.agreement is not None and p.num_judgements > 1]
    voted = [(m, p.outcome) for m, p in [*zip(margins, held_out, strict=True), *undecided] if p.outcome is not None]
    log_odds, outcomes = sided_log_odds([m for m, _ in voted], first_edge), [o for _, o in voted]
    temperature = fitted_temperature(log_odds, np.asarray(outcomes)) if n >= 20 else 1.0
    numbers = {
        "accuracy": right / n,
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_train": sum(m > 0 for m in margins_train) / len(margins_train),
        "length_only_accuracy": length_only_accuracy(held_out, training),
        "vote_share": sum(shared) / len(shared) if shared else None,
        "ece": calibration(log_odds, outcomes, temperature=1.0),
        "temperature": temperature,
        "ece_after_temperature": calibration(log_odds, outcomes, temperature=temperature),
        "num_held_out": n,
        "by_strength": by_strength(margins, held_out),
    }
    return Quality(numbers, _warnings(right / n, low, numbers["accuracy_train"], numbers["length_only_accuracy"]))


def calibration(log_odds: ArrayLike, outcomes: Sequence[float], *, temperature: float) -> float:
    """Expected calibration error of P(chosen wins) = sigmoid(log_odds / temperature), over confidence from 1/2 to 1."""
    return expected_calibration_error(expit(np.asarray(log_odds) / temperature), np.asarray(outcomes), bins=BINS)


def length_only_accuracy(held_out: Sequence[Preference], training: Sequence[Preference]) -> float:
    """Accuracy of "the longer wins" or "the shorter wins", whichever is right more often in training; ties are half."""
    sign = 1 if sum(_longer(p) for p in training) >= 0 else -1
    return sum((1 + sign * _longer(p)) / 2 for p in held_out) / len(held_out)


def _longer(preference: Preference) -> int:
    difference = len(preference.chosen) - len(preference.rejected)
    return (difference > 0) - (difference < 0)


def by_strength(margins: Sequence[float], held_out: Sequence[Preference]) -> list[dict[str, float]]:
    """Accuracy for each stated strength: 1 slightly, 2 clearly, 3 much better."""
    rows = []
    for strength in (1, 2, 3):
        chosen = [
            m > 0
            for m, p in zip(margins, held_out, strict=True)
            if p.strength is not None and round(p.strength) == strength
        ]
        if chosen:
            rows.append({"strength": strength, "num": len(chosen), "accuracy": sum(chosen) / len(chosen)})
    return rows


def _warnings(accuracy: float, low: float, training: float, length: float) -> tuple[str, ...]:
    signs = [sign for sign in of_reward_model(accuracy, low, training, length) if sign.level == "alarm"]
    return tuple(
        WARNINGS[sign.name].format(**sign.values, percent=100 * (RULES[sign.name].limit or 0)) for sign in signs
    )
