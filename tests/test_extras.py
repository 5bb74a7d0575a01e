"""Without an extra everything else works, and what needs it says in a sentence what to type."""

import subprocess
import sys
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.extras import EXTRAS, check_extra

BESIDES = {"httpx", "markdown_it"}
"""What other packages bring anyway."""
PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(set(EXTRAS["web"]) - BESIDES)}))  # as if they were not installed
import prefloop.cli, prefloop.collect.stage
sys.exit(prefloop.cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("command", "code"), [("web {} --demo", 2), ("web {} --link", 2), ("serve {}", 2), ("web --help", 0)]
)
def test_what_needs_the_web_says_what_to_type(command: str, code: int, tmp_path: Path):
    program = [sys.executable, "-c", PROGRAM, *command.format(tmp_path / "demo").split()]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == code
    names = "alembic, argon2, fastapi, nh3, sqlalchemy, starlette and uvicorn"
    says = f"`prefloop {command.split()[0]}` needs {names}, which are not installed. Type: pip install 'prefloop[web]'"
    assert ended.stderr == ("" if code == 0 else f"prefloop: {says}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_single_package_is_named(monkeypatch: pytest.MonkeyPatch):
    check_extra("web", "this")
    monkeypatch.setitem(sys.modules, "nh3", None)
    with pytest.raises(
        UserError, match=r"^this needs nh3, which is not installed. Type: pip install 'prefloop\[web\]'$"
    ):
        check_extra("web", "this")
