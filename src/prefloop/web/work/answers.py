"""Answers: what may be said about each kind of item, and what it says about the responses, whatever their sides."""

import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from prefloop.web.body import Body
from prefloop.web.errors import refuse_unless

LONGEST = 40_000
"""Letters of a text that somebody writes."""

Marked = Literal["pair", "ranking", "rating", "thumb"]
"""Kinds of which an answer can be right, and that records.Judgement knows; edits and demonstrations are texts."""
MARKED: tuple[Marked, ...] = ("pair", "ranking", "rating", "thumb")
Rank = Annotated[int, Field(ge=1, le=100)]
Stars = Annotated[int, Field(ge=1, le=5)]


class Pair(Body):
    """An answer to a pair."""

    choice: Literal["left", "right", "tie", "both_bad"]
    """The better side, as shown."""
    strength: Annotated[int, Field(ge=1, le=3)] | None = None
    """1 slightly, 2 clearly, 3 much better."""


class Ranks(Body):
    """An answer to a ranking."""

    ranks: Annotated[list[Rank], Field(max_length=100)]
    """For each slot; 1 is best, equal ranks are ties."""


class Ratings(Body):
    """An answer to a rating."""

    ratings: Annotated[dict[str, Annotated[list[Stars], Field(max_length=100)]], Field(max_length=12)]
    """For each axis, 1 to 5 for each slot."""


class Thumbs(Body):
    """An answer to thumbs."""

    thumbs: Annotated[list[bool], Field(max_length=100)]
    """For each slot."""


class Edit(Body):
    """An answer to an edit: a response, made better."""

    slot: Annotated[int, Field(ge=0, le=100)]
    """Of the response that is made better."""
    text: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    """What it should have been."""


class Written(Body):
    """An answer to a demonstration: a response of one's own."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    """The response."""


Answer = Pair | Ranks | Ratings | Thumbs | Edit | Written
SHAPES: dict[str, type[Body]] = {
    "pair": Pair, "ranking": Ranks, "rating": Ratings, "thumb": Thumbs, "edit": Edit, "demonstration": Written
}  # fmt: skip
"""Kind of item -> shape of its answer."""


def checked(kind: str, answer: Body, *, slots: int, axes: Sequence[str]) -> dict[str, Any]:
    """The answer as it is kept. Raises: Refusal (422) if it does not answer what was asked."""
    shape = SHAPES.get(kind)
    refuse_unless(shape is not None and isinstance(answer, shape), f"This is not an answer to a {kind}.")
    if isinstance(answer, Pair):
        is_sided = answer.strength is None or answer.choice in ("left", "right")
        refuse_unless(is_sided, "A strength goes with left or right only.")
    if isinstance(answer, Ranks):
        refuse_unless(len(answer.ranks) == slots, f"Give each of the {slots} responses one rank.")
        in_range = max(answer.ranks) <= slots and 1 in answer.ranks
        refuse_unless(in_range, f"Ranks go from 1 to {slots}, and somebody is first.")
    if isinstance(answer, Ratings):
        refuse_unless(set(answer.ratings) == set(axes), f"Rate exactly these: {', '.join(axes)}.")
        is_whole = all(len(marks) == slots for marks in answer.ratings.values())
        refuse_unless(is_whole, f"Rate each of the {slots} responses.")
    if isinstance(answer, Thumbs):
        refuse_unless(len(answer.thumbs) == slots, f"Give each of the {slots} responses a thumb.")
    if isinstance(answer, Edit):
        refuse_unless(answer.slot < slots, f"There is no response {answer.slot}; slots go from 0 to {slots - 1}.")
    if isinstance(answer, Edit | Written):
        refuse_unless(bool(answer.text.strip()), "The text is empty.")
    return answer.model_dump(mode="json")


def meaning(kind: str, answer: dict[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """The answer in response indices: {"best": index} or {"choice": tie or both_bad}; else by index, ascending."""
    by_index = sorted(range(len(order)), key=lambda slot: order[slot])
    if kind == "pair":
        side = {"left": 0, "right": 1}.get(answer["choice"])
        return {"choice": answer["choice"]} if side is None else {"best": order[side]}
    if kind == "ranking":
        return {"ranks": [answer["ranks"][slot] for slot in by_index]}
    if kind == "rating":
        return {"ratings": {axis: [marks[slot] for slot in by_index] for axis, marks in answer["ratings"].items()}}
    if kind == "thumb":
        return {"thumbs": [answer["thumbs"][slot] for slot in by_index]}
    return {"index": order[answer["slot"]]} if kind == "edit" else {}


def as_shown(kind: str, expected: dict[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """The other way round: what is expected of the responses, as an answer in slots."""
    places = {index: place for place, index in enumerate(sorted(order))}
    if kind == "pair" and "best" in expected:
        return {"choice": "left" if order[0] == expected["best"] else "right"}
    if kind == "ranking":
        return {"ranks": [expected["ranks"][places[index]] for index in order]}
    if kind == "rating":
        ratings = expected["ratings"].items()
        return {"ratings": {axis: [marks[places[index]] for index in order] for axis, marks in ratings}}
    if kind == "thumb":
        return {"thumbs": [expected["thumbs"][places[index]] for index in order]}
    return expected


def agrees(kind: str, mine: dict[str, Any], other: dict[str, Any]) -> bool:
    """True if two meanings do not contradict each other.

    Pairs and thumbs must be the same, rankings may not put any two the other way round, ratings differ by 1 at most;
    texts never contradict.
    """
    if kind == "ranking":
        a, b = mine["ranks"], other["ranks"]
        pairs = itertools.combinations(range(len(a) if len(a) == len(b) else 0), 2)
        return all((a[i] - a[j]) * (b[i] - b[j]) >= 0 for i, j in pairs)
    if kind == "rating":
        axes = set(mine["ratings"]) & set(other["ratings"])
        marks = ((mine["ratings"][axis], other["ratings"][axis]) for axis in axes)
        return all(abs(a - b) <= 1 for both in marks for a, b in zip(*both, strict=True))
    return kind in ("edit", "demonstration") or mine == other


def check_expected(kind: str, expected: dict[str, Any], responses: Sequence[int], axes: Sequence[str]) -> None:
    """Raises: Refusal (422) unless this could be the meaning of an answer."""
    number, ratings, thumbs = len(responses), expected.get("ratings"), expected.get("thumbs")
    good = {
        "pair": expected.get("best") in responses or expected.get("choice") in ("tie", "both_bad"),
        "ranking": _numbers(expected.get("ranks"), number, number),
        "rating": isinstance(ratings, dict)
        and set(ratings) == set(axes)
        and all(_numbers(marks, number, 5) for marks in ratings.values()),
        "thumb": isinstance(thumbs, list) and len(thumbs) == number and all(isinstance(t, bool) for t in thumbs),
    }
    refuse_unless(
        len(expected) == 1 and good.get(kind, False),
        f"What is expected of a {kind} is said of response indices, in ascending order: "
        '{"best": 1}, {"choice": "tie"}, {"ranks": [1, 2]}, {"ratings": {"helpful": [4, 2]}} or '
        '{"thumbs": [true, false]}.',
    )


def _numbers(value: Any, length: int, most: int) -> bool:
    is_whole = isinstance(value, list) and len(value) == length
    return is_whole and all(type(number) is int and 1 <= number <= most for number in value)
