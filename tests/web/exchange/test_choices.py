"""Labels of people and of tools mean what they say, and what says nothing is never taken for a preference."""

from typing import Any

import pytest

from prefloop.web.exchange.choices import understood

FIRST = [
    "a", "A", " left ", "1", 1, "Response A", "response-1", "answer1", "The first response", "A is better",
    "Left is better",
    "Option A is the best", "model_a", "A>B", "[[A]]", "B < A", "I prefer A", "Text 1", "A wins", "Assistant A",
    "left one",
]  # fmt: skip
SECOND = ["b", "right", "2", "Answer 2", "B is better", "the second one", "A<B", "2>1", "Winner: B", "Model B wins"]
TIES = [
    "tie",
    "Tie",
    "same",
    "Both good",
    "both are good",
    "It's a tie",
    "about the same",
    "no preference",
    "A=B",
    "equal",
]
BAD = ["both_bad", "Both bad", "neither", "tie (bothbad)", "Both responses are bad", "none of them", "equally bad"]
NOTHING = [
    "yes",
    "No",
    "",
    "C",
    "3",
    "0",
    "A is worse",
    "not A",
    "A good answer",
    "unsure",
    "a and b",
    True,
    None,
    ["a"],
]
STRONG = {
    "A is slightly better": (0, 1),
    "B is much better": (1, 3),
    "Slightly prefer B": (1, 1),
    "B clearly wins": (1, 2),
}


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (FIRST, {"best": 0}),
        (SECOND, {"best": 1}),
        (TIES, {"choice": "tie"}),
        (BAD, {"choice": "both_bad"}),
        (NOTHING, None),
    ],
)
def test_labels(words: list[Any], meaning: Any):
    assert {str(word): understood(word) for word in words} == {str(word): meaning for word in words}


def test_a_strength_is_told_with_the_side():
    told = {word: understood(word) for word in STRONG}
    assert told == {word: {"best": best, "strength": how} for word, (best, how) in STRONG.items()}


def test_what_a_response_is_called_in_its_row_goes_before_all_else():
    """Responses numbered from 0: `response_1` is the second; a name of two says nothing; of three, one may be named."""
    from_0 = (("response_0", "0"), ("response_1", "1"))
    assert [understood(word, from_0) for word in ("response_1", "1", 0)] == [{"best": 1}, {"best": 1}, {"best": 0}]
    assert understood("gpt", (("gpt",), ("claude",))) == {"best": 0}
    assert understood("gpt", (("gpt",), ("gpt",))) is None
    three = (("x",), ("y",), ("z",))
    assert [understood(word, three) for word in ("z", "a", "tie")] == [{"best": 2}, None, None]
