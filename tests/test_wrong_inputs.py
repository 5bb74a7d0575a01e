"""Some of the wrong inputs of every stage; benchmarks/wrong_inputs.py runs all of them."""

import importlib.util
import itertools
from collections import Counter
from pathlib import Path

import pytest

from prefloop.stages import STAGES
from wrong_cases import Case, cases, inputs

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "wrong_inputs.py"
SPEC = importlib.util.spec_from_file_location("benchmark_wrong_inputs", BENCHMARK)
assert SPEC is not None
assert SPEC.loader is not None
BENCH = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BENCH)
SAMPLE = 48


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    """A folder with every input, and all cases."""
    folder = tmp_path_factory.mktemp("wrong")
    return folder, cases(*inputs(folder / "in"))


def sample(every: list[Case]) -> list[Case]:
    """Cases evenly from the list, those that train left out."""
    quick = [case for case in every if case.what != "diverges"]
    return list(itertools.islice(quick, 3, None, max(1, len(quick) // SAMPLE)))


def test_there_are_enough_of_every_stage(place: tuple[Path, list[Case]]):
    counts = Counter(case.stage.split()[0] for case in place[1])
    assert sum(counts.values()) >= 300
    assert {stage.command.split()[0] for stage in STAGES.values()} <= counts.keys()
    assert len({tuple(case.arguments) for case in place[1]}) == len(place[1])


def test_a_wrong_input_is_one_sentence_that_names_it(place: tuple[Path, list[Case]], monkeypatch: pytest.MonkeyPatch):
    folder, every = place
    monkeypatch.chdir(folder)
    became = {" ".join(case.arguments)[:200]: BENCH.outcome(case, folder) for case in sample(every)}
    assert len(became) >= 40
    assert {typed: (made.fault, made.said) for typed, made in became.items() if made.fault} == {}
