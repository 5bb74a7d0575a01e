"""Tickets: a row's prompt and responses as a comparison, and what each response is called in that row.

A ticket is a row with `prompt` (or `question`, `text`, or `messages`) and `response_a`, `response_b`, ... (or
`responses`, or `chosen` and `rejected`); with a prompt alone it asks for a demonstration.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import shown
from prefloop.records import Comparison, Message, Response, Sampling

PROMPTS = ("prompt", "question", "instruction", "text", "input", "query")
NOUNS = ("response", "answer", "completion", "output", "text", "candidate", "reply", "option", "model")
"""How columns of responses begin; of two kinds of columns the first is that of the responses."""
NUMBERED = re.compile(rf"({'|'.join(NOUNS)}|generator|sampler)[_ -]?([a-h]|\d{{1,2}})", re.IGNORECASE)
WRITERS = ("model", "generator", "sampler")
"""How columns begin that tell who wrote each response."""
NO_PROMPT = "(no prompt)"
"""Stands where an export compares texts and says nothing of what they answer."""


@dataclass(frozen=True)
class Ticket:
    """A row as a comparison."""

    comparison: Comparison
    is_prompt: bool = False
    """there are no responses: it asks for a demonstration"""
    names: tuple[tuple[str, ...], ...] = ()
    """of each response, what it is called in the row"""
    used: frozenset[str] = frozenset()
    """columns that were read"""

    def index(self, name: Any) -> int | None:
        """The response of a name; None if there is none, or more than one."""
        wanted = str(name).strip().casefold()
        mine = [n for n, names in enumerate(self.names) if wanted in {each.strip().casefold() for each in names}]
        return mine[0] if len(mine) == 1 else None


def ticket(
    row: Mapping[str, Any], identity: Any, place: str, *, source: str = "", prompt: str = "", may_lack: bool = False
) -> Ticket:
    """A row's ticket.

    Args:
        identity: the row's own id, if it has one.
        source: by which ids of other tools are told apart; empty takes the id as it is.
        prompt: what is answered, where the row does not say.
        may_lack: a row of responses needs no prompt.

    Raises: UserError that begins with the place.
    """
    texts, names, columns = _responses(row, place)
    messages, asked = _messages(row, place, prompt or (NO_PROMPT if may_lack and texts else ""), columns)
    own = str(identity) if isinstance(identity, str | int) and not isinstance(identity, bool) else ""
    if len(own) > 200:
        raise UserError(f"{place}: the id has more than 200 letters; give a shorter one.")
    name = own if own and not source else f"ticket-{fingerprints.of_value([_spoken(messages), texts])}"
    samplers, wrote = _samplers(row, columns, len(texts))
    named = [
        (*known, sampler) if sampler != "imported" else known for known, sampler in zip(names, samplers, strict=True)
    ]
    kept = tuple(
        Response(text=text, num_tokens=0, finished=True, sampler=sampler)
        for text, sampler in zip(texts, samplers, strict=True)
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
    if source:  # the same task of the same tool is once, and no other has its name
        content = fingerprints.of_value(comparison.model_dump(mode="json", exclude={"id"}))
        within = own if len(own) <= 120 else f"{own[:100]}~{fingerprints.of_value(own)}"
        comparison = comparison.model_copy(
            update={"id": f"{source}-{within}-{content}" if own else f"{source}-{content}"}
        )
    used = {"id", "prompt_id", "tags", *asked, *columns, *wrote}
    return Ticket(comparison, not kept, tuple(named), frozenset(used))


def prompt_of(messages: Sequence[Message]) -> str:
    """The prompt's id where a row gives none: the same for all rows of one conversation, whatever they are called."""
    return f"prompt-{fingerprints.of_value(_spoken(messages))}"


def _spoken(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message.model_dump() for message in messages]


def as_before(comparison: Comparison, plain: str = "") -> list[Comparison]:
    """As older versions of prefloop brought it in: under a row's own id, and its prompt under that too.

    Args:
        plain: the row's own id; empty if it has none.
    """
    if comparison.prompt_id != prompt_of(comparison.messages):
        return [comparison.model_copy(update={"id": plain})] if plain else []
    names = [plain, comparison.id] if plain else [comparison.id]
    forms = [comparison.model_copy(update={"id": name, "prompt_id": name}) for name in names]
    return [*forms, comparison.model_copy(update={"id": plain})] if plain else forms


def renamed(ticket: Ticket, comparison: Comparison) -> Ticket:
    """The ticket with its comparison as it is here already."""
    return replace(ticket, comparison=comparison)


