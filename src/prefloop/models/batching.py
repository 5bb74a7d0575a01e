"""How many tokens are learned from and read at once, and whether layers are computed again, where nobody said."""

import math
from dataclasses import asdict, dataclass
from typing import TypeVar

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.machine import free_memory, held_memory, room
from prefloop.models.memory import (
    ADAM,
    FLOAT,
    SHORT,
    Anatomy,
    Way,
    activation_bytes_per_token,
    reading_bytes_per_token,
    trained_numbers,
)
from prefloop.models.network import Network
from prefloop.models.recompute import layers_of
from prefloop.run import Run
from prefloop.settings import Batched, Trained

B = TypeVar("B", bound=Batched)
SHARE = 0.6
"""Of the memory that is free once gradients and the optimiser have theirs, the share that activations may take."""
ENOUGH = 1024
"""Tokens at once from which on more hardly make anything faster; if fewer fit, layers are computed again."""
FEWEST, MOST = 256, 16384
"""Bounds of what is chosen."""
USEFUL = {"cpu": 2.5e9}
"""Bytes of activations from which on more only cost memory: 8192 tokens at once of SmolLM2 took 8.3 GB on a CPU, 2048
took 3.6, and an update as long."""


@dataclass(frozen=True)
class Batching:
    """How much is computed at once."""

    micro_tokens: int
    """tokens that are learned from at once"""
    reading_tokens: int
    """tokens that are read at once without gradients, in about the same memory"""
    recompute: bool
    """whether layers are computed again in the backward pass"""

    def settle(self, settings: B) -> B:
        """The settings with these sizes."""
        return settings.model_copy(update={"micro_tokens": self.micro_tokens, "recompute": self.recompute})

    @property
    def sentence(self) -> str:
        """What was chosen, for the user."""
        again = ", layers computed again in the backward pass (recompute=true)" if self.recompute else ""
        return (
            f"at once {self.micro_tokens} tokens are learned from (micro_tokens={self.micro_tokens}) and "
            f"{self.reading_tokens} read{again}."
        )


def batched(network: Network, settings: Batched, run: Run) -> Batching:
    """What the settings say, and where they leave it open what suits the model and the memory that is free.

    It is chosen once in a run and stays when the run goes on, for how sums of floats are split changes their last
    digits. The network computes so from then on.

    Raises: UserError for layers that cannot be computed again.
    """
    if settings.recompute is True and not layers_of(network.pretrained):
        raise UserError(
            f"{network.path}: transformers does not say what the layers of {type(network.pretrained).__name__} are, so "
            "they cannot be computed again. Leave recompute out, and lower micro_tokens if memory is short."
        )
    sizes = Batching(**run.chosen("batching", lambda: asdict(chosen(network, settings))))
    network.recompute = sizes.recompute
    if settings.micro_tokens is None or settings.recompute == "auto":
        run.say(sizes.sentence)
    return sizes


def chosen(network: Network, settings: Batched) -> Batching:
    """The same for now."""
    critic = network.critic
    return fitting(
        Anatomy.of_model(network.pretrained),
        settings,
        network.placement,
        trained=trained_numbers(network),
        adapter=network.role is not None,
        trunks=2 if critic is not None and (critic.trunk is not None or critic.role is not None) else 1,
        layered=bool(layers_of(network.pretrained)),
    )


def fitting(
    anatomy: Anatomy,
    settings: Batched,
    place: Placement,
    *,
    trained: float,
    adapter: bool,
    trunks: int = 1,
    layered: bool = True,
    coming: float = 0.0,
) -> Batching:
    """What fits a model of that anatomy.

    Args:
        place: where it computes, whose free memory counts, and how precisely.
        trained: numbers that learn.
        adapter: True if they are an adapter's.
        trunks: that keep activations at once.
        layered: True if its layers can be computed again.
        coming: bytes that are not in memory yet and will be.
    """
    free = free_memory(place.device)
    if isinstance(settings, Trained) and settings.memory:
        free = min(free, room(place.device, settings.memory) - held_memory(place.device))
    free = SHARE * (free - coming - (FLOAT + ADAM) * trained)

    def bytes_of(recompute: bool | None) -> float:
        """Of a token: learned from with or without recomputation, or None only read."""
        way = Way(
            half=place.autocast is not None,
            longest=min(SHORT, anatomy.context),
            cpu=place.device.type == "cpu",
            recompute=bool(recompute),
            adapter=adapter,
        )
        if recompute is None:
            return reading_bytes_per_token(anatomy, way)
        return trunks * activation_bytes_per_token(anatomy, way)

    recompute = settings.recompute
    if recompute == "auto":
        wanted = settings.micro_tokens or ENOUGH
        recompute = free < wanted * bytes_of(False) and layered
    learned = bytes_of(recompute)
    useful = max(ENOUGH, USEFUL.get(place.device.type, free) / learned)
    micro = settings.micro_tokens or _power_of_two(min(free / learned, useful), FEWEST, MOST)
    return Batching(micro, micro * _power_of_two(learned / bytes_of(None), 2, 16), recompute)


def _power_of_two(number: float, least: int, most: int) -> int:
    """The largest power of two up to `number`, within bounds that are powers of two."""
    return least if number < least else min(most, 2 ** int(math.log2(number)))
