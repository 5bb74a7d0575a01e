"""Other people's data as it is: whatever form a file has, its rows become our records, or a sentence says why not.

Every row first becomes what it says (said.py); from there one of our records is built, or several. Our own records are
strict. What a foreign row holds and is not used is counted and told to whoever reads it: nothing is dropped in silence.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from prefloop.errors import UserError
from prefloop.files.atomic import Name
from prefloop.files.decoding import Packed
from prefloop.files.forms import recognise
from prefloop.files.groups import Groups
from prefloop.files.hashes import Met
from prefloop.files.pairs import pairs_of, ranks_of, said_of, thumb_of
from prefloop.files.said import BadRow, Form, LeftOut, Rows, Said, What, with_system
from prefloop.files.tables import as_record, rows_of, shown
from prefloop.records import Demonstration, Preference, Prompt, Ranking, Rated, Record

R = TypeVar("R", bound=Record)
OnBad = Literal["stop", "skip"]
Say = Callable[[str], None]

SERVES: Mapping[What, tuple[type[Record], ...]] = {
    "prompts": (Prompt,),
    "demonstrations": (Demonstration, Prompt),
    "preferences": (Preference, Prompt),
    "rankings": (Ranking, Preference, Prompt),
    "ratings": (Rated, Ranking, Preference, Prompt),
    "thumbs": (Rated, Preference, Prompt),
    "steps": (Prompt,),
    "tickets": (Prompt,),
}
"""What a file holds -> the records that it can give, the most exact first."""

REMEDIES: Mapping[str, str] = {
    "thumbs": "These responses are good and bad: keep those worth imitating, without the label.",
    "steps": "No stage learns from single steps yet; only the prompts can be used.",
    "rankings": "Ranked responses are not demonstrations: keep those worth imitating, without their ranks.",
    "ratings": "Rated responses are not demonstrations: keep those worth imitating, without their ratings.",
    "preferences": "Keep the chosen responses as `response` if they are worth imitating.",
    "unprompted": "Add a column `prompt` with what both responses answer.",
    "prompts": "Prompts have no responses; add a `response` to each, or let `prefloop collect` sample some.",
    "comparisons": "Comparisons wait for judgements; collect some and aggregate them.",
    "tickets": "Its responses wait for judgements: bring them into `prefloop web`.",
    "exports": "Bring the file into `prefloop web`, and take its preferences out.",
    "judgements": "Aggregate the judgements with their comparisons first; that writes preferences.",
    "revisions": "Give demonstrations.jsonl or preferences.jsonl, which `prefloop revise` wrote beside it.",
    "texts": "Bare text is for `prefloop pretrain`, or for ptx= of ppo and its relatives.",
}
"""What a file holds -> what to do when something else is needed."""
WITHOUT_PAIR: Mapping[str, str] = {
    "thumbs": "no prompt has both a good and a bad response",
    "rankings": "no prompt has two responses to rank",
    "ratings": "no prompt has two responses to rank",
}
"""What a file holds -> why it gives no preference at all."""
NO_PAIR = "prompts of which no two responses are told apart, which give no pair"
REPEATED = "responses that repeat another one's text, of which the first is ranked"
SYSTEM = ("system", "system_prompt")


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
    """What else the user should know, for instance columns that were not used; it was said already."""


def read_prompts(path: Name, on_bad: OnBad = "stop", *, say: Say = print) -> Import[Prompt]:
    """The prompts of a file; a file of demonstrations or preferences serves too.

    Args:
        on_bad: whether to stop at the first bad row or to pass by.
        say: told everything that rows hold and that is not used, counted.

    Raises: UserError if the file cannot serve, has no good row, or has a bad row and `on_bad` is "stop".
    """
    return _read(path, Prompt, on_bad, say)


def read_demonstrations(path: Name, on_bad: OnBad = "stop", *, say: Say = print) -> Import[Demonstration]:
    """The demonstrations of a file. Args, Raises: see `read_prompts`."""
    return _read(path, Demonstration, on_bad, say)


def read_preferences(path: Name, on_bad: OnBad = "stop", *, say: Say = print) -> Import[Preference]:
    """The preferences of a file, ties among them; of a ranking all its pairs. Args, Raises: see `read_prompts`."""
    return _read(path, Preference, on_bad, say)


def first_records(path: Name, record: type[R], num: int, *, say: Say = print) -> tuple[R, ...]:
    """The first records of a file, of which every row is checked all the same. Args, Raises: see `read_prompts`."""
    return _read(path, record, "stop", say, most=num).records


def _read(path: Name, record: type[R], on_bad: OnBad, say: Say, *, most: int | None = None) -> Import[R]:
    reading = Reading(path, record)
    records: list[R] = []
    problems: list[str] = []
    num = 0
    for _, outcome in reading:
        if isinstance(outcome, UserError):
            problems.append(str(outcome))
            continue
        num += 1
        if most is None or num <= most:
            records.append(outcome)
    notes = concluded(reading, problems, num, on_bad=on_bad, say=say)
    return Import(tuple(records), reading.form, tuple(problems), notes)


def concluded(
    reading: "Reading[R]", problems: Sequence[str], num_records: int, *, on_bad: OnBad, say: Say
) -> tuple[str, ...]:
    """What else is to be known of a file that was read to its end; it is said here. Raises: see `read_prompts`."""
    if problems and (on_bad == "stop" or not num_records):
        more = len(problems) - 1
        told = f" And {more} more: run `prefloop data check {reading.path}` to see all." if more else ""
        raise UserError(problems[0] + told)
    notes = reading.notes()
    for note in notes:
        say(note)
    if not num_records:
        raise UserError(f"{reading.path}: {reading.emptiness()}")
    return notes


class Reading(Generic[R]):
    """A pass through a file: (line number, record or the error that says why there is none), one row at a time.

    Raises: UserError at once if the file's form cannot give the records wanted.
    """

    def __init__(self, path: Name, record: type[R], form: Form | None = None) -> None:
        self.path = path
        self.record = record
        self.form = form or recognise(path)
        self.num_rows = self.num_left_out = 0
        self._columns: Counter[str] = Counter()
        self._fields: Counter[str] = Counter()
        self._remarks: Counter[str] = Counter()
        self._left_out: dict[str, list[str]] = {}
        self._marks: Counter[str] = Counter()
        self._num_responses = 0
        self._ids: Met | None = Met()
        self._packed: Packed | None = None
        if not serves(self.form, record):
            raise UserError(f"{path}: {refusal(self.form, record)}")
        self._known = {*self.form.fields, self.form.identity, *SYSTEM}

    def __iter__(self) -> Iterator[tuple[int, R | UserError]]:
        foreign = self.form.record is not self.record
        with Groups() as groups:
            for number, row in self._rows():
                self.num_rows += 1
                if isinstance(row, UserError):
                    yield number, row
                elif foreign:
                    for outcome in self._outcomes(number, row, groups):
                        yield number, outcome
                else:
                    yield number, self._own(number, row)
            for number, identity, whole in groups:
                for outcome in self._records(number, identity, [whole]):
                    yield number, outcome

    @property
    def start(self) -> int | None:
        """The byte at which the line begins that made the last record; None if no line of the file did by itself."""
        alone = self._packed is not None and not self.form.together and self.form.assembled is None
        return self._packed.start if alone and self._packed is not None else None

    def forget(self) -> None:
        """Lets go of the ids that were met, once all rows were."""
        self._ids = None

    def again(self, line: bytes) -> list[R]:
        """The records of a line that was read before, in their order; an id that it does not give is `row-000000`.

        What is bad in it was told before. Raises: ValueError if it is not JSON.
        """
        self.forget()
        row = json.loads(line)
        if self.form.record is self.record:
            outcomes = [self._own(0, row)]
        else:
            outcomes = list(self._outcomes(0, row, Groups()))
        return [outcome for outcome in outcomes if not isinstance(outcome, UserError)]

    def _rows(self) -> Iterator[tuple[int, dict[str, Any] | UserError]]:
        self._packed = Packed(Path(self.path))
        if self.form.assembled is None:
            yield from rows_of(self._packed)
            return
        rows: Rows = []
        for number, row in rows_of(self._packed):
            if isinstance(row, UserError):
                yield number, row
            else:
                self._count_columns(row)
                rows.append((number, row))
        yield from self.form.assembled(rows)

    def _own(self, number: int, row: dict[str, Any]) -> R | UserError:
        place = f"{self.path}:{number}"
        try:
            identity = self._identity(number, row)
            record = as_record(row | {"id": identity}, self.record, place)
            self._looked_at(record)
        except BadRow as problem:
            return UserError(f"{place}: {problem}")
        except UserError as problem:
            return problem
        return record

    def _outcomes(self, number: int, row: dict[str, Any], groups: Groups) -> Iterator[R | UserError]:
        """What a row becomes at once; rows that belong together are put into their group."""
        place = f"{self.path}:{number}"
        try:
            identity = self._identity(number, row)
            if self.form.record is not None:
                own = as_record(row | {"id": identity}, self.form.record, place)
                said = [said_of(own)] if isinstance(own, Ranking | Rated) and self.record is not Prompt else None
                if said is None:
                    yield as_record(own.model_dump(include=set(self.record.model_fields)), self.record, place)
                    return
            else:
                said = self._parsed(row)
        except BadRow as problem:
            yield UserError(f"{place}: {problem}")
        except LeftOut as reason:
            self._leave(number, str(reason))
        except UserError as problem:
            yield problem
        else:
            if self.form.together:
                groups.add(number, identity, said[0])
            else:
                yield from self._records(number, identity, said)

    def _parsed(self, row: dict[str, Any]) -> list[Said]:
        """What a foreign row says; what it holds besides is counted."""
        assert self.form.parse is not None  # `serves` says so
        if self.form.assembled is None:
            self._count_columns(row)
        said = self.form.parse(row)
        whole = said if isinstance(said, list) else [said]
        system = next((row[name] for name in SYSTEM if row.get(name)), None)
        if system is not None and not isinstance(system, str):
            raise BadRow(f"the system's words should be text, but are {shown(system)}; mend or remove them.")
        return [with_system(one, system) for one in whole]

    def _count_columns(self, row: Mapping[str, Any]) -> None:
        if not row.keys() <= self._known:
            self._columns.update(name for name in row.keys() - self._known if row[name] not in (None, "", [], {}))

    def _records(self, number: int, identity: str, said: list[Said]) -> Iterator[R | UserError]:
        place = f"{self.path}:{number}"
        for one in said:
            try:
                if not one.conversation:
                    raise BadRow("there is a response but no prompt before it; add the user's turn.")
                unread = [turn.unread for turn in (*one.conversation, *one.responses) if turn.unread]
                made = [as_record(fields, self.record, place) for fields in self._record_fields(one, identity)]
                for record in made:
                    self._looked_at(record)
            except BadRow as problem:
                yield UserError(f"{place}: {problem}")
            except LeftOut as reason:
                self._leave(number, str(reason))
            except UserError as problem:
                yield problem
            else:
                if unread:
                    self._fields.update(set().union(*unread))
                self._remarks.update(one.remarks)
                self._remarks.update((NO_PAIR,) * (not made))
                yield from made

    def _record_fields(self, said: Said, identity: str) -> Iterator[dict[str, Any]]:
        """The fields of each record that a row becomes."""
        messages = tuple([{"role": turn.role, "content": turn.content} for turn in said.conversation])
        head = {"id": identity + said.part, "messages": messages}
        if self.record is Demonstration:
            if len(said.responses) != 1:
                raise BadRow("the conversation ends without the assistant's turn; add the response or remove the row.")
            yield {**head, "tags": said.tags, "response": said.responses[0].content}
        elif self.record is Ranking:
            texts, grades = self._candidates(said)
            if len(texts) < 2:
                raise LeftOut("a single response, with nothing to rank it with")
            yield {**head, "tags": said.tags, "responses": texts, "ranks": ranks_of(grades)}
        elif self.record is Rated:
            marks = {"thumbs": tuple(map(thumb_of, said.grades))} if said.thumbs else {"ratings": dict(said.ratings)}
            if not any(marks.values()):
                raise LeftOut("a verdict on several responses together, which rates none by itself")
            yield {**head, "tags": said.tags, "responses": tuple(one.content for one in said.responses), **marks}
        elif self.record is Preference:
            for part, fields in pairs_of(said):
                yield {**head, "id": head["id"] + part, "tags": said.tags, **fields, **said.more}
        else:
            yield {**head, "tags": said.tags}

    def _candidates(self, said: Said) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The different texts that are graded, and their grades."""
        graded: dict[str, float] = {}
        for response, grade in zip(said.responses, said.grades, strict=True):
            if grade is not None and response.content in graded:
                self._remarks[REPEATED] += 1
            elif grade is not None:
                graded[response.content] = grade
        return tuple(graded), tuple(graded.values())

    def _looked_at(self, record: Record) -> None:
        """Counts what is rated. Raises: BadRow for what a good record does not say."""
        _not_blank(record)
        if isinstance(record, Rated) and record.ratings:
            self._num_responses += len(record.responses)
            for axis, marks in record.ratings.items():
                self._marks[axis] += sum(mark is not None for mark in marks)

    def _identity(self, number: int, row: Mapping[str, Any]) -> str:
        """The row's id, or one made of its line. Raises: BadRow if it is not text or was used before."""
        given = row.get(self.form.identity)
        if given is None:
            given = f"row-{number:06d}"
        elif isinstance(given, int) and not isinstance(given, bool) and self.form.record is None:
            given = str(given)
        if not isinstance(given, str) or not given:
            raise BadRow(
                f"`{self.form.identity}` should be text, but is {shown(given)}; leave it out to number the rows."
            )
        first = number if self._ids is None else self._ids.first(given, number)
        if first != number:
            raise BadRow(f"the id {given!r} was already used in line {first}; make ids unique.")
        return given

    def _leave(self, number: int, reason: str) -> None:
        self.num_left_out += 1
        self._left_out.setdefault(reason, []).append(f"{self.path}:{number}")

    def notes(self) -> tuple[str, ...]:
        """What else the user should know about the rows read so far."""
        notes = [
            f"{self.path}: {len(places)} rows are left out, which hold {reason} (the first: {places[0]})."
            for reason, places in self._left_out.items()
        ]
        for what, counted in (("columns", self._columns), ("fields of messages", self._fields)):
            if counted:
                named = ", ".join(f"`{name}` ({count} rows)" for name, count in sorted(counted.items()))
                notes.append(f"{self.path}: {what} that were not used: {named}.")
        notes += [f"{self.path}: {remark}: {count}." for remark, count in sorted(self._remarks.items())]
        missing = {axis: self._num_responses - count for axis, count in self._marks.items()}
        if any(missing.values()):
            named = ", ".join(f"`{axis}` ({count})" for axis, count in missing.items() if count)
            notes.append(
                f"{self.path}: axes that some of the {self._num_responses} responses are not rated on: {named}."
            )
        if self.form.remark and self.record in (Preference, Ranking):
            notes.append(f"{self.path}: {self.form.remark}.")
        return tuple(notes)

    def emptiness(self) -> str:
        """Why there is no record, though no row is bad."""
        wanted = _called(self.record)
        if self.num_left_out:
            return f"all {self.num_left_out} rows were left out, so there are no {wanted} in it. Give another file."
        why = WITHOUT_PAIR.get(self.form.what, "no row gives one")
        return f"there are no {wanted} in it: {why}. Put two responses to one prompt in the file."


