"""`prefloop chat` as a person or a program uses it."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from prefloop.chat import screen
from prefloop.chat.command import main
from prefloop.chat.screen import interruptible
from prefloop.chat.talk import Answer
from prefloop.chat.words import WORDS
from prefloop.cli import main as cli


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: str, *arguments: str
) -> tuple[list[str], str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert main(arguments) == 0
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err


def test_each_line_is_a_turn_and_the_same_seed_says_the_same(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    settings = (folder, "max_new_tokens=6", "temperature=1.0")
    first, _ = said(monkeypatch, capsys, "please\n\nwhere?\n", *settings)
    again, _ = said(monkeypatch, capsys, "please\n\nwhere?\n", *settings)
    other, _ = said(monkeypatch, capsys, "please\n\nwhere?\n", *settings, "seed=1")
    assert first == again
    assert first != other


def test_two_models_are_named(folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    lines, _ = said(monkeypatch, capsys, "please\n", folder, folder, "max_new_tokens=4")
    answers = "\n".join(lines).split(f"{folder}: ")[1:]
    assert len(answers) == 2
    assert answers[0].strip() == answers[1].strip()


def test_reset_forgets_quit_ends_and_other_commands_are_explained(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    lines, remarks = said(monkeypatch, capsys, "/reset\n/what\n/quit\nnever asked\n", folder)
    assert lines == []
    assert "(forgotten)" in remarks
    assert "no command /what" in remarks


def test_chat_speaks_chinese(folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    settings = (folder, "language=zh", "max_new_tokens=1", "temperature=0")
    _, remarks = said(monkeypatch, capsys, "/reset\n/what\nplease\n", *settings)
    assert "(已忘掉)" in remarks
    assert "没有命令 /what" in remarks
    assert "max_new_tokens=1" in remarks
    assert not re.search(r"\b(there|forgotten|come|nothing)\b", remarks)


def test_both_languages_say_the_same_things():
    """With the same numbers and names in them."""
    fields = [{k: sorted(re.findall(r"{(\w+)}", text)) for k, text in words.items()} for words in WORDS.values()]
    assert fields[0] == fields[1]


def test_a_turn_that_is_too_long_is_a_sentence_and_the_conversation_goes_on(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    lines, remarks = said(monkeypatch, capsys, "where is it? " * 60 + "\nplease\n", folder, "max_new_tokens=4")
    assert "Say it shorter" in remarks
    assert lines


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["chat", "FOLDER", "temprature=1"], "Did you mean `temperature`"),
        (["chat", "FOLDER", "temperature=-1"], "greater than or equal to 0"),
        (["chat", "temperature=1"], "one or two model folders"),
        (["chat", "a", "b", "c"], "one or two model folders"),
        (["chat", "FOLDER", "template=plain"], "trained with the template"),
        (["chat", "/nowhere/at/all"], "no such folder"),
    ],
)
def test_errors_are_sentences(folder: str, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str):
    assert cli([folder if a == "FOLDER" else a for a in arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_ctrl_c_stops_the_answer_and_not_the_program():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stopped:
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
    assert signal.getsignal(signal.SIGINT) is before


def test_at_a_terminal_two_models_stand_side_by_side(folder: str):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "prefloop.cli", "chat", folder, folder, "max_new_tokens=5"]
    heeds = {
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    }  # a shell ignores Ctrl-C for what it runs in the background
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
        **heeds,
    )
    os.close(theirs)
    shown = read_until(ours, b"\n> ")
    os.write(ours, b"please\n")
    shown += read_until(ours, b"\n> ")
    said = b""
    for _ in range(30):  # Ctrl-C at the prompt does not end it either; before it listens, one is lost
        if b"Ctrl-D ends" in said:
            break
        process.send_signal(signal.SIGINT)
        said += read_until(ours, b"\n> ", patience=2)
    os.write(ours, b"\x04")  # Ctrl-D
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert b"Ctrl-C stops an answer" in shown
    assert "┃".encode() in shown or b"|" in shown  # columns


def read_until(terminal: int, mark: bytes, *, patience: float = 120) -> bytes:
    """What the terminal shows up to the mark, or in `patience` seconds."""
    shown, deadline = b"", time.monotonic() + patience
    while not shown.endswith(mark) and (left := deadline - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            shown += os.read(terminal, 4096).replace(b"\r\n", b"\n").replace(b"\r", b"")
    return shown


class Answers:
    """A model that says what it is told to."""

    def __init__(self, text: str) -> None:
        self.name, self.text, self.memory = "\x1b[1mit", text, True

    def answer(self, text: str, *, turn: int, on_text: Callable[[str], bool]) -> Answer:
        for end in range(len(self.text) + 1):
            on_text(self.text[:end])
        return Answer(self.text, True, 0)


ATTACK = "before\x1b]0;owned\x07\r\x1b[2J\u202e包裹\x9b31m after"
SPELLED = r"before\x1b]0;owned\x07\r\x1b[2J\u202e包裹\x9b31m after"


def test_a_model_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]):
    """Streamed, as plain lines, named, in notes, and in two columns, which keep their width."""
    it: Any = Answers(ATTACK)
    screen.streamed(it, "?", turn=0)
    screen.plain([it], "?", turn=0)
    screen.plain([it, it], "?", turn=0)
    screen.note(ATTACK)
    shown = capsys.readouterr()
    assert shown.out == f"{SPELLED}\n{SPELLED}\n" + f"\\x1b[1mit: {SPELLED}\n" * 2
    assert shown.err == f"({SPELLED})\n"
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    screen.side_by_side([it, it], "?", turn=0, console=console)
    drawn = console.file.getvalue()
    assert drawn.count(SPELLED) == 2
    assert not {c for c in drawn if unicodedata.category(c) in ("Cc", "Cf")} - {"\n"}
    assert {cell_len(line) for line in drawn.splitlines()} == {160}
