"""What length alone, or words alone, get on the held-out pairs, and how far ahead of them the judge is."""

import zlib
from collections.abc import Sequence

import numpy as np

from prefloop.health.held_out import CONFIDENCE, HeldOut, ordered, texts
from prefloop.records import Preference
from prefloop.records.cards import Baseline
from prefloop.stats.arrays import Array
from prefloop.stats.bag import bag_margins
from prefloop.stats.intervals import mean_interval

FOLDS = 5
LEAST = 25
"""Pairs from which a model of words is learned."""


def baselines(held_out: HeldOut, training: Sequence[Preference]) -> tuple[Baseline, ...]:
    """Both. Args: training: what they learn from; in turns from parts of the held-out pairs if there is nothing."""
    rows = [held_out.rows[i] for i in held_out.decided]
    decided = [row for row in training if row.decided]
    found = [
        _beside(held_out, "length", ordered(_lengths(rows) * _sign(decided or rows)), len(decided or rows), decided)
    ]
    if len(decided) >= LEAST:
        margins = bag_margins([texts(row) for row in decided], [texts(row) for row in rows])
        found.append(_beside(held_out, "words", ordered(margins), len(decided), decided))
    elif not decided and len(rows) >= 2 * LEAST:
        folds = np.array(
            [zlib.crc32(name.encode("utf-8", "replace")) % FOLDS for name in held_out.clusters(held_out.decided)]
        )
        if len(set(folds.tolist())) == FOLDS:
            margins = np.zeros(len(rows))
            for fold in range(FOLDS):
                inside = folds == fold
                sides = (
                    [texts(row) for row, here in zip(rows, inside, strict=True) if here == which]
                    for which in (False, True)
                )
                margins[inside] = bag_margins(*sides)
            found.append(_beside(held_out, "words", ordered(margins), len(rows), decided))
    return tuple(found)


def _beside(held_out: HeldOut, name: str, right: Array, num: int, decided: Sequence[Preference]) -> Baseline:
    ahead = held_out.right - right
    prompts = held_out.clusters(held_out.decided)
    low, high = mean_interval(ahead, confidence=CONFIDENCE, clusters=prompts) if len(set(prompts)) > 1 else (None, None)
    return Baseline(
        name="length" if name == "length" else "words",
        accuracy=float(right.mean()),
        ahead=float(ahead.mean()),
        ahead_low=low,
        ahead_high=high,
        num_learned_from=num,
        in_turns=not decided,
    )


def _lengths(rows: Sequence[Preference]) -> Array:
    """(d,) letters of the chosen response less those of the rejected one."""
    return np.array([len(row.chosen) - len(row.rejected) for row in rows], dtype=float)


def _sign(rows: Sequence[Preference]) -> float:
    """1 if the longer response is chosen as often as the shorter one or more often, else -1."""
    return 1.0 if np.sign(_lengths(rows)).sum() >= 0 else -1.0
