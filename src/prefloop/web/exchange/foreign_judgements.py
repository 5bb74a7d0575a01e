"""Exports of Label Studio, Argilla and Potato, and plain tickets, row by row as our comparisons and judgements.

A ticket is a row with `prompt` (or `question`, `text`, or `messages`) and `response_a`, `response_b`, ... (or
`responses`, or `chosen` and `rejected`); with a prompt alone it asks for a demonstration. What a row says of who
preferred what is kept too.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import shown
from prefloop.records import Comparison, Message, Response, Sampling

Source = Literal["tickets", "label_studio", "argilla", "potato"]
SOURCES: tuple[Source, ...] = ("tickets", "label_studio", "argilla", "potato")
PROMPTS = ("prompt", "question", "instruction", "text", "input", "query")
NUMBERED = re.compile(r"(?:response|answer|completion|output|model|option)[_ -]?([a-h]|\d{1,2})", re.IGNORECASE)
BETTER = {"a": 0, "left": 0, "0": 0, "1": 0, "first": 0, "b": 1, "right": 1, "2": 1, "second": 1}
"""Words for the better one of two. Where responses are numbered from 1, so are choices."""
EVEN = {"tie", "equal", "same", "both", "draw", "both_good", "similar"}
BAD = {"both_bad", "neither", "none", "both bad", "bothbad"}


@dataclass(frozen=True)
class Said:
    """One person's answer in a foreign row."""

    name: str
    kind: Literal["pair", "ranking", "rating"]
    answer: dict[str, Any]
    """in terms of response indices, as `answers.meaning` tells it"""
    seconds: float = 0.0
    comment: str = ""


@dataclass(frozen=True)
class Imported:
    """A comparison out of a row, with the judgements that came with it."""

    comparison: Comparison
    said: tuple[Said, ...] = ()
    is_prompt: bool = False
    """there are no responses: it asks for a demonstration"""


def imported(row: Mapping[str, Any], source: Source, place: str) -> Imported:
    """A row as what it is. Raises: UserError that begins with the place."""
    data, identity = row, row.get("id")
    if source == "label_studio":
        data = row.get("data")
        if not isinstance(data, dict):
            says = f"a Label Studio task has `data`, but this is {shown(data)}; export as JSON, not JSON-MIN."
            raise UserError(f"{place}: {says}")
    elif source == "argilla":
        data = _inside(row, "fields")
    elif source == "potato":
        data, identity = _inside(row, "displayed_text"), row.get("id", row.get("instance_id"))
    said = {"label_studio": _label_studio, "argilla": _argilla, "potato": _potato, "tickets": _own}[source]
    return _with(_ticket(data, identity, place), list(said(row, place)), place)


