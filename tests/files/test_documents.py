"""Files that hold one record: the same after a journey to disk, and a sentence if they were damaged."""

import json
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.files.documents import read_document, write_document
from prefloop.records import Timing


def test_to_disk_and_back_in_the_order_of_the_class(tmp_path: Path):
    written = Timing(seconds=1.5, peak_rss_mb=10.0, sessions=1)
    write_document(tmp_path / "timing.json", written)
    assert read_document(tmp_path / "timing.json", Timing) == written
    assert list(json.loads((tmp_path / "timing.json").read_text())) == list(Timing.model_fields)
    assert list(Timing.model_fields)[:2] == ["seconds", "cpu_seconds"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"seconds": 1', r"this is not JSON \("),
        ("[1]", r"expected an object \{...\}, but this is a list"),
        ('{"seconds": "long"}', r"this is not as prefloop writes it \(`seconds` should be a number\)"),
        ('{"second": 1.0}', r"this is not as prefloop writes it \(`second` is not known here\)"),
        ("\xff", "this is not JSON"),
    ],
)
def test_a_damaged_file_is_a_sentence_with_what_to_type(tmp_path: Path, text: str, wrong: str):
    (tmp_path / "timing.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=rf"timing.json: {wrong}.*, or delete {tmp_path} and run that stage again\.$"):
        read_document(tmp_path / "timing.json", Timing)
