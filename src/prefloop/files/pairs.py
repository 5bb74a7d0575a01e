"""From what a row says of several responses to ranks, and to pairs of which one is better."""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prefloop.files.said import BadRow, LeftOut, Said, Turn, Vote, won
from prefloop.records import Ranking, Rated


def said_of(own: Ranking | Rated) -> Said:
    """What a ranking of ours says, or rated responses."""
    turns = tuple(Turn(message.role, message.content) for message in own.messages)
    responses = tuple(Turn("assistant", text) for text in own.responses)
    if isinstance(own, Ranking):
        return Said(turns, responses, grades=tuple(-place for place in own.places))
    by = f"`{own.main_axis}`" if own.main_axis else "the mean of all axes"
    remarks = (f"rows whose responses are ranked by {by}",) if own.ratings else ()
    return Said(turns, responses, grades=own.grades, thumbs=not own.ratings, tags=own.tags, remarks=remarks)


def thumb_of(grade: float | None) -> bool | None:
    """Good, bad, or not said."""
    return None if grade is None else grade > 0


def ranks_of(grades: tuple[float, ...]) -> tuple[int, ...]:
    """1 for the highest grade, 1 more for each response that is better; equal grades have equal ranks."""
    return tuple(1 + sum(other > grade for other in grades) for grade in grades)


def pairs_of(said: Said) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each pair of responses that something was said about: what its id gets in addition, and a preference's fields.

    All pairs of a ranking weigh as much as one pair (Ouyang et al. 2022, equation 1).
    """
    if not said.grades:
        yield "", _pair(said.responses, said.votes, strict=not said.votes)
        return
    graded = [(one, grade) for one, grade in zip(said.responses, said.grades, strict=True) if grade is not None]
    few = len(graded) == 2
    kept = [
        (i, j)
        for i, j in itertools.combinations(range(len(graded)), 2)
        if (not said.thumbs or graded[i][1] != graded[j][1])
        and (few or (graded[i][0].content.strip() and graded[j][0].content.strip()))
        and (few or graded[i][0].content != graded[j][0].content)
    ]
    for i, j in kept:
        (one, first), (other, second) = graded[i], graded[j]
        better = None if first == second else int(second > first)
        weight = {} if few else {"weight": 1 / len(kept)}
        yield "" if few else f":{i}-{j}", _pair((one, other), won(better), strict=False) | weight


def _pair(responses: tuple[Turn, ...], votes: tuple[Vote, ...], *, strict: bool) -> dict[str, Any]:
    """The fields of a preference: with votes the majority is chosen, without them the first response.

    Raises: BadRow if there are not two; LeftOut if what differs is not read, and of equal texts unless `strict`.
    """
    if len(responses) != 2:
        raise BadRow("a pair needs two responses; mend or remove the row.")
    if responses[0].content == responses[1].content:
        unread = responses[0].unread | responses[1].unread
        if unread:
            named = ", ".join(f"`{name}`" for name in sorted(unread))
            raise LeftOut(f"two responses that differ in nothing but what is not read ({named})")
        if not strict:
            raise LeftOut("two responses of the same text, from which there is nothing to learn")
    if not votes:
        return {"chosen": responses[0].content, "rejected": responses[1].content}
    count = Counter(winner for winner, _ in votes)
    winner = int(count[1] > count[0])
    strengths = [strength for voted, strength in votes if voted == winner and strength is not None]
    sides = {winner: "chosen", 1 - winner: "rejected", None: "tie"}
    return {
        "chosen": responses[winner].content,
        "rejected": responses[1 - winner].content,
        "strength": sum(strengths) / len(strengths) if strengths else None,
        "agreement": count[winner] / len(votes),
        "num_judgements": len(votes),
        "votes": tuple({"side": sides[voted], "strength": strength} for voted, strength in votes),
    }
