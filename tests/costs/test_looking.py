"""Rows that no tokenizer counts, by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop.costs import looking
from prefloop.costs.reading import Lengths
from prefloop.records import Preference, Ranking

ASKED = [{"messages": [{"role": "user", "content": text}]} for text in ("where is it?", "包裹在哪里？")]
"""12 and 18 bytes: 3 and 5 tokens, and 5 around each."""


@pytest.fixture
def bare(folder: str, tmp_path: Path) -> str:
    """A model folder of config.json alone; its model reads 64 tokens."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_bytes((Path(folder) / "config.json").read_bytes())
    return str(tmp_path / "bare")


def test_lengths_by_bytes(bare: str, write_rows: Callable[..., str]):
    """
    prompts         8, 10
    demonstrations  the same, and "on its way" (10 bytes): 3 tokens, and one that ends it
    preferences     with "soon" 1 + 1, with "no" 1 + 1
    rankings        of 4, so that each is two pairs: 1 + 1, 1 + 1, 3 + 1, 1 + 1
    a long one      1000 bytes, cut to what the model reads
    """
    asked = write_rows("prompts.jsonl", ASKED)
    shown = write_rows("shown.jsonl", [{**row, "response": "on its way"} for row in ASKED])
    preferred = write_rows("preferred.jsonl", [{**row, "chosen": "soon", "rejected": "no"} for row in ASKED])
    judged = {"responses": ["soon", "no", "on its way", "so"], "ranks": [1, 2, 3, 4]}
    ranked = write_rows("ranked.jsonl", [{**row, **judged} for row in ASKED])
    long = write_rows("long.jsonl", [{**ASKED[0], "response": "x" * 1000}])
    found = [
        looking.prompts(asked, bare, template=None),
        looking.demonstrations(shown, bare, template=None),
        looking.preferences(preferred, bare, template=None, kind=Preference),
        looking.preferences(ranked, bare, template=None, kind=Ranking),
        looking.demonstrations(long, bare, template=None),
    ]
    said = found[0].assumed
    assert said.startswith(f"{bare} holds no tokenizer: 4 bytes")
    assert found == [
        Lengths(2, mean=9, longest=10, responses=0, assumed=said),
        Lengths(2, mean=13, longest=14, responses=4, assumed=said),
        Lengths(2, mean=11, longest=12, responses=2, assumed=said),
        Lengths(4, mean=11.5, longest=14, responses=2.5, assumed=said),
        Lengths(1, mean=64, longest=64, responses=63, assumed=said),
    ]
