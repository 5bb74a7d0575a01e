"""What tests of bad input share: the command line in this process, and what it said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop import cli

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must be refused. Returns: the sentence, which is no traceback and ends like one."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.main(arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("prefloop: ")
        assert "Traceback" not in said
        assert said.count("\n") == 1, said
        return said.strip()

    return run


@pytest.fixture
def out(tmp_path: Path) -> str:
    """A folder for the run."""
    return str(tmp_path / "out")


def demonstration(number: int, **changes: Any) -> dict[str, Any]:
    """A good row of demonstrations, but for the changes; None leaves a field out."""
    row: dict[str, Any] = {
        "id": f"d{number}",
        "messages": [{"role": "user", "content": f"parcel {number}?"}],
        "response": f"on its way {number}.",
    }
    return {key: value for key, value in {**row, **changes}.items() if value is not None}


def preference(number: int, **changes: Any) -> dict[str, Any]:
    """A good row of preferences, but for the changes."""
    row: dict[str, Any] = {
        "id": f"p{number}",
        "messages": [{"role": "user", "content": f"parcel {number}?"}],
        "chosen": f"on its way {number}.",
        "rejected": "no",
    }
    return {key: value for key, value in {**row, **changes}.items() if value is not None}


@pytest.fixture
def demonstrations(write_rows: Callable[..., str]) -> Callable[..., str]:
    """Writes eight demonstrations, the fourth of them changed."""
    return lambda **changes: write_rows(
        "demonstrations.jsonl", [demonstration(i, **(changes if i == 3 else {})) for i in range(8)]
    )


@pytest.fixture
def preferences(write_rows: Callable[..., str]) -> Callable[..., str]:
    """Writes eight preferences, the fourth of them changed."""
    return lambda **changes: write_rows(
        "preferences.jsonl", [preference(i, **(changes if i == 3 else {})) for i in range(8)]
    )


@pytest.fixture
def with_line() -> Callable[[str, str], str]:
    """Puts a line of text in the fourth place of a file. Returns: its path."""

    def put(path: str, line: str) -> str:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        Path(path).write_text("\n".join([*lines[:3], line, *lines[3:]]) + "\n", encoding="utf-8")
        return path

    return put


@pytest.fixture
def as_json() -> Callable[[Path], Any]:
    """Reads a JSON file."""
    return lambda path: json.loads(path.read_text(encoding="utf-8"))
