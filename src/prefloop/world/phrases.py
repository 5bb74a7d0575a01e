"""The key phrases of a language's replies, and the pairs of units that its sentences put side by side."""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from prefloop.world.languages import table
from prefloop.world.tickets import Hit, Index, Phrase, index, units, values
from prefloop.world.vocabulary import Table, key, plain

STANDINS = {"order": "0", "item": "1", "name": "2", "city": "3"}


def sentences(spoken: Table) -> Iterator[tuple[str, str, str]]:
    """(kind, owner, template) of every sentence that a reply can hold."""
    for topic, case in spoken.cases.items():
        yield from (("action", topic, text) for text in case.actions)
        yield from (("fact", topic, text) for text in case.facts)
        yield from (("refusal", topic, text) for text in case.refusals)
        yield from (("alternative", topic, text) for text in case.alternatives)
        yield from (("compliance", topic, text) for text in case.compliances)
    for mood, texts in spoken.empathy.items():
        yield from (("empathy", mood, text) for text in texts)
    yield from (("refusal", "", text) for text in spoken.refusals)
    yield from (("cold", "", text) for text in spoken.cold_refusals)
    yield from (("filler", "", text) for text in spoken.fillers)
    yield from (("ramble", "", text) for text in spoken.rambles)
    yield from (("evasion", "", text) for text in spoken.evasions)
    yield from (("invention", "", text) for text in spoken.inventions)


def vague(template: str, spoken: Table) -> str:
    """The template without its order number, item and city."""
    for old, new in spoken.vague:
        template = template.replace(old, new)
    return template


@cache
def reply_index(language: str) -> Index:
    """Every key phrase of a reply, the stems of refusal and courtesy, the claims, and every item, name and city."""
    spoken = table(language)
    phrases = [Phrase(tuple(units(key(text), language)), kind, owner) for kind, owner, text in sentences(spoken)]
    phrases += [Phrase(tuple(units(stem, language)), "refusing", "") for stem in spoken.refusal_stems]
    phrases += [Phrase(tuple(units(stem, language)), "polite", "") for stem in spoken.courtesy_stems]
    phrases += [Phrase(tuple(units(claim, language)), "claim", "") for claim in spoken.claims]
    return index([*phrases, *values(language)])


@cache
def adjacent(language: str) -> frozenset[tuple[str, str]]:
    """Pairs of units side by side in a sentence, or at the end of one and the beginning of the next.

    Slot values are replaced by STANDINS.
    """
    spoken = table(language)
    pairs: set[tuple[str, str]] = set()
    first, last = set(), set()
    for _, _, template in sentences(spoken):
        for form in {plain(template), vague(plain(template), spoken)}:
            for who in ("", spoken.who.format(name=STANDINS["name"])):
                words = units(form.format(**STANDINS, who=who), language)
                pairs.update(pairwise(words))
                first.add(words[0])
                last.add(words[-1])
    return frozenset(pairs | {(end, start) for end in last for start in first})


def loose_claims(hits: list[Hit]) -> int:
    """Times and amounts that stand in no sentence of the tables."""
    places = {start for start, phrase in hits if phrase.kind == "claim"}
    for start, phrase in hits:
        if phrase.kind in ("fact", "action", "invention"):
            places.difference_update(range(start, start + len(phrase.units)))
    return len(places)
