"""Which personal data stand where: files of prompts and responses looked through row by row."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefloop import layout
from prefloop.cards.lineage import short
from prefloop.errors import UserError
from prefloop.files.foreign import Reading
from prefloop.files.tables import each_row
from prefloop.pii import personal_data
from prefloop.records import Comparison, Demonstration, Message
from prefloop.records.personal import Personal

Texts = Iterator[tuple[int, str, str]]
"""The line, in which field, and a text."""


@dataclass(frozen=True)
class Scan:
    """What was looked through, and what was found."""

    num_texts: int
    files: tuple[str, ...]
    found: tuple[Personal, ...]

    @property
    def kinds(self) -> dict[str, int]:
        """Kind -> how often."""
        return dict(sorted(Counter(one.kind for one in self.found).items()))


def scanned(collected: Sequence[str], demonstrations: str | None) -> Scan:
    """Looks through all prompts and responses, and the comments of judgements. A text that comes again counts once.

    Raises: UserError for a damaged file.
    """
    files: list[tuple[str, Texts]] = []
    for folder in collected:
        files.append((str(Path(folder) / layout.COMPARISONS), _of_comparisons(Path(folder) / layout.COMPARISONS)))
        if (Path(folder) / layout.JUDGEMENTS).is_file():
            files.append((str(Path(folder) / layout.JUDGEMENTS), _of_comments(Path(folder) / layout.JUDGEMENTS)))
    if demonstrations is not None:
        files.append((demonstrations, _of_demonstrations(demonstrations)))
    seen, found = set[str](), list[Personal]()
    for file, texts in files:
        for line, field, text in texts:
            if text in seen:
                continue
            seen.add(text)
            found += [
                Personal(file=short(file), line=line, field=field, kind=one.kind, masked=one.masked)
                for one in personal_data(text)
            ]
    return Scan(len(seen), tuple(short(file) for file, _ in files), tuple(found))


def _spoken(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    return ((f"messages.{place}", message.content) for place, message in enumerate(messages))


def _of_comparisons(path: Path) -> Texts:
    for line, outcome in Reading(path, Comparison):
        if isinstance(outcome, UserError):
            raise outcome
        yield from ((line, field, text) for field, text in _spoken(outcome.messages))
        yield from ((line, f"responses.{place}", one.text) for place, one in enumerate(outcome.responses))


def _of_demonstrations(path: str) -> Texts:
    for line, outcome in Reading(path, Demonstration):
        if isinstance(outcome, UserError):
            raise outcome
        yield from ((line, field, text) for field, text in _spoken(outcome.messages))
        yield line, "response", outcome.response


def _of_comments(path: Path) -> Texts:
    for line, row in each_row(path):
        if isinstance(row, UserError):
            raise row
        if isinstance(comment := row.get("comment"), str) and comment:
            yield line, "comment", comment
