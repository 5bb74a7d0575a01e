"""What is wrong with texts, by hand."""

import pytest

from prefloop.stats.symptoms import copied, other_script, script_of, symptoms, top_word

ASKED = ["Where is my order 12?", "thanks"]


def test_all_of_them_by_hand():
    """Word pairs: a b, b a, a b (one of three again); the other response says nothing and ends at once."""
    found = symptoms(ASKED, ["a b a b", ""], [(5, 6, 5, 6, 1), (1,)])
    assert found == {
        "repetition": pytest.approx(1 / 3),
        "distinct_2": pytest.approx(2 / 3),
        "first_token": 0.5,
        "empty": 0.5,
        "at_once": 0.5,
        "copied": 0.0,
        "other_script": 0.0,
        "top_word": 0.5,
    }
    assert symptoms([], [], []) == {}


@pytest.mark.parametrize(
    ("response", "share"),
    [
        ("where is my ORDER?", 1.0),  # marks and capitals aside
        ("it is my order", 0.5),  # of "it is my" and "is my order"
        ("is my", 0.0),  # too short to be a copy
        ("my is where order", 0.0),  # another order
    ],
)
def test_copied(response: str, share: float):
    assert copied(["Where is my order 12?"], [response]) == share


def test_copied_counts_runs_of_words_and_not_responses():
    assert copied(ASKED, ["where is my order", "one two three"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("prompt", "response", "share"),
    [
        ("hello", "hello", 0.0),
        ("hello", "你好", 1.0),
        ("hello", "hi 你好", 0.5),
        ("こんにちは", "漢字カナ", 0.0),  # Japanese is written in three scripts at once
        ("hello", "12 !? 🙂", 0.0),
        ("1 + 1?", "二", 0.0),  # nothing tells the prompt's script
        ("hello", "Ｈｉ", 0.0),  # wide, and Latin all the same
        ("привет", "hello", 1.0),
    ],
)
def test_other_script(prompt: str, response: str, share: float):
    assert other_script([prompt], [response]) == share


def test_scripts_are_known_by_name():
    assert [script_of(letter) for letter in "aж漢한α7"] == ["LATIN", "CYRILLIC", "HAN", "HANGUL", "GREEK", ""]


def test_the_commonest_word_is_no_mark():
    assert top_word(["So, so! So.", "no"]) == ("so", 0.75)
    assert top_word(["...", ""]) == ("", 0.0)
