import pytest

from prefloop.stats.text import distinct_n, overlap, repetition, tokens, words, words_to_read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's the  kettle,\nnot 12!", ["It's", "the", "kettle,", "not", "12!"]),
        ("Hello", ["Hello"]),
        ("包裹，48。", ["包", "裹", "，", "4", "8", "。"]),
        ("the 水壶 here", ["the", "水", "壶", "here"]),
        ("あい กา", ["あ", "い", "ก", "า"]),
        (" \n", []),
    ],
)
def test_words(text: str, expected: list[str]):
    assert words(text) == expected


def test_chinese_takes_as_long_to_read_as_fewer_words():
    """Five English words; eight characters in the time of five, and a number; marks are read too."""
    assert words_to_read("It's the kettle, not 12!") == 5
    assert words_to_read("订单4821的水壶还没到，") == 8 / 1.6 + 1 + 1


def test_tokens_keep_marks_apart():
    assert tokens("It's 12,5 水壶ABC!") == ["it", "'", "s", "12", ",", "5", "水", "壶", "abc", "!"]


def test_distinct_n_by_hand():
    """the cat the dog | the cat: 6 words, 3 distinct; pairs the-cat cat-the the-dog the-cat: 4, 3 distinct."""
    texts = [["the", "cat", "the", "dog"], ["the", "cat"]]
    assert [distinct_n(texts, n) for n in (1, 2, 3, 5)] == pytest.approx([3 / 6, 3 / 4, 1, 0])
    assert distinct_n([[7, 7, 7, 7]], 2) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least one word"):
        distinct_n(texts, 0)


def test_repetition_by_hand():
    """`a b a b`: pairs ab ba ab, one said before; `c d e`: cd de; 1 of 5. Said in another text is not repeated."""
    assert repetition([["a", "b", "a", "b"], ["c", "d", "e"]]) == pytest.approx(1 / 5)
    assert repetition([["a", "b"], ["a", "b"]]) == repetition([["a"], []]) == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("on its way", "on its way", 1.0),
        ("On its way", "on ITS way", 1.0),
        ("on its way", "no idea at all", 0.0),
        ("on its way", "on its road", 2 / 6),  # ^on, on-its shared; its-way way$ its-road road$ not
        ("很抱歉", "很抱歉", 1.0),
        ("很抱歉", "很抱怨", 2 / 6),
    ],
)
def test_overlap_by_hand(a: str, b: str, expected: float):
    assert overlap(a, b) == overlap(b, a) == pytest.approx(expected)
