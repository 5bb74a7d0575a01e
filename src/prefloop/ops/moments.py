"""Mean and deviation of numbers that come a few at a time."""

import math
from typing import NamedTuple

from torch import Tensor


class Moments(NamedTuple):
    """Of all numbers seen so far. Plain floats, so that a checkpoint holds them to the bit."""

    num: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    """sum of squared distances from the mean"""

    @property
    def std(self) -> float:
        """Their deviation (divided by n), 0 for none."""
        return math.sqrt(self.squares / self.num) if self.num else 0.0


def with_more(moments: Moments, values: Tensor) -> Moments:
    """The moments with more numbers among them.

        n = n1 + n2        d = mean2 - mean1
        mean    = mean1 + d n2 / n
        squares = squares1 + squares2 + d^2 n1 n2 / n

    Welford 1962, in the form for two groups of Chan, Golub and LeVeque 1979: no sum of squares that loses its digits.

    Args:
        moments: of those before.
        values: (B,) any units; computed in float64.

    Returns: of all of them; of none as they were.
    """
    if not len(values):
        return moments
    numbers = values.detach().cpu().double()
    num, mean = float(len(numbers)), float(numbers.mean())
    count, apart = moments.num + num, mean - moments.mean
    squares = float((numbers - mean).square().sum()) + apart * apart * moments.num * num / count
    return Moments(count, moments.mean + apart * num / count, moments.squares + squares)
