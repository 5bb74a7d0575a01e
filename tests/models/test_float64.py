"""Apple GPUs have no float64: what is on a device is brought to the CPU before it is made double."""

import ast
from pathlib import Path

import pytest

import prefloop

SRC = Path(prefloop.__file__).parent
TORCH = ("align", "chat", "collect", "evaluate", "models", "ops", "pretrain", "reward", "sampling", "score", "scoring")
"""Folders whose tensors may be on a device."""
ON_THE_CPU = {"zeros", "ones", "tensor", "arange", "rand", "empty", "full", "from_numpy"}
"""What makes a tensor on the CPU, unless a device is given."""


def doubles(source: str) -> list[int]:
    """Lines that make doubles of what need not be on the CPU."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        given = [ast.unparse(value) for value in [*node.args, *(word.value for word in node.keywords)]]
        asked = "torch.float64" in given or "torch.double" in given
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name == "double" or (asked and name not in ON_THE_CPU):
            owner = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if not ast.unparse(owner).endswith(".cpu()"):
                found.append(node.lineno)
        elif asked and any(word.arg == "device" for word in node.keywords):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("x.double().sum()", [1]),
        ("x.cpu().double().sum()", []),
        ("x.to(torch.float64)", [1]),
        ("x.sum(dtype=torch.float64)", [1]),
        ("x.cpu().sum(dtype=torch.float64)", []),
        ("torch.zeros(3, dtype=torch.float64)", []),
        ("torch.zeros(3, dtype=torch.float64, device=device)", [1]),
    ],
)
def test_by_hand(source: str, lines: list[int]):
    assert doubles(source) == lines


def test_nothing_on_a_device_is_made_double():
    files = [file for folder in TORCH for file in (SRC / folder).rglob("*.py")]
    assert len(files) > 50
    found = {
        str(file.relative_to(SRC)): lines for file in files if (lines := doubles(file.read_text(encoding="utf-8")))
    }
    assert found == {}
