"""The law of every command: a sentence or success. Never a traceback, never a changed input."""

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefloop import cli
from prefloop.config import in_order
from prefloop.named import named
from prefloop.stages import STAGES

BOUNDED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
STAGE = {stage.command: named(stage.settings) for stage in STAGES.values() if stage.settings is not None}
KEYS = sorted({name for config in STAGE.values() for name in in_order(config)})
WORDS = st.sampled_from(
    [
        "0",
        "-1",
        "1",
        "3.5",
        ".inf",
        ".nan",
        "1e999",
        "yes",
        "none",
        "~",
        "[1, 2]",
        "{a: 1}",
        "''",
        "&a [*a]",
        "!!set {}",
        "? x",
        "in/rows.jsonl",
        "in/bad",
        "in",
        "/dev/null",
        "sft/model",
        "$base",
        "$x",
        "python:in/rows.jsonl:f",
        "auto",
        "cpu",
        "2024-02-30",
    ]
)
VALUES = WORDS | st.text(max_size=12) | st.integers().map(str) | st.floats().map(repr)
SETTING = st.builds("{}={}".format, st.sampled_from(KEYS) | st.text(max_size=6), VALUES)


def ends_well(arguments: list[str], inputs: Path) -> None:
    """Runs a command. Fails unless it ends in success or in one sentence, with the inputs as they were."""
    before = {path: path.read_bytes() for path in sorted(inputs.rglob("*")) if path.is_file()}
    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        code = cli.main(arguments)
    assert code in (0, 1, 2, cli.DIVERGED), said.getvalue()
    assert code != 2 or said.getvalue().count("prefloop: ") >= 1
    assert "Traceback" not in said.getvalue()
    assert {path: path.read_bytes() for path in sorted(inputs.rglob("*")) if path.is_file()} == before


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with some inputs; nothing that trains is in it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@BOUNDED
@given(command=st.sampled_from(sorted(set(STAGE) - {"data world"})), typed=st.lists(SETTING, max_size=5))
def test_settings_that_are_typed(command: str, typed: list[str], place: Path):
    ends_well([*command.split(), "out=out", *typed], place / "in")


YAML = st.text(alphabet="ab:-[]{}&*!?|>#%'\"\n \t0\0\ud800é~<", max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
).map(json.dumps)


@BOUNDED
@given(
    text=YAML, command=st.sampled_from(["sft", "ppo", "report", "score", "run"]), typed=st.lists(SETTING, max_size=2)
)
def test_settings_that_are_written(text: str, command: str, typed: list[str], place: Path):
    (place / "in" / "file.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    ends_well([command, "in/file.yaml", *typed], place / "in")


@BOUNDED
@given(
    stages=st.lists(
        st.sampled_from(["sft", "reward", "ppo", "report", "evaluate", "seed", "base", "out", "name"]), max_size=5
    ),
    values=st.lists(VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), min_size=5, max_size=5),
)
def test_recipes(stages: list[str], values: list[object], place: Path):
    recipe = dict(zip(stages, values, strict=False))
    (place / "in" / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    ends_well(["run", "in/recipe.yaml", "out=out"], place / "in")


ROW = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "prompt",
            "messages",
            "response",
            "completion",
            "chosen",
            "rejected",
            "text",
            "label",
            "score",
            "conversations",
        ]
    ),
    st.none()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), st.text(max_size=4)), max_size=3),
    max_size=5,
)
FILE = st.binary(max_size=80) | st.lists(ROW, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())


@BOUNDED
@given(data=FILE, suffix=st.sampled_from([".jsonl", ".json", ".jsonl.gz", ".parquet", ".csv", ".txt", ""]))
def test_files(data: bytes, suffix: str, place: Path):
    path = place / "in" / f"file{suffix}"
    path.write_bytes(data)
    ends_well(["data", "check", str(path)], place / "in")


@settings(BOUNDED, max_examples=40)
@given(
    files=st.dictionaries(
        st.sampled_from(
            [
                "run.json",
                "config.json",
                "finished.json",
                "metrics.jsonl",
                "recipe.yaml",
                "timing.json",
                "samples.jsonl",
                "evaluation.json",
            ]
        ),
        FILE | st.just(b"{}") | st.just(b"[]"),
        max_size=5,
    ),
    stage=st.sampled_from(["", "sft", "ppo", "evaluate", "model"]),
)
def test_folders(files: dict[str, bytes], stage: str, place: Path):
    folder = place / "in" / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / stage).mkdir(parents=True)
    for name, data in files.items():
        (folder / stage / name).write_bytes(data)
    ends_well(["report", f"pipeline={folder}", "out=out"], place / "in")
    ends_well(["chat", str(folder)], place / "in")
    ends_well(["sft", f"model={folder}", "demonstrations=in/rows.jsonl", f"out={folder / stage}/out"], place / "in")
