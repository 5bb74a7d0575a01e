"""What people answered elsewhere, read as exactly what it is: a choice, a ranking, ratings, a thumb or a comment.

Exports do not tell what a question means. So a file is surveyed first: which questions there are, and with which
labels. Then each question has one role in the whole file, or is not read, and the answer says which and why. A value is
never taken for another kind of judgement: five stars for one response are no preference over another.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prefloop.errors import UserError
from prefloop.files.tables import shown
from prefloop.records import AnnotatorKind
from prefloop.web.exchange.choices import chosen, plain, understood
from prefloop.web.exchange.tickets import Ticket

Kind = Literal["choice", "label", "scale", "ranking", "rating", "thumb", "comment", "other"]
LONGEST_COMMENT = 4000
LABELS = 40
"""Labels of a question that are remembered; with more that say nothing it is a text."""
WORDY = 40
"""Letters from which a label is a text."""
_MARK = re.compile(r"^(?:(?:response|answer|text|output)[_ -]?)?([a-h]|\d{1,2})$", re.IGNORECASE)
_END = re.compile(r"^(.*?)[_ -]+(?:(?:response|answer|text|output)[_ -]?)?([a-h]|\d{1,2})$", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """One answer of one person to one question, as the tool has it."""

    who: str
    question: str
    type: str
    """what the tool calls such an answer"""
    kind: Kind
    """`label` is a choice or a text, which the tool does not tell; `other` is not read"""
    value: Any = None
    of: str = ""
    """the response that it is about, if it is about one"""
    pair: tuple[int, int] | None = None
    """the two responses that were compared, if there are more"""
    sure: bool = False
    """the question asks which is better, whatever its labels"""
    seconds: float = 0.0

    @property
    def told(self) -> str:
        """What it is called in the list of what is not read."""
        return f"{self.type} `{self.question}`" if self.question else self.type


@dataclass(frozen=True)
class Said:
    """One person's judgement in a foreign row."""

    name: str
    kind: Literal["pair", "ranking", "rating", "thumb"]
    answer: dict[str, Any]
    """in terms of response indices, as `answers.meaning` tells it; with a `strength` if one was told"""
    seconds: float = 0.0
    comment: str = ""
    of: tuple[int, ...] = ()
    """the responses that it is about; empty for all"""
    by: AnnotatorKind = "person"


@dataclass(frozen=True)
class Asked:
    """What the lead says of a file."""

    question: str = ""
    """the question that is the comparison, where several choose between two"""
    labels: Mapping[str, str] = field(default_factory=dict)
    """label -> a, b, tie, both_bad, or nothing to leave it out"""
    axis: str = ""
    """what ratings are about, where their question does not say"""
    prompt: str = ""
    """what was answered, where rows do not say"""
    judges: AnnotatorKind | None = None
    """who judged; None for what the tool is used for"""


def labels_of(text: str) -> dict[str, str]:
    """ "Pink one = a; Dunno =" as label -> meaning. Raises: UserError."""
    labels = {}
    for part in filter(None, (part.strip() for part in re.split(r"[;\n]", text))):
        label, equals, meaning = part.rpartition("=")
        if not equals or not label.strip():
            raise UserError(f"labels: {shown(part)} is no label = meaning; write for instance Pink one = a; Dunno =.")
        if meaning.strip():
            chosen(meaning)
        labels[plain(label)] = meaning.strip()
    return labels


@dataclass
class _Question:
    kinds: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    is_text: bool = False
    least: float = 0.0
    most: float = 0.0

    @property
    def compares(self) -> bool:
        """It chooses between two."""
        return bool(self.kinds["scale"] or self.kinds["sure"] or self.known) and not self.is_text

    def note(self, answer: Answer, said: dict[str, Any] | None) -> None:
        """Looks at one answer."""
        self.kinds["sure" if answer.sure else answer.kind] += 1
        if answer.kind in ("choice", "label"):
            text = str(answer.value)
            which = self.unknown if said is None else self.known
            if text[:WORDY] in which or len(which) < LABELS:
                which[text[:WORDY]] += 1
            wordy = len(text) > WORDY or len(self.unknown) >= LABELS
            self.is_text = self.is_text or (answer.kind == "label" and said is None and wordy)
        if answer.kind in ("rating", "scale"):
            self.least, self.most = min(self.least, answer.value), max(self.most, answer.value)

    def labels(self) -> str:
        """Its labels, for a sentence."""
        every = self.known + self.unknown
        return ", ".join(f"{shown(label)} ({number})" for label, number in every.most_common(8))


