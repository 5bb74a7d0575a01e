"""Writing is whole or not there: through a kill, a full disk, a folder that refuses."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.files.atomic import (
    WRITTEN,
    make_folder,
    new_folder,
    remove_leftovers,
    write_bytes,
    write_json,
    write_text,
    writing,
)

SIZE = 2_000_000
WRITER = """
import itertools, sys
from prefloop.files.atomic import write_bytes
for letter in itertools.cycle(b"ab"):
    write_bytes(sys.argv[1], bytes([letter]) * int(sys.argv[2]))
    print("written", flush=True)
"""

KILLER = """
import itertools, json, os, shutil, signal, sys
from pathlib import Path
from prefloop.files.atomic import new_folder, remove_leftovers, write_text

def replace():
    with new_folder("model") as folder:
        for name in ("one", "two", "three"):
            (folder / name).write_text("new")
    write_text("note", "new")

def killed_before_call(number):  # of the file system; Python announces each one to audit hooks
    calls = itertools.count(1)
    def hook(event, _):
        if event.startswith(("open", "os.", "shutil.")) and event != "os.fork" and next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    replace()
    os._exit(0)

os.chdir(sys.argv[1])
for number in itertools.count(1):
    shutil.rmtree("model", ignore_errors=True)
    with new_folder("model") as folder:
        for name in ("one", "four"):
            (folder / name).write_text("old")
    Path("note").write_text("old")
    child = os.fork() or killed_before_call(number)
    _, status = os.waitpid(child, 0)
    remove_leftovers(".")
    print(json.dumps({str(path): path.read_text() for path in sorted(Path(".").rglob("[!.]*")) if path.is_file()}))
    if status == 0:
        break
"""
OLD = {"model/four": "old", "model/one": "old", "note": "old"}
HALF_WAY = {"model/one": "new", "model/three": "new", "model/two": "new", "note": "old"}
NEW = HALF_WAY | {"note": "new"}


def files(folder: Path) -> list[str]:
    """Everything in a folder, by name, but for the lists of what was written."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != WRITTEN)


def make(path: Path, **names: str) -> None:
    """A folder of ours."""
    with new_folder(path) as folder:
        for name, text in names.items():
            (folder / name).write_text(text)


def refuse(_: int) -> None:
    """Nothing more can be made durable."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full."""
    monkeypatch.setattr(os, "fsync", refuse)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_and_never_a_half(tmp_path):
    """A process that replaces a folder, then a file, is killed before its first, second, third ... file system call."""
    command = [sys.executable, "-c", KILLER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert [state for state in states if state not in (OLD, HALF_WAY, NEW)] == []
    assert (states[0], states[-1]) == (OLD, NEW)
    assert states.count(OLD) > 5
    assert HALF_WAY in states


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_kill_in_the_middle_of_a_large_write(tmp_path):
    """Writers are killed at eight moments; afterwards the file is one letter at its full length."""
    file = tmp_path / "file.bin"
    for moment in range(8):
        command = [sys.executable, "-c", WRITER, str(file), str(SIZE)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"written\n"
            time.sleep(0.0023 * moment)
            writer.send_signal(signal.SIGKILL)
        assert file.read_bytes() in (b"a" * SIZE, b"b" * SIZE)
        remove_leftovers(tmp_path)
        assert files(tmp_path) == ["file.bin"]


def test_a_full_disk_keeps_the_old_file(tmp_path, full_disk):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(UserError, match=r"a.json: the disk is full. Free some space"):
        write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"
    assert files(tmp_path) == ["a.json"]


def test_a_full_disk_keeps_the_old_folder(tmp_path, monkeypatch):
    make(tmp_path / "model", weights="old")
    monkeypatch.setattr(os, "fsync", refuse)

    def save() -> None:
        with new_folder(tmp_path / "model") as folder:
            (folder / "weights").write_text("new")

    with pytest.raises(UserError, match="the disk is full"):
        save()
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert files(tmp_path) == ["model", "model/weights"]


def test_a_disk_that_fills_in_the_middle_of_a_write(tmp_path):
    """A limit on file size stands for the disk: the system itself stops the write half way."""
    resource = pytest.importorskip("resource")
    program = (
        "import errno, resource, signal, sys\n"
        "from prefloop.errors import UserError\n"
        "from prefloop.files.atomic import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_bytes(sys.argv[1], b'n' * 5000)\n"
        "except UserError as problem:\n    print(problem)\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    (tmp_path / "a.bin").write_bytes(b"old")
    command = [sys.executable, "-c", program, str(tmp_path / "a.bin")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path / 'a.bin'}: this process may not write a file so large (`ulimit -f`)")
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert files(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EACCES, "no permission to write here"),
        (errno.EROFS, "no permission to write here"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EFBIG, "this process may not write a file so large"),
        (errno.EMFILE, r"this process may not open more files \(`ulimit -n`\)"),
        (errno.ENAMETOOLONG, "this name is longer than the system allows"),
        (errno.EIO, "the disk reports a failure"),
    ],
)
def test_a_refusal_becomes_a_sentence(tmp_path, monkeypatch, number, sentence):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=f"^{tmp_path}/new: {sentence}"):
        write_text(tmp_path / "new" / "a.txt", "x")


