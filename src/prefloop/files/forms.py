"""The forms in which people keep prompts, demonstrations and preferences, and which one a file has.

A form is recognised by the fields of a file's first rows; the majority of them decides.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefloop.errors import UserError
from prefloop.files.atomic import Name
from prefloop.files.tables import each_row
from prefloop.records import (
    Comparison,
    Demonstration,
    EmbeddedScore,
    Judgement,
    Preference,
    Prompt,
    Ranking,
    Record,
    Score,
)

What = Literal[
    "prompts", "demonstrations", "comparisons", "judgements", "preferences", "rankings", "scores", "unpaired",
    "unprompted", "texts",
]  # fmt: skip

ROWS_LOOKED_AT = 20
MARKS = ("\n\nHuman:", "\n\nAssistant:")


@dataclass(frozen=True)
class Form:
    """A way of writing rows."""

    name: str
    """Short name."""
    what: What
    """What such a file holds, in the project's words."""
    sentence: str
    """What a row looks like."""
    fields: tuple[str, ...]
    """The fields that are read; others are extra columns."""
    record: type[Record] | None = None
    """The record that a row is, if the form is one of our own."""


_OWN: tuple[tuple[type[Record], What], ...] = (
    (Prompt, "prompts"), (Demonstration, "demonstrations"), (Comparison, "comparisons"), (Judgement, "judgements"),
    (Preference, "preferences"), (Ranking, "rankings"), (Score, "scores"), (EmbeddedScore, "scores"),
)  # fmt: skip
_FOREIGN: tuple[tuple[str, What, str, str], ...] = (
    ("trl-prompts", "prompts", "id prompt", "TRL prompt-only: `prompt` as text or messages"),
    ("trl-completions", "demonstrations", "id prompt completion",
     "TRL prompt-completion: `prompt` and `completion` as text or messages"),
    ("trl-messages", "demonstrations", "id messages",
     "TRL conversational: `messages`, of which the last assistant turn is the response"),
    ("trl-preferences", "preferences", "id prompt chosen rejected",
     "TRL preferences with an explicit prompt: `prompt`, `chosen`, `rejected` as text or messages"),
    ("trl-implicit", "preferences", "id chosen rejected",
     "TRL preferences with an implicit prompt: `chosen` and `rejected` conversations that begin alike"),
    ("trl-unpaired", "unpaired", "id prompt completion label",
     "TRL unpaired preferences: `prompt`, `completion` and a `label`, good or bad"),
    ("hh", "preferences", "id chosen rejected",
     'Anthropic HH: `chosen` and `rejected` texts with turns marked "\\n\\nHuman:" and "\\n\\nAssistant:"'),
    ("pairs-without-prompt", "unprompted", "id chosen rejected",
     "`chosen` and `rejected` as plain text, without a prompt"),
    ("alpaca", "demonstrations", "id instruction input output",
     "Alpaca: `instruction`, `input` (may be empty) and `output`"),
    ("alpaca-seeds", "demonstrations", "id instruction instances",
     "Alpaca seed tasks: `instruction` and `instances`, each with `input` and `output`; the first is taken"),
    ("prompt-response", "demonstrations", "id prompt response", "`prompt` and `response`"),
    ("question-answer", "demonstrations", "id question answer", "`question` and `answer`"),
    ("mt-bench", "prompts", "question_id category turns",
     "MT-bench questions: `question_id` and `turns`, of which the first is the prompt"),
    ("text", "texts", "id text", "`text`, for pretraining"),
)  # fmt: skip
"""Name, what such a file holds, its fields, and what a row looks like."""


def _own(record: type[Record], what: What) -> Form:
    name = record.__name__.lower()
    return Form(name, what, f"prefloop's own {name} records", tuple(record.model_fields), record)


FORMS: Mapping[str, Form] = {
    **{form.name: form for form in (_own(record, what) for record, what in _OWN)},
    **{name: Form(name, what, sentence, tuple(fields.split())) for name, what, fields, sentence in _FOREIGN},
}


def recognise(path: Name) -> Form:
    """The form of a file, from the fields of its first rows.

    Raises: UserError if the file is missing, empty, not rows of objects, or of no form known here.
    """
    if Path(path).suffix == ".txt":
        raise UserError(f"{path}: this is bare text, which only `prefloop pretrain` takes; give a .jsonl file.")
    first = [row for _, row in itertools.islice(each_row(path), ROWS_LOOKED_AT)]
    rows = [row for row in first if not isinstance(row, UserError)]
    if not first:
        raise UserError(f"{path}: the file has no rows; give one object per line.")
    if not rows:
        raise next(row for row in first if isinstance(row, UserError))
    votes = Counter(name for row in rows if (name := form_of_row(row)))
    if not votes:
        foreign = "; ".join(f"{form.name}: {', '.join(form.fields)}" for form in FORMS.values() if not form.record)
        own = ", ".join(form.name for form in FORMS.values() if form.record)
        given = ", ".join(f"`{field}`" for field in rows[0]) or "none at all"
        raise UserError(
            f"{path}: rows of this form are not known; the fields found are {given}. "
            f"Rename them to one of these forms (id is optional): {foreign}; or write prefloop's own records ({own})."
        )
    return FORMS[votes.most_common(1)[0][0]]


def form_of_row(row: Mapping[str, Any]) -> str | None:
    """The name of the form that one row has, or None."""
    fields = {key for key, value in row.items() if value is not None}  # Parquet fills what is missing with null
    if {"comparison", "annotator"} <= fields:
        return "judgement"
    if {"messages", "responses"} <= fields:
        return "ranking" if "ranks" in fields else "comparison"
    if fields in ({"id", "score"}, {"id", "score", "embedding"}):
        return "embeddedscore" if "embedding" in fields else "score"
    if {"chosen", "rejected"} <= fields:
        return _form_of_pair(row, fields)
    if "messages" in fields:
        return _form_of_messages(row, fields)
    if "prompt" in fields:
        return _form_of_prompt(fields)
    if "instruction" in fields and fields & {"instances", "output"}:
        return "alpaca-seeds" if "instances" in fields else "alpaca"
    if {"question", "answer"} <= fields:
        return "question-answer"
    if {"question_id", "turns"} <= fields:
        return "mt-bench"
    return "text" if "text" in fields else None


def _form_of_pair(row: Mapping[str, Any], fields: set[str]) -> str:
    chosen, rejected = row["chosen"], row["rejected"]
    texts = isinstance(chosen, str) and isinstance(rejected, str)
    if "prompt" in fields:
        return "trl-preferences"
    if "messages" in fields and texts:
        return "preference"
    if isinstance(chosen, list) or isinstance(rejected, list):
        return "trl-implicit"
    marked = texts and any(mark in f"\n\n{text}" for text in (chosen, rejected) for mark in MARKS)
    return "hh" if marked else "pairs-without-prompt"


def _form_of_messages(row: Mapping[str, Any], fields: set[str]) -> str:
    if "response" in fields:
        return "demonstration"
    messages = row["messages"]
    last = messages[-1] if isinstance(messages, list) and messages else None
    answered = isinstance(last, dict) and last.get("role") == "assistant"
    return "prompt" if "id" in fields and not answered else "trl-messages"


def _form_of_prompt(fields: set[str]) -> str:
    if {"completion", "label"} <= fields:
        return "trl-unpaired"
    if "completion" in fields:
        return "trl-completions"
    return "prompt-response" if "response" in fields else "trl-prompts"
