"""`prefloop data check FILE`: what a file of data holds, every bad row with its remedy, and who takes it.

Reads: one file of prompts, demonstrations, preferences or any other records. Writes nothing.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from prefloop.errors import UserError
from prefloop.files.atomic import Name
from prefloop.files.foreign import SERVES, WITHOUT_PAIR, Reading
from prefloop.files.forms import recognise
from prefloop.files.hashes import Met
from prefloop.files.said import Form
from prefloop.files.tables import each_row
from prefloop.printing import printable
from prefloop.records import Comparison, Demonstration, Preference, Prompt, Ranking, Rated, Record, spoken
from prefloop.stages import STAGES
from prefloop.stats.text import words

KINDS: Mapping[type[Record], str] = {
    Prompt: "prompts",
    Demonstration: "demonstrations",
    Preference: "preferences",
    Ranking: "rankings",
    Rated: "prompts with rated responses",
}
"""What stages call files of these records."""

NO_TAKER: Mapping[str, str] = {
    "steps": "no stage learns from single steps yet",
    "unprompted": "no stage takes it until it has a column `prompt`",
    "tickets": "`prefloop web` takes it, brought in by a lead",
    "exports": "`prefloop web` takes it, brought in by a lead",
    "revisions": "stages take demonstrations.jsonl and preferences.jsonl, which `prefloop revise` wrote beside it",
}
"""What a file holds that no stage reads -> what to say instead."""


@dataclass(frozen=True)
class Length:
    """How long the texts of one field are, in words."""

    median: float
    maximum: int


@dataclass(frozen=True)
class Report:
    """What `check` found in a file."""

    form: Form
    """The form of its rows."""
    rows: int
    """Rows, empty lines not counted."""
    problems: tuple[str, ...]
    """`file:line: sentence` for every bad row, in file order."""
    notes: tuple[str, ...]
    """What else the user should know."""
    num_duplicates: int
    """Good rows whose texts repeat an earlier row's."""
    gives: tuple[type[Record], ...]
    """The records that stages can make of its rows, the most exact first."""
    num_records: int
    """How many of the first of them."""
    left_out: int
    """Rows that hold what no record can (tool calls, images); they are no mistakes."""
    lengths: Mapping[str, Length]
    """Field (prompt, response, chosen, rejected) -> its lengths, over the good rows."""

    @property
    def bad(self) -> int:
        """Rows with a problem."""
        return len(self.problems)

    @property
    def good(self) -> int:
        """Rows without one."""
        return max(0, self.rows - self.bad - self.left_out)


def check(path: Name) -> Report:
    """Reads a file once, row by row, and counts what it holds.

    Raises: UserError if there is no such file, or its form is not known.
    """
    form = recognise(path)
    gives = (form.record,) if form.record else ()
    gives += tuple(record for record in SERVES.get(form.what, ()) if record is not form.record)
    if not gives:
        return _checked(path, form, (), None)
    report = _checked(path, form, gives, Reading(path, gives[0], form))
    if form.what not in WITHOUT_PAIR or not report.good or _has_pair(path, form):
        return report
    note = f"{path}: there are no pairs in it: {WITHOUT_PAIR[form.what]}."
    single = tuple(record for record in gives if record not in (Ranking, Preference))
    if single[0] is not gives[0]:
        report = _checked(path, form, single, Reading(path, single[0], form))
    return replace(report, gives=single, notes=(*report.notes, note))


def _has_pair(path: Name, form: Form) -> bool:
    return any(isinstance(outcome, Preference) for _, outcome in Reading(path, Preference, form))


def _checked(path: Name, form: Form, gives: tuple[type[Record], ...], reading: Reading[Record] | None) -> Report:
    problems: list[str] = []
    texts = _Texts()
    for outcome in _text_rows(path, form) if reading is None else (outcome for _, outcome in reading):
        if isinstance(outcome, UserError):
            problems.append(str(outcome))
        else:
            texts.add(_texts(outcome) if isinstance(outcome, Record) else outcome)
    return Report(
        form,
        reading.num_rows if reading else texts.num_rows + len(problems),
        tuple(problems),
        reading.notes() if reading else (),
        texts.num_duplicates,
        gives,
        texts.num_rows,
        reading.num_left_out if reading else 0,
        texts.lengths(),
    )


def _text_rows(path: Name, form: Form) -> Iterator[dict[str, str] | UserError]:
    """The rows of a form that becomes no record of ours: the fields of bare texts must be text."""
    fields = form.needs if form.what in ("texts", "unprompted") else ()
    for number, row in each_row(path):
        if isinstance(row, UserError):
            yield row
            continue
        bad = next((name for name in fields if not isinstance(row.get(name), str) or not row[name].strip()), None)
        place = f"{path}:{number}"
        if bad is None:
            yield {name: row[name] for name in fields}
        else:
            yield UserError(f"{place}: `{bad}` should be text that is not empty; give it or remove the row.")


