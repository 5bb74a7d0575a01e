"""Files are read row by row within bounds: what unpacks to too much, or is no plain JSON, is a sentence."""

import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from prefloop.errors import UserError
from prefloop.web.config import ImportConfig
from prefloop.web.exchange.rows import LeftOut, look_at, rows
from prefloop.web.store.site import Site
from prefloop.web.store.tables import comparisons
from web.acts import LINES, signed_in
from web.acts import rows as table_rows
from web.crowd import on_sqlite

LIMITS = ImportConfig(text_letters=1000, row_kb=10, unpacked_mb=2)


def read(path: Path, limits: ImportConfig = LIMITS) -> list[Any]:
    """Rows, and sentences in the place of those that are wrong."""
    return [str(row) if isinstance(row, UserError) else row for _, row in rows(path, limits)]


def packed(path: Path, begin: bytes, middle: bytes, number: int, end: bytes) -> int:
    """Writes a packed file of much of the same. Returns: its size."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(begin)
        for _ in range(number):
            file.write(middle)
        file.write(end)
    return path.stat().st_size


BOMBS = [
    ("x.jsonl.gz", b'{"prompt": "', b"a" * 10**5, b'"}\n', "x.jsonl.gz:1: the row has more than 10 thousand bytes"),
    ("x.json.gz", b'[{"prompt": "', b"a" * 10**5, b'"}]', "x.json.gz:1: the row has more than 10 thousand bytes"),
    ("x.csv.gz", b"prompt\n", b"a" * 10**5, b"\n", "the row has more than 10 thousand bytes"),
    ("x.jsonl.gz", b"", b'{"prompt": "%s"}\n' % (b"a" * 900), b"", "larger than 2 million bytes"),
    ("x.json.gz", b"[", b'{"prompt": "%s"},\n' % (b"a" * 900), b"{}]", "larger than 2 million bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "begin", "middle", "end", "says"), BOMBS)
def test_a_small_file_that_unpacks_to_much_takes_little_memory(
    tmp_path: Path, name: str, begin: bytes, middle: bytes, end: bytes, says: str
):
    """Less than 100 kB on the disk, 2 or 3 million bytes unpacked; at no moment more than a few rows are held."""
    assert packed(tmp_path / name, begin, middle, 3_000 if len(middle) < 10**5 else 19, end) < 10**5
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=says):
            look_at(tmp_path / name, LeftOut("stop"), lambda row, place: None, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_one_text_many_times_in_parquet_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A dictionary of one long text, packed to almost nothing, a thousand rows of it: a few are unpacked together."""
    monkeypatch.setattr("prefloop.web.exchange.rows.PARQUET_BYTES", 2_000_000)
    table = pyarrow.table({"prompt": pyarrow.array(["a" * 1_000_000] * 100).dictionary_encode()})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 10**6
    before, peak, number = pyarrow.total_allocated_bytes(), 0, 0
    for _, row in rows(tmp_path / "x.parquet", LIMITS):
        assert not isinstance(row, UserError)
        peak, number = max(peak, pyarrow.total_allocated_bytes()), number + 1
    assert number == 100
    assert peak - before < 10**7
    problems = LeftOut("stop")
    with pytest.raises(UserError, match=r"x\.parquet:1: `prompt` has 1000000 letters, and a text may have 1000"):
        look_at(tmp_path / "x.parquet", problems, lambda row, place: None, LIMITS)


WHOLE = [{"a": 1}, {"b": 'é\\"]}'}, {"c": [[1, 2], {"d": None}]}, {"e": "x" * 9000}, {"f": 1.5e3}, {"g": "日本"}]
FORMS = {
    "lines": "\n\n".join(json.dumps(row) for row in WHOLE), "list": json.dumps(WHOLE),
    "spaced": "  " + json.dumps(WHOLE, indent=3) + "\n", "plain": json.dumps(WHOLE, ensure_ascii=False),
    "marked": "\ufeff" + json.dumps(WHOLE, ensure_ascii=False),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_lists_and_lines_are_read_whatever_the_suffix_and_wherever_a_piece_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, name: str
):
    (tmp_path / name).write_text(FORMS[form], encoding="utf-8")
    for piece in (1, 2, 7, 64, 1 << 16):
        monkeypatch.setattr("prefloop.web.exchange.rows.PIECE", max(piece, 8))
        assert read(tmp_path / name, ImportConfig(row_kb=20)) == WHOLE


