"""`prefloop data check FILE`: what a file of data holds, every bad row with its remedy, and who takes it.

Reads: one file of prompts, demonstrations, preferences or any other records. Writes nothing.
"""

import hashlib
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prefloop.errors import UserError
from prefloop.files.atomic import Name
from prefloop.files.foreign import SERVES, Reading, serves
from prefloop.files.forms import Form, recognise
from prefloop.files.tables import each_row
from prefloop.printing import printable
from prefloop.records import Comparison, Demonstration, Preference, Prompt, Ranking, Record, spoken
from prefloop.stages import STAGES
from prefloop.stats.text import words

RECORD_OF: Mapping[str, type[Record]] = {
    "prompts": Prompt,
    "demonstrations": Demonstration,
    "preferences": Preference,
    "unpaired": Prompt,
}
"""What a foreign file holds -> the record that its rows become."""

NO_TAKER: Mapping[str, str] = {
    "unpaired": "no stage takes it as preferences, for these need two responses to each prompt",
    "unprompted": "no stage takes it until it has a column `prompt`",
}
"""What a file holds that is no record of ours -> what it lacks."""


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
    lengths: Mapping[str, Length]
    """Field (prompt, response, chosen, rejected) -> its lengths, over the good rows."""

    @property
    def bad(self) -> int:
        """Rows with a problem."""
        return len(self.problems)

    @property
    def good(self) -> int:
        """Rows without one."""
        return self.rows - self.bad


def check(path: Name) -> Report:
    """Reads a file once, row by row, and counts what it holds.

    Raises: UserError if there is no such file, or its form is not known.
    """
    form = recognise(path)
    record = form.record or RECORD_OF.get(form.what)
    reading = Reading(path, record, form) if record is not None and serves(form, record) else None
    problems: list[str] = []
    texts = _Texts()
    for outcome in _text_rows(path, form) if reading is None else (outcome for _, outcome in reading):
        if isinstance(outcome, UserError):
            problems.append(str(outcome))
        else:
            texts.add(_texts(outcome) if isinstance(outcome, Record) else outcome)
    notes = reading.notes() if reading else ()
    return Report(form, texts.num_rows + len(problems), tuple(problems), notes, texts.num_duplicates, texts.lengths())


def _text_rows(path: Name, form: Form) -> Iterator[dict[str, str] | UserError]:
    """The rows of a form that becomes no record: its fields must be text."""
    fields = [name for name in form.fields if name != "id"]
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
    """Duplicates and lengths of the texts seen so far; keeps numbers and digests, not the texts."""

    def __init__(self) -> None:
        self.num_rows = self.num_duplicates = 0
        self._words: dict[str, list[int]] = {}
        self._digests: set[bytes] = set()

    def add(self, texts: Mapping[str, str]) -> None:
        """Counts one row's texts; rows without any are no duplicates of each other."""
        self.num_rows += 1
        for name, text in texts.items():
            self._words.setdefault(name, []).append(len(words(text)))
        digest = hashlib.sha256("\0".join(texts.values()).encode()).digest()
        self.num_duplicates += bool(texts) and digest in self._digests
        self._digests.add(digest)

    def lengths(self) -> dict[str, Length]:
        """Median and maximum for each field."""
        return {name: Length(statistics.median(numbers), max(numbers)) for name, numbers in self._words.items()}


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
        case Ranking():
            return {"prompt": spoken(record.messages), "responses": "\n".join(record.responses)}
    return {}  # a judgement or a score


def print_check(path: Name) -> int:
    """Prints the report in plain words. Returns the exit code: 0 if every row is good, else 1.

    Raises: see `check`.
    """
    report = check(path)
    lines = [
        f"{path}: {report.form.sentence} (form {report.form.name}).",
        f"rows: {report.rows}, of which good {report.good}, bad {report.bad}",
    ]
    for name, length in report.lengths.items():
        lines.append(f"words in {name}: median {length.median:g}, longest {length.maximum}")
    if report.num_duplicates:
        lines.append(f"rows that repeat the texts of an earlier row: {report.num_duplicates}")
    print(printable("\n".join([*lines, *report.notes, *report.problems, verdict(report)])))
    return 1 if report.bad else 0


def verdict(report: Report) -> str:
    """One line: whether the file can be used as it is, and by which stages."""
    takers = taken_by(report.form.what)
    if not report.good:
        return f"Verdict: no row can be used; mend them first. Then {takers}"
    if report.bad:
        return f"Verdict: {report.bad} of {report.rows} rows must be mended or removed. Then {takers}"
    return f"Verdict: all {report.rows} rows are good; {takers}"


def taken_by(what: str) -> str:
    """Which stages take a file that holds this, and by which setting; if it serves as prompts, who takes those."""
    own = [f"{name} ({stage.reads[what]})" for name, stage in STAGES.items() if what in stage.reads]
    sentences = [f"{_listed(own)} it" if own else NO_TAKER.get(what, "no stage takes it")]
    if what != "prompts" and Prompt in SERVES.get(what, ()):
        others = [f"{name} ({stage.reads['prompts']})" for name, stage in STAGES.items() if "prompts" in stage.reads]
        sentences.append(f"for its prompts {_listed(others)} it")
    writers = [name for name, stage in STAGES.items() if what in stage.writes]
    if writers and not own:
        sentences.append(f"{_listed(writers, 'write')} it")
    return "; ".join(sentences) + "."


def _listed(names: list[str], verb: str = "take") -> str:
    """`a takes`, or `a, b and c take`."""
    return f"{', '.join(names[:-1])} and {names[-1]} {verb}" if names[1:] else f"{names[0]} {verb}s"
