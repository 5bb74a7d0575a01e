"""Preferences with planted errors: how many, which, and that one cell differs from another in what it says alone."""

from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.files.tables import read_records, write_records
from prefloop.lab.planted import planted, write_planted
from prefloop.records import Message, Preference

ROWS = [
    Preference(
        id=f"r{i}",
        messages=(Message(role="user", content=f"question {i}"),),
        chosen=f"good {i}",
        rejected=f"bad {i}",
        strength=2.0,
        comparison=f"c{i}",
        tags=("topic:refund",),
    )
    for i in range(2000)
]


def is_wrong(row: Preference) -> bool:
    return row.chosen.startswith("bad")


def test_a_known_share_is_turned_round_and_nothing_else_is_said():
    made = planted(ROWS, pairs=None, flips=0.25, seed=0)
    assert len(made) == 2000
    assert sum(map(is_wrong, made)) == pytest.approx(500, abs=4 * 19.4)  # four standard errors
    assert all({row.chosen, row.rejected} == {f"good {row.id[1:]}", f"bad {row.id[1:]}"} for row in made)
    assert all(row.strength is None and not row.votes for row in made)  # the decision alone
    assert all(row.comparison == f"c{row.id[1:]}" and row.tags == ("topic:refund",) for row in made)
    assert not any(map(is_wrong, planted(ROWS, pairs=None, flips=0.0, seed=0)))


def test_fewer_are_among_more_and_what_is_wrong_stays_wrong():
    few, many = (planted(ROWS, pairs=pairs, flips=0.25, seed=1) for pairs in (125, 500))
    assert many[:125] == few
    less, more = ({row.id for row in planted(ROWS, pairs=500, flips=f, seed=1) if is_wrong(row)} for f in (0.1, 0.4))
    assert less < more
    assert [r.id for r in planted(ROWS, pairs=500, flips=0.1, seed=1)] == [r.id for r in many]


def test_seeds_draw_other_pairs_and_other_errors():
    one, two = (planted(ROWS, pairs=500, flips=0.25, seed=seed) for seed in (0, 1))
    shared = {row.id for row in one} & {row.id for row in two}
    assert len(shared) == pytest.approx(125, abs=40)
    both = {row.id for row in one if is_wrong(row)} & {row.id for row in two if is_wrong(row)}
    assert len(both) < 25  # a sixteenth of what is shared


def test_too_few_are_refused_and_a_file_that_is_there_stays(tmp_path: Path):
    write_records(tmp_path / "p.jsonl", ROWS[:20])
    with pytest.raises(UserError, match="pairs = 50, but there are only 20 preferences"):
        write_planted(str(tmp_path / "p.jsonl"), tmp_path / "out.jsonl", pairs=50, flips=0.0, seed=0)
    assert not (tmp_path / "out.jsonl").exists()
    write_planted(str(tmp_path / "p.jsonl"), tmp_path / "in" / "out.jsonl", pairs=50, flips=0.0, seed=0, most=True)
    assert len(read_records(tmp_path / "in" / "out.jsonl", Preference)) == 20
    before = (tmp_path / "in" / "out.jsonl").read_bytes()
    write_planted(str(tmp_path / "p.jsonl"), tmp_path / "in" / "out.jsonl", pairs=10, flips=0.0, seed=0)
    assert (tmp_path / "in" / "out.jsonl").read_bytes() == before
