"""The place of a response: votes that are known to prefer one."""

import math
import random
from collections.abc import Sequence

import pytest

from prefloop.health.position import of_labels
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
