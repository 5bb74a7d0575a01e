"""What somebody else's scorer says of each response, looked at before it is believed: a number, or where it is paid.

    0.5                      paid at the end of the response
    [(5, 1.0), (12, -2.0)]   1 at the token that writes its 5th character, -2 at that of its 12th; the score is -1

So a reward for each word or line can be written without knowing the tokenizer: a place is the number of characters up
to there, `len(text[:end])`.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch

from prefloop.errors import UserError
from prefloop.scoring.protocol import Place, Scored


def scored(values: Sequence[Any], responses: Sequence[str], *, name: str) -> Scored:
    """The scores, and where they are paid. Args: values: what was said, one for each response. name: by whom.

    Raises: UserError if there are not as many as responses, or if one is no finite number and no list of such places.
    """
    found = [_of(value, response, name) for value, response in zip(values, responses, strict=False)]
    if len(values) != len(responses):
        raise UserError(
            f"{name}: returned {len(values)} numbers for {len(responses)} responses; return one float for each."
        )
    scores = torch.tensor([score for score, _ in found], dtype=torch.float32)
    return Scored(scores, placed=[places for _, places in found] if any(places for _, places in found) else ())


def _of(value: Any, response: str, name: str) -> tuple[float, list[Place]]:
    """The score of a response, and what of it is paid within."""
    if isinstance(value, list | tuple) and all(isinstance(each, list | tuple) and len(each) == 2 for each in value):
        places = [_place(end, paid, response, name) for end, paid in value]
        return number(math.fsum(paid for _, paid in places), response, name=name), places
    return number(value, response, name=name), []


def _place(end: Any, paid: Any, response: str, name: str) -> Place:
    try:
        num = 0 if isinstance(end, bool) else operator.index(end)
    except TypeError:
        num = 0
    if not 1 <= num <= len(response):
        raise UserError(
            f"{name}: returned the place {repr(end)[:30]} for the response {response[:60]!r}, which has "
            f"{len(response)} characters; a place is the number of characters up to there, a whole number from 1 on."
        )
    return num, number(paid, response, name=name)


def number(value: Any, response: str, *, name: str) -> float:
    """A finite float. Args: response: of which it was said. name: by whom. Raises: UserError for anything else."""
    try:
        found = math.nan if isinstance(value, str | bytes) else float(torch.tensor(float(value)))
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise UserError(
            f"{name}: returned {repr(value)[:60]} for the response {response[:60]!r}, not one float for each "
            "response; return a finite number."
        )
    return found
