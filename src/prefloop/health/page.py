"""Shows the card: one page for each language."""

from pathlib import Path

from prefloop.records.cards import Card


def write(card: Card, folder: Path) -> tuple[Path, ...]:
    """Writes `card.html` and `card.zh.html`. Returns: their paths."""
    raise NotImplementedError
