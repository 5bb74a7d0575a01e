"""Near-duplicates: what comparing all with all finds."""

import random

import pytest

from prefloop.stats.duplicates import near_duplicates
from prefloop.stats.text import overlap


@pytest.mark.parametrize("least", [0.3, 0.5, 0.8, 0.9, 1.0])
def test_it_finds_what_comparing_all_with_all_finds(least: float):
    drawn = random.Random(0)
    words = [f"w{number}" for number in range(12)]
    texts = [" ".join(drawn.choices(words, k=drawn.randint(0, 9))) for _ in range(60)]
    others = [*texts[:20], *(" ".join(drawn.choices(words, k=drawn.randint(0, 9))) for _ in range(60))]
    all_with_all = [[n for n, other in enumerate(others) if overlap(text, other) >= least] for text in texts]
    assert near_duplicates(texts, others, least=least) == all_with_all
    assert all(number in found for number, found in enumerate(all_with_all[:20]))


def test_a_changed_word_by_hand():
    """20 words have 21 pairs with both ends; another word in the middle changes two of them: 19 of 23 stay."""
    text = " ".join(f"w{number}" for number in range(20))
    changed = text.replace("w9 ", "x ")
    assert overlap(text, changed) == pytest.approx(19 / 23)
    assert near_duplicates([text], [changed, text], least=0.82) == [[0, 1]]
    assert near_duplicates([text], [changed], least=0.83) == [[]]
    assert near_duplicates([], [text], least=0.9) == []
    assert near_duplicates([text], [], least=0.9) == [[]]


def test_a_threshold_is_above_0():
    with pytest.raises(ValueError, match="0, 1"):
        near_duplicates(["a"], ["a"], least=0.0)
