"""Prompts are distinct, counted exactly, and split without leaks."""

from collections import Counter
from dataclasses import replace
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefloop.errors import UserError
from prefloop.world.grammar import SPLITS, _combination, choices, num_prompts, orders, permutation, prompts, split_of
from prefloop.world.languages import table
from prefloop.world.vocabulary import LANGUAGES, TOPICS


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("split", SPLITS)
def test_prompts_are_distinct_and_the_same_every_time(split, language):
    made = prompts(split, 2000, language=language, seed=3)
    assert len({prompt.text for prompt in made}) == len({prompt.id for prompt in made}) == 2000
    assert made == prompts(split, 2000, language=language, seed=3)
    assert made != prompts(split, 2000, language=language, seed=4)


@given(start=st.integers(0, 200), count=st.integers(0, 40))
@settings(max_examples=20)
def test_a_slice_is_a_slice_of_the_whole(start, count):
    assert prompts("test", count, seed=1, start=start) == prompts("test", 240, seed=1)[start : start + count]


@given(size=st.integers(1, 3000), seed=st.text(max_size=5))
@settings(max_examples=40)
def test_the_permutation_is_a_bijection(size, seed):
    permuted = permutation(size, seed)
    assert sorted(permuted(index) for index in range(size)) == list(range(size))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("topic", ["late", "hours", "stolen_parcel"])
def test_every_combination_is_another_text(language, topic):
    """The count is exact because the product of the choices is: all texts of a shrunken world, written out."""
    options = choices(language, "train", topic)
    less = {"orders": options.orders[:2], "items": options.items[:2], "names": options.names[:2]}
    shrunken = replace(options, **less, cities=options.cities[:2])
    number = prod(shrunken.sizes)
    texts = {_combination(shrunken, index, table(language).joiner, language)[1] for index in range(number)}
    assert len(texts) == number


def test_counts_by_hand():
    """late, train: 20 mood sentences, 6 requests, 5 introductions, 5 arrangements, orders, 32 items, 40 names."""
    assert prod(choices("en", "train", "late").sizes) == 20 * 6 * 5 * 5 * len(orders("train")) * 32 * 40
    for language in LANGUAGES:
        counts = num_prompts(language)
        assert counts["in_distribution"] == counts["train"] + counts["validation"] + counts["test"] > 10_000_000
        assert counts["total"] == counts["in_distribution"] + counts["ood"]
        assert counts["ood"] > 10_000_000


def test_each_order_number_is_in_one_split_by_its_hash():
    every = [order for split in SPLITS for order in orders(split)]
    assert sorted(every) == [str(number) for number in range(1000, 10000)]
    shares = {split: len(orders(split)) / 9000 for split in SPLITS}
    assert shares == pytest.approx({"train": 0.8, "validation": 0.08, "test": 0.08, "ood": 0.04}, abs=0.02)


@pytest.mark.parametrize("language", LANGUAGES)
def test_out_of_distribution_shares_no_request_and_no_value_with_the_rest(language):
    for topic in TOPICS:
        inside, outside = choices(language, "train", topic), choices(language, "ood", topic)
        assert not {text for text, _ in inside.requests} & {text for text, _ in outside.requests}
        assert not set(inside.orders) & set(outside.orders)
        assert not set(inside.items) & set(outside.items)
        assert not set(inside.names) & set(outside.names)
        assert not (set(inside.cities) & set(outside.cities)) - {""}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_training_prompt_holds_a_value_of_another_split(language):
    unseen = {value for values in table(language).ood_values.values() for value in values}
    for prompt in prompts("train", 3200, language=language):
        words = set(prompt.text.replace(",", " ").replace(".", " ").replace("?", " ").split())
        assert not (unseen & words if language == "en" else [value for value in unseen if value in prompt.text])
        number = "".join(filter(str.isdigit, prompt.text))
        assert split_of(number) == "train"


@pytest.mark.parametrize("split", SPLITS)
def test_tags_tell_topic_mood_and_safety_and_every_topic_comes_equally_often(split):
    made = prompts(split, 1600, seed=2)
    topics = Counter(prompt.tags[0] for prompt in made)
    assert topics == {f"topic:{name}": 100 for name in TOPICS}
    assert sum("unsafe" in prompt.tags for prompt in made) == 400
    assert all(("ood" in prompt.tags) == (split == "ood") for prompt in made)
    moods = Counter(prompt.tags[1] for prompt in made)
    assert all(300 < count < 500 for count in moods.values())
    assert len(moods) == 4
    borderline = sum("borderline" in prompt.tags for prompt in made)
    assert borderline == 0 if split == "ood" else 140 < borderline < 260
    assert made[7].id == f"{split}-000007"


@pytest.mark.parametrize("split", SPLITS)
def test_english_prompts_have_12_to_35_words(split):
    lengths = [len(prompt.text.split()) for prompt in prompts(split, 1600)]
    assert min(lengths) >= 12
    assert max(lengths) <= 35


def test_a_wrong_split_or_language_is_a_sentence():
    with pytest.raises(UserError, match="no split called 'dev'"):
        prompts("dev", 1)
    with pytest.raises(UserError, match="not 'de'"):
        prompts("train", 1, language="de")
