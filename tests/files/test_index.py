"""Records by number: the same as when all are read, in a few bytes each, whatever the file's form."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from files.samples import SAMPLES, Sample
from prefloop.errors import UserError
from prefloop.files.foreign import read_preferences
from prefloop.files.hashes import Met, hash_of
from prefloop.files.index import TOGETHER, Rows
from prefloop.records import Preference, Record

Write = Callable[..., str]


def pairs(num: int) -> list[dict[str, Any]]:
    return [{"prompt": f"why {i}?", "chosen": f"so {i}", "rejected": f"no {i}", "id": f"p{i}"} for i in range(num)]


def silent(sentence: str) -> None:
    """Hears nothing."""


def without_id(record: Record) -> Record:
    """A row read again does not know its line, by which a row without an id is called."""
    return record.model_copy(update={"id": ""})


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.records], ids=lambda sample: sample.form)
def test_rows_of_every_form_are_those_that_are_read_at_once(sample: Sample, tmp_path: Path):
    """In any order, and from what an earlier pass kept as well."""
    path, kind = tmp_path / "rows.jsonl", type(sample.records[0])
    path.write_text("".join(json.dumps(row) + "\n" for row in sample.rows), encoding="utf-8")
    for _ in range(2):
        rows = Rows(path, kind, on_bad="skip", say=silent, kept=tmp_path / "kept" / "rows")
        assert list(map(without_id, rows)) == list(map(without_id, sample.records))
        backwards = range(len(rows))[::-1]
        assert list(map(without_id, rows.take(backwards))) == [without_id(sample.records[i]) for i in backwards]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.csv", "bom.jsonl", "utf16.jsonl", "a.parquet"])
def test_rows_of_every_kind_of_file(name: str, tmp_path: Path):
    """Those that cannot be read from the middle are copied, and the copy is gone with the rows."""
    path, rows = tmp_path / name, pairs(TOGETHER + 3)
    lines = "".join(json.dumps(row) + "\n\n" for row in rows)
    if name.endswith(".parquet"):
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif name == "a.csv":
        path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]))
    else:
        text = json.dumps(rows) if name == "a.json" else lines
        data = text.encode({"bom.jsonl": "utf-8-sig", "utf16.jsonl": "utf-16"}.get(name, "utf-8"))
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    read = Rows(path, Preference, say=silent)
    assert [r.chosen for r in read] == [row["chosen"] for row in rows]
    assert read[-1].rejected == rows[-1]["rejected"]


def test_bad_rows_are_told_as_ever(write_rows: Write):
    rows: list[Any] = pairs(6)
    rows[2]["chosen"] = rows[4]["chosen"] = ""
    path = write_rows("bad.jsonl", rows)
    for on_bad in ("stop", "skip"):
        told: list[list[str]] = []
        for read in (read_preferences, lambda path, on_bad, say: Rows(path, Preference, on_bad=on_bad, say=say)):
            try:
                told.append(list(read(path, on_bad, say=silent).problems))
            except UserError as problem:
                told.append([str(problem)])
        assert told[0] == told[1]
        assert told[0][0].startswith(f"{path}:3: `chosen` is empty")


def test_a_row_of_which_a_part_is_bad_gives_the_others_again(write_rows: Write):
    """A tree of messages is one row and several rankings."""

    def message(name: str, role: str, text: str, *replies: Any, rank: int | None = None) -> dict[str, Any]:
        return {"message_id": name, "role": role, "text": text, "rank": rank, "replies": replies}

    def answers(name: str, worse: str) -> list[dict[str, Any]]:
        return [message(name + "0", "assistant", "yes", rank=0), message(name + "1", "assistant", worse, rank=1)]

    asked = message("q", "prompter", "and then?", *answers("q", " "))  # blank
    better, worse = answers("r", "no")
    tree = message("r", "prompter", "why?", {**better, "replies": [asked]}, worse)
    path = write_rows("trees.jsonl", [{"message_tree_id": "r", "prompt": tree}])
    whole = read_preferences(path, on_bad="skip", say=silent)
    rows = Rows(path, Preference, on_bad="skip", say=silent)
    assert rows.problems == whole.problems != ()
    assert [without_id(row) for row in rows] == [without_id(row) for row in whole.records] != []


def test_an_id_used_twice_is_told(write_rows: Write):
    path = write_rows("twice.jsonl", [*pairs(3000), {**pairs(1)[0], "id": "p7"}])
    with pytest.raises(UserError, match=r"twice.jsonl:3001: the id 'p7' was already used in line 8; make ids unique"):
        Rows(path, Preference)


def test_what_was_met_first_by_a_dict():
    met, known = Met(), dict[str, int]()
    for number, text in enumerate(str(i * i % 5003) for i in range(9000)):
        assert met.first(text, number) == known.setdefault(text, number)
    assert hash_of("a") != hash_of("b")


def test_columns_are_noted_once(write_rows: Write, tmp_path: Path):
    """Of all rows in order, and not again by a run that goes on; but again if they depend on something else now."""
    path, calls = write_rows("rows.jsonl", pairs(2 * TOGETHER + 1)), []

    def noted(rows: Any) -> dict[str, np.ndarray]:
        calls.append(len(rows))
        return {"number": np.array([int(row.chosen[3:]) for row in rows], dtype=np.uint32)}

    for how, expected in (("a", 3), ("a", 3), ("b", 6)):
        rows = Rows(path, Preference, say=silent, kept=tmp_path / "kept", noted=noted, how=how)
        assert rows.columns["number"].tolist() == list(range(2 * TOGETHER + 1))
        assert len(calls) == expected


@pytest.mark.parametrize("change", ["longer", "touched", "gone"])
def test_a_file_that_changes_while_it_is_read_is_refused(change: str, write_rows: Write):
    path = write_rows("rows.jsonl", pairs(3))
    rows = Rows(path, Preference, say=silent)
    if change == "longer":
        Path(path).write_text("\n" + Path(path).read_text())
    elif change == "touched":
        os.utime(path, (0, 0))
    else:
        Path(path).unlink()
    with pytest.raises(UserError, match=r"rows.jsonl: this file changed while it was read. Put it back"):
        rows.take([1])


def test_what_was_kept_of_another_file_is_not_taken(write_rows: Write, tmp_path: Path):
    path = write_rows("rows.jsonl", pairs(3))
    Rows(path, Preference, say=silent, kept=tmp_path / "kept")
    write_rows("rows.jsonl", pairs(5))
    assert len(Rows(path, Preference, say=silent, kept=tmp_path / "kept")) == 5
    (tmp_path / "kept.npz").write_bytes(b"PK damaged")
    assert len(Rows(path, Preference, say=silent, kept=tmp_path / "kept")) == 5


def test_offsets_beyond_four_gigabytes(write_rows: Write):
    """Of the place of a row 32 bits are kept, and where the others change."""
    rows = Rows(write_rows("rows.jsonl", pairs(4)), Preference, say=silent)
    rows._starts, rows._wraps = np.array([5, 7, 1, 2], dtype=np.uint32), [2, 2, 3]
    assert [rows._start(i) for i in range(4)] == [5, 7, (2 << 32) + 1, (3 << 32) + 2]


MEASURED = """
import sys, tracemalloc
from prefloop.files.index import Rows
from prefloop.records import Preference
tracemalloc.start()
rows = Rows(sys.argv[1], Preference, say=print)
held = tracemalloc.get_traced_memory()[0]
rows.take(range(100))
print(len(rows), held)
"""


def test_a_row_takes_a_few_bytes(write_rows: Write):
    """Of 2,000 rows and of 20,000, in a process of its own: the difference is under 16 bytes a row."""
    held = {}
    for num in (2000, 20000):
        path = write_rows("rows.jsonl", pairs(num))
        made = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True)
        count, taken = map(int, made.stdout.split())
        held[count] = taken
    assert (held[20000] - held[2000]) / 18000 < 16
