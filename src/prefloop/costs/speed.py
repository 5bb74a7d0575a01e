"""How fast this machine multiplies and reads, measured in half a second; how long arithmetic takes then."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from prefloop.costs.estimate import Part
from prefloop.models.device import Placement

SECONDS = 0.12
"""How long each of the measurements takes."""
SIDE = 1024
REACHED = 0.6
"""Share of a large product's rate that a whole update reaches: on two cores 0.58 in bfloat16 and 0.8 in float32 were
measured, and 0.4 to 0.5 is usual on an accelerator."""
LAYER_CALLS = 24
"""Operations, about, that a layer is made of when one token a row is read."""
ACCELERATOR = 150e12
"""Products a second in bfloat16 that are taken for an accelerator with 40 GB or more that is not here: half of what an
A100's or H100's sheet says reaches a training job. A smaller one is taken as a quarter of it."""


@dataclass(frozen=True)
class Speed:
    """What a machine does in a second."""

    products: float
    """multiplications and additions (flops) in the placement's precision"""
    products_full: float
    """the same in float32"""
    reading: float
    """bytes from memory"""
    call: float
    """seconds that a small operation takes"""

    def seconds(self, parts: Iterable[Part]) -> float:
        """How long all of it takes."""
        return sum(self.of(part) for part in parts)

    def of(self, part: Part) -> float:
        """How long a part takes: its products, or reading what they multiply, and the calls."""
        products = part.flops / self.products + part.flops_full / self.products_full
        return max(products / REACHED, part.read / self.reading) + part.calls * LAYER_CALLS * self.call


@torch.no_grad()
def measured(place: Placement) -> Speed:
    """The speed of a device, with the threads that torch has now."""
    side = SIDE if place.device.type == "cpu" else 8 * SIDE
    a = torch.randn(side, side, device=place.device)
    half = a.to(place.autocast or torch.float32)
    large = torch.zeros(2**24 if place.device.type == "cpu" else 2**28, device=place.device)
    small = torch.zeros(64, device=place.device)
    wait = torch.cuda.synchronize if place.device.type == "cuda" else _nothing
    return Speed(
        products=2 * side**3 * _rate(lambda: half @ half, wait),
        products_full=2 * side**3 * _rate(lambda: a @ a, wait),
        reading=large.nbytes * _rate(large.sum, wait),
        call=1 / _rate(lambda: small + small, wait),
    )


def _nothing() -> None:
    """A CPU has nothing to wait for."""


def _rate(work: Callable[[], object], wait: Callable[[], object]) -> float:
    """How often a second something is done, at its best: others may be using the machine."""
    work()
    wait()
    end, best = time.perf_counter() + SECONDS, 0.0
    while time.perf_counter() < end or best == 0:
        since = time.perf_counter()
        work()
        wait()
        best = max(best, 1 / max(1e-9, time.perf_counter() - since))
    return best


def stated(gigabytes: float) -> Speed:
    """What is taken for an accelerator of this memory that is not here."""
    share = 1.0 if gigabytes >= 40 else 0.25
    products = ACCELERATOR * share / REACHED
    return Speed(products=products, products_full=products / 8, reading=1.5e12 * share, call=8e-6)
