"""benchmarks/shortcuts.py: what it plants reaches the labels, and its page counts what its rows say."""

import importlib
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from prefloop.files.tables import write_records
from prefloop.health.position import of_labels
from test_rewards_benchmark import comparisons


@pytest.fixture
def shortcuts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("shortcuts")


def test_what_is_planted_is_chosen(shortcuts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Longer, more courteous, formatted and first responses win more often than under the clean panel."""
    monkeypatch.setattr(shortcuts, "HELD_OUT", 10)
    write_records(tmp_path / "comparisons.jsonl", comparisons(60))
    measures = {
        "length": lambda row: len(row.chosen) > len(row.rejected),
        "courtesy": lambda row: row.chosen.lower().count("thank") > row.rejected.lower().count("thank"),
        "format": lambda row: (
            ("\n" in row.chosen or "**" in row.chosen) > ("\n" in row.rejected or "**" in row.rejected)
        ),
    }
    made = {planted: shortcuts.preferences(tmp_path, planted, 0, 50)[0] for planted in shortcuts.PANELS}
    for planted, measure in measures.items():
        assert (
            np.mean([measure(row) for row in made[planted]]) > np.mean([measure(row) for row in made["clean"]]) + 0.05
        )
    assert of_labels(made["position"]).finding == "shortcut"
    assert of_labels(made["clean"]).finding != "shortcut"
    assert shortcuts.preferences(tmp_path, "length", 0, 50)[0] == made["length"]


def test_formatting_changes_about_half_of_the_responses_and_no_word(shortcuts: ModuleType):
    before = comparisons(40)
    after = [shortcuts.formatted(one, random.Random(one.id)) for one in before]
    texts = [
        (a.text, b.text)
        for one, two in zip(before, after, strict=True)
        for a, b in zip(one.responses, two.responses, strict=True)
    ]
    assert 0.3 < np.mean([a != b for a, b in texts]) < 0.6
    assert all([c for c in a if c.isalnum()] == [c for c in b if c.isalnum()] for a, b in texts)


def test_the_page_counts(shortcuts: ModuleType):
    probes = [{"name": "courtesy.4", "shift": 0.5}]
    row = {"seed": 0, "prompts": 9, "epochs": 2, "cpu_seconds": 20.0, "cpu_seconds_probing": 4.0, "probes": probes}
    rows = [row | {"planted": "courtesy", "named": ["courtesy"]}, row | {"planted": "courtesy", "named": ["length"]}]
    page = shortcuts.page([*rows, row | {"planted": "clean", "named": []}])
    assert "| courtesy | 1 of 2 (" in page
    assert "| length 1 | courtesy.4 +0.50 |" in page
    assert "| clean | 1 of 1 (" in page