WRONG = [
    ("x.jsonl", b'{"chosen": "a", "chosen": "b"}', "x.jsonl:1: the key 'chosen' comes twice"),
    ("x.json", b'[{"a": 1}, {"b": {"c": 1, "c": 2}}]', "x.json:2: the key 'c' comes twice"),
    ("x.json", b'[{"a": 1}, {"b": }]', "x.json:2: this is not JSON"), ("x.json", b'[{"a": 1}', "x.json:2: this is not"),
    ("x.json", b"[" * 100_000, "nested too deeply"), ("x.jsonl", b'{"a":' * 1_900, "x.jsonl:1: this line is"),
    ("x.jsonl", b'{"a": ' + b"9" * 5000 + b"}", "not JSON"), ("x.jsonl", b'\xff\xfe{\x00"', "UTF-16"),
    ("x.jsonl", b"7", "expected an object"), ("x.json", b"[7]", "x.json:1: expected an object"),
    ("x.jsonl.gz", b"no gzip", "the gzip file is damaged"), ("x.parquet", b"PAR1" * 9, "not a Parquet file"),
    ("x.csv", b"a;b\n1;2,3\n", "parted by semicolons"),
    ("x.csv", b"a\n" + b"b" * 2000 + b"\n", "more than 1000 letters"),
    ("x.jsonl", b'{"a": "' + b"b" * 2000 + b'"}', "`a` has 2000 letters, and a text may have 1000"),
    ("x.jsonl", b'{"a": ' + b"[" * 30 + b"]" * 30 + b"}", "nested deeper than 20"),
    ("x.jsonl", b'{"a": "\\ud800"}', "half a character"), ("x.jsonl", b'{"a": "\\u0000"}', "holds a NUL"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "says"), WRONG)
def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, name: str, data: bytes, says: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as problem:
        look_at(tmp_path / name, LeftOut("stop"), lambda row, place: None, LIMITS)
    assert says in str(problem.value)
    assert str(tmp_path) not in str(problem.value)


def test_what_is_no_number_is_left_unread(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text('{"a": NaN, "b": [Infinity, 1]}')
    assert read(tmp_path / "x.jsonl") == [{"a": None, "b": [None, 1]}]


def test_reasons_are_counted_without_what_differs():
    bad = LeftOut("skip")
    for number in range(3):
        bad.leave(f"f:{number}: 'x{number}' is no choice of {number}.")
    assert bad.counted()["reasons"] == {"… is no choice of ….": 3}


@on_sqlite
def test_over_http_nothing_is_kept_of_a_bomb(site: Site):
    lead = signed_in(site, "lead", "lead")
    sink = io.BytesIO()
    with gzip.open(sink, "wb", compresslevel=1) as file:
        file.write(b'{"prompt": "' + b"a" * 9_000_000 + b'", "response_a": "1", "response_b": "2"}\n')
    kinds = ("rows", "comparisons", "arena", "scores?model=m", "gold")
    for what in kinds:
        url = f"/api/v1/import/{what}{'&' if '?' in what else '?'}file=x.jsonl.gz"
        answer = lead.post(url, content=sink.getvalue(), headers=LINES)
        assert answer.status_code == 422, (what, answer.text)
        if what != "comparisons":  # whose name is always the same
            assert "more than 4000 thousand bytes (imports.row_kb)" in answer.json()["error"]["message"], what
    assert table_rows(site, comparisons) == []
