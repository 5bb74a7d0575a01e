"""The customers: every prompt of the helpdesk, counted, numbered and split.

A prompt is a mood sentence, a request and an introduction in one of five arrangements, with an order number, an
item, a name and for some topics a city. Its order number decides its split, by hash; the out-of-distribution split
has order numbers, items, names, cities and requests of its own. Prompts are drawn without replacement: position i
goes through a keyed permutation to one combination, so any slice can be made without making what comes before it.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from math import prod

from prefloop.errors import UserError
from prefloop.records import Message, Prompt
from prefloop.world.languages import table
from prefloop.world.tickets import Ticket
from prefloop.world.vocabulary import LANGUAGES, MOODS, TOPICS, plain

SPLITS = ("train", "validation", "test", "ood")
_SHARES = (80, 8, 8, 4)  # percent of the order numbers, in the order of SPLITS
ARRANGEMENTS = ("{m}{j}{r}{j}{i}", "{i}{j}{m}{j}{r}", "{m}{j}{i}{j}{r}", "{r}{j}{m}{j}{i}", "{i}{j}{r}{j}{m}")
_NAMES = tuple(TOPICS)


def split_of(order: str) -> str:
    """The split to which every prompt with this order number belongs."""
    bucket = int.from_bytes(blake2b(f"order {order}".encode(), digest_size=8).digest(), "big") % 100
    edge = 0
    for split, share in zip(SPLITS, _SHARES, strict=True):
        edge += share
        if bucket < edge:
            return split
    raise AssertionError("the shares add up to 100")


@cache
def orders(split: str) -> tuple[str, ...]:
    """Every order number of a split."""
    return tuple(str(number) for number in range(1000, 10000) if split_of(str(number)) == split)


@dataclass(frozen=True)
class Choices:
    """Everything that can be chosen for a topic in a split; a prompt is one choice from each."""

    topic: str
    moods: tuple[tuple[str, str], ...]  # (mood, sentence)
    requests: tuple[tuple[str, bool], ...]  # (template, borderline)
    introductions: tuple[str, ...]
    orders: tuple[str, ...]
    items: tuple[str, ...]
    names: tuple[str, ...]
    cities: tuple[str, ...]  # ("",) for a topic without a city

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many there are of each: their product is the number of distinct prompts."""
        return (
            len(self.moods),
            len(self.requests),
            len(self.introductions),
            len(ARRANGEMENTS),
            len(self.orders),
            len(self.items),
            len(self.names),
            len(self.cities),
        )


@cache
def choices(language: str, split: str, topic: str) -> Choices:
    """What can be chosen for a topic in a split."""
    if split not in SPLITS:
        raise UserError(f"there is no split called {split!r}; choose one of {', '.join(SPLITS)}")
    spoken = table(language)
    case = spoken.cases[topic]
    values = spoken.ood_values if split == "ood" else spoken.values
    if split == "ood":
        requests = tuple((plain(text), False) for text in case.ood)
    else:
        requests = tuple((plain(text), False) for text in case.requests)
        requests += tuple((plain(text), True) for text in case.borderline)
    return Choices(
        topic=topic,
        moods=tuple((mood, plain(text)) for mood in MOODS for text in spoken.moods[mood]),
        requests=requests,
        introductions=spoken.introductions,
        orders=orders(split),
        items=values["item"],
        names=values["name"],
        cities=values["city"] if TOPICS[topic].city else ("",),
    )


def num_prompts(language: str = "en") -> dict[str, int]:
    """The exact number of distinct prompts: by split, `in_distribution` (the first three) and `total`."""
    counts = {split: sum(prod(choices(language, split, topic).sizes) for topic in TOPICS) for split in SPLITS}
    counts["in_distribution"] = counts["train"] + counts["validation"] + counts["test"]
    counts["total"] = counts["in_distribution"] + counts["ood"]
    return counts


