"""Other people's data as it is: whatever form a file has, its rows become our records, or a sentence says why not.

Every row first becomes a conversation with an optional response, or two conversations that part at the last turn;
from there one of our records is built. Our own records are strict; unused columns of foreign forms are named.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from prefloop.errors import UserError
from prefloop.files.atomic import Name
from prefloop.files.forms import Form, recognise
from prefloop.files.tables import as_record, each_row, shown
from prefloop.records import Demonstration, Preference, Prompt, Record

R = TypeVar("R", bound=Record)
OnBad = Literal["stop", "skip"]

ROLES = ("system", "user", "assistant")
MARKED_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
ROLE_OF_MARK = {"Human": "user", "Assistant": "assistant"}
NO_INPUT = ("", "<noinput>")

SERVES: Mapping[str, tuple[type[Record], ...]] = {
    "prompts": (Prompt,),
    "demonstrations": (Demonstration, Prompt),
    "preferences": (Preference, Prompt),
    "unpaired": (Prompt,),
}
"""What a file holds -> the records that it can give, besides its own."""

REMEDIES: Mapping[str, str] = {
    "unpaired": "A preference needs two responses to one prompt: put a good and a bad one in each row.",
    "unprompted": "Add a column `prompt` with what both responses answer.",
    "prompts": "Prompts have no responses; add a `response` to each, or let `prefloop collect` sample some.",
    "comparisons": "Comparisons wait for judgements; collect some and aggregate them.",
    "judgements": "Aggregate the judgements with their comparisons first; that writes preferences.",
    "texts": "Only `prefloop pretrain` takes bare text.",
}
"""What a file holds -> what to do when something else is needed."""


@dataclass(frozen=True)
class Import(Generic[R]):
    """What became of a file."""

    records: tuple[R, ...]
    """The good rows, in file order."""
    form: Form
    """The form that the file has."""
    problems: tuple[str, ...]
    """`file:line: sentence` for every bad row."""
    notes: tuple[str, ...]
    """What else the user should know, for instance columns that were not used."""


class BadRow(Exception):
    """A sentence about one row, to which its reader adds file and line."""


class Turn(NamedTuple):
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Row:
    """What a foreign row says, before it becomes a record; a text is None where the row has none."""

    conversation: tuple[Turn, ...]
    response: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    tags: tuple[str, ...] = ()
    joined: bool = False
    """Whether consecutive turns of one speaker were joined."""
    num_unused: int = 0
    """Further examples in the row that were not taken."""


def read_prompts(path: Name, on_bad: OnBad = "stop") -> Import[Prompt]:
    """The prompts of a file; a file of demonstrations or preferences serves too.

    Raises: UserError if the file cannot serve, has no good row, or has a bad row and `on_bad` is "stop".
    """
    return _read(path, Prompt, on_bad)


def read_demonstrations(path: Name, on_bad: OnBad = "stop") -> Import[Demonstration]:
    """The demonstrations of a file. Raises: see `read_prompts`."""
    return _read(path, Demonstration, on_bad)


def read_preferences(path: Name, on_bad: OnBad = "stop") -> Import[Preference]:
    """The preferences of a file. Raises: see `read_prompts`."""
    return _read(path, Preference, on_bad)


def _read(path: Name, record: type[R], on_bad: OnBad) -> Import[R]:
    reading = Reading(path, record)
    records: list[R] = []
    problems: list[str] = []
    for _, outcome in reading:
        if isinstance(outcome, UserError):
            problems.append(str(outcome))
        else:
            records.append(outcome)
    if problems and (on_bad == "stop" or not records):
        more = f" And {len(problems) - 1} more: run `prefloop data check {path}` to see all." if problems[1:] else ""
        raise UserError(problems[0] + more)
    return Import(tuple(records), reading.form, tuple(problems), reading.notes())


class Reading(Generic[R]):
    """A pass through a file: (line number, record or the error that says why there is none), one row at a time.

    Raises: UserError at once if the file's form cannot give the records wanted.
    """

    def __init__(self, path: Name, record: type[R], form: Form | None = None) -> None:
        self.path = path
        self.record = record
        self.form = form or recognise(path)
        self._extra: Counter[str] = Counter()
        self._lines: dict[str, int] = {}
        self._num_joined = self._num_unused = 0
        if not serves(self.form, record):
            raise UserError(f"{path}: {_refusal(self.form, record)}")

    def __iter__(self) -> Iterator[tuple[int, R | UserError]]:
        for number, row in each_row(self.path):
            yield number, row if isinstance(row, UserError) else self._record_or_error(number, row)

    def _record_or_error(self, number: int, row: dict[str, Any]) -> R | UserError:
        place = f"{self.path}:{number}"
        try:
            identity = _identity(row, self.form) or f"row-{number:06d}"
            record = self._record(row, identity, place)
            _not_blank(record)
            first = self._lines.setdefault(identity, number)
            if first != number:
                raise BadRow(f"the id {identity!r} was already used in line {first}; make ids unique.")
        except BadRow as problem:
            return UserError(f"{place}: {problem}")
        except UserError as problem:
            return problem
        return record

    def _record(self, row: dict[str, Any], identity: str, place: str) -> R:
        if self.form.record is self.record:
            return as_record(row | {"id": identity}, self.record, place)
        if self.form.record is not None:
            own = as_record(row | {"id": identity}, self.form.record, place)
            return as_record(own.model_dump(include=set(self.record.model_fields)), self.record, place)
        self._extra.update(name for name in row.keys() - self.form.fields if row[name] is not None)
        parsed = PARSERS[self.form.name](row)
        self._num_joined += parsed.joined
        self._num_unused += parsed.num_unused
        return as_record({"id": identity} | _fields(parsed, self.record), self.record, place)

    def notes(self) -> tuple[str, ...]:
        """What else the user should know about the rows read so far."""
        notes = []
        if self._extra:
            named = ", ".join(f"`{name}` ({count} rows)" for name, count in sorted(self._extra.items()))
            notes.append(f"{self.path}: columns that were not used: {named}.")
        if self._num_joined:
            notes.append(
                f"{self.path}: rows with consecutive turns of one speaker, which were joined: {self._num_joined}."
            )
        if self._num_unused:
            notes.append(f"{self.path}: further instances of a row, which were not used: {self._num_unused}.")
        return tuple(notes)


def serves(form: Form, record: type[Record]) -> bool:
    """Whether a file of this form can give such records."""
    return form.record is record or record in SERVES.get(form.what, ())


def _refusal(form: Form, record: type[Record]) -> str:
    remedy = REMEDIES.get(form.what, "Give another file.")
    wanted = f"{record.__name__.lower()}s"
    return f"{wanted} are needed here, but this file's form is {form.name} ({form.sentence}). {remedy}"


def _identity(row: Mapping[str, Any], form: Form) -> str | None:
    name = "id" if "id" in form.fields else form.fields[0]
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and form.record is None:
        return str(value)
    if not isinstance(value, str) or not value:
        raise BadRow(f"`{name}` should be text, but is {shown(value)}; leave it out to number the rows.")
    return value


def _not_blank(record: Record) -> None:
    texts = {}
    if isinstance(record, Demonstration):
        texts = {"response": record.response}
    elif isinstance(record, Preference):
        texts = {"chosen": record.chosen, "rejected": record.rejected}
    for name, text in texts.items():
        if not text.strip():
            raise BadRow(f"`{name}` is blank; give it text or remove the row.")


def _fields(row: Row, record: type[Record]) -> dict[str, Any]:
    """The fields that a record of the kind wanted takes from a foreign row."""
    if not row.conversation:
        raise BadRow("there is a response but no prompt before it; add the user's turn.")
    messages = tuple(turn._asdict() for turn in row.conversation)
    fields: dict[str, Any] = {"messages": messages, "tags": row.tags}
    if record is Demonstration:
        if row.response is None:
            raise BadRow("the conversation ends without the assistant's turn; add the response or remove the row.")
        fields["response"] = row.response
    elif record is Preference:
        fields |= {"chosen": row.chosen, "rejected": row.rejected}
    return fields


def _value(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    if value is None:
        there = ", ".join(f"`{key}`" for key in row) or "nothing"
        raise BadRow(f"`{name}` is not there, only {there}; add it or remove the row.")
    return value


def _text(row: Mapping[str, Any], name: str) -> str:
    value = _value(row, name)
    if not isinstance(value, str):
        raise BadRow(f"`{name}` should be text, but is {shown(value)}; put it in quotes or remove the row.")
    return value


def _turns(row: Mapping[str, Any], name: str, role: str) -> tuple[Turn, ...]:
    """Text (one turn of `role`, unless it holds marked turns) or messages as a conversation."""
    value = _value(row, name)
    if isinstance(value, list):
        return tuple(_turn(message, f"{name}.{index}") for index, message in enumerate(value))
    if not isinstance(value, str):
        raise BadRow(f"`{name}` should be text or a list of messages, but is {shown(value)}; write it as text.")
    if role == "user" and (value.startswith("\n\nHuman:") or value.rstrip().endswith("\n\nAssistant:")):
        turns, _ = _marked_turns(value, name)
        return turns[:-1] if turns[-1] == Turn("assistant", "") else turns
    return (Turn(role, value),)


def _turn(message: Any, name: str) -> Turn:
    if not isinstance(message, dict):
        raise BadRow(f"`{name}` should be a message {{role, content}}, but is {shown(message)}.")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise BadRow(f"`{name}.role` is {shown(role)}, but must be 'system', 'user' or 'assistant'; rename it.")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise BadRow(f"`{name}.content` should be text, but is {shown(content)}; only text is understood.")
    return Turn(role, content)


def _marked_turns(text: str, name: str) -> tuple[tuple[Turn, ...], bool]:
    """A text with marked turns as a conversation, consecutive turns of one speaker joined; and whether any were.

    They are joined by one line end, so that no turn ever holds a mark, which needs two.
    """
    before, *pieces = MARKED_TURN.split(text)
    if not pieces or before.strip():
        start = shown(text.strip())
        raise BadRow(
            f'`{name}` should begin with "\\n\\nHuman:", but begins {start}; mark the turns or remove the row.'
        )
    turns: list[Turn] = []
    for mark, content in zip(pieces[::2], pieces[1::2], strict=True):
        turn = Turn(ROLE_OF_MARK[mark], content.strip())
        if turns and turns[-1].role == turn.role:
            turn = Turn(turn.role, f"{turns.pop().content}\n{turn.content}".strip())
        turns.append(turn)
    return tuple(turns), 2 * len(turns) < len(pieces)


def _pair(chosen: tuple[Turn, ...], rejected: tuple[Turn, ...], *, joined: bool = False) -> Row:
    """Two conversations that must part exactly at their last turn, which is the assistant's."""
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        if not turns:
            raise BadRow(f"`{name}` has no turns; add them or remove the row.")
        if turns[-1].role != "assistant":
            role = turns[-1].role
            raise BadRow(
                f"`{name}` ends with the {role}'s turn, not the assistant's; add the response or remove the row."
            )
    if chosen[:-1] != rejected[:-1]:
        alike = next(i for i, (a, b) in enumerate(zip((*chosen, None), (*rejected, None), strict=False)) if a != b)
        raise BadRow(
            f"`chosen` ({len(chosen)} turns) and `rejected` ({len(rejected)} turns) part at turn {alike + 1}, "
            "but must part at the last turn of both, to answer the same prompt; cut them there or remove the row."
        )
    return Row(chosen[:-1], chosen=chosen[-1].content, rejected=rejected[-1].content, joined=joined)


