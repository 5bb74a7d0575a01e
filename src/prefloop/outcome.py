"""What a command came to, where that is more than the place of what it wrote."""

from dataclasses import dataclass
from pathlib import Path

MORE = 4
"""Exit code of what waits for more judgements."""


@dataclass(frozen=True)
class Outcome:
    """A command's last words, and its exit code."""

    path: Path
    """what it wrote"""
    sentence: str
    code: int

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.path}"
