"""The place of a response: votes and judges of pairs that are known to prefer one."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from prefloop.health.position import of_judge, of_labels
from prefloop.records import Message, Preference, Vote


def row(number: int, votes: Sequence[Vote] = ()) -> Preference:
    asked = (Message(role="user", content=f"question {number}"),)
    return Preference(
        id=str(number), messages=asked, chosen="right" * (number % 7 + 1), rejected="x", votes=tuple(votes)
    )


def voted(share: float, number: int = 400) -> list[Preference]:
    """Rows of which that share of single votes is for the response shown first; chosen is shown first half the time."""
    rng, rows = random.Random(1), []
    for i in range(number):
        first, is_first = rng.random() < 0.5, i < round(share * number)
        rows.append(row(i, [Vote(side="chosen" if is_first == first else "rejected", first=first), Vote(side="tie")]))
    return rows


@pytest.mark.parametrize(
    ("share", "finding", "token"),
    [
        (0.5, "fine", None),
        (0.56, "shortcut", "first"),
        (0.7, "shortcut", "first"),
        (0.3, "shortcut", "second"),
        (1.0, "shortcut", "first"),
    ],
)
def test_votes_for_a_place_are_named(share: float, finding: str, token: str | None):
    found = of_labels(voted(share))
    assert (found.finding, found.token, found.num) == (finding, token, 400)
    assert found.shift == pytest.approx(math.log((share * 400 + 0.5) / (400 - share * 400 + 0.5)))
    assert of_labels(voted(share)[::-1]) == found


def test_few_votes_or_unknown_ones_say_nothing():
    assert of_labels(voted(0.5, 100)).finding == "unclear"
    assert of_labels(voted(1.0, 20)).finding == "unclear"
    assert of_labels([row(0, [Vote(side="chosen")]), row(1)]).finding == "not_applicable"


class Gapped:
    """A judge to whom longer is better, and the first place worth something."""

    name = "gapped"

    def __init__(self, place: float, quality: float = 0.2) -> None:
        self.place, self.quality = place, quality

    def gaps(self, prompts: Sequence[Sequence[Message]], first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        return np.array([self.quality * (len(a) - len(b)) + self.place for a, b in zip(first, second, strict=True)])


@pytest.mark.parametrize(("place", "finding"), [(0.0, "fine"), (0.5, "fine"), (2.0, "shortcut"), (-2.0, "shortcut")])
def test_a_judge_of_pairs_is_read_both_ways(place: float, finding: str):
    rows = [row(i) for i in range(28)]
    found = of_judge(Gapped(place), rows)
    assert (found.finding, found.shift, found.num_scored) == (finding, pytest.approx(place), 56)
    assert found.margins == pytest.approx(place / (0.2 * 19))  # 5 letters times 1 to 7, less one: 19 on average
    assert of_judge(Gapped(2.0, quality=0.0), rows).finding == "shortcut"
    assert of_judge(Gapped(0.0, quality=0.0), rows).finding == "fine"
    assert of_judge(Gapped(place), []).finding == "not_applicable"
