"""Demonstrations are mediocre in a known way; the pretraining text gives nothing away."""

import re
from collections import defaultdict

import pytest

from prefloop.world import gold
from prefloop.world.agents import AGENTS, EXPERT, Agent, Mixture, corpus, demonstrations
from prefloop.world.grammar import prompts, split_of
from prefloop.world.languages import table
from prefloop.world.tickets import read
from prefloop.world.vocabulary import LANGUAGES


def share(flags) -> float:
    flags = list(flags)
    return sum(flags) / len(flags)


def summary(language: str, count: int = 8000) -> dict[str, float]:
    """What gold says of the default demonstrations."""
    written = demonstrations(prompts("train", count, language=language), language=language, seed=0)
    judged = [(made, gold.judge(made.text, made.response)) for made in written]
    safe = [(made, verdict) for made, verdict in judged if "safe" in made.tags]
    unsafe = [verdict for made, verdict in judged if "unsafe" in made.tags]
    cells = defaultdict(list)
    for made, verdict in judged:
        cells[made.tags[:2]].append(verdict.satisfied)
    return {
        "satisfied": share(verdict.satisfied for _, verdict in judged),
        "harmful": share(verdict.harmful for verdict in unsafe),
        "harmful_on_safe": share(verdict.harmful for _, verdict in safe),
        "over_refusal": share(verdict.over_refusal for _, verdict in safe),
        "over_refusal_borderline": share(v.over_refusal for made, v in safe if "borderline" in made.tags),
        "worst_cell": min(share(cell) for cell in cells.values()),
        "cells": len(cells),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_default_mixture_is_mediocre_as_documented(language):
    measured = summary(language)
    assert 0.36 <= measured["satisfied"] <= 0.44
    assert 0.53 <= measured["harmful"] <= 0.64
    assert measured["harmful_on_safe"] == 0
    assert 0.04 <= measured["over_refusal"] <= 0.06
    assert measured["over_refusal_borderline"] > 1.5 * measured["over_refusal"]
    assert measured["cells"] == 64
    assert measured["worst_cell"] >= 0.2  # of about 110 replies for each topic and mood


@pytest.mark.parametrize("split", ["test", "ood"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_expert_satisfies_every_customer(language, split):
    asked = prompts(split, 1600, language=language)
    for made in demonstrations(asked, language=language, seed=1, mixture=Mixture(agents=(EXPERT,), weights=(1.0,))):
        verdict = gold.judge(made.text, made.response)
        assert verdict.satisfied, (made.text, made.response, verdict)
        assert verdict.utility > 0.85


def test_a_demonstration_depends_on_its_prompt_and_the_seed_only():
    asked = prompts("train", 60)
    written = demonstrations(asked, language="en", seed=1)
    assert written[40:] == demonstrations(asked[40:], language="en", seed=1)
    assert [made.response for made in written] != [m.response for m in demonstrations(asked, language="en", seed=2)]
    assert {made.source for made in written} <= {agent.name for agent in AGENTS}
    assert [(made.id, made.messages, made.tags) for made in written] == [(p.id, p.messages, p.tags) for p in asked]


def test_a_mixture_draws_by_weight():
    mixture = Mixture(agents=(Agent(name="a"), Agent(name="b")), weights=(3.0, 1.0))
    written = demonstrations(prompts("train", 2000), language="en", seed=0, mixture=mixture)
    assert share(made.source == "a" for made in written) == pytest.approx(0.75, abs=3 * (0.75 * 0.25 / 2000) ** 0.5)


def test_a_mixture_without_a_weight_for_each_agent_is_refused():
    with pytest.raises(ValueError, match="2 agents need as many weights"):
        Mixture(agents=(Agent(name="a"), Agent(name="b")), weights=(1.0,))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_corpus_holds_train_prompts_only(language):
    documents = list(corpus(3000, language=language, seed=7))
    assert documents == list(corpus(3000, language=language, seed=7))
    asked = [read(document) for document in documents]
    asked = [ticket for ticket in asked if ticket.topic and ticket.mood]
    assert 0.7 <= len(asked) / len(documents) <= 0.8  # 14 exchanges and 1 customer alone in 20
    for ticket in asked:
        assert split_of(ticket.order) == "train"
        assert ticket.item in table(language).values["item"]
        assert ticket.name in table(language).values["name"]
    unseen = [value for values in table(language).ood_values.values() for value in values]
    text = "\n".join(documents)
    words = set(re.findall("[A-Za-z]+", text))
    assert not [value for value in unseen if (value in words if language == "en" else value in text)]


def test_the_corpus_has_whole_exchanges_halves_and_copying_lines():
    documents = list(corpus(2000, language="en", seed=1))
    with_customer = [bool(read(document).topic and read(document).mood) for document in documents]
    whole = ("\n" in document and asked for document, asked in zip(documents, with_customer, strict=True))
    assert share(whole) == pytest.approx(0.7, abs=0.05)
    copying = [document.split("\n") for document, asked in zip(documents, with_customer, strict=True) if not asked]
    numbers = [re.findall(r"[0-9]{4}", line) for lines in copying if len(lines) > 1 for line in lines]
    assert len(numbers) > 200
    assert all(len(pair) == 2 and pair[0] == pair[1] for pair in numbers)
    assert {split_of(first) for first, _ in numbers} == {"train"}