class _Texts:
    """Duplicates and lengths of the texts seen so far; keeps 4 bytes a text and 18 to 36 a row, not the texts."""

    def __init__(self) -> None:
        self.num_rows = self.num_duplicates = 0
        self._words: dict[str, array[int]] = {}
        self._met = Met()

    def add(self, texts: Mapping[str, str]) -> None:
        """Counts one row's texts; rows without any are no duplicates of each other."""
        self.num_rows += 1
        for name, text in texts.items():
            self._words.setdefault(name, array("I")).append(len(words(text)))
        if texts:
            self.num_duplicates += self._met.first("\0".join(texts.values()), self.num_rows) != self.num_rows

    def lengths(self) -> dict[str, Length]:
        """Median and maximum for each field."""
        return {name: Length(float(np.median(numbers)), max(numbers)) for name, numbers in self._words.items()}


def _texts(record: Record) -> dict[str, str]:
    """The texts of a record by the name under which the report lists them."""
    match record:
        case Demonstration():
            return {"prompt": record.text, "response": record.response}
        case Prompt():
            return {"prompt": record.text}
        case Preference():
            return {"prompt": spoken(record.messages), "chosen": record.chosen, "rejected": record.rejected}
        case Comparison():
            return {"prompt": record.text, "responses": "\n".join(response.text for response in record.responses)}
        case Ranking() | Rated():
            return {"prompt": spoken(record.messages), "responses": "\n".join(record.responses)}
    return {}  # a judgement or a score


def print_check(path: Name) -> int:
    """Prints the report in plain words. Returns the exit code: 0 if every row is good, else 1.

    Raises: see `check`.
    """
    report = check(path)
    left_out = f", left out {report.left_out}" if report.left_out else ""
    lines = [
        f"{path}: {report.form.sentence} (form {report.form.name}).",
        f"rows: {report.rows}, of which good {report.good}, bad {report.bad}{left_out}",
    ]
    if report.gives and report.num_records != report.good:
        lines.append(f"{KINDS.get(report.gives[0], 'records')} that they make: {report.num_records}")
    for name, length in report.lengths.items():
        lines.append(f"words in {name}: median {length.median:g}, longest {length.maximum}")
    if report.num_duplicates:
        lines.append(f"rows that repeat the texts of an earlier row: {report.num_duplicates}")
    print(printable("\n".join([*lines, *report.notes, *report.problems, verdict(report)])))
    return 1 if report.bad else 0


def verdict(report: Report) -> str:
    """One line: whether the file can be used as it is, and by which stages."""
    takers = taken_by(report.form.what, report.gives)
    if not report.good:
        mend = "mend them first. Then " if report.bad else "they hold what no stage reads. Otherwise "
        return f"Verdict: no row can be used; {mend}{takers}"
    if report.bad:
        return f"Verdict: {report.bad} of {report.rows} rows must be mended or removed. Then {takers}"
    if report.left_out:
        return f"Verdict: {report.good} of {report.rows} rows are good, the others are left out; {takers}"
    return f"Verdict: all {report.rows} rows are good; {takers}"


def taken_by(what: str, gives: Sequence[type[Record]]) -> str:
    """Which stages take a file that holds this, and by which settings; also for its pairs and its prompts."""
    own = _takers(what)
    sentences = [f"{_listed(own)} it"] if own else []
    kinds = [KINDS[record] for record in gives if record in KINDS]
    if "preferences" in kinds and what != "preferences":
        sentences.append(f"{_listed(_takers('preferences'))} its pairs")
    if not sentences:
        sentences = [NO_TAKER.get(what, "no stage takes it")]
    if "prompts" in kinds and what != "prompts":
        sentences.append(f"for its prompts {_listed(_takers('prompts'))} it")
    writers = [stage.command for stage in STAGES.values() if what in stage.writes]
    if writers and not own:
        sentences.append(f"{_listed(writers, 'write')} it")
    return "; ".join(sentences) + "."


def _takers(what: str) -> list[str]:
    """`command (settings)` of the stages that read files of that kind."""
    return [f"{stage.command} ({stage.reads[what]})" for stage in STAGES.values() if what in stage.reads]


def _listed(names: list[str], verb: str = "take") -> str:
    """`a takes`, or `a, b and c take`."""
    return f"{', '.join(names[:-1])} and {names[-1]} {verb}" if names[1:] else f"{names[0]} {verb}s"
