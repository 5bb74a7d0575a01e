"""Synthetic rows: what each kind is, their tags, and that none is validated with."""

import random
from pathlib import Path
from typing import Any

import pytest

from prefloop.data.augment import augment, shuffled, truncated
from prefloop.data.command import main
from prefloop.data.config import AugmentConfig
from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.files.tables import read_records, write_records
from prefloop.records import Message, Preference, Vote
from prefloop.reward.config import RewardConfig

CITIES = ("Leeds", "Dundee", "Exeter", "Luton")


def rows(num: int, *, begin: int = 0) -> list[Preference]:
    """Each names its order and its city in the chosen response."""
    return [
        Preference(
            id=f"f{i}",
            messages=(Message(role="user", content=f"Where is order {1000 + i} to {CITIES[i % 4]}?"),),
            chosen=f"Order {1000 + i} goes to {CITIES[i % 4]} by train number {i}",
            rejected="No idea",
            votes=(Vote(side="chosen", annotator="ann", annotator_kind="person"),),
            tags=("topic:delivery",),
        )
        for i in range(begin, begin + num)
    ]


def made(tmp_path: Path, **settings: Any) -> list[Preference]:
    write_records(tmp_path / "p.jsonl", rows(80))
    augment(str(tmp_path / "p.jsonl"), AugmentConfig(out=str(tmp_path / "both.jsonl"), **settings))
    return read_records(tmp_path / "both.jsonl", Preference)


def test_every_kind_is_worse_and_tagged(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A quarter of 80 rows for each of four kinds; the real rows stay as they are."""
    found = made(tmp_path)
    assert found[:80] == rows(80)
    by_id = {row.id: row for row in found[:80]}
    for row in found[80:]:
        name, kind = row.id.split(":")
        old = by_id[name]
        assert row.tags == ("topic:delivery", "synthetic", f"synthetic:{kind}")
        assert (row.chosen, row.messages, row.votes, row.agreement) == (old.chosen, old.messages, (), None)
        if kind == "shuffled":
            assert sorted(row.rejected.split()) == sorted(old.chosen.split())
        elif kind == "truncated":
            assert row.rejected == " ".join(old.chosen.split()[:6])  # of 9 words
        elif kind == "swapped":
            assert row.rejected in {other.chosen for other in by_id.values()} - {old.chosen}
        else:
            assert len(row.rejected.split()) == 9
            assert sum(a != b for a, b in zip(row.rejected.split(), old.chosen.split(), strict=True)) in (1, 2)
    kinds = [row.id.split(":")[1] for row in found[80:]]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(
        ("shuffled", "truncated", "swapped", "altered"), 20
    )
    assert "80 synthetic ones (20 altered, 20 shuffled, 20 swapped, 20 truncated)" in capsys.readouterr().out
    assert made(tmp_path) == found
    assert made(tmp_path, seed=1) != found


def test_chinese_has_no_spaces():
    assert truncated("包裹明天到。") == "包裹明天"
    assert sorted(shuffled("包裹明天到。", random.Random(0))) == sorted("包裹明天到。")


def test_nothing_is_made_of_what_is_held_out(tmp_path: Path):
    write_records(tmp_path / "held.jsonl", rows(40))
    found = made(tmp_path, held_out=str(tmp_path / "held.jsonl"), share=1.0)
    assert {int(row.id.split(":")[0][1:]) for row in found[80:]} == {*range(40, 80)}


def test_prompts_in_other_words(tmp_path: Path):
    """By a function of the user's; the decision and its votes stay, and a prompt that stays the same is left out."""
    (tmp_path / "mine.py").write_text(
        "def other(prompts):\n"
        "    return [p if 'Leeds' in p else p.replace('Where is', 'I look for') for p in prompts]\n"
    )
    found = made(tmp_path, kinds=(), paraphrase=f"python:{tmp_path / 'mine.py'}:other")
    assert len(found) == 80 + 60
    for row in found[80:]:
        assert row.messages[0].content.startswith("I look for order ")
        assert row.tags[1:] == ("synthetic", "synthetic:paraphrased")
        assert (len(row.votes), row.rejected) == (1, "No idea")
    (tmp_path / "bad.py").write_text("def other(prompts):\n    return [3 for p in prompts]\n")
    with pytest.raises(UserError, match="for a prompt it returned 3"):
        made(tmp_path, kinds=(), paraphrase=f"python:{tmp_path / 'bad.py'}:other")


def test_synthetic_rows_are_never_validated_with(tmp_path: Path):
    """Neither by a share that is drawn, nor by a file; with a file of real ones they teach, and count what is said."""
    found = made(tmp_path)
    write_records(tmp_path / "held.jsonl", rows(20, begin=200))
    write_records(
        tmp_path / "made.jsonl",
        [row.model_copy(update={"messages": rows(1, begin=300)[0].messages}) for row in found[80:]],
    )
    same = {"model": "m", "out": "o", "preferences": str(tmp_path / "both.jsonl")}
    with pytest.raises(UserError, match=r"80 of its rows are synthetic .* Give held_out=FILE"):
        split(RewardConfig(**same))
    with pytest.raises(UserError, match="accuracy on what nobody judged means nothing"):
        split(RewardConfig(**same, held_out=str(tmp_path / "made.jsonl")))
    told = list[str]()
    said = split(
        RewardConfig(**same, held_out=str(tmp_path / "held.jsonl"), trust={"synthetic:swapped": 0.5}), told.append
    )
    assert (len(said.training), len(said.validation)) == (160, 20)
    assert any("20 tagged synthetic:swapped count 0.5" in line for line in told)


def test_bad_input(tmp_path: Path):
    made(tmp_path)
    both = str(tmp_path / "both.jsonl")
    with pytest.raises(UserError, match="synthetic already"):
        augment(both, AugmentConfig(out=str(tmp_path / "again.jsonl")))
    for settings, says in (
        (["kinds=[]"], "makes no worse copies"),
        (["paraphrase=gpt"], "no function"),
        (["kinds=[shufled]"], "should be"),
        (["kind=[shuffled]"], "Did you mean `kinds`"),
    ):
        with pytest.raises(UserError, match=says):
            main(["augment", str(tmp_path / "p.jsonl"), f"out={tmp_path / 'x.jsonl'}", *settings])
    with pytest.raises(UserError, match="no synthetic row could be made of its 0 rows"):
        augment(str(tmp_path / "p.jsonl"), AugmentConfig(out=both, held_out=str(tmp_path / "p.jsonl")))
