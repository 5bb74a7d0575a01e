"""What a row of somebody else's data says, and how its parts are read; the families of forms build on this.

A row says a conversation, the responses to it, and what was judged of them. What is there and cannot be said so (tool
calls, images) leaves the row out; what is there and not used (a field of a message) stays with the turn, to be counted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal

from prefloop.files.tables import shown
from prefloop.records import Record

What = Literal[
    "prompts", "demonstrations", "comparisons", "judgements", "preferences", "rankings", "ratings", "scores", "thumbs",
    "steps", "unprompted", "texts", "tickets", "exports", "revisions",
]  # fmt: skip
Fields = Mapping[str, Any]
"""A row as it stands in its file."""

ROLES: Mapping[str, str] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
"""Who speaks, as others call it -> as we do."""
TOOL_ROLES = ("tool", "function", "function_call", "function_response", "tool_call", "tool_response", "observation")
SPOKEN = frozenset({"role", "content", "from", "value"})
TURN_OFF = ("weight", "train", "loss")
"""Fields of a message that say, if they are 0 or false, that it is not to be learned."""
NOT_LEARNED = "not to be learned"
YES, NO = (True, 1, "1", "1.0", "true", "good", "yes"), (False, 0, "0", "0.0", "false", "bad", "no")

MARKED_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
ROLE_OF_MARK = {"Human": "user", "Assistant": "assistant"}
JOINED = "rows with consecutive turns of one speaker, which were joined"
NO_SYSTEM = "empty system turns, which were left away"


class BadRow(Exception):
    """A sentence about one row, to which its reader adds file and line."""


class LeftOut(Exception):
    """What a row holds that no record of ours can: the row is left out and counted."""


@dataclass(slots=True, unsafe_hash=True)  # frozen, it would take three times as long to make
class Turn:
    """One turn of a conversation; never changed."""

    role: str
    content: str
    unread: frozenset[str] = field(default=frozenset(), compare=False)
    """what else the message holds, by name"""


Vote = tuple[int | None, int | None]
"""The response preferred (0 or 1; None for a tie), and how strongly (1 to 3; None if it was not asked)."""


@dataclass(frozen=True)
class Said:
    """What a foreign row says, before it becomes a record."""

    conversation: tuple[Turn, ...]
    responses: tuple[Turn, ...] = ()
    """none, a single one, or those that were judged: of a pair whose votes are not known the better one first"""
    votes: tuple[Vote, ...] = ()
    """on a pair"""
    grades: tuple[float | None, ...] = ()
    """of each response: the higher the better, equal ones are ties; None where it has none"""
    ratings: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """axis -> the rating of each response on it"""
    thumbs: bool = False
    """whether the grades are thumbs, 1 good and 0 bad, of which equal ones say nothing of each other"""
    tags: tuple[str, ...] = ()
    more: Fields = field(default_factory=dict)
    """further fields of the preference"""
    part: str = ""
    """what the id gets in addition, if a row says more than one thing"""
    remarks: tuple[str, ...] = ()
    """what is counted over all rows and told"""


Parser = Callable[[Fields], Said | list[Said]]
Rows = list[tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Form:
    """A way of writing rows."""

    name: str
    """Short name."""
    what: What
    """What such a file holds, in the project's words."""
    sentence: str
    """What a row looks like."""
    needs: tuple[str, ...]
    """The fields by which it is recognised."""
    may: tuple[str, ...] = ()
    """Further fields that are read; others are extra columns."""
    parse: Parser | None = None
    """How a row is read, if it becomes a record of ours."""
    record: type[Record] | None = None
    """The record that a row is, if the form is one of our own."""
    fits: Callable[[Fields], bool] | None = None
    """Whether a row that has the fields needed is of this form; None if it always is."""
    together: bool = False
    """Whether rows with the same conversation say something together: each has one response and its grade."""
    assembled: Callable[[Rows], Rows] | None = None
    """Makes whole rows of pieces that are spread over the file."""
    identity: str = "id"
    """The field that holds the row's id."""
    remark: str = ""
    """What must be known by who learns preferences from it."""
    also: tuple[type[Record], ...] = ()
    """Records that some of its rows give, beside those that `what` says."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are read."""
        return self.needs + self.may


def foreign(name: str, what: What, needs: str, may: str, sentence: str, parse: Parser | None, **more: Any) -> Form:
    """A form of others; fields are named in one text, between blanks."""
    return Form(name, what, sentence, tuple(needs.split()), tuple(may.split()), parse, **more)


