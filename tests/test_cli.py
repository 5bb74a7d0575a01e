"""The command line: what it prints, with which exit code, and every setting of every stage."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from prefloop import cli
from prefloop.chat.config import ChatConfig
from prefloop.config import Config
from prefloop.named import named
from prefloop.serve.config import ServeConfig
from prefloop.stages import STAGES
from prefloop.web.config import WebConfig

CONFIGS: dict[str, type[Config]] = {
    stage.command: named(stage.settings) for stage in STAGES.values() if stage.settings is not None
}


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["help"]])
def test_help_names_every_stage(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    for stage in STAGES.values():
        assert f"  {stage.command.split()[0]} " in said
        assert stage.sentence in said or stage.command.startswith("data ")


def test_version(capsys: pytest.CaptureFixture[str]):
    import prefloop

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"prefloop {prefloop.__version__}\n"


@pytest.mark.parametrize("command", CONFIGS)
def test_stage_help_explains_every_setting(command: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, field in CONFIGS[command].model_fields.items():
        about = next((i for i, line in enumerate(lines) if line.strip().startswith((f"{name}  (", f"{name}: "))), None)
        assert about is not None, name
        assert any(str(field.description) in line for line in lines[about : about + 2]), name


@pytest.mark.parametrize(("command", "settings"), [("chat", ChatConfig), ("serve", ServeConfig), ("web", WebConfig)])
def test_commands_that_parse_for_themselves_name_every_setting(
    command: str, settings: type[Config], capsys: pytest.CaptureFixture[str]
):
    assert cli.main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"prefloop {command} ")
    assert all(f"  {name}  (default" in said or f"  {name}: " in said for name in settings.model_fields)


@pytest.mark.parametrize("command", ["run", "data"])
def test_commands_explain_themselves(command: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main([command, "--help"]) == 0
    assert f"prefloop {command}" in capsys.readouterr().out


def test_help_is_shown_also_after_the_name_of_a_recipe(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["run", "helpdesk", "--help"]) == 0
    assert "prefloop run RECIPE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rewrad"], "there is no stage called `rewrad`. Did you mean `reward`?"),
        (["xyzzy"], "there is no stage called `xyzzy`. There are: data, data world, pretrain"),
        (["world"], "there is no stage called `world`. Did you mean `data world`?"),
        (["data", "chek", "x.jsonl"], "`prefloop data chek x.jsonl` is not a command"),
    ],
)
def test_a_mistyped_stage(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(arguments) == 2
    assert says in capsys.readouterr().err


def test_ctrl_c_outside_a_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    assert cli.main(["run", "helpdesk", "out=my demo"]) == 130
    assert "Go on with the same command: prefloop run helpdesk 'out=my demo'" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m prefloop --help | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        env={**os.environ},
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_settings_come_from_a_file_and_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []
    file = tmp_path / "sft.yaml"
    file.write_text("model: m\ndemonstrations: d.jsonl\nlr: 1e-4\nepochs: 3\n", encoding="utf-8")
    import prefloop.sft.stage

    monkeypatch.setattr(prefloop.sft.stage, "train", seen.append)
    assert cli.main(["sft", str(file), "out=o", "epochs=1"]) == 0
    assert (seen[0].lr, seen[0].epochs, seen[0].out) == (1e-4, 1, "o")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sft", "--model", "m"], "`--model`: settings are typed without dashes: model=m. What there is: prefloop sft"),
        (["sft", "--lr=1e-3"], "settings are typed without dashes: lr=1e-3."),
        (["sft", "--max-grad-norm", "2"], "settings are typed without dashes: max_grad_norm=2."),
        (["chat", "m", "--temperature", "0.5"], "settings are typed without dashes: temperature=0.5."),
        (["ppo", "--flag", "--other"], "settings are typed without dashes: flag=...."),
        (["sft", "lr=1", "mine.yaml"], "`mine.yaml`: the YAML file comes first: prefloop sft mine.yaml key=value ..."),
        (["help", "pppo"], "there is no stage called `pppo`. Did you mean `ppo`?"),
        (
            ["sft"],
            "the setting `model` is needed. Add model=..., model: Model folder (or hub id) to start from. So is dem",
        ),
        (["sft", "x" * 5000], "the file cannot be read: File name too long"),
        (["sft", "out=1", "out=2"], "the command line: `out` is set twice; keep one."),
    ],
)
def test_what_is_typed_as_elsewhere(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["help", "ppo"], ["ppo", "-h"], ["ppo", "lr=1", "--help"], ["help", "data", "world"]]
)
def test_help_of_a_stage(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(words) == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("(needed)")


class Torchs(RuntimeError):
    """As torch says it."""


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (OSError(36, "File name too long", "a" * 999), 2, "a: File name too long. Give a shorter path."),
        (OSError(24, "Too many open files", "x"), 2, "x: Too many open files. This process may open no more files"),
        (PermissionError(13, "Permission denied", "x"), 2, "x: Permission denied. Ask for permission"),
        (OSError(28, "No space left on device"), 2, "No space left on device. Free some space"),
        (OSError(5, "Input/output error", "x"), 2, "x: Input/output error. Check the path and the disk"),
        (MemoryError(), 2, "there is not enough memory. Take less at once"),
        (Torchs("CUDA out of memory. Tried to allocate 2 GiB"), 2, "there is not enough memory. Take less at once"),
        (Torchs("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 2, "there is not enough memory"),
        (BrokenPipeError(), 141, ""),
        (KeyboardInterrupt(), 130, "prefloop: stopped.\n"),
    ],
)
def test_whatever_happens_is_a_sentence(
    problem: BaseException, code: int, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def fails(arguments: list[str]) -> int:
        raise problem

    monkeypatch.setattr(cli, "_dispatch", fails)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert cli.main(["chat", "x"]) == code
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") <= 2


def test_our_own_fault_is_written_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    def fails(arguments: list[str]) -> int:
        return {"a": 1}[arguments[0]]

    monkeypatch.setattr(cli, "_dispatch", fails)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cli.main(["chat"]) == 70
    said = capsys.readouterr().err
    [file] = tmp_path.iterdir()
    assert said.startswith("prefloop: this is a fault of prefloop, not yours (KeyError: 'chat'). Please report it with")
    assert str(file) in said
    assert said.count("\n") == 1
    assert "return {" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("closed", ["sys.stdout = None", "sys.stderr = None"])
def test_closed_streams_are_no_fault(closed: str):
    program = f"import sys\n{closed}\nimport prefloop.cli\nsys.exit(prefloop.cli.main(['--help']))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False).returncode == 0


def test_a_terminal_that_knows_no_chinese_is_no_fault(tmp_path: Path):
    (tmp_path / "包裹.yaml").write_text("- 1\n", encoding="utf-8")
    command = [sys.executable, "-m", "prefloop.cli", "sft", str(tmp_path / "包裹.yaml")]
    done = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, timeout=60, check=False
    )
    assert done.returncode == 2
    assert b"expected lines `key: value`, found a list" in done.stderr


def test_a_full_disk_behind_standard_output():
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    command = f"{sys.executable} -m prefloop.cli --help > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (2, 120)  # Python flushes once more at its end, and says 120
    assert "No space left on device. Free some space" in done.stderr
    assert "Traceback" not in done.stderr
