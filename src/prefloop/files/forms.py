"""All forms in which people keep prompts, demonstrations and preferences, and which one a file has.

A form is recognised by the fields of a file's first rows; the majority of them decides. Of the forms that fit a row the
one that needs the most fields is taken.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefloop.errors import UserError
from prefloop.files.atomic import Name
from prefloop.files.chat_forms import CHATS
from prefloop.files.pair_forms import PAIRS
from prefloop.files.said import Fields, Form, What
from prefloop.files.tables import each_row
from prefloop.files.verdict_forms import VERDICTS
from prefloop.records import (
    Comparison,
    Demonstration,
    EmbeddedScore,
    Judgement,
    Preference,
    Prompt,
    Ranking,
    Rated,
    Record,
    Revised,
    Score,
)

ROWS_LOOKED_AT = 20
CLOSEST = 3
"""Forms named to somebody whose rows have none."""


def _are_texts(row: Fields) -> bool:
    return isinstance(row["chosen"], str) and isinstance(row["rejected"], str)


def _is_prompt(row: Fields) -> bool:
    """Whether the messages are as we write them and wait for an answer."""
    messages = row["messages"]
    if row.get("response") is not None or row.get("responses") is not None:
        return False
    if not isinstance(messages, list) or not messages:
        return True
    plain = all(isinstance(one, dict) and one.keys() <= {"role", "content"} for one in messages)
    texts = plain and all(isinstance(one.get("content"), str) for one in messages)
    return texts and messages[-1].get("role") != "assistant"


def _own(record: type[Record], what: What, needs: str, fits: Any = None) -> Form:
    name, fields = record.__name__.lower(), tuple(needs.split())
    may = tuple(field for field in record.model_fields if field not in fields)
    return Form(name, what, f"prefloop's own {name} records", fields, may, record=record, fits=fits)


OWN: tuple[Form, ...] = (
    _own(Prompt, "prompts", "id messages", _is_prompt),
    _own(Demonstration, "demonstrations", "messages response"),
    _own(Comparison, "comparisons", "messages responses"),
    _own(Judgement, "judgements", "comparison annotator"),
    _own(Preference, "preferences", "messages chosen rejected", _are_texts),
    _own(Revised, "revisions", "messages draft reviser"),
    _own(Ranking, "rankings", "messages responses ranks"),
    _own(Rated, "ratings", "messages responses", lambda row: bool(row.get("ratings") or row.get("thumbs"))),
    _own(Score, "scores", "id score", lambda row: _only(row, Score)),
    _own(EmbeddedScore, "scores", "id score embedding", lambda row: _only(row, EmbeddedScore)),
)
FORMS: Mapping[str, Form] = {form.name: form for form in (*OWN, *CHATS, *PAIRS, *VERDICTS)}
_MOST_EXACT_FIRST = sorted(FORMS.values(), key=lambda form: (-len(form.needs), form.fits is None))


def _only(row: Fields, record: type[Record]) -> bool:
    return {name for name, value in row.items() if value is not None} <= record.model_fields.keys()


def recognise(path: Name) -> Form:
    """The form of a file, from the fields of its first rows.

    Raises: UserError if the file is missing, empty, not rows of objects, or of no form known here.
    """
    if Path(path).suffix == ".txt":
        raise UserError(f"{path}: this is bare text, which only `prefloop pretrain` and ptx= take; give a .jsonl file.")
    first = [row for _, row in itertools.islice(each_row(path), ROWS_LOOKED_AT)]
    rows = [row for row in first if not isinstance(row, UserError)]
    if not first:
        raise UserError(f"{path}: the file has no rows; give one object per line.")
    if not rows:
        raise next(row for row in first if isinstance(row, UserError))
    votes = Counter(name for row in rows if (name := form_of_row(row)))
    if not votes:
        raise UserError(f"{path}: {_unknown(rows[0])}")
    return FORMS[votes.most_common(1)[0][0]]


def form_of_row(row: Mapping[str, Any]) -> str | None:
    """The name of the form that one row has, or None."""
    fields = {key for key, value in row.items() if value is not None}  # Parquet fills what is missing with null
    for form in _MOST_EXACT_FIRST:
        if fields.issuperset(form.needs) and (form.fits is None or form.fits(row)):
            return form.name
    return None


def _unknown(row: Fields) -> str:
    """What to say of a row of no form: its fields, and the forms that come closest."""
    common = [FORMS[name] for name in ("trl-prompts", "prompt-response", "trl-preferences")]
    near = sorted(FORMS.values(), key=lambda form: len(set(form.needs) - row.keys()) / len(form.needs))
    closest = [form for form in near if row.keys() & set(form.needs)][:CLOSEST] or common
    named = "; ".join(f"{form.name}: {', '.join(form.needs)}" for form in closest)
    given = ", ".join(f"`{field}`" for field in row) or "none at all"
    return (
        f"rows of this form are not known; the fields found are {given}. Rename them to those of a form that is "
        f"({named}). docs/files.md lists all {len(FORMS)} forms."
    )
