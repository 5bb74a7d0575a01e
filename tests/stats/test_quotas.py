"""Quotas: floors are kept, inclusion probabilities are the truth, and every reason has its share."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefloop.stats.quotas import Drawn, quotas, sample_with_floors

TAGS = ("a", "b", "c")
ITEMS = some.lists(some.lists(some.sampled_from(TAGS), unique=True), min_size=1, max_size=25)


def drawn(tags: list[list[str]], floors: dict[str, int], num: int, seed: int = 0, **scores: list[float]) -> Drawn:
    """A sample of which a fifth is random, the rest by the scores that are given."""
    shares = {name: 0.8 / len(scores) for name in scores}
    shares["random"] = 0.2 if scores else 1.0
    rng = np.random.default_rng(seed)
    return sample_with_floors(scores, shares, tags, floors=floors, num=num, rng=rng)


@given(tags=ITEMS, wanted=some.dictionaries(some.sampled_from(TAGS), some.integers(1, 6)), data=some.data())
def test_floors_are_kept_and_the_sample_is_whole(tags: list[list[str]], wanted: dict[str, int], data: some.DataObject):
    num = data.draw(some.integers(1, len(tags)))
    scores = data.draw(some.lists(some.floats(0, 9), min_size=len(tags), max_size=len(tags)))
    if sum(wanted.values()) > num:
        return
    made = drawn(tags, wanted, num, clever=scores)
    assert len(made.chosen) == len(set(made.chosen.tolist())) == len(made.why) == num
    assert made.inclusion.sum() == pytest.approx(num)
    assert made.inclusion.max() <= 1 + 1e-9
    assert (made.inclusion[made.chosen] > 0).all()
    have = Counter(tag for place in made.chosen.tolist() for tag in tags[place])
    there = Counter(tag for one in tags for tag in one)
    for tag, floor in wanted.items():
        assert have[tag] >= min(floor, there[tag])


def test_quotas_by_hand():
    """Ten places, 100 items. `rare` has 4 items, of which 0.4 are to be expected: its floor of 3 needs 3.

    `common` has 50, of which 5 are expected: with a floor of 2 it is drawn apart, and 5 it stays.
    """
    tags = [["rare"]] * 4 + [["common"]] * 50 + [[]] * 46
    expected = [0.1] * 100
    assert quotas(tags, floors={"rare": 3}, expected=expected, num=10) == {("rare",): 3}
    both = quotas(tags, floors={"rare": 3, "common": 2, "none": 7}, expected=expected, num=10)
    assert both == {("rare",): 3, ("common",): 5}


def test_an_item_of_two_tags_counts_for_both():
    tags = [["a", "b"], ["a"], ["b"], [], [], []]
    expected = [0.5] * 6
    assert quotas(tags, floors={"a": 1, "b": 1}, expected=expected, num=3) == {("a", "b"): 1}
    assert sum(quotas(tags, floors={"a": 2, "b": 2}, expected=expected, num=3).values()) == 3


def test_where_the_others_are_too_few_the_quotas_take_more():
    """10 of 11: of either tag 4.5 are to be expected, so 4 and 4, and the one other leaves a place."""
    made = drawn([["a"]] * 5 + [["b"]] * 5 + [[]], {"a": 1, "b": 1}, 10)
    assert len(made.chosen) == 10
    assert made.inclusion.sum() == pytest.approx(10)


def test_floors_that_need_more_places_than_there_are_are_refused():
    with pytest.raises(ValueError, match="the floors need 4 places, and there are 3"):
        drawn([["a"]] * 5 + [["b"]] * 5, {"a": 2, "b": 2}, 3)


def test_inclusion_is_how_often_an_item_is_chosen():
    tags = [["a"], ["a"], ["b"], [], [], [], [], ["a", "b"]]
    scores = [0.0, 1.0, 2.0, 5.0, 0.0, 1.0, 0.0, 3.0]
    many = [drawn(tags, {"a": 2}, 4, seed, clever=scores) for seed in range(4000)]
    often = np.zeros(len(tags))
    for one in many:
        often[one.chosen] += 1 / len(many)
    np.testing.assert_allclose(often, many[0].inclusion, atol=4 * 0.5 / 4000**0.5)
    assert all(np.array_equal(one.inclusion, many[0].inclusion) for one in many)


def test_each_strategy_is_named_as_often_as_its_share_says():
    """60 places of 600 without an item that is sure: 12 are random, 48 the strategy's; 4,000 prompts in all."""
    scores = (1.0 + np.arange(600) % 3).tolist()
    told = Counter(why for seed in range(60) for why in drawn([[]] * 600, {}, 60, seed, clever=scores).why)
    assert told.total() == 3600
    assert told["random"] / 3600 == pytest.approx(0.2, abs=4 * (0.16 / 3600) ** 0.5)
    assert told["clever"] == 3600 - told["random"]


def test_what_only_the_floor_explains_is_the_floors():
    """2 of 100 are rare: 0.2 of 10 places are to be expected, and the floor takes 2, so that 90 % of them are its."""
    tags = [["rare"]] * 2 + [[]] * 98
    told = Counter(drawn(tags, {"rare": 2}, 10, seed).why[0] for seed in range(1000))
    assert told["floor"] / 1000 == pytest.approx(0.9, abs=4 * (0.09 / 1000) ** 0.5)
    assert set(told) == {"floor", "random"}


def test_a_strategy_without_an_opinion_leaves_its_share_to_chance():
    assert set(drawn([[]] * 20, {}, 10, clever=[0.0] * 20).why) == {"random"}
