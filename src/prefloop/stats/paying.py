"""Does another round pay? What the next one may gain, if gains go on falling as they have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 20_000
SEED = 0


@dataclass(frozen=True)
class Expected:
    """A gain that has not been made yet, with the interval of 95 % in which it may lie."""

    mean: float
    low: float
    high: float


def next_gain(gains: Sequence[float], errors: Sequence[float]) -> Expected | None:
    """The gain of the next round: the last one times how much of a gain is left from round to round.

        next = max(gain[-1], 0) r        r = gain[-1] / gain[-2], within [0, 1]; of one round any value in [0, 1]

    Gains are drawn from normal distributions about what was measured, so that the interval holds what is not known of
    them; how a ratio goes on is not in it, and with few rounds that is most of what is not known.

    Args:
        gains: win rates over the incumbent beyond one half, by round; 0 for one that was held.
        errors: their standard errors.

    Returns: None before the first round.
    """
    if not gains:
        return None
    rng = np.random.default_rng(SEED)
    drawn = rng.normal(np.asarray(gains)[-2:], np.asarray(errors)[-2:], size=(DRAWS, min(len(gains), 2)))
    last = np.maximum(drawn[:, -1], 0.0)
    if len(gains) == 1:
        ratio = rng.random(DRAWS)
    else:
        ratio = np.clip(last / np.maximum(drawn[:, 0], 1e-9), 0.0, 1.0)
    found = last * ratio
    low, high = np.quantile(found, (0.025, 0.975))
    return Expected(float(found.mean()), float(low), float(high))
