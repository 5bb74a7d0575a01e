"""Batches made in the background: the same, in order, never many at once, and what fails fails in its place."""

import threading
import time

import pytest

from prefloop.text.ahead import AHEAD, ahead


@pytest.mark.parametrize("start", [0, 3, 19, 20])
def test_the_same_batches_in_their_order(start: int):
    assert list(ahead(list(range(20)), lambda n: n * n, start=start)) == [n * n for n in range(start, 20)]


def test_only_a_few_wait():
    made: list[int] = []
    batches = ahead(list(range(100)), lambda n: made.append(n) or n, start=0)
    for used in range(20):
        assert next(batches) == used
        time.sleep(0.002)
        assert len(made) <= used + AHEAD
    batches.close()
    assert len(made) < 40
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]


def test_what_fails_fails_where_its_batch_is_needed():
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("bad batch")
        return number

    batches = ahead([0, 1, 2, 3], make, start=0)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(ValueError, match="bad batch"):
        next(batches)
