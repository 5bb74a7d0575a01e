"""Argilla's records, version 1 and 2, nested, flat or as a dataset: labels, rankings, ratings and texts.

Its exports do not tell a label question from a text question: a survey of the whole file does.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prefloop.web.exchange.questions import Answer

ENDS = (".responses", ".responses.users", ".responses.status", ".suggestion", ".suggestion.score", ".suggestion.agent")
"""How the columns of a flat record end."""


def data_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the record shows."""
    fields = row.get("fields")
    return fields if isinstance(fields, dict) else {key: row[key] for key in row if not _is_question(key, row[key])}


def _is_question(key: Any, value: Any) -> bool:
    if isinstance(key, str) and key.endswith(ENDS):
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) and "user_id" in v for v in value)


def answers_of(row: Mapping[str, Any]) -> Iterator[Answer]:
    """What people submitted; drafts and suggestions of models are counted."""
    raw = row.get("responses")
    for question, given in raw.items() if isinstance(raw, dict) else ():
        for answer in given if isinstance(given, list) else []:
            yield from _answers(answer, {question: answer} if isinstance(answer, dict) else {})
    for answer in raw if isinstance(raw, list) else []:
        values = answer.get("values") if isinstance(answer, dict) else None
        yield from _answers(answer, values if isinstance(values, dict) else {})
    for key, value in row.items():
        if key == "responses" or not isinstance(key, str) or not isinstance(value, list):
            continue
        if key.endswith(".responses"):
            yield from _flat(row, key, value)
        elif _is_question(key, value) and not key.endswith(ENDS):
            for answer in value:
                yield from _answers(answer, {key: answer})
    suggested = row.get("suggestions")
    for _ in suggested if isinstance(suggested, dict | list) else ():
        yield Answer("", "", "suggestion", "other")


def _flat(row: Mapping[str, Any], key: str, values: list[Any]) -> Iterator[Answer]:
    users, states = (row.get(f"{key}.{name}") for name in ("users", "status"))
    for n, value in enumerate(values):
        user = users[n] if isinstance(users, list) and n < len(users) else None
        state = states[n] if isinstance(states, list) and n < len(states) else None
        answer = {"value": value, "user_id": user, "status": state or "submitted"}
        yield from _answers(answer, {key.removesuffix(".responses"): answer})


def _answers(answer: Any, values: Mapping[str, Any]) -> Iterator[Answer]:
    if not isinstance(answer, dict):
        return
    state = str(answer.get("status") or "submitted").rpartition(".")[2].lower()
    if state != "submitted":
        yield Answer("", "", f"response that is {state[:20]}", "other")
        return
    name = str(answer.get("user_id") or "argilla")
    for question, value in values.items():
        yield _answer(value.get("value") if isinstance(value, dict) else value, str(question), name)


def _answer(value: Any, question: str, name: str) -> Answer:
    if isinstance(value, dict) and isinstance(value.get("rank"), list) and isinstance(value.get("value"), list):
        both = zip(value["value"], value["rank"], strict=False)
        value = [{"value": each, "rank": rank} for each, rank in both]
    if isinstance(value, list) and value and all(isinstance(v, dict) and type(v.get("rank")) is int for v in value):
        ranks = sorted({entry["rank"] for entry in value})
        groups = [[entry.get("value") for entry in value if entry["rank"] == rank] for rank in ranks]
        return Answer(name, question, "ranking", "ranking", groups)
    if isinstance(value, bool) or value is None:
        return Answer(name, question, "answer without a value", "other")
    if isinstance(value, int | float):
        return Answer(name, question, "rating", "rating", value)
    if isinstance(value, str):
        return Answer(name, question, "label or text", "label", value)
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return Answer(name, question, "several labels at once", "other")
    return Answer(name, question, "spans" if isinstance(value, list) else type(value).__name__, "other")
