"""Potato's exports: pairwise (a side, a scale, several dimensions), rankings, radio buttons, likert scales and texts.

Its pairwise scale is negative where the first response is better and positive where the second is.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from prefloop.web.exchange.choices import understood
from prefloop.web.exchange.questions import Answer

NO = ("", "false", "0", "none", "null")
TEXTS = ("text_box", "textbox", "text", "free_response", "comment", "comments")
"""Labels under which a text is written."""


def answers_of(row: Mapping[str, Any]) -> Iterator[Answer]:
    """`label_annotations` (or `annotations`): scheme -> {label: value}; or columns scheme:::label of the CSV."""
    name = str(row.get("user") or row.get("user_id") or row.get("annotator") or "potato")
    schemes = row.get("label_annotations") or row.get("annotations")
    nested = {str(key): dict(value) for key, value in schemes.items() if isinstance(value, dict)} if (
        isinstance(schemes, dict)
    ) else {}  # fmt: skip
    for key, value in row.items():
        if isinstance(key, str) and ":::" in key:
            scheme, _, label = key.rpartition(":::")
            nested.setdefault(scheme, {})[label] = value
    for scheme, labels in nested.items():
        given = {str(label): value for label, value in labels.items() if str(value).strip().casefold() not in NO[:1]}
        yield from _scheme(name, scheme, given)
    spans = row.get("span_annotations")
    for _ in spans if isinstance(spans, dict | list) else ():
        yield Answer(name, "", "span", "other")


def _scheme(name: str, scheme: str, labels: Mapping[str, Any]) -> Iterator[Answer]:
    """One question's labels with their values."""
    if "selection" in labels:
        yield Answer(name, scheme, "pairwise", "choice", labels["selection"], sure=True)
    if "scale_value" in labels:
        yield _number(name, scheme, "pairwise scale", "scale", labels["scale_value"])
    if "rank_order" in labels:
        groups = [group.split("=") for group in str(labels["rank_order"]).split(",")]
        yield Answer(name, scheme, "ranking", "ranking", [[each.strip() for each in group] for group in groups])
    rest = {key: value for key, value in labels.items() if key not in ("selection", "scale_value", "rank_order")}
    for key in [key for key in rest if key.casefold().startswith(TEXTS) and not _is_yes(key, rest[key])]:
        yield Answer(name, scheme, "text box", "comment", str(rest.pop(key)))
    if "justification" in rest:
        yield Answer(name, scheme, "justification", "comment", _reasons(rest.pop("justification")))
    for key in [key for key in rest if _is_side(key, rest[key])]:
        yield Answer(name, f"{scheme}.{key}", "pairwise dimension", "choice", rest.pop(key))
    yield from _ticked(name, scheme, rest)


def _ticked(name: str, scheme: str, labels: Mapping[str, Any]) -> Iterator[Answer]:
    """Radio buttons, boxes and scales."""
    ticked = {key: value for key, value in labels.items() if str(value).strip().casefold() not in NO}
    if len(ticked) > 1:
        yield Answer(name, scheme, "several labels at once", "other")
        return
    for key, value in ticked.items():
        if key.casefold().startswith(("scale_", "slider", "likert")) or key.isdecimal():
            yield _number(name, scheme, "scale", "rating", value)
        elif _is_yes(key, value):
            yield Answer(name, scheme, "radio", "choice", key)
        else:
            yield Answer(name, scheme, "text box", "comment", str(value))


def _is_yes(key: str, value: Any) -> bool:
    text = str(value).strip().casefold()
    return text in ("1", "true", "on", "yes", key.strip().casefold())


def _is_side(key: str, value: Any) -> bool:
    """A dimension that says which is better; the other way round, a label that was ticked has 1 or true."""
    return isinstance(value, str) and not _is_yes(key, value) and not value.isdecimal() and bool(understood(value))


def _number(name: str, scheme: str, kind: str, reading: Any, value: Any) -> Answer:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        return Answer(name, scheme, f"{kind} that is no number", "other")
    return Answer(name, scheme, kind, reading, number, sure=False)


def _reasons(value: Any) -> str:
    """A justification: reasons that were ticked, and what was written."""
    try:
        told = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return str(value)
    if not isinstance(told, dict):
        return str(value)
    reasons = told.get("reasons")
    parts = [*(reasons if isinstance(reasons, list) else []), told.get("rationale") or ""]
    return "; ".join(str(part) for part in parts if part)
