"""Batches made ahead of need, in the background: tokenizers leave the other cores free while they work."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
B = TypeVar("B")
AHEAD = 8
"""Batches that wait to be used at most: all that is in memory of the examples."""


def ahead(batches: Sequence[B], make: Callable[[B], T], *, start: int) -> Iterator[T]:
    """What `make` makes of each batch from `start` on, in their order, whoever is faster.

    One thread makes them, so that `make` may remember things; what it raises is raised where its batch is needed.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as thread:
        waiting: deque[Future[T]] = deque()
        try:
            for number in range(start, len(batches)):
                waiting.append(thread.submit(lambda number=number: make(batches[number])))
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)
