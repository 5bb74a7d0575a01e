"""Which examples go into which batch: decided by (seed, epoch) alone, so that a position is enough to resume."""

from collections.abc import Sequence

import torch


def epoch_batches(lengths: Sequence[int], *, batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """One shuffled pass over all examples, cut into batches of at most `batch_tokens` tokens.

    Args:
        lengths: tokens in each example.
        batch_tokens: budget of a batch; an example longer than it makes a batch of its own.
        seed: with `epoch`, decides the order.
        epoch: number of the pass.

    Returns: batches of example numbers; every example is in exactly one.
    """
    order = torch.randperm(len(lengths), generator=seeded(seed, epoch)).tolist()
    return cut(order, lengths, limit=batch_tokens)


def cut(order: Sequence[int], lengths: Sequence[int], *, limit: int) -> list[list[int]]:
    """Examples in the given order, cut wherever the next one would pass `limit` tokens."""
    batches: list[list[int]] = []
    used = limit + 1
    for example in order:
        if used + lengths[example] > limit:
            batches.append([])
            used = 0
        batches[-1].append(example)
        used += lengths[example]
    return batches


def seeded(*numbers: int) -> torch.Generator:
    """A generator decided by several numbers, far from the generators of neighbouring ones."""
    mixed = 0x9E3779B97F4A7C15
    for number in numbers:
        mixed = ((mixed ^ (number + 0x632BE59BD9B4E019)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed % 2**63)
