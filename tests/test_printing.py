"""What others wrote is read on our terminal and does not steer it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from prefloop.cli import main
from prefloop.printing import amount, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07\x1b[31mred", r"\x1b]0;owned\x07\x1b[31mred"),
        ("yes\rno", r"yes\x0dno"),
        ("no\b\byes", r"no\x08\x08yes"),
        ("\x9b2J", r"\x9b2J"),  # C1: an escape sequence in one character
        ("abc\u202edef\u2066", r"abc\u202edef\u2066"),  # writing turned around
        ("half \ud83d", r"half \ud83d"),
        ("包裹在哪里？\tnaïve 👩‍👩‍👧 עברית\n", "包裹在哪里？\tnaïve 👩‍👩‍👧 עברית\n"),
    ],
)
def test_by_hand(text: str, shown: str):
    assert printable(text).lower() == shown.replace(r"\x0d", r"\r").lower()


@given(st.text(st.characters()))
def test_nothing_that_steers_is_left_and_nothing_else_is_touched(text: str):
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in shown)
    shown.encode("utf-8")
    assert printable(shown) == shown
    harmless = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs", "Cf", "Zl", "Zp"))
    assert printable(harmless) == harmless
    assert cell_len(printable(harmless)) == cell_len(harmless)


def test_an_error_is_printed_so(capsys: pytest.CaptureFixture[str]):
    assert main(["sft", "\x1b[2J=1"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 thousand"),
        (4096, "4.1 thousand"),
        (99_999, "100 thousand"),
        (100_000, "0.1 million"),
        (4_884_480, "4.88 million"),
        (134_515_008, "135 million"),
        (999_499_999, "999 million"),
        (999_500_000, "1 billion"),
        (8_030_261_248, "8.03 billion"),
    ],
)
def test_an_amount(count: int, words: str):
    """Small adapters are told in thousands, never as 0.00 million."""
    assert amount(count) == words
