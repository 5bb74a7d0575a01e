"""An input, and settings of a run that has not begun."""

from pathlib import Path

import pytest

from run.counting import CountConfig


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An input."""
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "hello"}\n', encoding="utf-8")
    return path


@pytest.fixture
def config(tmp_path: Path, data: Path) -> CountConfig:
    """Settings of a run that has not begun."""
    return CountConfig(out=str(tmp_path / "run"), data=str(data), threads=1)
