"""What lies where is said in one place: no other file of src spells the name of a file or folder of a pipeline."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import prefloop
from prefloop import layout
from prefloop.stages import STAGES

SRC = Path(prefloop.__file__).parent


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every string but docstrings and sentences."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return (n for n in texts if id(n) not in prose and not any(letter.isspace() for letter in str(n.value)))


def parsed(file: Path) -> ast.AST:
    """A file's syntax tree."""
    return ast.parse(file.read_text(encoding="utf-8"))


NAMES = {text for node in strings(parsed(Path(layout.__file__))) for text in str(node.value).split("/") if text}
NAMES -= STAGES.keys() - {layout.SFT, layout.COLLECT, layout.PPO, layout.EVALUATE}
FILES = {name for name in NAMES if "." in name.strip(".") or name == layout.RUN_LOCK}


def spelled(tree: ast.AST) -> list[str]:
    """Names of the layout in a file: whole or as a part of a path; words such as `model` only as a part of one."""
    joined = {id(n.right) for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)}
    texts = []
    for node in strings(tree):
        text = str(node.value)
        is_path = id(node) in joined or ("/" in text and not text.startswith("/"))  # "/v1/models" is an address
        names = set(text.split("/"))
        if names & FILES or (is_path and names & NAMES) or text.startswith("step-"):
            texts.append(text)
    return texts


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('run.folder / "model"', ["model"]),
        ('f"models/{name}"', ["models/"]),
        ('open("run.json")', ["run.json"]),
        ('folder.glob("step-*")', ["step-*"]),
        ('state = {"model": 1, "parts": 2}; "the file run.json is damaged"; route("/v1/models")', []),
    ],
)
def test_a_name_that_is_spelled_is_seen(code: str, expected: list[str]):
    assert spelled(ast.parse(code)) == expected


def test_only_layout_spells_what_lies_where():
    files = [file for file in SRC.rglob("*.py") if file != Path(layout.__file__)]
    assert {str(f.relative_to(SRC)): names for f in files if (names := spelled(parsed(f)))} == {}


def test_the_stages_that_are_looked_for_are_in_the_table():
    assert {layout.SFT, layout.COLLECT, layout.PPO, layout.EVALUATE} <= STAGES.keys()
    assert "policies" in STAGES[layout.PPO].writes


def test_policies_come_in_the_order_of_their_steps(tmp_path: Path):
    for step in (100, 20, 3):
        folder = tmp_path / layout.policy(step)
        folder.mkdir(parents=True)
        layout.model_card(folder).write_text("{}")
    (tmp_path / layout.policy(7)).mkdir()  # without a model
    assert [layout.step_of(folder.name) for folder in layout.policies(tmp_path)] == [3, 20, 100]
    assert layout.step_of("reference") is None
