"""The gate before RL: a reward model whose card says no is refused, unless told otherwise."""

from collections.abc import Callable
from pathlib import Path

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.health.words import says
from prefloop.models.load import members_of
from prefloop.records.cards import Card
from prefloop.scoring.named import is_model, reward_input
from prefloop.settings import Reward, models_of


def gate(reward: Reward | None, *, anyway: bool, say: Callable[[str], None]) -> None:
    """Looks at the card of each reward model; a function or a server has none, and a model without one passes with a
    sentence.

    Args:
        anyway: pass, and say what the card says.

    Raises: UserError with the reasons and what to do, if a card says that it is not ready.
    """
    for model in models_of(reward).values():
        if not is_model(model):
            continue
        own = card_of(model)
        folders = members_of(model) if own is None else [model]  # an ensemble put together by hand has none of its own
        cards = {folder: card for folder in folders if (card := own or card_of(folder)) is not None}
        if not cards:
            say(
                f"{model}: this reward model has no health card, so that nobody knows whether it is ready for RL. "
                f"See how good it is: prefloop evaluate reward={model} data=FILE out=DIR."
            )
        for folder, card in cards.items():
            if card.verdict == "ready":
                continue
            reasons = " ".join(says(reason) for reason in card.reasons if reason.stops)
            if not anyway:
                raise UserError(
                    f"{folder}: its health card says that this reward model is not ready for RL. {reasons} Or type "
                    "anyway=true."
                )
            say(f"{folder}: its health card says that it is not ready for RL, and it is used anyway. {reasons}")


def card_of(folder: str) -> Card | None:
    """The card in a reward model's folder; None if there is none. Raises: UserError if it is damaged."""
    file = Path(reward_input(folder)) / layout.MODEL_CARD
    return read_document(file, Card) if file.is_file() else None
