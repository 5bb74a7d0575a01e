"""Held-out pairs that nearly stand among those that were learned from: an accuracy on them tells of memory."""

from collections import defaultdict
from collections.abc import Sequence

from prefloop.health.held_out import HeldOut, share, texts
from prefloop.records import Preference, spoken
from prefloop.records.cards import Leaks
from prefloop.stats.duplicates import near_duplicates
from prefloop.stats.text import overlap

NEAR = 0.9
"""Share of word pairs in common from which two texts are near-duplicates, as `collect` has it."""


def leaks(held_out: HeldOut, training: Sequence[Preference]) -> Leaks | None:
    """Near-duplicates among the training pairs; None if those are not known."""
    if not training:
        return None
    known: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in training:
        known[spoken(row.messages)].append(texts(row))
    asked = [spoken(row.messages) for row in held_out.rows]
    prompts, others = list(dict.fromkeys(asked)), list(known)
    near = dict(zip(prompts, near_duplicates(prompts, others, least=NEAR), strict=True))
    leaked = []
    for row in held_out.decided:
        pairs = [pair for number in near[asked[row]] for pair in known[others[number]]]
        leaked.append(any(_alike(texts(held_out.rows[row]), pair) for pair in pairs))
    left = [place for place, is_leak in enumerate(leaked) if not is_leak]
    return Leaks(
        num_training=len(training),
        prompts=share([float(bool(some)) for some in near.values()], prompts),
        pairs=share([float(is_leak) for is_leak in leaked], held_out.clusters(held_out.decided)),
        accuracy_without=held_out.of_decided(left) if left else None,
    )


def _alike(pair: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pairs are near-duplicates, whichever was chosen."""
    return any(all(overlap(*both) >= NEAR for both in zip(pair, sides, strict=True)) for sides in (other, other[::-1]))