def test_a_refusal_of_another_kind_stays_what_it_is():
    with pytest.raises(OSError, match="strange"), writing("a"):
        raise OSError(errno.EPIPE, "strange")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(UserError, match="out: a file or folder is in the way"):
        make_folder(tmp_path / "out")
    with pytest.raises(UserError, match="a file or folder is in the way"):
        write_text(tmp_path / "out" / "a.txt", "x")


def test_a_folder_where_a_file_should_be(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match=r"a.txt: a file or folder is in the way"):
        write_text(tmp_path / "a.txt", "x")
    assert files(tmp_path) == ["a.txt"]


def test_a_new_folder_replaces_the_whole_old_one(tmp_path):
    for names in (("a", "b"), ("b", "c")):
        with new_folder(tmp_path / "model") as folder:
            assert folder != tmp_path / "model"
            for name in names:
                (folder / name).write_text(name)
    assert files(tmp_path) == ["model", "model/b", "model/c"]


def test_a_block_that_fails_leaves_the_old_folder(tmp_path):
    with new_folder(tmp_path / "model") as folder:
        (folder / "a").write_text("old")

    def fail() -> None:
        with new_folder(tmp_path / "model") as folder:
            (folder / "a").write_text("new")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert (tmp_path / "model" / "a").read_text() == "old"
    assert files(tmp_path) == ["model", "model/a"]


def test_leftovers_go_and_a_half_replaced_folder_comes_back(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".metrics.jsonl.123.tmp").write_text("half")
    (tmp_path / ".model.123.tmp").mkdir()
    (tmp_path / ".model.123.tmp" / "a").write_text("half")
    (tmp_path / ".model.old.tmp").mkdir()
    (tmp_path / ".model.old.tmp" / "a").write_text("old")
    (tmp_path / ".kept").write_text("not ours")
    remove_leftovers(tmp_path)
    assert files(tmp_path) == [".kept", "deep", "model", "model/a"]
    assert (tmp_path / "model" / "a").read_text() == "old"


def test_a_folder_that_was_replaced_does_not_come_back(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_text("new")
    (tmp_path / ".model.old.tmp").mkdir()
    (tmp_path / ".model.old.tmp" / "a").write_text("old")
    remove_leftovers(tmp_path)
    assert files(tmp_path) == ["model", "model/a"]
    assert (tmp_path / "model" / "a").read_text() == "new"


def test_json_is_read_back_in_order_and_nan_is_refused(tmp_path):
    value = {"b": [1, None, "ü"], "a": 0.1}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert list(json.loads(text).items()) == list(value.items())
    assert "ü" in text
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == text


def test_bytes_arrive_unchanged(tmp_path):
    data = bytes(range(256)) * 3
    write_bytes(tmp_path / "new" / "folder" / "a.bin", data)
    assert (tmp_path / "new" / "folder" / "a.bin").read_bytes() == data


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "deep/" + "n" * 300])
def test_names_that_no_file_can_have(tmp_path, name):
    for write in (lambda: write_text(tmp_path / name, "x"), lambda: make(tmp_path / name, a="x")):
        with pytest.raises(UserError, match=r"no file or folder can have this name|longer than the system"):
            write()


def test_a_folder_that_somebody_else_made_is_never_replaced(tmp_path):
    """Nor one of ours to which something was added, nor a link."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("years of work")
    make(ours, weights="new")
    (ours / "notes.md").write_text("mine")
    (tmp_path / "link").symlink_to(ours)
    (tmp_path / "file").write_text("a file")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    for name in ("theirs", "ours", "link", "file"):
        with pytest.raises(UserError, match=f"{name}: something is here that prefloop did not write"):
            make(tmp_path / name, weights="newer")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_only_our_own_leftovers_are_removed(tmp_path):
    for name in (".notes.tmp", ".my.draft.tmp", "plain.tmp"):
        (tmp_path / name).write_text("theirs")
    remove_leftovers(tmp_path)
    assert files(tmp_path) == [".my.draft.tmp", ".notes.tmp", "plain.tmp"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_everything_may_be_read_by_whom_the_umask_lets(tmp_path, mask, mode):
    """A temporary file, as libraries write weights through, may be read by nobody else."""
    before = os.umask(mask)
    try:
        with new_folder(tmp_path / "model") as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "weights").write_text("w")
            (folder / "inner" / "weights").chmod(0o600)
        write_text(tmp_path / "note", "x")
    finally:
        os.umask(before)
    for path in (tmp_path / "model" / "inner" / "weights", tmp_path / "note"):
        assert path.stat().st_mode & 0o777 == mode
