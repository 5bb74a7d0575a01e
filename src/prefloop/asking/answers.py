"""What a model has answered so far: a file that is only added to, so that a run that goes on asks nothing twice.

An answer is found by all that decided it: the model, the words, and how it was drawn. Lines come in the order of the
answers, which is nobody's; what is made of them comes in the order of the questions.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefloop.errors import UserError
from prefloop.files.atomic import writing


@dataclass(frozen=True)
class Answer:
    """What a model said to one question, and what it took."""

    text: str
    """what it said"""
    logprobs: Mapping[str, float] | None = None
    """A, B -> nats as its first word; None if not told"""
    num_prompt: int = 0
    """tokens read"""
    num_response: int = 0
    """tokens written"""
    requests: int = 1
    """requests that it took, with those that failed"""
    failure: str = ""
    """why there is no answer: refused by the server's filter, or too_long for the model"""
    finished: bool = True
    """whether it ended by itself, and not at the limit of its tokens"""


@dataclass(frozen=True)
class Question:
    """What is asked once."""

    prompt: str
    """the words"""
    number: int = 0
    """of the same question the how manieth vote"""
    attempt: int = 0
    """how often it was asked before, to no avail"""

    def key(self, drawn: Mapping[str, Any]) -> str:
        """What the answer is found by. Args: drawn: the model and how answers are drawn."""
        text = json.dumps([dict(drawn), self.prompt, self.number, self.attempt], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


class Answers:
    """The answers of one run, on disk and in memory. Threads may add to it."""

    def __init__(self, path: Path, drawn: Mapping[str, Any]) -> None:
        """Reads what is there. Raises: UserError if it is damaged, but for a last line that was cut off.

        Args:
            path: the file.
            drawn: what decides an answer beside the question.
        """
        self._path, self._drawn, self._lock = path, drawn, threading.Lock()
        self._known: dict[str, Answer] = {}
        self.requests = self.num_prompt = self.num_response = 0
        if path.is_file():
            self._read(path.read_bytes())

    def _read(self, data: bytes) -> None:
        whole, _, rest = data.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                self._count(row.pop("key"), Answer(**row))
            except (ValueError, TypeError, KeyError):
                raise UserError(
                    f"{self._path}:{number}: this is no answer as prefloop wrote it. Remove the line: its question "
                    "is asked again."
                ) from None
        if rest:
            with writing(self._path):
                self._path.write_bytes(whole + b"\n" if whole else b"")  # killed in the middle of a line

    def _count(self, key: str, answer: Answer) -> None:
        self._known[key] = answer
        self.requests += answer.requests
        self.num_prompt += answer.num_prompt
        self.num_response += answer.num_response

    def get(self, question: Question) -> Answer | None:
        """What was answered; None if it was not asked."""
        return self._known.get(question.key(self._drawn))

    def add(self, question: Question, answer: Answer) -> None:
        """Keeps one: it is on disk when this returns."""
        key = question.key(self._drawn)
        line = json.dumps({"key": key, **asdict(answer)}, ensure_ascii=False) + "\n"
        with self._lock, writing(self._path):
            with self._path.open("ab") as file:
                file.write(line.encode("utf-8", errors="replace"))
            self._count(key, answer)