def value(row: Fields, name: str) -> Any:
    """What a field holds. Raises: BadRow if it is not there."""
    found = row.get(name)
    if found is None:
        there = ", ".join(f"`{key}`" for key in row) or "nothing"
        raise BadRow(f"`{name}` is not there, only {there}; add it or remove the row.")
    return found


def text(row: Fields, name: str) -> str:
    """A field's text. Raises: BadRow."""
    found = value(row, name)
    if not isinstance(found, str):
        raise BadRow(f"`{name}` should be text, but is {shown(found)}; put it in quotes or remove the row.")
    return found


def texts(row: Fields, name: str) -> list[str]:
    """A list of texts. Raises: BadRow."""
    found = value(row, name)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BadRow(f"`{name}` should be a list of texts, but is {shown(found)}; mend it or remove the row.")
    return found


def inner(row: Fields, name: str) -> dict[str, Any]:
    """A field's object. Raises: BadRow."""
    found = value(row, name)
    if not isinstance(found, dict):
        raise BadRow(f"`{name}` should be an object {{...}}, but is {shown(found)}; mend it or remove the row.")
    return found


def objects(row: Fields, name: str) -> list[dict[str, Any]]:
    """A field's list of objects. Raises: BadRow."""
    found = value(row, name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadRow(f"`{name}` should be a list of objects {{...}}, but is {shown(found)}; mend it or remove the row.")
    return found


def number(row: Fields, name: str) -> float:
    """A field's number, also where it is written as text. Raises: BadRow, also of NaN."""
    found = value(row, name)
    try:
        as_number = float(found) if isinstance(found, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        as_number = float("nan")
    if not isfinite(as_number):
        raise BadRow(f"`{name}` should be a number, but is {shown(found)}; mend it or remove the row.")
    return as_number


def yes(row: Fields, name: str) -> bool:
    """Whether a field says yes: true, 1, "true", "good" and the like. Raises: BadRow if it says neither yes nor no."""
    found = value(row, name)
    said = found.strip().lower() if isinstance(found, str) else found
    for answer, words in ((True, YES), (False, NO)):
        if said in words:
            return answer
    raise BadRow(f"`{name}` should be true or false, but is {shown(found)}; mend it or remove the row.")


def turn(message: Any, name: str) -> Turn:
    """A message {role, content} or {from, value}. Raises: BadRow, or LeftOut if it calls tools or is no text."""
    if not isinstance(message, dict):
        raise BadRow(f"`{name}` should be a message {{role, content}}, but is {shown(message)}.")
    speaker, said = ("from", "value") if "role" not in message and "from" in message else ("role", "content")
    role, content = message.get(speaker), message.get(said)
    if len(message) == 2 and type(content) is str and isinstance(role, str) and role in ROLES:
        return Turn(ROLES[role], content)
    if role in TOOL_ROLES or message.get("tool_calls") or message.get("function_call"):
        raise LeftOut("tool calls")
    ours = ROLES.get(role) if isinstance(role, str) else None
    if ours is None:
        raise BadRow(f"`{name}.{speaker}` is {shown(role)}, but must be 'system', 'user' or 'assistant'; rename it.")
    if isinstance(content, list):
        content = _joined(content, f"{name}.{said}")
    if not isinstance(content, str):
        raise BadRow(f"`{name}.{said}` should be text, but is {shown(content)}; only text is understood.")
    extra = {key for key in message.keys() - SPOKEN - set(TURN_OFF) if message[key] not in (None, "", [], {})}
    if any(message.get(key) in (0, False) and message.get(key) is not None for key in TURN_OFF):
        extra.add(NOT_LEARNED)
    return Turn(ours, content, frozenset(extra))


def _joined(parts: list[Any], name: str) -> str:
    """Parts of text as one."""
    pieces = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else "text" if isinstance(part, str) else None
        if kind in ("text", "input_text", "output_text"):
            pieces.append(part if isinstance(part, str) else part.get("text", ""))
        elif isinstance(kind, str):
            raise LeftOut("images, sounds or other parts that are not text")
        else:
            raise BadRow(f"`{name}` should be text, but is {shown(parts)}; only text is understood.")
    if not all(isinstance(piece, str) for piece in pieces):
        raise BadRow(f"`{name}` should be text, but is {shown(parts)}; only text is understood.")
    return "".join(pieces)


def conversation(row: Fields, name: str, role: str = "user") -> tuple[Turn, ...]:
    """Text (one turn of `role`, unless it holds marked turns), a message or messages. Raises: BadRow or LeftOut."""
    found = value(row, name)
    if isinstance(found, list):
        return tuple([turn(message, f"{name}.{index}") for index, message in enumerate(found)])
    if isinstance(found, dict):
        return (turn(found, name),)
    if not isinstance(found, str):
        raise BadRow(f"`{name}` should be text or a list of messages, but is {shown(found)}; write it as text.")
    if role == "user" and (found.startswith("\n\nHuman:") or found.rstrip().endswith("\n\nAssistant:")):
        turns, _ = marked_turns(found, name)
        return turns[:-1] if turns[-1] == Turn("assistant", "") else turns
    return (Turn(role, found),)


def marked_turns(marked: str, name: str) -> tuple[tuple[Turn, ...], bool]:
    """A text with marked turns as a conversation, consecutive turns of one speaker joined; and whether any were.

    They are joined by one line end, so that no turn ever holds a mark, which needs two.
    """
    before, *pieces = MARKED_TURN.split(marked)
    if not pieces or before.strip():
        start = shown(marked.strip())
        raise BadRow(
            f'`{name}` should begin with "\\n\\nHuman:", but begins {start}; mark the turns or remove the row.'
        )
    turns: list[Turn] = []
    for mark, content in zip(pieces[::2], pieces[1::2], strict=True):
        said = Turn(ROLE_OF_MARK[mark], content.strip())
        if turns and turns[-1].role == said.role:
            said = Turn(said.role, f"{turns.pop().content}\n{said.content}".strip())
        turns.append(said)
    return tuple(turns), 2 * len(turns) < len(pieces)


def asked(words: str) -> tuple[Turn, ...]:
    """A conversation of one question."""
    return (Turn("user", words),)


def answered(words: str) -> Turn:
    """A response."""
    return Turn("assistant", words)


def parted(ways: Mapping[str, tuple[Turn, ...]], *, left_out: bool = False) -> Said:
    """Conversations that must part exactly at their last turn, which is the assistant's, as a prompt with responses.

    Args:
        ways: name -> conversation.
        left_out: whether conversations that part elsewhere are left out; else they are bad rows.

    Raises: BadRow or LeftOut.
    """
    for name, turns in ways.items():
        if not turns:
            raise BadRow(f"`{name}` has no turns; add them or remove the row.")
        if turns[-1].role != "assistant":
            role = turns[-1].role
            raise BadRow(
                f"`{name}` ends with the {role}'s turn, not the assistant's; add the response or remove the row."
            )
    (one, first), *others = ways.items()
    for other, turns in others:
        if first[:-1] == turns[:-1]:
            continue
        if left_out:
            raise LeftOut("conversations that part before their last turn")
        alike = next(i for i, (a, b) in enumerate(zip((*first, None), (*turns, None), strict=False)) if a != b)
        raise BadRow(
            f"`{one}` ({len(first)} turns) and `{other}` ({len(turns)} turns) part at turn {alike + 1}, "
            "but must part at the last turn of both, to answer the same prompt; cut them there or remove the row."
        )
    return Said(first[:-1], tuple(turns[-1] for turns in ways.values()))


def with_system(said: Said, system: str | None) -> Said:
    """With what a column says to the system as the first turn, unless one is there; without empty system turns."""
    turns = [turn for turn in said.conversation if turn.role != "system" or turn.content.strip()]
    remarks = (NO_SYSTEM,) * (len(said.conversation) - len(turns))
    if system and system.strip():
        if turns and turns[0].role == "system":
            if turns[0].content != system:
                remarks += ("rows with a system turn beside another `system`, which was not used",)
        else:
            turns.insert(0, Turn("system", system))
    if len(turns) == len(said.conversation) and not remarks:
        return said
    return replace(said, conversation=tuple(turns), remarks=said.remarks + remarks)


def votes_of(name: str, scores: Sequence[float]) -> tuple[Vote, ...]:
    """Votes of annotators who gave a number each: below 0 for the first response, above for the second, 0 a tie.

    Args: name: of the field. Raises: BadRow for a number that is not on the scale, which goes to 3 either way.
    """
    beyond = next((score for score in scores if abs(score) > 3), None)
    if beyond is not None:
        raise BadRow(f"`{name}` is {beyond:g}, but must lie between -3 and 3; mend it or remove the row.")
    return tuple((None, None) if score == 0 else (int(score > 0), max(1, round(abs(score)))) for score in scores)


def won(winner: int | None) -> tuple[Vote, ...]:
    """The vote of one who was not asked how strongly."""
    return ((winner, None),)
