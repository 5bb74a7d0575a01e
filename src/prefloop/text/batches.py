"""Which examples go into which batch: decided by (seed, stream, epoch), so that a position is enough to resume."""

from collections.abc import Sequence

from prefloop.ops.draws import shuffled


def epoch_batches(lengths: Sequence[int], *, batch_tokens: int, seed: int, stream: str, epoch: int) -> list[list[int]]:
    """One shuffled pass over all examples, cut into batches of at most `batch_tokens` tokens.

    Args:
        lengths: tokens in each example.
        batch_tokens: budget of a batch; an example longer than it makes a batch of its own.
        seed: the run's; with `stream` and `epoch` it decides the order.
        stream: a name in `seeds.STREAMS`.
        epoch: number of the pass.

    Returns: batches of example numbers; every example is in exactly one.
    """
    return cut(shuffled(len(lengths), seed, stream, epoch), lengths, limit=batch_tokens)


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