def _explicit_pair(row: Mapping[str, Any]) -> Row:
    prompt = _turns(row, "prompt", "user")
    chosen, rejected = (_whole(prompt, _turns(row, name, "assistant")) for name in ("chosen", "rejected"))
    return _pair(chosen, rejected)


def _whole(prompt: tuple[Turn, ...], response: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The whole conversation: some files repeat the prompt at the head of each response's messages."""
    repeated = bool(response) and response[0].role != "assistant"
    return response if repeated else prompt + response


def _marked_pair(row: Mapping[str, Any]) -> Row:
    chosen, chosen_joined = _marked_turns(_text(row, "chosen"), "chosen")
    rejected, rejected_joined = _marked_turns(_text(row, "rejected"), "rejected")
    return _pair(chosen, rejected, joined=chosen_joined or rejected_joined)


def _implicit_pair(row: Mapping[str, Any]) -> Row:
    return _pair(_turns(row, "chosen", "assistant"), _turns(row, "rejected", "assistant"))


def _conversation(turns: tuple[Turn, ...]) -> Row:
    """A conversation whose last assistant turn, if it ends with one, is the response."""
    if turns and turns[-1].role == "assistant":
        return Row(turns[:-1], response=turns[-1].content)
    return Row(turns)


def _prompt(row: Mapping[str, Any]) -> Row:
    turns = _turns(row, "prompt", "user")
    if not turns:
        raise BadRow("`prompt` has no messages; add one or remove the row.")
    return Row(turns)


def _completion(row: Mapping[str, Any]) -> Row:
    return _conversation(_whole(_turns(row, "prompt", "user"), _turns(row, "completion", "assistant")))


def _messages(row: Mapping[str, Any]) -> Row:
    turns = _turns(row, "messages", "user")
    if not turns:
        raise BadRow("`messages` is empty; add the conversation or remove the row.")
    return _conversation(turns)


def _instruction(row: Mapping[str, Any], example: Mapping[str, Any], num_unused: int = 0) -> Row:
    task = _text(row, "instruction")
    given = "" if example.get("input") is None else _text(example, "input")
    asked = task if given.strip() in NO_INPUT else f"{task}\n\n{given}"
    return Row((Turn("user", asked),), response=_text(example, "output"), num_unused=num_unused)


def _seed(row: Mapping[str, Any]) -> Row:
    instances = _value(row, "instances")
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
        raise BadRow(f"`instances` should be a list of {{input, output}}, but is {shown(instances)}; remove the row.")
    return _instruction(row, instances[0], len(instances) - 1)


def _question(row: Mapping[str, Any]) -> Row:
    turns = _value(row, "turns")
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], str):
        raise BadRow(f"`turns` should be a list of questions, but is {shown(turns)}; remove the row.")
    category = row.get("category")
    return Row((Turn("user", turns[0]),), tags=(f"category:{category}",) if category else ())


def _answered(asked: str, answered: str) -> Callable[[Mapping[str, Any]], Row]:
    return lambda row: Row((Turn("user", _text(row, asked)),), response=_text(row, answered))


PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Row]] = {
    "trl-prompts": _prompt,
    "trl-completions": _completion,
    "trl-messages": _messages,
    "trl-preferences": _explicit_pair,
    "trl-implicit": _implicit_pair,
    "trl-unpaired": _prompt,
    "hh": _marked_pair,
    "alpaca": lambda row: _instruction(row, row),
    "alpaca-seeds": _seed,
    "prompt-response": _answered("prompt", "response"),
    "question-answer": _answered("question", "answer"),
    "mt-bench": _question,
}
"""How a row of each foreign form is read."""
