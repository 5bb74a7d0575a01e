"""A command's output never takes the place of what prefloop did not write, nor of what it reads."""

import os
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.files.atomic import write_text
from prefloop.files.outputs import check_output, output, was_written


def put(path: Path, text: str, **how: tuple[str, ...]) -> None:
    """As a command does."""
    with output(path, **how) as new:
        write_text(new, text)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder with things of the user."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_text("weights")
    (tmp_path / "demos.jsonl").write_text("{}\n")
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "demos.jsonl")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "demos.jsonl")
    (tmp_path / "nowhere.jsonl").symlink_to(tmp_path / "missing.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "model2").symlink_to(tmp_path / "model")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "mine.jsonl").write_text("mine")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("demos.jsonl", "this is also read, as .*demos.jsonl, and would be lost. Choose another out=FILE"),
        ("./model/../demos.jsonl", "this is also read"),
        ("hard.jsonl", "this is also read"),
        ("link.jsonl", "this is also read"),
        ("nowhere.jsonl", "this is a link, not a file"),
        ("folder.jsonl", "this is a folder, not a file"),
        ("pipe.jsonl", "this is a device, not a file"),
        ("mine.jsonl", "this file is there already, and prefloop did not write it as it is now"),
        ("model/scores.jsonl", "this is inside .*model, which is read and stays as it is"),
        ("model2/scores.jsonl", "this is inside .*model, which is read"),
        ("scores.txt", "what is written here is .jsonl; give out= a name that ends so"),
        ("model.safetensors", "what is written here is .jsonl"),
        ("n" * 300 + ".jsonl", "longer than the system allows"),
        ("a\0b.jsonl", "no file or folder can have this name"),
        ("demos.jsonl/scores.jsonl", "a file or folder is in the way|this is inside"),
    ],
)
def test_no_place_for_an_output(there: Path, name: str, says: str):
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file() and not path.is_symlink()}
    with pytest.raises(UserError, match=says):
        put(there / name, "new", inputs=(str(there / "demos.jsonl"), str(there / "model")), suffixes=(".jsonl",))
    assert {path: path.read_bytes() for path in before} == before
    assert (there / "link.jsonl").is_symlink()


def test_what_was_written_is_written_again_until_somebody_changes_it(tmp_path: Path):
    file = tmp_path / "deep" / "scores.jsonl"
    for text in ("one", "two", "two"):
        put(file, text)
        assert file.read_text() == text
    moved = file.rename(tmp_path / "deep" / "kept.jsonl")
    assert not was_written(moved), "under another name it is the user's"
    put(file, "three")
    file.write_text("three, and a note of mine")
    with pytest.raises(UserError, match=r"prefloop did not write it as it is now. Choose another out=FILE, or"):
        put(file, "four")
    assert file.read_text() == "three, and a note of mine"


def test_devices_stay_devices():
    for name in ("/dev/null", "/dev/stdout", "/proc/self/status"):
        with pytest.raises(UserError):
            check_output(name)


def test_what_fails_leaves_what_was_there(tmp_path: Path):
    file = tmp_path / "scores.jsonl"
    put(file, "one")
    with pytest.raises(OSError, match="half"):
        half_written(file)
    assert file.read_text() == "one"
    assert was_written(file)
    with pytest.raises(UserError, match="prefloop did not write it"):
        put_while(file, "mine, put here meanwhile")
    assert file.read_text() == "mine, put here meanwhile"
    assert {path.name for path in tmp_path.iterdir()} == {file.name, f".{file.name}.written"}


def half_written(file: Path) -> None:
    """As a command whose disk is full."""
    with output(file) as new:
        write_text(new, "two")
        raise OSError("half")


def put_while(file: Path, text: str) -> None:
    """As a command while which somebody puts a file of theirs there."""
    with output(file) as new:
        write_text(new, "four")
        file.write_text(text)


def test_a_kill_leaves_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After each step the old file or the new one lies there, and its note says so."""
    file, known = tmp_path / "scores.jsonl", list[bool]()
    put(file, "one")

    def write(path: Path, text: str) -> None:
        write_text(path, text)
        known.append(was_written(file))

    monkeypatch.setattr("prefloop.files.outputs.write_text", write)
    put(file, "three")
    assert known == [True, True]
    assert file.read_text() == "three"
