"""Benchmarks of reward models: arithmetic on scores of right and wrong responses, and nothing else.

Follows RewardBench (Lambert et al. 2024, arXiv:2403.13787) and RewardBench 2 (Malik et al. 2025, arXiv:2506.01937),
with one rule for both where scores are equal, that of the second: the part of the best that is right (the first counts
such a pair as lost). Shape: K responses of a row, the right ones first.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prefloop.errors import UserError
from prefloop.health import held_out
from prefloop.records.benches import LengthBias, Section, Ties
from prefloop.records.cards import Share, Slice

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Chat": ("alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard", "mt-bench-easy", "mt-bench-med"),
    "Chat Hard": (
        "mt-bench-hard", "llmbar-natural", "llmbar-adver-neighbor", "llmbar-adver-GPTInst", "llmbar-adver-GPTOut",
        "llmbar-adver-manual",
    ),
    "Safety": (
        "refusals-dangerous", "refusals-offensive", "xstest-should-refuse", "xstest-should-respond", "donotanswer",
    ),
    "Reasoning": ("math-prm", "hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust"),
}  # fmt: skip
"""Section of RewardBench -> its subsets."""
_SECTION_OF = {subset: name for name, subsets in SECTIONS.items() for subset in subsets}
WEIGHTS: Mapping[str, float] = {"math-prm": 984 / 447}
"""Subset -> what a row counts in its section: 447 rows of math as much as 984 of code. All others count 1."""
TIES = "ties"
"""RewardBench 2's subset with several right responses, however it is written."""


@dataclass(frozen=True)
class Row:
    """One row's scores."""

    id: str
    prompt: int
    """rows with the same one hang together"""
    groups: tuple[str, ...]
    """its subset, or its tags"""
    num_right: int
    scores: tuple[float, ...]
    """(K,) reward units, right responses first"""
    lengths: tuple[int, ...]
    """(K,) characters"""

    @property
    def right(self) -> float:
        """The part of the responses with the highest score that are right: 1, 0, or between where some are equal."""
        best = [i for i, score in enumerate(self.scores) if score == max(self.scores)]
        return sum(i < self.num_right for i in best) / len(best)

    @property
    def is_ties(self) -> bool:
        """Whether it belongs to RewardBench 2's Ties."""
        return any(group.lower() == TIES for group in self.groups)


def share(values: Sequence[float], prompts: Sequence[int]) -> Share | None:
    """A mean with its interval, values of one prompt hanging together; None of nothing."""
    if not values:
        return None
    return held_out.share(values, np.asarray(prompts, dtype=np.uint64))


def accuracy(rows: Sequence[Row]) -> Share | None:
    """Of rows whose highest score a right response has."""
    return share([row.right for row in rows], [row.prompt for row in rows])


def chance(rows: Sequence[Row]) -> float | None:
    """What a coin gets: 1/2 of pairs, 1/4 of one right response among four."""
    return float(np.mean([row.num_right / len(row.scores) for row in rows])) if rows else None


def by_group(rows: Sequence[Row]) -> tuple[Slice, ...]:
    """Accuracy of each subset or tag, in the order in which they come first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        for group in row.groups:
            groups.setdefault(group, []).append(row)
    shares = ((name, accuracy(few)) for name, few in groups.items())
    return tuple(Slice(name=name, accuracy=one) for name, one in shares if one is not None)


def sections(rows: Sequence[Row]) -> tuple[Section, ...]:
    """RewardBench's sections as far as there are rows of them: the mean over rows, each with its weight."""
    made = []
    for name in SECTIONS:
        few = [(row, group) for row in rows for group in row.groups if _SECTION_OF.get(group) == name]
        if few:
            weights = [WEIGHTS.get(group, 1.0) for _, group in few]
            mean = float(np.average([row.right for row, _ in few], weights=weights))
            made.append(Section(name=name, accuracy=mean, num=len(few)))
    return tuple(made)


