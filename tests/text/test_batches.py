"""Batches: every example once, none too long, decided by seed and epoch alone."""

from hypothesis import given
from hypothesis import strategies as st

from prefloop.ops.draws import permutation
from prefloop.text.batches import Batches, cut


def test_cut_by_hand():
    """Limit 10: 4 + 6 fit exactly, 5 begins anew, 12 is a batch of its own, and nothing joins it."""
    assert cut([3, 0, 1, 4, 2], [6, 5, 1, 4, 12], limit=10) == [[3, 0], [1], [4], [2]]


def of_epoch(lengths: list[int], limit: int, seed: int, epoch: int) -> list[list[int]]:
    """One pass, made by itself."""
    return cut(permutation(len(lengths), seed, "sft.batches", epoch).tolist(), lengths, limit=limit)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40), st.integers(1, 20), st.integers(0, 5), st.integers(0, 5))
def test_every_example_once_and_none_over_the_limit(lengths: list[int], limit: int, seed: int, epoch: int):
    passes = Batches(lengths, epochs=epoch + 1, limit=limit, seed=seed, stream="sft.batches")
    before = len(Batches(lengths, epochs=epoch, limit=limit, seed=seed, stream="sft.batches")) if epoch else 0
    batches = [passes[number].tolist() for number in range(before, len(passes))]
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in batch) <= limit or len(batch) == 1 for batch in batches)


def test_order_is_decided_by_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[list[int]]:
        passes = Batches([1] * 50, epochs=epoch + 1, limit=5, seed=seed, stream="sft.batches")
        return [batch.tolist() for batch in passes][10 * epoch :]

    assert order(0, 0) == order(0, 0)
    assert len({str(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40), st.integers(1, 20), st.integers(1, 4))
def test_many_passes_are_those_of_each_epoch_whatever_is_asked_for_first(lengths: list[int], limit: int, epochs: int):
    batches = Batches(lengths, epochs=epochs, limit=limit, seed=1, stream="sft.batches")
    each = [of_epoch(lengths, limit, 1, epoch) for epoch in range(epochs)]
    expected = [batch for epoch in each for batch in epoch]
    assert (len(batches), batches.first_pass) == (len(expected), len(each[0]))
    for number in (*range(len(expected))[::-1], *range(len(expected))):
        assert batches[number].tolist() == expected[number]
