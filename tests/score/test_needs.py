"""What is read to score a file, by hand."""

from collections.abc import Callable

import pytest

from prefloop.costs.reading import Lengths
from prefloop.score.config import ScoreConfig
from prefloop.score.needs import lengths, needs

ASKED = {"messages": [{"role": "user", "content": "where is it?"}]}


def test_every_response_is_counted(folder: str, write_rows: Callable[..., str]):
    """Two of a preference, also where nobody decided, one of a demonstration."""
    preferred = {**ASKED, "chosen": "soon", "rejected": "no"}
    files = {
        4: write_rows("p.jsonl", [preferred, {**preferred, "votes": [{"side": "tie"}]}]),
        1: write_rows("d.jsonl", [{**ASKED, "response": "soon"}]),
    }
    for count, file in files.items():
        assert lengths(ScoreConfig(model=folder, data=file, out="o")).count == count


def test_arithmetic_by_hand(folder: str):
    """
    layers of 16 x 16 (q, o), 16 x 8 (k, v) and three of 16 x 32: 2 x 2304 = 4608 numbers, two products each, and
    2 x 2 layers x 16 x 10 for attention over 10 tokens; 30 responses of 10 tokens
    """
    found = needs(ScoreConfig(model=folder, data="d", out="o", device="cpu"), Lengths(30, 10, 12, 4))
    assert found.parts[0].flops == pytest.approx(300 * (2 * 4608 + 2 * 2 * 16 * 10))
