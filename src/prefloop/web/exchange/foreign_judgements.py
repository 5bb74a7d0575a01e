"""Tickets and exports of other tools, row by row as our comparisons, with what people said of them.

A row of tickets that is another tool's verdict (AlpacaEval's, an arena's, Open WebUI's) is read as that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from prefloop.records import AnnotatorKind, Comparison
from prefloop.web.exchange import argilla, label_studio, potato, verdicts
from prefloop.web.exchange.questions import Answer, Asked, Said, Survey
from prefloop.web.exchange.tickets import Ticket, ticket

Source = Literal["tickets", "label_studio", "argilla", "potato", "alpaca_eval", "arena", "open_webui", "prodigy"]
SOURCES: tuple[Source, ...] = get_args(Source)
_VERDICTS = {
    "alpaca_eval": verdicts.alpaca_eval, "arena": verdicts.arena, "open_webui": verdicts.open_webui,
    "prodigy": verdicts.prodigy,
}  # fmt: skip


META = frozenset({"label_annotations", "annotations", "user", "user_id", "instance_id", "span_annotations"})
"""Columns that tools read beside the ticket's."""
EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Looked:
    """A row with its answers, which a survey of the whole file turns into judgements."""

    ticket: Ticket
    answers: tuple[Answer, ...]
    plain: str
    """the row's own id, by which older versions brought it in; empty if it has none, or is called so now"""
    columns: tuple[str, ...]
    """of the row that nobody reads"""
    by: AnnotatorKind = "person"


@dataclass(frozen=True)
class Imported:
    """A comparison out of a row, with the judgements that came with it."""

    comparison: Comparison
    said: tuple[Said, ...] = ()
    is_prompt: bool = False
    """there are no responses: it asks for a demonstration"""
    plain: str = ""
    """the row's own id, by which older versions brought it in"""


def looked(row: Mapping[str, Any], source: Source, place: str, asked: Asked | None = None) -> Looked:
    """A row, with what was answered. Raises: UserError that begins with the place."""
    asked = asked or Asked()
    tool = _recognised(row) if source == "tickets" else source
    data, identity, by, used = row, row.get("id"), asked.judges or "person", frozenset[str]()
    if tool in _VERDICTS:
        verdict = _VERDICTS[tool](row, place)
        data, identity, answers = verdict.row, verdict.identity, verdict.answers
        by, used = asked.judges or verdict.by, frozenset(verdict.used)
    elif tool == "label_studio":
        data, answers = label_studio.data_of(row, place), tuple(label_studio.answers_of(row, place))
    elif tool == "argilla":
        data, answers = argilla.data_of(row), tuple(argilla.answers_of(row))
    elif tool == "potato":
        inner = row.get("displayed_text")
        data, identity = (inner if isinstance(inner, dict) else row), row.get("id", row.get("instance_id"))
        answers = tuple(potato.answers_of(row))
    else:
        answers, used = _own(row), frozenset({"annotator", "choice"})
    foreign = "" if source == "tickets" and tool == "tickets" else str(tool)
    may_lack = tool == "label_studio"
    made = ticket(data, identity, place, source=foreign, prompt=asked.prompt, may_lack=may_lack)
    plain = str(identity) if foreign and isinstance(identity, str | int) and not isinstance(identity, bool) else ""
    columns = row if tool in _VERDICTS else data
    known = made.used | used | META
    unread = tuple(str(key)[:80] for key, value in columns.items() if value not in EMPTY and not _is_known(key, known))
    return Looked(made, answers, plain, unread, by)


def read(row: Looked, survey: Survey, place: str) -> Imported:
    """The row with its judgements. Raises: UserError that begins with the place."""
    said = [replace(each, by=row.by) for each in survey.read(row.ticket, row.answers, place)]
    return Imported(row.ticket.comparison, tuple(said), row.ticket.is_prompt, row.plain)


def imported(row: Mapping[str, Any], source: Source, place: str, axes: Sequence[str] = ("helpful",)) -> Imported:
    """A row that stands alone. Raises: UserError that begins with the place."""
    survey, one = Survey(Asked(), axes), looked(row, source, place)
    survey.look(one.ticket, one.answers)
    survey.check()
    return read(one, survey, place)


def _recognised(row: Mapping[str, Any]) -> str:
    """Which tool wrote a row that is brought in as a ticket."""
    if {"output_1", "output_2", "preference"} <= row.keys():
        return "alpaca_eval"
    if "winner" in row and ({"conversation_a", "conversation_b"} <= row.keys() or "response_a" in row):
        return "arena"
    if "winner_model_a" in row and "response_a" in row:
        return "arena"
    if isinstance(row.get("snapshot"), dict) and isinstance(row.get("data"), dict):
        return "open_webui"
    return "tickets"


def _is_known(key: Any, known: frozenset[str]) -> bool:
    return key in known or ":::" in str(key)


def _own(row: Mapping[str, Any]) -> tuple[Answer, ...]:
    name = str(row.get("annotator") or "imported")
    if row.get("choice") not in (None, ""):
        return (Answer(name, "choice", "choice", "choice", row["choice"], sure=True),)
    if {"chosen", "rejected"} <= row.keys() and row.get("annotator"):
        return (Answer(name, "chosen", "choice", "choice", {"best": 0}, sure=True),)
    return ()