class Survey:
    """The questions of a file, looked at before any of them is read."""

    def __init__(self, asked: Asked, axes: Sequence[str]) -> None:
        self.asked, self.axes = asked, axes
        self.unread: Counter[str] = Counter()
        """answers that are not read, by what they are"""
        self._questions: dict[str, _Question] = {}

    def look(self, ticket: Ticket, answers: Sequence[Answer]) -> None:
        """Notes the answers of a row."""
        for answer in answers:
            if answer.kind not in ("other", "comment"):
                one = self._questions.setdefault(answer.question, _Question())
                one.note(answer, self._meaning(answer, ticket))

    def check(self) -> None:
        """Raises: UserError if it is not known which question is the comparison, or the ranking."""
        if self.asked.question and self.asked.question not in self._questions:
            says = f"no question is called {shown(self.asked.question)}"
            raise UserError(f"{says}; there are {', '.join(self._questions) or 'none'}.")
        for what, those in (("choose between two", self._pairs()), ("rank", self._of("ranking"))):
            if len(those) > 1 and self.asked.question not in those:
                says = f"a comparison has one; say which is meant, for instance question={those[0]}."
                raise UserError(f"{len(those)} questions {what} ({', '.join(those[:8])}), but {says}")

    def _of(self, kind: str) -> list[str]:
        return [name for name, one in self._questions.items() if one.kinds[kind]]

    def _pairs(self) -> list[str]:
        return [name for name, one in self._questions.items() if one.compares]

    def _meaning(self, answer: Answer, ticket: Ticket) -> dict[str, Any] | None:
        names = ticket.names
        if answer.kind not in ("choice", "label"):
            return None
        own = self.asked.labels.get(plain(answer.value))
        if own is not None:
            return understood(own, ((), ())) or {"choice": None}
        if isinstance(answer.value, dict):
            return answer.value
        return understood(answer.value, names if len(names) > 1 else ((), ()))

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, ticket: Ticket, answers: Sequence[Answer], place: str) -> list[Said]:
        """What the people of a row say. Raises: UserError that begins with the place."""
        people = dict.fromkeys(answer.who for answer in answers)
        return [
            said
            for who in people
            for said in _Reading(self, ticket, [answer for answer in answers if answer.who == who], place).said()
        ]

    def leave(self, what: str, number: int = 1) -> None:
        """Counts what is not read."""
        if number:
            self.unread[what if what in self.unread or len(self.unread) < 100 else "more"] += number


