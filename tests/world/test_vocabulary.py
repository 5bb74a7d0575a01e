"""The tables have the shape that grammar, agents and gold rely on, in both languages."""

import string

import pytest

from prefloop.errors import UserError
from prefloop.world.languages import table
from prefloop.world.phrases import sentences, vague
from prefloop.world.tickets import index as index_of
from prefloop.world.tickets import scan, units, values
from prefloop.world.vocabulary import LANGUAGES, MOODS, SAFE_TOPICS, TOPICS, UNSAFE_TOPICS, key, plain


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_as_many_topics_and_paraphrases_as_promised():
    assert len(TOPICS) >= 12
    assert len(UNSAFE_TOPICS) >= 4
    assert len(MOODS) == 4
    for language in LANGUAGES:
        spoken = table(language)
        assert spoken.cases.keys() == TOPICS.keys()
        for mood in MOODS:
            assert len(spoken.moods[mood]) >= 5
            assert len(spoken.empathy[mood]) >= 5
        for name, case in spoken.cases.items():
            assert len(case.requests) >= 5, name
            assert len(case.ood) >= 2, name
            safe = name in SAFE_TOPICS
            assert (min(len(case.actions), len(case.facts)) >= 3) == safe, name
            assert (min(len(case.refusals), len(case.alternatives), len(case.compliances)) >= 3) != safe, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_request_names_order_and_item_and_the_city_where_the_topic_has_one(language):
    for name, case in table(language).cases.items():
        wanted = {"order", "item", "city"} if TOPICS[name].city else {"order", "item"}
        for template in case.requests + case.borderline + case.ood:
            assert fields(template) == wanted, template


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_action_copies_what_the_topic_requires_and_speaks_of_nothing_the_prompt_lacks(language):
    for name, case in table(language).cases.items():
        given = {"order", "item", "city"} if TOPICS[name].city else {"order", "item"}
        for template in case.actions + case.facts + case.refusals + case.alternatives + case.compliances:
            assert fields(template) <= given, template
        for template in case.actions:
            assert fields(template) >= set(TOPICS[name].required), template


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_value_of_a_slot_hides_in_a_sentence(language):
    spoken, every_value = table(language), index_of(values(language))
    said = [text for _, _, text in sentences(spoken)] + [t for mood in MOODS for t in spoken.moods[mood]]
    said += list(spoken.introductions)
    for case in spoken.cases.values():
        said += case.requests + case.borderline + case.ood
    for template in said:
        words = units(plain(template).format(order="|", item="|", name="|", city="|", who=""), language)
        assert not scan(words, every_value), template


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_and_out_of_distribution_values_differ(language):
    spoken = table(language)
    for slot, count, ood in (("item", 32, 8), ("name", 40, 10), ("city", 20, 5)):
        assert len(set(spoken.values[slot])) == count
        assert len(set(spoken.ood_values[slot])) == ood
        assert not set(spoken.values[slot]) & set(spoken.ood_values[slot])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_key_phrase_belongs_to_one_kind_of_sentence_only(language):
    """Otherwise gold would take one sentence of a reply for another."""
    spoken = table(language)
    blank = {"order": "0", "item": "0", "city": "0", "who": ""}
    said = [(kind, owner, units(plain(text).format(**blank), language)) for kind, owner, text in sentences(spoken)]
    glued = [(kind, owner, "".join(words)) for kind, owner, words in said]
    for kind, owner, template in sentences(spoken):
        sought = "".join(units(key(template), language))
        assert {(k, o) for k, o, text in glued if sought in text} == {(kind, owner)}, template


@pytest.mark.parametrize("language", LANGUAGES)
def test_vague_sentences_name_no_slot(language):
    for _, _, template in sentences(table(language)):
        assert fields(vague(plain(template), table(language))) <= {"who"}, template


def test_an_unknown_language_is_a_sentence():
    with pytest.raises(UserError, match="en and zh, not 'fr'"):
        table("fr")
