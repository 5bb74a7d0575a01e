"""Which kind of feedback a file holds, so that whoever learns from it need not be told."""

import itertools
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Literal

from prefloop.errors import UserError
from prefloop.files.atomic import Name
from prefloop.files.foreign import refusal
from prefloop.files.forms import ROWS_LOOKED_AT, recognise
from prefloop.files.said import BadRow, Form, LeftOut
from prefloop.files.tables import each_row
from prefloop.records import Preference, Ranking, Rated, Record
from prefloop.records.judgements import MAIN_AXES

Kind = Literal["preferences", "rankings", "ratings", "thumbs"]
RECORD_OF: Mapping[Kind, type[Record]] = {
    "preferences": Preference, "rankings": Ranking, "ratings": Rated, "thumbs": Rated,
}  # fmt: skip
"""Kind of feedback -> the records that say it most exactly."""


def feedback_of(path: Name) -> Kind:
    """What a file of judged responses is best read as; `RECORD_OF` says by which records.

    preferences: which of two is better. rankings: the order of several. ratings: a mark of each response on a scale,
    one axis or more. thumbs: good or bad, of each response. Most files are told by their form; for the others the first
    rows decide: our own rated responses without a rating are thumbs; marks that are no multiples of 1/2 (the scores of
    another model) are no steps of a scale, so that only their order counts: rankings.

    Raises: UserError if the file cannot be read, or holds nothing that was judged.
    """
    form = recognise(path)
    found = Counter[Kind]()
    for _, row in itertools.islice(each_row(path), ROWS_LOOKED_AT):
        kind = None if isinstance(row, UserError) else _of_row(form, row)
        found.update([kind] if kind else [])
    if not found:
        raise UserError(f"{path}: {refusal(form, Preference)}")
    return found.most_common(1)[0][0]


def has_main_axis(path: Name) -> bool:
    """Whether the first rows of a file of ratings have an axis that says by itself how good a response is."""
    form = recognise(path)
    first = [row for _, row in itertools.islice(each_row(path), ROWS_LOOKED_AT) if not isinstance(row, UserError)]
    return any(axis in MAIN_AXES for row in first for axis in _axes(form, row))


def _axes(form: Form, row: Mapping[str, Any]) -> Collection[str]:
    if form.record is Rated:
        return row["ratings"] if isinstance(row.get("ratings"), dict) else ()
    try:
        said = form.parse(row) if form.parse is not None else []
    except (BadRow, LeftOut):
        return ()
    return {axis for one in (said if isinstance(said, list) else [said]) for axis in one.ratings}


def _of_row(form: Form, row: Mapping[str, Any]) -> Kind | None:
    if form.what == "rankings" or form.what == "thumbs" or (form.what == "preferences" and not form.also):
        return form.what
    if form.record is Rated:
        ratings = row.get("ratings")
        marks = [mark for some in ratings.values() for mark in some or ()] if isinstance(ratings, dict) else []
        return _of_marks(marks) if ratings else "thumbs"
    if form.parse is None or (form.what != "ratings" and not form.also):
        return None
    try:
        said = form.parse(row)
    except (BadRow, LeftOut):
        return None
    one = said[0] if isinstance(said, list) else said
    if one.thumbs:
        return "thumbs"
    return _of_marks(one.grades) if one.grades else "preferences"


def _of_marks(marks: Any) -> Kind:
    steps = all(isinstance(mark, int | float) and 2 * mark == round(2 * mark) for mark in marks if mark is not None)
    return "ratings" if steps else "rankings"