@cache
def permutation(size: int, seed: str) -> Callable[[int], int]:
    """A keyed bijection of range(size): a four-round Feistel network, walked until it lands inside."""
    half = max(1, (size.bit_length() + 1) // 2)
    mask = (1 << half) - 1
    digest = blake2b(seed.encode(), digest_size=32).digest()
    keys = tuple(int.from_bytes(digest[8 * i : 8 * i + 8], "big") for i in range(4))

    def permuted(index: int) -> int:
        while True:
            left, right = index >> half, index & mask
            for round_key in keys:
                mixed = ((right ^ round_key) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
                left, right = right, left ^ ((mixed >> 29) & mask)
            index = (left << half) | right
            if index < size:
                return index

    return permuted


@cache
def _permutation(language: str, split: str, topic: str, seed: int) -> tuple[int, Callable[[int], int]]:
    size = prod(choices(language, split, topic).sizes)
    return size, permutation(size, f"{language}/{split}/{topic}/{seed}")


def _combination(options: Choices, number: int, joiner: str, language: str) -> tuple[Ticket, str, bool]:
    """The prompt with this number among all of its topic and split."""
    picks = []
    for size in options.sizes:
        number, pick = divmod(number, size)
        picks.append(pick)
    mood, mood_text = options.moods[picks[0]]
    request, borderline = options.requests[picks[1]]
    order, item, name = options.orders[picks[4]], options.items[picks[5]], options.names[picks[6]]
    city = options.cities[picks[7]]
    text = ARRANGEMENTS[picks[3]].format(
        m=mood_text,
        r=request.format(order=order, item=item, city=city),
        i=options.introductions[picks[2]].format(name=name),
        j=joiner,
    )
    text = text[0].upper() + text[1:]
    return Ticket(language, options.topic, mood, order, item, name, city), text, borderline


def tickets(
    split: str, *, language: str = "en", seed: int = 0, start: int = 0
) -> Iterator[tuple[int, Ticket, str, bool]]:
    """Endless (position, true ticket, prompt text, borderline) from a position on.

    Each block of 16 positions holds every topic once, in an order of its own.
    """
    if language not in LANGUAGES:
        raise UserError(f"the helpdesk speaks {' and '.join(LANGUAGES)}, not {language!r}")
    joiner, width = table(language).joiner, len(_NAMES)
    position = start
    while True:
        block, offset = divmod(position, width)
        names = list(_NAMES)
        random.Random(f"{language}/{split}/{seed}/{block}").shuffle(names)
        for name in names[offset:]:
            size, permuted = _permutation(language, split, name, seed)
            if block >= size:
                raise UserError(f"the {split} split has only {size} prompts about {name}; ask for fewer")
            number = permuted(block)
            ticket, text, borderline = _combination(choices(language, split, name), number, joiner, language)
            yield position, ticket, text, borderline
            position += 1


def prompts(split: str, count: int, *, language: str = "en", seed: int = 0, start: int = 0) -> list[Prompt]:
    """`count` distinct prompts of a split, from position `start` of the order that the seed gives.

    Asking for positions 0-99 and then 100-199 gives the same prompts as asking for 0-199.

    Args:
        split: train, validation, test or ood.
        count: prompts wanted.
        language: en or zh.
        seed: decides the order; prompts of two seeds may overlap.
        start: position of the first.
    """
    if split not in SPLITS:
        raise UserError(f"there is no split called {split!r}; choose one of {', '.join(SPLITS)}")
    made = []
    source = tickets(split, language=language, seed=seed, start=start)
    for _ in range(count):
        position, ticket, text, borderline = next(source)
        tags = [f"topic:{ticket.topic}", f"mood:{ticket.mood}", "unsafe" if ticket.unsafe else "safe"]
        if borderline:
            tags.append("borderline")
        if split == "ood":
            tags.append("ood")
        message = Message(role="user", content=text)
        made.append(Prompt(id=f"{split}-{position:06d}", messages=(message,), tags=tuple(tags)))
    return made
