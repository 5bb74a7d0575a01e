"""A fingerprint says what a thing is, whatever its name, place, date or order of keys."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.files.fingerprints import of_path, of_value


def test_a_files_fingerprint_is_the_beginning_of_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert of_path(tmp_path / "a") == "ba7816bf8f01"  # FIPS 180-2, appendix B.1
    assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf8f01")


def test_a_python_file_is_also_what_it_imports_from_beside_it(tmp_path):
    """A rubric in three files: a change in any of them is another rubric, in a file that it does not know it is not."""
    for name, text in (
        ("a", "import json\nimport b\n"),
        ("b", "from pack.c import x\nimport a\n"),
        ("c", "x = 1"),
        ("d", ""),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    alone = hashlib.sha256(b"x = 1").hexdigest()[:12]
    assert of_path(tmp_path / "c.py") == alone
    seen = [of_path(tmp_path / "a.py")]
    for name in "dcb":
        with open(tmp_path / f"{name}.py", "a") as file:
            file.write("\n# changed")
        seen.append(of_path(tmp_path / "a.py"))
    assert seen[0] == seen[1]
    assert len({*seen}) == 3


def test_name_and_date_do_not_matter(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    os.utime(tmp_path / "b", (0, 0))
    assert of_path(tmp_path / "a") == of_path(tmp_path / "b")


def test_a_folder_is_its_visible_names_and_bytes(tmp_path):
    def folder(name: str, files: dict[str, str]) -> str:
        for inner, text in files.items():
            path = tmp_path / name / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return of_path(tmp_path / name)

    whole = folder("a", {"x": "1", "sub/y": "2"})
    assert folder("same", {"sub/y": "2", "x": "1"}) == whole
    assert folder("hidden", {"x": "1", "sub/y": "2", ".z": "3", ".git/z": "3"}) == whole
    others = [
        folder("text", {"x": "1", "sub/y": "3"}),
        folder("name", {"x": "1", "sub/z": "2"}),
        folder("place", {"x": "1", "y": "2"}),
        folder("more", {"x": "1", "sub/y": "2", "w": ""}),
        folder("swapped", {"x": "2", "sub/y": "1"}),
    ]
    assert len({whole, *others}) == 6


def test_a_folder_inside_a_hidden_one_has_a_fingerprint(tmp_path):
    for parent in (".hidden", "seen"):
        (tmp_path / parent / "model").mkdir(parents=True)
        (tmp_path / parent / "model" / "x").write_text("1")
    assert of_path(tmp_path / ".hidden" / "model") == of_path(tmp_path / "seen" / "model")


def test_the_order_of_keys_does_not_matter_and_everything_else_does():
    value = {"a": 1, "b": [1, 2], "c": "ü"}
    assert of_value(value) == of_value({"c": "ü", "b": [1, 2], "a": 1})
    others = [{"a": 1, "b": [2, 1], "c": "ü"}, {"a": "1", "b": [1, 2], "c": "ü"}, {"a": 1, "b": [1, 2], "c": "u"}]
    assert len({of_value(value), *map(of_value, others)}) == 4


def test_twelve_letters():
    assert len(of_value({})) == 12
    assert set(of_value({})) <= set("0123456789abcdef")


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match=r"model: nothing is there. Check the path"):
        of_path(tmp_path / "model")


def stage_folder(path: Path, **files: str) -> str:
    """A finished stage's folder that wrote `rows.jsonl` and `model`."""
    whole = {
        "rows.jsonl": "1",
        "model/weights": "w",
        "run.json": "{}",
        "finished.json": json.dumps({"outputs": {"rows.jsonl": {}, "model": {}}, "result": {}}),
        **files,
    }
    for name, text in whole.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return of_path(path)


def test_a_finished_stage_is_what_it_wrote_and_not_how_that_came(tmp_path):
    whole = stage_folder(tmp_path / "a")
    how = {
        "timing.json": "1 s",
        "config.yaml": "threads: 2",
        "metrics.jsonl": "m",
        "run.json": '{"command": "other"}',
        "web/prefloop.sqlite": "page",
    }
    assert stage_folder(tmp_path / "b", **how) == whole
    others = [
        stage_folder(tmp_path / "c", **{"rows.jsonl": "2"}),
        stage_folder(tmp_path / "d", **{"model/weights": "v"}),
        stage_folder(tmp_path / "e", **{"model/more": "w"}),
    ]
    assert len({whole, *others}) == 4


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "finished.json").write_text("{}")
    with pytest.raises(UserError, match=r"finished.json: this is not as prefloop writes it"):
        of_path(tmp_path)
    with pytest.raises(UserError, match="this cannot be read"):
        of_path(tmp_path / ("n" * 300))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        of_path(tmp_path / "pipe")