class _Reading:
    """One person's answers in one row."""

    def __init__(self, survey: Survey, ticket: Ticket, answers: Sequence[Answer], place: str) -> None:
        self.survey, self.ticket, self.answers, self.place = survey, ticket, answers, place
        self.rated: dict[str, dict[int, Answer]] = {}
        self.thumbs: dict[int, Answer] = {}
        self.comments: list[str] = []

    def said(self) -> list[Said]:
        """Judgements, the comment with the first of them."""
        found = [said for answer in self.answers if (said := self._one(answer)) is not None]
        found += self._ratings() + self._thumbs()
        comment = "\n".join(self.comments)[:LONGEST_COMMENT]
        if comment and found:
            first = found[0]
            found[0] = Said(**{**first.__dict__, "comment": comment})
        elif comment:
            self.survey.leave("comment without a judgement")
        return found

    def _one(self, answer: Answer) -> Said | None:
        if answer.kind == "comment":
            self.comments += [str(answer.value).strip()] if str(answer.value).strip() else []
        elif answer.kind == "other":
            self.survey.leave(answer.told)
        elif answer.kind == "ranking":
            return self._ranking(answer)
        elif answer.kind == "rating":
            self._rate(answer)
        elif answer.kind == "thumb":
            index = self._index(answer)
            if index is None:
                self.survey.leave(f"{answer.told}: it names no response")
            else:
                self.thumbs[index] = answer
        else:
            return self._choice(answer)
        return None

    def _made(self, answer: Answer, kind: Any, meaning: dict[str, Any], of: tuple[int, ...] = ()) -> Said:
        by = self.survey.asked.judges or "person"
        return Said(answer.who[:80], kind, meaning, answer.seconds, of=of, by=by)

    def _choice(self, answer: Answer) -> Said | None:
        one = self.survey._questions[answer.question]
        wanted = self.survey.asked.question
        if one.is_text:
            self.comments.append(str(answer.value).strip())
            return None
        if not one.compares:
            says = f"{answer.told}: its labels ({one.labels()}) name no response; say what they mean with labels="
            self.survey.leave(says)
            return None
        if wanted and answer.question != wanted and len(self.survey._pairs()) > 1:
            self.survey.leave(f"{answer.told}: question={wanted} is the comparison")
            return None
        meaning = _of_scale(answer, one) if answer.kind == "scale" else self.survey._meaning(answer, self.ticket)
        if meaning is None:
            says = f"is not a choice that is known; the labels of {answer.told} are {one.labels()}"
            how = "Say a or b, left or right, tie, or both_bad, or tell what each means: labels=Pink = a; Dunno ="
            raise UserError(f"{self.place}: {shown(answer.value)} {says}. {how}.")
        if meaning.get("choice", "") is None:
            self.survey.leave(f"{answer.told}: {shown(answer.value)} is left out (labels=)")
            return None
        number = len(self.ticket.names)
        if answer.pair is None and number > 2:
            self.survey.leave(f"{answer.told}: one of {number} responses was chosen, which is neither pair nor ranking")
            return None
        if answer.pair is None and number < 2:
            says = "somebody judged responses that are not here; the row needs `response_a` and `response_b`."
            raise UserError(f"{self.place}: {says}")
        if answer.kind == "scale" and one.most - one.least > 0 and not _is_strength(one):
            self.comments.append(f"{answer.question}: {answer.value:g}")
        return self._made(answer, "pair", meaning, answer.pair or ())

    def _ranking(self, answer: Answer) -> Said | None:
        wanted = self.survey.asked.question
        if wanted and answer.question != wanted and len(self.survey._of("ranking")) > 1:
            self.survey.leave(f"{answer.told}: question={wanted} is the ranking")
            return None
        ranks: dict[int, int] = {}
        told = 0
        for rank, group in enumerate(filter(None, answer.value), start=1):
            named = [index for name in group if (index := self._named(name)) is not None]
            ranks |= {index: rank for index in named if index not in ranks}
            told += len(group)
        number = len(self.ticket.names)
        if told != number or len(ranks) != number:
            self.survey.leave(f"{answer.told}: it does not rank each response once")
            return None
        return self._made(answer, "ranking", {"ranks": [ranks[index] for index in range(number)]})

    def _named(self, name: Any) -> int | None:
        index = self.ticket.index(name)
        match = None if index is not None else _MARK.match(str(name).strip())
        if match is None:
            return index
        order = int(match[1]) - 1 if match[1].isdigit() else ord(match[1].lower()) - ord("a")
        return order if 0 <= order < len(self.ticket.names) else None

    def _index(self, answer: Answer) -> int | None:
        index = self._named(answer.of) if answer.of else None
        if index is None and (match := _END.match(answer.question)):
            index = self._named(match[2])
        return index

    def _rate(self, answer: Answer) -> None:
        one, asked, axes = self.survey._questions[answer.question], self.survey.asked, self.survey.axes
        if one.most > 5 or one.least < 0 or not float(answer.value).is_integer() or answer.value < 1:
            self.survey.leave(f"{answer.told}: it does not go from 1 to 5")
            return
        index = self._index(answer)
        if index is None:
            self.survey.leave(f"{answer.told}: it names no response")
            return
        match = _END.match(answer.question)
        named = [name for name in (answer.question, match[1] if match else "") if name in axes]
        axis = named[0] if named else asked.axis or (axes[0] if len(axes) == 1 else "")
        if not axis:
            self.survey.leave(f"{answer.told}: none of the axes {', '.join(axes)}; say which with axis=")
        elif index in self.rated.get(axis, {}):
            self.survey.leave(f"{answer.told}: several ratings of one response by one person")
        else:
            self.rated.setdefault(axis, {})[index] = answer

    def _ratings(self) -> list[Said]:
        if not self.rated:
            return []
        every = [answer for marks in self.rated.values() for answer in marks.values()]
        number, axes = len(self.ticket.names), self.survey.axes
        if set(self.rated) != set(axes) or any(len(marks) != number for marks in self.rated.values()):
            for answer in every:
                self.survey.leave(f"{answer.told}: not every response was rated on every axis ({', '.join(axes)})")
            return []
        ratings = {axis: [int(self.rated[axis][n].value) for n in range(number)] for axis in axes}
        return [self._made(every[0], "rating", {"ratings": ratings})]

    def _thumbs(self) -> list[Said]:
        if not self.thumbs:
            return []
        of = tuple(sorted(self.thumbs))
        whole = () if len(of) == len(self.ticket.names) else of
        return [self._made(self.thumbs[of[0]], "thumb", {"thumbs": [self.thumbs[n].value for n in of]}, whole)]


def _is_strength(one: _Question) -> bool:
    return max(-one.least, one.most) <= 3


def _of_scale(answer: Answer, one: _Question) -> dict[str, Any]:
    """A place between the first (negative) and the second response; how far, if it goes to 3 at most, is a strength."""
    value = float(answer.value)
    if value == 0:
        return {"choice": "tie"}
    strength = {"strength": int(abs(value))} if _is_strength(one) and value.is_integer() else {}
    return {"best": int(value > 0), **strength}