def _messages(
    row: Mapping[str, Any], place: str, otherwise: str, columns: Iterable[str]
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """(the prompt, the columns that it is in)."""
    raw, column = row.get("messages"), "messages"
    if raw is None:
        taken = set(columns)
        names = (name for name in PROMPTS if name not in taken)
        column = next((name for name in names if _is_prompt(row.get(name))), "")
        if not column and not otherwise:
            seen = ", ".join(f"`{name}`" for name in list(row)[:12])
            says = f"a ticket needs `prompt` (or {', '.join(PROMPTS[1:])}) or `messages`; its columns are {seen}."
            raise UserError(f"{place}: there is no prompt; {says[:600]}")
        raw = row[column] if column else otherwise
        raw = raw if isinstance(raw, list) else [{"role": "user", "content": raw}]
    try:
        messages = tuple(Message.model_validate(message) for message in raw)
        if not messages or messages[-1].role != "user":
            raise ValueError
    except (ValueError, TypeError):
        says = f"should be a list of {{role, content}} that ends with the user's turn, but is {shown(raw)}."
        raise UserError(f"{place}: `{column or 'messages'}` {says}") from None
    return messages, (column,) if column else ()


def _is_prompt(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(turn, dict) and "role" in turn for turn in value)
    return isinstance(value, str) and bool(value.strip())


def _responses(row: Mapping[str, Any], place: str) -> tuple[list[str], list[tuple[str, ...]], list[str]]:
    """(texts, what each is called, the columns that they are in)."""
    columns, raw = ["responses"], row.get("responses")
    names: list[tuple[str, ...]] | None = None
    if raw is None and {"chosen", "rejected"} <= row.keys():
        columns, raw = ["chosen", "rejected"], [row["chosen"], row["rejected"]]
        names = [("chosen",), ("rejected",)]
    if raw is None and isinstance(row.get("items"), list) and all(isinstance(each, dict) for each in row["items"]):
        columns, raw = ["items"], row["items"]
    if raw is None:
        columns = _numbered(row)
        raw = [row[column] for column in columns]
        names = [(column, _mark(column)) for column in columns]
    if not isinstance(raw, list) or not all(isinstance(text, str | dict) for text in raw):
        raise UserError(f"{place}: `responses` should be a list of texts, but is {shown(raw)}.")
    texts = [_text(each, place) for each in raw]
    if len(texts) == 1:
        raise UserError(f"{place}: there is one response; a comparison needs two or more, and a demonstration none.")
    if names is None:
        own = [str(each["id"]) if isinstance(each, dict) and "id" in each else "" for each in raw]
        letters = [(f"response_{chr(97 + n)}",) if n < 8 else () for n in range(len(raw))]
        numbered = zip(letters, own, itertools.count(1), strict=False)
        names = [(*letter, f"response-{n}", *([name] if name else [])) for letter, name, n in numbered]
    return texts, names, columns


def _numbered(row: Mapping[str, Any]) -> list[str]:
    """The columns of one kind that hold the responses, in their order."""
    found: dict[str, list[tuple[int, str]]] = {}
    for key, value in row.items():
        match = NUMBERED.fullmatch(key) if isinstance(key, str) else None
        if match and value not in (None, "") and match[1].casefold() in NOUNS:
            found.setdefault(match[1].casefold(), []).append((_order(match[2]), key))
    noun = next((noun for noun in NOUNS if len(found.get(noun, ())) > 1), None)
    noun = noun or next((noun for noun in NOUNS if noun in found), "")
    return [key for _, key in sorted(found.get(noun, []))]


def _mark(column: str) -> str:
    match = NUMBERED.fullmatch(column)
    return match[2].casefold() if match else column


def _order(mark: str) -> int:
    return int(mark) if mark.isdigit() else ord(mark.lower()) - ord("a")


def _text(value: Any, place: str) -> str:
    if isinstance(value, str):
        return value
    titled = [value[name] for name in ("title", "body") if isinstance(value.get(name), str) and value[name].strip()]
    own = next((value[name] for name in ("text", "content", "html") if isinstance(value.get(name), str)), None)
    if own is None and not titled:
        raise UserError(f"{place}: a response has `text` (or content, title, body, html), but this is {shown(value)}.")
    return own if own is not None else "\n\n".join(titled)


def _samplers(row: Mapping[str, Any], columns: Sequence[str], number: int) -> tuple[list[str], list[str]]:
    """(who wrote each response, the columns that tell)."""
    for name in ("models", "samplers"):
        value = row.get(name)
        if isinstance(value, list) and len(value) == number:
            return [str(sampler)[:200] or "imported" for sampler in value], [name]
    marks = {_mark(column) for column in columns}
    for noun in WRITERS:
        beside = {_mark(key): key for key in row if isinstance(key, str) and key.casefold().startswith(noun)}
        if len(marks) == number > 1 and marks <= beside.keys() and not set(beside.values()) & set(columns):
            told = [beside[_mark(column)] for column in columns]
            if all(isinstance(row[key], str) and row[key] for key in told):
                return [str(row[key])[:200] for key in told], told
    return ["imported"] * number, []


def _tags(row: Mapping[str, Any]) -> tuple[str, ...]:
    raw = row.get("tags")
    words = raw if isinstance(raw, list) else re.split(r"[;,]", raw) if isinstance(raw, str) else []
    return tuple(dict.fromkeys(str(word).strip()[:200] for word in words if str(word).strip()))
