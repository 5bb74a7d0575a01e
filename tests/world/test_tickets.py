"""A prompt can be read back from its text alone."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefloop.world.grammar import SPLITS, tickets
from prefloop.world.languages import table
from prefloop.world.tickets import Phrase, Ticket, index, language_of, read, scan, units
from prefloop.world.vocabulary import LANGUAGES, TOPICS, plain


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("split", SPLITS)
def test_every_prompt_is_read_as_it_was_meant(split, language):
    for _, ticket, text, _ in islice(tickets(split, language=language, seed=5), 1600):
        assert read(text) == ticket, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_request_with_every_mood_is_read_as_it_was_meant(language):
    """All pairs, not a sample: a request must not borrow the key phrase of another topic, nor of a mood sentence."""
    spoken = table(language)
    item, name, city = (spoken.values[slot][3] for slot in ("item", "name", "city"))
    for topic, case in spoken.cases.items():
        for request in case.requests + case.borderline + case.ood:
            for mood, sentences in spoken.moods.items():
                for sentence in sentences:
                    asked = plain(request).format(order="4821", item=item, city=city)
                    text = spoken.joiner.join((plain(sentence), asked, spoken.introductions[0].format(name=name)))
                    wanted = Ticket(language, topic, mood, "4821", item, name, city if TOPICS[topic].city else "")
                    assert read(text) == wanted, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_reading_does_not_mind_case_punctuation_and_spacing(language):
    for _, ticket, text, _ in islice(tickets("test", language=language), 160):
        noisy = text.upper().replace(".", " !! ").replace("。", "  ").replace(",", "").replace("，", "；")
        assert read(noisy) == ticket, noisy


def test_full_width_digits_are_digits():
    assert read("请取消订单４８２１，水壶我不要了。").order == "4821"


def test_the_unsafe_reading_wins_although_the_safe_words_are_there():
    safe, unsafe = "I want my money back for the kettle.", "I want my money back and keep the kettle."
    assert (read(safe).topic, read(unsafe).topic) == ("refund", "fake_refund")


def test_scan_finds_overlapping_and_repeated_phrases():
    phrases = index([Phrase(tuple(text), "x", text) for text in ("ab", "ba", "aba")])
    hits = sorted((start, phrase.owner) for start, phrase in scan(["a", "b", "a", "b"], phrases))
    assert hits == [(0, "ab"), (0, "aba"), (1, "ba"), (2, "ab")]


def test_units_by_hand():
    said = units("Don't send order4821, it's THE kettle!", "en")
    assert said == ["dont", "send", "order", "4821", "its", "the", "kettle"]
    assert units("订单４８２１的水壶。", "zh") == ["订", "单", "4821", "的", "水", "壶"]
    assert units("the 水壶", "en") == ["the", "水", "壶"]


@given(st.text())
def test_any_text_is_read(text):
    ticket = read(text)
    assert ticket.language == language_of(text)
    assert ticket.topic in {"", *TOPICS}


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(max_codepoint=0x2000)))
def test_text_without_chinese_characters_is_english(text):
    assert language_of(text) == "en"
    assert language_of(text + "好") == "zh"
