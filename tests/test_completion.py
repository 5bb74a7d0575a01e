"""The TAB key: what bash offers after some letters, with the script that `prefloop completion bash` prints."""

import shlex
import subprocess
from pathlib import Path

import pytest

from prefloop import cli


def offered(line: str, folder: Path, script: str) -> list[str]:
    """What bash completes at the end of a line; `=` ends a word there, as in bash itself."""
    words = line.replace("=", " = ").split()
    words += [""] if line.endswith((" ", "=")) else []
    program = (
        f"{script}\nCOMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}\nCOMP_WORDS=({shlex.join(words)})\n"
        f"COMP_CWORD={len(words) - 1}; _prefloop 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=folder, timeout=30, check=True)
    return done.stdout.split()


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.main(["completion", "bash"]) == 0
    return said.getvalue()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("prefloop pp", ["ppo"]),
        ("prefloop re", ["revise", "reward", "reinforce", "report"]),
        ("prefloop ppo kl_u", ["kl_unit="]),
        ("prefloop ppo kl_unit=", ["token", "response", "batch"]),
        ("prefloop ppo whiten_advantages=t", ["true"]),
        ("prefloop pretrain model.hi", ["model.hidden_size="]),
        ("prefloop sft model=mi", ["mine"]),
        ("prefloop run hel", ["helpdesk"]),
        ("prefloop compare hel", ["helpdesk"]),
        ("prefloop run mine/", ["mine/mine.yaml"]),
        ("prefloop completion z", ["zsh"]),
    ],
)
def test_what_bash_offers(line: str, words: list[str], tmp_path: Path, script: str):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").touch()
    assert offered(line, tmp_path, script) == words


@pytest.mark.parametrize(("shell", "holds"), [("zsh", "bashcompinit"), ("fish", "complete -c prefloop -n")])
def test_other_shells(shell: str, holds: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert holds in said
    assert "kl_coef=" in said