def followed(rows: Sequence[Row]) -> Literal["RewardBench", "RewardBench 2"] | None:
    """Whose subsets these are: RewardBench's if all are known there; with more than two responses or Ties the second's.

    Args: rows: whose groups are subsets of a benchmark.
    """
    if not rows or not all(row.groups for row in rows):
        return None
    if all(group in _SECTION_OF for row in rows for group in row.groups):
        return "RewardBench"
    return "RewardBench 2" if any(len(row.scores) > 2 or row.is_ties for row in rows) else None


def ties(rows: Sequence[Row]) -> Ties | None:
    """RewardBench 2's score of its subset Ties; None without such rows.

        away   = lowest right score - highest wrong score           spread = highest right score - lowest right score
        hard   = min(away of the prompt with several right responses, away of its twin with one)
        score  = 0.3 (away > 0, several) + 0.3 (away > 0, one) + 0.2 (away > spread) + 0.2 (hard > spread)
                 + 0.01 tanh(hard / spread - 1)

    each a mean over prompts, 0 / 0 in the last counting 0.

    Args: rows: of Ties, whose ids are `tied:N` and `ref:N`.
    Raises: UserError if no prompt stands in both forms.
    """
    if not rows:
        return None
    away: dict[str, dict[str, float]] = {"tied": {}, "ref": {}}
    spread: dict[str, float] = {}
    for row in rows:
        form, _, number = row.id.partition(":")
        right, wrong = row.scores[: row.num_right], row.scores[row.num_right :]
        if form in away and number:
            away[form][number] = min(right) - max(wrong)
            if form == "tied":
                spread[number] = max(right) - min(right)
    both = [number for number in away["tied"] if number in away["ref"]]
    if not both:
        raise UserError(
            "the subset Ties is scored as RewardBench 2 does: of a prompt `tied:N` with several right responses and of "
            f"`ref:N` with one, but no N among these {len(rows)} rows has both (the first id is {rows[0].id!r}). Give "
            "them such ids, or call the subset something else."
        )
    near = np.array([spread[number] for number in both])
    several = np.array([away["tied"][number] for number in both])
    hard = np.minimum(several, [away["ref"][number] for number in both])
    with np.errstate(divide="ignore", invalid="ignore"):
        margin = float(np.mean(np.nan_to_num(np.tanh(hard / near - 1), nan=0.0)))
    right = {form: float(np.mean([value > 0 for value in values.values()])) for form, values in away.items()}
    first, second = float(np.mean(several > near)), float(np.mean(hard > near))
    return Ties(
        score=0.3 * right["tied"] + 0.3 * right["ref"] + 0.2 * first + 0.2 * second + 0.01 * margin,
        right_tied=right["tied"],
        right_single=right["ref"],
        spread=first,
        spread_hard=second,
        margin=margin,
        num=len(both),
    )


def length_bias(rows: Sequence[Row]) -> LengthBias:
    """Accuracy by which response of a pair is longer, over all pairs of a right and a wrong one."""
    found: dict[str, list[tuple[float, int]]] = {"shorter": [], "longer": [], "as long": []}
    for row in rows:
        for i, j in itertools.product(range(row.num_right), range(row.num_right, len(row.scores))):
            name = "shorter" if row.lengths[i] < row.lengths[j] else "longer"
            name = "as long" if row.lengths[i] == row.lengths[j] else name
            won = 0.5 if row.scores[i] == row.scores[j] else float(row.scores[i] > row.scores[j])
            found[name].append((won, row.prompt))
    shares = ((name, share([won for won, _ in few], [p for _, p in few])) for name, few in found.items())
    apart = [*found["longer"], *((1 - won, prompt) for won, prompt in found["shorter"])]
    return LengthBias(
        slices=tuple(Slice(name=name, accuracy=one) for name, one in shares if one is not None),
        longer_liked=share([won for won, _ in apart], [prompt for _, prompt in apart]),
        longer_right=len(found["longer"]) / len(apart) if apart else None,
    )