def _inside(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name, or the row itself, if it is flat."""
    inner = row.get(name)
    return inner if isinstance(inner, dict) else row


def _with(ticket: Imported, said: Sequence[Said], place: str) -> Imported:
    number = len(ticket.comparison.responses)
    for each in said:
        if ticket.is_prompt:
            says = "somebody judged responses that are not here; the row needs `response_a` and `response_b`."
            raise UserError(f"{place}: {says}")
        if each.kind == "pair" and number != 2:
            raise UserError(f"{place}: somebody chose one of two, but there are {number} responses.")
        if each.kind == "ranking" and len(each.answer["ranks"]) != number:
            raise UserError(f"{place}: {len(each.answer['ranks'])} ranks for {number} responses; rank each once.")
    return Imported(ticket.comparison, tuple(said), ticket.is_prompt)


# -- tickets ----------------------------------------------------------------------------------------------------------


def _ticket(row: Mapping[str, Any], identity: Any, place: str) -> Imported:
    messages = _messages(row, place)
    texts = _responses(row, place)
    is_name = isinstance(identity, str | int) and not isinstance(identity, bool) and str(identity)
    name = str(identity) if is_name else f"ticket-{fingerprints.of_value([_spoken(messages), texts])}"
    if len(name) > 200:
        raise UserError(f"{place}: the id has more than 200 letters; give a shorter one.")
    samplers = row.get("models") or row.get("samplers")
    if not isinstance(samplers, list) or len(samplers) != len(texts):
        samplers = ["imported"] * len(texts)
    names = [str(sampler)[:200] for sampler in samplers]
    kept = tuple(
        Response(text=text, num_tokens=0, finished=True, sampler=sampler)
        for text, sampler in zip(texts, names, strict=True)
    )
    blank = Response(text="", num_tokens=0, finished=True, sampler="none")
    comparison = Comparison(
        id=name,
        prompt_id=str(row.get("prompt_id") or prompt_of(messages))[:200],
        messages=messages,
        tags=_tags(row),
        responses=kept or (blank, blank),
        sampling=Sampling(temperature=0.0),
    )
    return Imported(comparison, is_prompt=not kept)


def prompt_of(messages: Sequence[Message]) -> str:
    """The prompt's id where a row gives none: the same for all rows of one conversation, whatever they are called."""
    return f"prompt-{fingerprints.of_value(_spoken(messages))}"


def _spoken(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message.model_dump() for message in messages]


def as_before(comparison: Comparison) -> Comparison | None:
    """As an older prefloop brought it in: by a row's own id where it gave no prompt's. None if the row gave one."""
    if comparison.prompt_id != prompt_of(comparison.messages):
        return None
    return comparison.model_copy(update={"prompt_id": comparison.id})


def _messages(row: Mapping[str, Any], place: str) -> tuple[Message, ...]:
    raw = row.get("messages")
    if raw is None:
        name = next((name for name in PROMPTS if isinstance(row.get(name), str) and str(row[name]).strip()), None)
        if name is None:
            says = f"there is no prompt; a ticket needs `prompt` (or {', '.join(PROMPTS[1:])}) or `messages`."
            raise UserError(f"{place}: {says}")
        raw = [{"role": "user", "content": row[name]}]
    try:
        messages = tuple(Message.model_validate(message) for message in raw)
        if not messages or messages[-1].role != "user":
            raise ValueError
        return messages
    except (ValueError, TypeError):
        says = f"should be a list of {{role, content}} that ends with the user's turn, but is {shown(raw)}."
        raise UserError(f"{place}: `messages` {says}") from None


def _responses(row: Mapping[str, Any], place: str) -> list[str]:
    raw = row.get("responses")
    if raw is None and {"chosen", "rejected"} <= row.keys():
        raw = [row["chosen"], row["rejected"]]
    if raw is None:
        matches = [match for key in row if isinstance(key, str) and (match := NUMBERED.fullmatch(key))]
        named = sorted((_order(match[1]), match[0]) for match in matches)
        raw = [row[key] for _, key in named if row[key] not in (None, "")]
    if not isinstance(raw, list) or not all(isinstance(text, str | dict) for text in raw):
        raise UserError(f"{place}: `responses` should be a list of texts, but is {shown(raw)}.")
    texts = [str(text.get("text", text.get("content", ""))) if isinstance(text, dict) else text for text in raw]
    if len(texts) == 1:
        raise UserError(f"{place}: there is one response; a comparison needs two or more, and a demonstration none.")
    return texts


def _order(mark: str) -> int:
    return int(mark) if mark.isdigit() else ord(mark.lower()) - ord("a")


def _tags(row: Mapping[str, Any]) -> tuple[str, ...]:
    raw = row.get("tags")
    words = raw if isinstance(raw, list) else re.split(r"[;,]", raw) if isinstance(raw, str) else []
    return tuple(dict.fromkeys(str(word).strip()[:200] for word in words if str(word).strip()))


# -- what people said -------------------------------------------------------------------------------------------------


def choice(word: Any, place: str, *, numbered_from: int = 1) -> dict[str, Any]:
    """A word for one of two responses, a tie, or both bad. Raises: UserError with the place."""
    text = str(word).strip().lower()
    match = NUMBERED.fullmatch(text)
    text = match[1] if match else text
    if text in BAD:
        return {"choice": "both_bad"}
    if text in EVEN:
        return {"choice": "tie"}
    if text.isdigit() and numbered_from == 0:
        text = str(int(text) + 1)
    if text in BETTER and (text != "0" or numbered_from == 0):
        return {"best": BETTER[text]}
    says = "is not a choice that is known; say a or b, left or right, tie, or both_bad."
    raise UserError(f"{place}: {shown(word)} {says}")


def _own(row: Mapping[str, Any], place: str) -> Iterator[Said]:
    name = row.get("annotator")
    if row.get("choice") not in (None, ""):
        yield Said(str(name or "imported")[:80], "pair", choice(row["choice"], place))
    elif {"chosen", "rejected"} <= row.keys() and name:
        yield Said(str(name)[:80], "pair", {"best": 0})


def _label_studio(row: Mapping[str, Any], place: str) -> Iterator[Said]:
    annotations = row.get("annotations", [])
    if not isinstance(annotations, list):
        raise UserError(f"{place}: `annotations` should be a list, but is {shown(annotations)}.")
    for annotation in annotations:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        who = annotation.get("completed_by")
        name = str(who.get("email") or who.get("id")) if isinstance(who, dict) else f"label-studio-{who}"
        seconds = annotation.get("lead_time")
        results = annotation.get("result", [])
        for result in results if isinstance(results, list) else []:
            kind, value = (result.get("type"), result.get("value")) if isinstance(result, dict) else (None, None)
            if not isinstance(value, dict):
                continue
            took = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 1e6 else 0.0
            chosen = value.get("choices")
            if kind == "pairwise":
                yield Said(name[:80], "pair", choice(value.get("selected"), place), took)
            elif kind == "choices" and isinstance(chosen, list) and chosen:
                yield Said(name[:80], "pair", choice(chosen[0], place), took)


def _argilla(row: Mapping[str, Any], place: str) -> Iterator[Said]:
    """Version 2 (`responses`: {question: [{value, user_id}]}) or 1 (a list of {values: {question: {value}}})."""
    raw = row.get("responses")
    for answers in raw.values() if isinstance(raw, dict) else ():
        for answer in answers if isinstance(answers, list) else []:
            if _is_submitted(answer):
                yield _argilla_value(answer.get("value"), str(answer.get("user_id") or "argilla"), place)
    for answer in raw if isinstance(raw, list) else []:
        values = answer.get("values") if _is_submitted(answer) else None
        for value in values.values() if isinstance(values, dict) else ():
            inner = value.get("value") if isinstance(value, dict) else value
            yield _argilla_value(inner, str(answer.get("user_id") or "argilla"), place)


def _is_submitted(answer: Any) -> bool:
    return isinstance(answer, dict) and answer.get("status", "submitted") == "submitted"


def _argilla_value(value: Any, name: str, place: str) -> Said:
    entries = value if isinstance(value, list) else []
    if not entries or not all(isinstance(entry, dict) and type(entry.get("rank")) is int for entry in entries):
        return Said(name[:80], "pair", choice(value, place))
    marks = [(NUMBERED.fullmatch(str(entry.get("value", ""))) or ["", "99"])[1] for entry in entries]
    order = sorted(range(len(entries)), key=lambda n: _order(marks[n]))
    ranks = [int(entries[n]["rank"]) for n in order]
    if min(ranks) < 1 or max(ranks) > 100:
        raise UserError(f"{place}: ranks go from 1 to the number of responses, but are {shown(ranks)}.")
    return Said(name[:80], "ranking", {"ranks": [sum(other < rank for other in set(ranks)) + 1 for rank in ranks]})


def _potato(row: Mapping[str, Any], place: str) -> Iterator[Said]:
    """`label_annotations` (or `annotations`): scheme -> {label: value}; or columns scheme:::label of the CSV."""
    name = str(row.get("user") or row.get("user_id") or row.get("annotator") or "potato")[:80]
    schemes = row.get("label_annotations") or row.get("annotations")
    flat = [(key.rpartition(":::")[2], value) for key, value in row.items() if isinstance(key, str) and ":::" in key]
    nested = [
        labels.items() for labels in (schemes.values() if isinstance(schemes, dict) else ()) if isinstance(labels, dict)
    ]
    for label, value in [*itertools.chain(*nested), *flat]:
        if value not in (None, "", False, "false"):
            yield Said(name, "pair", choice(label, place))
