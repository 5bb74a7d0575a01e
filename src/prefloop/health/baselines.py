"""What length alone, or words alone, get on the held-out pairs, and how far ahead of them the judge is."""

import zlib
from collections.abc import Sequence

import numpy as np

from prefloop.health.held_out import HeldOut, interval, ordered, share, texts
from prefloop.records import Preference
from prefloop.records.cards import Baseline
from prefloop.stats.arrays import Array
from prefloop.stats.bag import Bag, Pair, bag_margins

FOLDS = 5
LEAST = 25
"""Pairs from which a model of words is learned."""


def baselines(held_out: HeldOut, training: Sequence[Preference]) -> tuple[Baseline, ...]:
    """Both. Args: training: what they learn from; in turns from parts of the held-out pairs if there is nothing."""
    rows = [held_out.rows[i] for i in held_out.decided]
    decided = [row for row in training if row.decided]
    right = {"length": length_right(rows, decided or rows)}
    words = _words(held_out.clusters(held_out.decided), [texts(row) for row in rows], [texts(row) for row in decided])
    if words is not None:
        right["words"] = ordered(words)
    num = len(decided or rows)
    return tuple(_beside(held_out, name, values, num, in_turns=not decided) for name, values in right.items())


def _words(prompts: Sequence[str], rows: Sequence[Pair], training: Sequence[Pair]) -> Array | None:
    """(d,) margins by words alone; None if there is too little to learn from."""
    if training:
        return bag_margins(training, rows) if len(training) >= LEAST else None
    folds = np.array([zlib.crc32(prompt.encode("utf-8", "replace")) % FOLDS for prompt in prompts])
    if len(rows) < 2 * LEAST or len(np.unique(folds)) < FOLDS:
        return None
    bag, margins = Bag(rows), np.zeros(len(rows))
    for fold in range(FOLDS):
        others, inside = (np.flatnonzero((folds == fold) == here).tolist() for here in (False, True))
        margins[inside] = bag.margins([rows[i] for i in others], [rows[i] for i in inside])
    return margins


def _beside(held_out: HeldOut, name: str, right: Array, num: int, *, in_turns: bool) -> Baseline:
    prompts = held_out.clusters(held_out.decided)
    return Baseline(
        name="length" if name == "length" else "words",
        accuracy=share(right, prompts),
        ahead=interval(held_out.right - right, prompts),
        num_learned_from=num,
        in_turns=in_turns,
    )


def length_right(rows: Sequence[Preference], training: Sequence[Preference]) -> Array:
    """(d,) 1 where the longer response is the chosen one, or the shorter if that is so more often in training; 1/2 for
    responses of one length."""
    sign = 1.0 if np.sign(_lengths(training)).sum() >= 0 else -1.0
    return ordered(_lengths(rows) * sign)


def _lengths(rows: Sequence[Preference]) -> Array:
    """(d,) letters of the chosen response less those of the rejected one."""
    return np.array([len(row.chosen) - len(row.rejected) for row in rows], dtype=float)
