"""Generators of random numbers for the named streams of `seeds.py`."""

import torch

from prefloop.seeds import seed_of


def seeded(seed: int, stream: str, *place: int) -> torch.Generator:
    """A generator on the CPU, decided by the run's seed, the stream's name and the place in the stream."""
    return torch.Generator().manual_seed(seed_of(seed, stream, *place))


def shuffled(num: int, seed: int, stream: str, *place: int) -> list[int]:
    """The numbers 0 ... num - 1 in an order that seed, stream and place decide."""
    return permutation(num, seed, stream, *place).tolist()


def permutation(num: int, seed: int, stream: str, *place: int) -> torch.Tensor:
    """(num,) the same order as `shuffled`, in 8 bytes a number."""
    return torch.randperm(num, generator=seeded(seed, stream, *place))
