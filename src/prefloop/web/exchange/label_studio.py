"""Label Studio's JSON export, task by task: pairwise, choices, ranker, rating and textarea; what else is counted."""

from collections.abc import Iterator, Mapping
from typing import Any

from prefloop.errors import UserError
from prefloop.files.tables import shown
from prefloop.web.exchange.choices import GOOD, plain
from prefloop.web.exchange.questions import Answer

COLUMNS = ("id", "data", "annotations", "project")
"""What is read of a task."""


def data_of(row: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """What the task shows. Raises: UserError with the place."""
    data = row.get("data")
    if not isinstance(data, dict):
        says = f"a Label Studio task has `data`, but this is {shown(data)}; export as JSON, not JSON-MIN."
        raise UserError(f"{place}: {says}")
    return data


def answers_of(row: Mapping[str, Any], place: str) -> Iterator[Answer]:
    """What people answered. Raises: UserError with the place."""
    annotations = row.get("annotations", [])
    if not isinstance(annotations, list):
        raise UserError(f"{place}: `annotations` should be a list, but is {shown(annotations)}.")
    for annotation in annotations:
        if not isinstance(annotation, dict):
            continue
        who = annotation.get("completed_by")
        name = str(who.get("email") or who.get("id")) if isinstance(who, dict) else f"label-studio-{who}"
        took = annotation.get("lead_time")
        seconds = float(took) if isinstance(took, int | float) and 0 <= took < 1e6 else 0.0
        results = annotation.get("result", [])
        if annotation.get("was_cancelled"):
            yield Answer(name, "", "cancelled annotation", "other")
            continue
        for result in results if isinstance(results, list) else []:
            value = result.get("value") if isinstance(result, dict) else None
            if isinstance(value, dict):
                yield _answer(result, value, name, seconds)
    predictions = row.get("predictions")
    for _ in predictions if isinstance(predictions, list) else ():
        yield Answer("", "", "prediction", "other")


def _answer(result: Mapping[str, Any], value: Mapping[str, Any], name: str, seconds: float) -> Answer:
    kind, of = str(result.get("type")), str(result.get("to_name") or "")
    about: dict[str, Any] = {"who": name, "question": str(result.get("from_name") or kind), "seconds": seconds}
    labels = value.get("choices")
    if kind == "pairwise":
        return Answer(**about, type=kind, kind="choice", value=value.get("selected"), sure=True)
    if kind == "choices" and isinstance(labels, list) and len(labels) == 1:
        if plain(labels[0]) in GOOD and of:
            return Answer(**about, type=kind, kind="thumb", value=GOOD[plain(labels[0])], of=of)
        return Answer(**about, type=kind, kind="choice", value=labels[0])
    if kind == "choices":
        return Answer(**about, type="several choices at once", kind="other")
    if kind == "ranker":
        return _ranked(value.get("ranker"), about)
    if kind == "rating" and isinstance(value.get("rating"), int | float):
        return Answer(**about, type=kind, kind="rating", value=value["rating"], of=of)
    if kind == "textarea" and isinstance(value.get("text"), list | str):
        texts = value["text"] if isinstance(value["text"], list) else [value["text"]]
        return Answer(**about, type=kind, kind="comment", value="\n".join(map(str, texts)))
    return Answer(**about, type=kind[:80], kind="other")


def _ranked(value: Any, about: dict[str, Any]) -> Answer:
    """One list in its order; several buckets are groups of what is relevant, and no ranking."""
    lists = [value] if isinstance(value, list) else []
    if isinstance(value, dict):
        lists = [order for name, order in value.items() if isinstance(order, list) and (order or name != "_")]
    if len(lists) != 1:
        return Answer(**about, type="ranker with several buckets", kind="other")
    return Answer(**about, type="ranker", kind="ranking", value=[[name] for name in lists[0]])
