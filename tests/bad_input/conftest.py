"""What tests of bad input share: the command line in this process, and what it said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop import cli

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must be refused. Returns: the sentence, which is no traceback and ends like one."""

    def run(*arguments: str, code: int = 2) -> str:
        capsys.readouterr()
        assert cli.main(arguments) == code
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


def eight(letter: str, changes: dict[str, Any], **fields: str) -> list[dict[str, Any]]:
    """Eight good rows with these fields, but for the fourth: it has the changes, and no field that they set to None."""
    rows = [
        {"id": f"{letter}{i}", "messages": [{"role": "user", "content": f"parcel {i}?"}], **fields} for i in range(8)
    ]
    rows[3] = {name: value for name, value in {**rows[3], **changes}.items() if value is not None}
    return rows


@pytest.fixture
def demonstrations(write_rows: Callable[..., str]) -> Callable[..., str]:
    """Writes eight demonstrations, the fourth of them changed."""
    return lambda **changes: write_rows("demonstrations.jsonl", eight("d", changes, response="on its way."))


@pytest.fixture
def preferences(write_rows: Callable[..., str]) -> Callable[..., str]:
    """Writes eight preferences, the fourth of them changed."""
    return lambda **changes: write_rows("preferences.jsonl", eight("p", changes, chosen="on its way.", rejected="no"))


@pytest.fixture
def with_line() -> Callable[[str, str], str]:
    """Puts a line of text in the fourth place of a file. Returns: its path."""

    def put(path: str, line: str) -> str:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        Path(path).write_text("\n".join([*lines[:3], line, *lines[3:]]) + "\n", encoding="utf-8")
        return path

    return put
