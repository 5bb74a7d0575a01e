"""Rows in and out: every suffix tells the same, and a bad row is named by file and line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefloop.errors import UserError
from prefloop.files.tables import each_row, jsonl, read_records, read_rows, shown, write_records
from prefloop.records import Demonstration, Judgement, Message, Preference, Prompt, Record

ROW: dict[str, Any] = {"id": "p1", "messages": [{"role": "user", "content": "Hello"}]}


def said(role: str, content: str, **more: str) -> dict[str, Any]:
    """A prompt of this one message."""
    return {"id": "p2", "messages": [{"role": role, "content": content, **more}]}


def written(folder: Path, *lines: str) -> Path:
    """A JSONL file of these lines."""
    file = folder / "rows.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def complaint(file: Path, record: type[Record] = Prompt) -> str:
    """The sentence that reading the file earns, its folder left out."""
    with pytest.raises(UserError) as caught:
        read_records(file, record)
    return str(caught.value).replace(f"{file.parent}/", "")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_records_come_back_whatever_the_suffix(tmp_path, suffix):
    asked = (Message(role="user", content="One\nTwo \u2028 three 你好"),)
    records = [
        Preference(id="1", messages=asked, chosen="a", rejected="b", tags=("x", "y")),
        Preference(id="2", messages=asked, chosen="a", rejected="b", strength=1.5, chosen_index=0, rejected_index=1),
    ]
    file = tmp_path / f"preferences{suffix}"
    assert write_records(file, records) == 2
    assert read_records(file, Preference) == records


def test_ratings_on_different_axes_survive_parquet(tmp_path):
    said = {"comparison": "c", "annotator": "a", "annotator_kind": "person"}
    whole = said | {"kind": "rating", "order": [0], "seconds": 1}
    ratings = ({"helpful": [1]}, {"honest": [2]})
    records = [Judgement.model_validate(whole | {"id": f"{i}", "ratings": r}) for i, r in enumerate(ratings)]
    write_records(tmp_path / "judgements.parquet", records)
    assert read_records(tmp_path / "judgements.parquet", Judgement) == records


def test_the_same_records_make_the_same_bytes_at_any_hour(tmp_path, monkeypatch):
    for hour, name in enumerate(("a.jsonl.gz", "b.jsonl.gz")):
        monkeypatch.setattr("time.time", lambda hour=hour: 1e9 + 3600.0 * hour)
        write_records(tmp_path / name, [Prompt.model_validate(ROW)])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


@settings(max_examples=30)
@given(st.lists(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=3)))
def test_every_row_is_one_line(rows):
    lines = jsonl(rows).split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == rows


def test_a_json_list_is_rows_too(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([ROW, {"a": 1}]))
    assert list(read_rows(tmp_path / "rows.json")) == [(1, ROW), (2, {"a": 1})]


def test_json_lines_under_the_name_json(tmp_path):
    (tmp_path / "rows.json").write_text('{"a": 1}\n{"a": 2}\n')
    assert list(read_rows(tmp_path / "rows.json")) == [(1, {"a": 1}), (2, {"a": 2})]


def test_empty_lines_count_but_are_no_rows(tmp_path):
    assert list(read_rows(written(tmp_path, "", '{"a": 1}', "   ", '{"a": 2}'))) == [(2, {"a": 1}), (4, {"a": 2})]


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n')
    assert list(read_rows(tmp_path / "rows.jsonl")) == [(1, {"a": 1}), (2, {"a": 2})]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            '{"id": "p1"',
            "this line is not JSON (Expecting ',' delimiter: line 2 column 1 (char 12)); every line must be",
        ),
        ("[1, 2]", "expected an object {...}, found list; give it field names."),
        ('"text"', "expected an object {...}, found str; give it field names."),
        ("[" * 100_000, "this line is nested too deeply; every line must be one plain object."),
        ('{"id": "p2"}', "a prompt needs `messages`, which is not there; add it."),
        ('{"id": "p2", "mesages": []}', "a prompt has no field `mesages`; did you mean `messages`?"),
        (ROW | {"zzz": 1}, "a prompt has no field `zzz`; its fields are id, messages, tags."),
        (ROW | {"id": 3}, "`id` should be text, but is 3."),
        (ROW | {"id": ""}, "`id` is empty; give it text or remove the row."),
        (ROW | {"messages": []}, "`messages` has 0 items, but needs at least 1."),
        (said("human", "x"), "`messages.0.role` is 'human', but must be 'system', 'user' or 'assistant'."),
        (said("user", ""), "`messages.0.content` is empty; give it text or remove the row."),
        (said("user", "x", name="y"), "a prompt has no field `messages.0.name`; remove it or correct its name."),
        (said("assistant", "x"), "`messages`: the last message of a prompt is the assistant's, but a prompt ends with"),
        (ROW, "the id 'p1' was already used in line 1; make ids unique."),
    ],
)
def test_a_bad_row_is_named(tmp_path, line, sentence):
    text = line if isinstance(line, str) else json.dumps(line)
    assert complaint(written(tmp_path, json.dumps(ROW), "", text)).startswith(f"rows.jsonl:3: {sentence}")


def test_a_demonstration_with_a_mistyped_field_names_the_typo(tmp_path):
    sentence = complaint(written(tmp_path, json.dumps(ROW | {"respons": "Hi"})), Demonstration)
    assert sentence == "rows.jsonl:1: a demonstration has no field `respons`; did you mean `response`?"


def test_a_line_that_is_not_utf8(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(UserError, match=r"rows.jsonl:1: this line is not UTF-8 text; save the file as UTF-8."):
        list(read_rows(tmp_path / "rows.jsonl"))


def test_a_file_without_rows(tmp_path):
    assert complaint(written(tmp_path, "")) == "rows.jsonl: the file has no rows; expected one prompt per line."


def test_a_file_that_is_not_there_names_its_neighbour(tmp_path):
    written(tmp_path)
    assert complaint(tmp_path / "row.jsonl").startswith("row.jsonl: there is no such file. Did you mean rows.jsonl?")
    assert "Give the path of an existing file." in complaint(tmp_path / "quite_other.txt")


def test_each_row_goes_on_after_a_bad_line(tmp_path):
    rows = dict(each_row(written(tmp_path, '{"a": 1}', "oops", '{"a": 3}')))
    assert isinstance(rows.pop(2), UserError)
    assert rows == {1: {"a": 1}, 3: {"a": 3}}


@pytest.mark.parametrize("damage", ["cut", "flipped", "garbled", "never"])
def test_a_damaged_gzip_file(tmp_path, damage):
    data = bytearray(gzip.compress(jsonl([{"a": i} for i in range(9999)]).encode()))
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    elif damage == "garbled":
        data[10] = 0xFF  # the first block is of a type that does not exist (RFC 1951, 3.2.3)
    else:
        data[:] = b"never compressed"
    (tmp_path / "rows.jsonl.gz").write_bytes(data)
    says = {
        "cut": r"rows.jsonl.gz:\d+: the gzip file is cut off after this line; fetch or make it again",
        "flipped": r"rows.jsonl.gz:\d+: .*; fetch or make it again|rows.jsonl.gz:\d+: .*every line must be",
        "garbled": r"rows.jsonl.gz: the gzip file is damaged \(.*\) at its beginning; fetch or make it again",
        "never": r"rows.jsonl.gz: this is no gzip file, although its name says so; fetch or make it again",
    }
    with pytest.raises(UserError, match=says[damage]):
        list(read_rows(tmp_path / "rows.jsonl.gz"))


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.parquet", b"no", "this is not a Parquet file"),
        ("a.parquet", b"", "this is not a Parquet file"),
        (
            "a.json",
            b'{"train": [{"a": 1}], "test": [{"a": 2}]}',
            r"this holds several lists \(train, test\); save the one",
        ),
        ("a.json", b"5", "expected a list of objects"),
        ("a.json", b"[1", "this is not JSON"),
        ("a.json", b"[1]", "expected an object"),
        ("a.json", b"[" * 100_000, "a.json: this is nested too deeply; save a list of plain objects"),
        ("a.json", b'[{"a": ' + b"[" * 100_000, "a.json: this is nested too deeply"),
        ("a.json", b'{"a": ' + b"[" * 100_000, "a.json:1: this line is nested too deeply"),
    ],
)
def test_a_file_that_is_not_what_its_suffix_says(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=sentence):
        list(read_rows(tmp_path / name))


def test_long_values_are_cut():
    assert shown("x" * 99) == "'" + "x" * 36 + "..."
    assert shown("x" * 38) == repr("x" * 38)


ONE = {"prompt": 'Привет; 你好, "x"', "response": "a\nb"}
LINES = json.dumps(ONE, ensure_ascii=False) + "\n" + json.dumps({"prompt": "c", "response": "d"}) + "\n"
PRETTY = json.dumps([ONE, {"prompt": "c", "response": "d"}], indent=2, ensure_ascii=False)
QUOTED = '"Привет; 你好, ""x"""'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", LINES), ("a.json", PRETTY), ("a.jsonl", PRETTY), ("a.json", LINES), ("a", LINES),
        ("a.json", json.dumps({"data": json.loads(PRETTY)}, ensure_ascii=False)),
        ("a.csv", f'prompt,response\n{QUOTED},"a\nb"\nc,d\n'), ("a.csv", f'prompt;response\r\n{QUOTED};"a\nb"\r\nc;d'),
        ("a.tsv", f'prompt\tresponse\n{QUOTED}\t"a\nb"\nc\td\n'),
    ],
)  # fmt: skip
def test_the_same_rows_whatever_the_letters_and_the_wrapping(tmp_path, encoding, name, text):
    """Marked or not by a byte order mark, packed or not, over one line or many."""
    if encoding in ("utf-16-le", "utf-16-be", "utf-32") and name != "a.jsonl":
        pytest.skip("told apart in one kind of file")
    data = text.encode(encoding)
    (tmp_path / name).write_bytes(data)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    for file in (tmp_path / name, tmp_path / f"{name}.gz"):
        assert [row for _, row in read_rows(file)] == [ONE, {"prompt": "c", "response": "d"}]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": 1, "b": 2, "a": 3}\n', "a.jsonl:2: the key `a` stands twice in one object"),
        ("a.jsonl", '{"a": 1, "a": 1}\n', "a.jsonl:1: the key `a` stands twice in one object"),
        ("a.jsonl", '{"a": 1}\n{"a": [{"in": 1, "in": 2}]}', "a.jsonl:2: the key `in` stands twice in one object"),
        ("a.json", '[{"a": 1},\n {"b": 1, "b": 2},\n {"a": 4}]', "a.json:2: the key `b` stands twice in one object"),
        ("a.json", '{"data": [], "data": []}', "a.json: the key `data` stands twice in one object"),
        ("a.csv", "a,b,a\n1,2,3\n", "a.csv:1: a column's name stands twice in the first line"),
        ("a.csv", "a,b\n1,2\n\n3\n", "a.csv:4: the row has 1 cells, but 2 columns are named in the first line"),
        ("a.csv", 'a,b\n1,"2\n', "a.csv:2: this is not a row of CSV"),
    ],
)
def test_a_key_twice_and_cells_that_do_not_fit(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list(read_rows(tmp_path / name))
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(sentence)


def test_the_rows_around_a_key_twice_are_read(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1}, {"b": 1, "b": 2}, {"a": 4}]')
    rows = dict(each_row(tmp_path / "a.json"))
    assert isinstance(rows.pop(2), UserError)
    assert rows == {1: {"a": 1}, 3: {"a": 4}}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"PK\x03\x04 rest", "this is a zip archive (or a spreadsheet), but rows are needed"),
        (b"\x89PNG\r\n", "this is an image, but rows are needed"),
        (b"\x01\x00\x07\x00\x00ab" * 9, "this is no text: rows are needed"),
        (gzip.compress(b"PK\x03\x04 rest", mtime=0), "this is a zip archive (or a spreadsheet), but rows are needed"),
        (b"", "the file has no rows"),
        (b" \n\r\n", "the file has no rows"),
    ],
)
def test_a_file_that_holds_no_rows(tmp_path, data, sentence):
    (tmp_path / "a.jsonl").write_bytes(data)
    assert complaint(tmp_path / "a.jsonl").startswith(f"a.jsonl: {sentence}")


def test_a_folder_names_its_files(tmp_path):
    for name in ("b.jsonl", "a.parquet", "c.jsonl.gz", "readme.md"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"this is a folder, but a file is needed. Give one of its files: a.parquet, b"):
        list(each_row(tmp_path))
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match=r"this is a folder, but a file is needed. There is no file of rows in it."):
        list(each_row(tmp_path / "in"))


def test_parquet_whose_other_columns_python_cannot_hold(tmp_path):
    import pyarrow
    import pyarrow.parquet

    times = pyarrow.array([1, 2**62 + 1], pyarrow.timestamp("ns"))
    table = pyarrow.table({"prompt": ["a", "b"], "at": times, "day": pyarrow.array([10**9, 1], pyarrow.date32())})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [row["prompt"] for _, row in read_rows(tmp_path / "a.parquet")] == ["a", "b"]
