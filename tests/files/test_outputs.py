"""A command's output never takes the place of what prefloop did not write, nor of what it reads."""

import os
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.files.atomic import write_text
from prefloop.files.outputs import check_output, output, was_written


def put(path: Path, text: str, **how: tuple[str, ...]) -> None:
    """As a command does."""
    with output(path, **how):
        write_text(path, text)


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