def serves(form: Form, record: type[Record]) -> bool:
    """Whether a file of this form can give such records."""
    return form.record is record or record in (*SERVES.get(form.what, ()), *form.also)


def refusal(form: Form, record: type[Record]) -> str:
    """Why a file of this form cannot give such records, and what to do."""
    remedy = REMEDIES.get(form.what, "Give another file.")
    return f"{_called(record)} are needed here, but this file's form is {form.name} ({form.sentence}). {remedy}"


def _called(record: type[Record]) -> str:
    return "rated responses" if record is Rated else f"{record.__name__.lower()}s"


def _not_blank(record: Record) -> None:
    texts = {}
    if isinstance(record, Demonstration):
        texts = {"response": record.response}
    elif isinstance(record, Preference):
        texts = {"chosen": record.chosen, "rejected": record.rejected}
    elif isinstance(record, Rated):
        texts = {f"responses.{place}": text for place, text in enumerate(record.responses)}
    elif isinstance(record, Ranking):
        first = {text: place for place, text in reversed(list(enumerate(record.responses)))}
        twice = next((place for place, text in enumerate(record.responses) if first[text] != place), None)
        if twice is not None:
            raise BadRow(
                f"`responses.{twice}` is the same text as `responses.{first[record.responses[twice]]}`; a ranking "
                "names each candidate once. Remove one, with its rank."
            )
    for name, text in texts.items():
        if not text.strip():
            raise BadRow(f"`{name}` is blank; give it text or remove the row.")
