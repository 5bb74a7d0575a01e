"""What was collected, who judged it, and how far they agree."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from prefloop import layout
from prefloop.decisions import votes_of
from prefloop.errors import UserError
from prefloop.files.foreign import Reading
from prefloop.files.tables import each_row, read_records
from prefloop.records import Comparison, Judgement
from prefloop.stats.agreement import Coefficient, equal_couples, krippendorff_alpha, krippendorff_interval

RESAMPLES = 500
CONFIDENCE = 0.95
SPLIT = (layout.PREFERENCES, layout.HELD_OUT, layout.UNDECIDED, layout.RANKINGS, layout.RATINGS, layout.THUMBS)
"""Files of decisions that a collect folder may have."""


@dataclass(frozen=True)
class Annotators:
    """One annotator under a name that tells nobody who they are."""

    name: str
    kind: str
    judgements: int
    seconds: float
    """median of a judgement"""
    equal: tuple[int, int]
    """(equal, all) couples of decisions with somebody else's on one pair"""


@dataclass(frozen=True)
class Couples:
    """Decisions of two annotators on one pair of responses, counted."""

    num: int
    equal: int
    num_sides: int
    """of them those in which both chose a side"""
    equal_sides: int


@dataclass(frozen=True)
class Collected:
    """All folders together."""

    num_prompts: int
    """different ones, by their words"""
    num_comparisons: int
    num_responses: int
    samplers: dict[str, int]
    """fingerprint -> responses"""
    tags: dict[str, int]
    """tag -> comparisons"""
    judgements: dict[str, int]
    """kind -> how many"""
    rulings: int
    decisions: dict[str, int]
    """file -> rows"""
    annotators: tuple[Annotators, ...]
    guidelines: tuple[str, ...]
    """versions that were seen"""
    without_guideline: int
    """judgements that name none"""
    couples: dict[tuple[str, str], Couples]
    """two kinds of annotators -> their decisions on one pair"""
    alpha: Coefficient
    alpha_interval: tuple[float, float] | None
    num_units: int
    """pairs that were decided by two annotators or more"""


def gathered(folders: Sequence[str], *, seed: int) -> Collected:
    """Counts what the folders of `prefloop collect` hold. Args: seed: of the interval of alpha.

    Raises: UserError if a file is missing or damaged.
    """
    prompts, samplers, tags = set[str](), Counter[str](), Counter[str]()
    judgements, decisions = list[tuple[int, Judgement]](), Counter[str]()
    num_comparisons = 0
    for number, folder in enumerate(map(Path, folders)):
        for comparison in _comparisons(folder / layout.COMPARISONS):
            num_comparisons += 1
            prompts.add(comparison.text)
            samplers.update(response.sampler for response in comparison.responses)
            tags.update(comparison.tags)
        judgements += [(number, one) for one in read_records(folder / layout.JUDGEMENTS, Judgement)]
        for name in SPLIT:
            if (folder / name).is_file():
                decisions[name] += sum(1 for _ in each_row(folder / name))
    units = _units(judgements)
    names = _anonymous([one for _, one in judgements])
    alpha, interval = _alpha(units, seed)
    given = [one.guideline for _, one in judgements]
    return Collected(
        num_prompts=len(prompts),
        num_comparisons=num_comparisons,
        num_responses=samplers.total(),
        samplers=dict(samplers.most_common()),
        tags=dict(sorted(tags.items())),
        judgements=dict(sorted(Counter(one.kind for _, one in judgements).items())),
        rulings=sum(one.ruling for _, one in judgements),
        decisions=dict(decisions),
        annotators=_annotators([one for _, one in judgements], units, names),
        guidelines=tuple(sorted({version for version in given if version})),
        without_guideline=sum(not version for version in given),
        couples=_couples(units),
        alpha=alpha,
        alpha_interval=interval,
        num_units=sum(len(said) > 1 for said in units),
    )


def _comparisons(path: Path) -> list[Comparison]:
    found: list[Comparison] = []
    for _, outcome in Reading(path, Comparison):
        if isinstance(outcome, UserError):
            raise outcome
        found.append(outcome)
    return found


Said = dict[tuple[str, str], int]
"""(kind, annotator) -> 0 for the first response, 2 for the second, 1 for neither."""


def _units(judgements: Sequence[tuple[int, Judgement]]) -> list[Said]:
    """What was said of each pair of responses; of one annotator's decisions on a pair the last."""
    units: dict[tuple[int, str, int, int], Said] = defaultdict(dict)
    for number, one in judgements:
        for i, j, ballot in votes_of(one):
            said = 1 if ballot.winner is None else 0 if ballot.winner == i else 2
            units[number, one.comparison, i, j][one.annotator_kind, one.annotator] = said
    return [units[key] for key in sorted(units)]


def _alpha(units: Sequence[Said], seed: int) -> tuple[Coefficient, tuple[float, float] | None]:
    """Krippendorff's alpha of the three outcomes in their order, and its interval."""
    several = [list(said.values()) for said in units if len(said) > 1]
    if not several:
        return Coefficient(None, "no unit was judged twice"), None
    table = np.full((len(several), max(map(len, several))), np.nan)
    for row, said in zip(table, several, strict=True):
        row[: len(said)] = said
    alpha = krippendorff_alpha(table, level="ordinal")
    if alpha.value is None:
        return alpha, None
    interval = krippendorff_interval(table, level="ordinal", confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed)
    return alpha, interval


def _couples(units: Sequence[Said]) -> dict[tuple[str, str], Couples]:
    both = Counter[tuple[tuple[str, str], bool, bool]]()
    for said in units:
        for (one, first), (other, second) in itertools.combinations(sorted(said.items()), 2):
            both[(one[0], other[0]), first == second, 1 not in (first, second)] += 1
    return {
        kinds: Couples(
            num=sum(count for (k, _, _), count in both.items() if k == kinds),
            equal=sum(both[kinds, True, sides] for sides in (True, False)),
            num_sides=sum(both[kinds, equal, True] for equal in (True, False)),
            equal_sides=both[kinds, True, True],
        )
        for kinds in sorted({k for k, _, _ in both})
    }


def _anonymous(judgements: Sequence[Judgement]) -> dict[tuple[str, str], str]:
    """People by numbers, those who judged most first; machines and simulations keep their names, which are nobody's."""
    counts = Counter((one.annotator_kind, one.annotator) for one in judgements)
    names: dict[tuple[str, str], str] = {}
    for key, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        kind, name = key
        people = sum(k == "person" for k, _ in names)
        names[key] = f"person-{people + 1}" if kind == "person" else name
    return names


def _annotators(
    judgements: Sequence[Judgement], units: Sequence[Said], names: dict[tuple[str, str], str]
) -> tuple[Annotators, ...]:
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for one in judgements:
        seconds[one.annotator_kind, one.annotator].append(one.seconds)
    equal, every = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for said in units:
        for who, mine in said.items():
            same, all_of_them = equal_couples([[(who, mine), (other, theirs)] for other, theirs in said.items()])
            equal[who] += same
            every[who] += all_of_them
    return tuple(
        Annotators(name, key[0], len(seconds[key]), median(seconds[key]), (equal[key], every[key]))
        for key, name in names.items()
    )
