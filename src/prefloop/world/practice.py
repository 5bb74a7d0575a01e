"""Practice for copying: two lines of random words that share an order number, an item and a name.

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
from prefloop.world.tickets import units
from prefloop.world.vocabulary import table

CUES = {"en": ("order {}", "the {}", "{}"), "zh": ("订单{}", "把{}", "叫{}")}
"""What comes before an order number, an item and a name."""
NUM_TEXTS = 2000
"""Documents of the corpus whose words are shuffled."""


def practice(count: int, *, language: str, seed: int) -> Iterator[str]:
    """Documents of two lines; words, items, names and order numbers are those of training."""
    rng = random.Random(f"practice/{language}/{seed}")
    texts = islice(corpus(NUM_TEXTS, language=language, seed=seed), NUM_TEXTS)
    words = sorted({word for text in texts for word in units(text, language) if not any(c.isdigit() for c in word)})
    values, gap = table(language).values, " " if language == "en" else ""
    known = orders("train")

    def line(*shared: str) -> str:
        pieces = [gap.join([*(rng.choice(words) for _ in range(rng.randint(1, 6))), value]) for value in shared]
        return gap.join(pieces)

    for _ in range(count):
        slots = (rng.choice(known), rng.choice(values["item"]), rng.choice(values["name"]))
        order, item, name = (cue.format(slot) for cue, slot in zip(CUES[language], slots, strict=True))
        yield f"{line(order, item, name)}.\n{line(name, order, item)}."
