"""Practice for copying: two lines of random words that share an order number, an item, and a name or a city.

A small model learns to look back into its prompt late, because everything easier is learned first. In these lines there
is nothing else to learn: after them, copying is there within minutes, and the language is learned on top of it.

    hammer drinks order 3201, the doorbell now so Simon Henry.
    gladly, Henry warranty ten order 3201 mirror the doorbell.
"""

import random
from collections.abc import Iterator
from itertools import islice

from prefloop.world.agents import corpus
from prefloop.world.grammar import orders
from prefloop.world.languages import table
from prefloop.world.tickets import units

CUES = {
    "en": {"order": "order {}", "item": "the {}", "name": "{}", "city": "in {}"},
    "zh": {"order": "订单{}", "item": "把{}", "name": "叫{}", "city": "在{}"},
}
"""What comes before an order number, an item, a name and a city."""
NUM_TEXTS = 2000
"""Documents of the corpus whose words are shuffled."""


def practice(count: int, *, language: str, seed: int) -> Iterator[str]:
    """Documents of two lines; words, items, names, cities and order numbers are those of training."""
    rng = random.Random(f"practice/{language}/{seed}")
    texts = islice(corpus(NUM_TEXTS, language=language, seed=seed), NUM_TEXTS)
    words = sorted({word for text in texts for word in units(text, language) if not any(c.isdigit() for c in word)})
    values, gap = table(language).values, " " if language == "en" else ""
    numbers = orders("train")

    def line(*shared: str) -> str:
        pieces = [gap.join([*(rng.choice(words) for _ in range(rng.randint(1, 6))), value]) for value in shared]
        return gap.join(pieces)

    for _ in range(count):
        where = rng.choice(("name", "city"))
        slots = {"order": rng.choice(numbers), "item": rng.choice(values["item"]), where: rng.choice(values[where])}
        order, item, other = (CUES[language][slot].format(value) for slot, value in slots.items())
        yield f"{line(order, item, other)}.\n{line(other, order, item)}."
