"""What scores go with, by hand and by numpy."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from prefloop.stats.shallow import FEWEST, NAMES, shallow
from prefloop.stats.text import repetition, words

rng = random.Random(0)
PROMPTS = [rng.choice(["Where is my order now?", "Is the red chair there?"]) for _ in range(40)]
WORDS = ["it", "is", "the", "red", "chair", "and", "so", "on", "my", "order"]
RESPONSES = [" ".join(rng.choices(WORDS, k=rng.randint(3, 20))) for _ in PROMPTS]
IDS = [[ord(text[0]), *range(len(text.split()))] for text in RESPONSES]


def of(scores: list[float]) -> dict[str, float]:
    return shallow(PROMPTS, RESPONSES, IDS, scores)


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("length", lambda p, r: -2.0 * len(r.split()) + 3),
        ("repetition", lambda p, r: repetition([words(r)]) * (len(r.split()) - 1)),
        ("first_token", lambda p, r: float(r[0] == "i")),
        ("word", lambda p, r: 1.0 * r.split().count("chair")),
    ],
)
def test_a_score_of_one_thing_goes_with_that_thing(name: str, score: Callable[[str, str], float]):
    found = of([score(p, r) for p, r in zip(PROMPTS, RESPONSES, strict=True)])
    assert found.keys() == {*NAMES}
    assert abs(found[name]) == pytest.approx(1)
    assert max(abs(r) for other, r in found.items() if other != name) < 0.99
    assert (found[name] < 0) == (name == "length")


def test_a_length_is_counted_in_words_too():
    """Of answers of about one length tokens say little of words, and the other way round."""
    tokens = [[0] * (5 + i * 7 % 11) for i in range(40)]
    texts = ["so " * (5 + i % 3) for i in range(40)]
    for scores in ([float(len(text.split())) for text in texts], [-float(len(own)) for own in tokens]):
        assert abs(shallow(PROMPTS, texts, tokens, scores)["length"]) == pytest.approx(1)


def test_what_is_copied_and_what_is_of_another_script():
    responses = ["where is my order now" if i % 3 else "что это такое" for i in range(40)]
    found = shallow(["Where is my order now?"] * 40, responses, IDS, [float(i % 3 > 0) for i in range(40)])
    assert (found["copied"], found["other_script"]) == (pytest.approx(1), pytest.approx(-1))


def test_it_is_pearsons_correlation():
    scores = [rng.gauss(0, 1) for _ in PROMPTS]
    found = of(scores)
    assert found["length"] == pytest.approx(np.corrcoef([len(own) for own in IDS], scores)[0, 1])
    assert all(abs(r) < 0.6 for r in found.values())
    assert of([5.0] * 40) == dict.fromkeys(NAMES, 0.0)


def test_what_few_responses_have_is_no_evidence():
    """A word in four responses of forty is left out, in five it is looked at; so are first tokens."""
    for num, seen in ((4, 0.0), (5, 1.0)):
        responses = ["so it is bought" if i < num else "so it is" for i in range(40)]
        ids = [[i if i < num else 50 + i % 3] for i in range(40)]
        found = shallow(["a b c"] * 40, responses, ids, [float(i < num) for i in range(40)])
        assert found["word"] == pytest.approx(seen)
        assert abs(found["first_token"]) < 0.5


def test_too_few_or_no_numbers_say_nothing():
    num = FEWEST - 1
    assert shallow(PROMPTS[:num], RESPONSES[:num], IDS[:num], [1.0] * num) == {}
    assert of([float("nan")] * 40) == {}
