"""The command line: what it prints, with which exit code, and every setting of every stage."""

import os
import subprocess
import sys
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
        assert stage.sentence in said or stage.command == "data world"


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
    command = f"{sys.executable} -m prefloop.cli --help | true"
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
