"""Running moments against all numbers at once."""

import pytest
import torch

from prefloop.ops.moments import Moments, with_more


def test_by_hand():
    """1, 3 then 8: mean 4, squares 9 + 1 + 16 = 26, deviation sqrt(26 / 3)."""
    moments = with_more(with_more(Moments(), torch.tensor([1.0, 3.0])), torch.tensor([8.0]))
    assert moments == pytest.approx((3, 4, 26))
    assert moments.std == pytest.approx((26 / 3) ** 0.5)
    assert Moments().std == 0
    assert with_more(moments, torch.tensor([])) == moments


def test_a_few_at_a_time_is_all_at_once_far_from_zero(rng: torch.Generator):
    """A mean of a million, where a sum of squares would have lost the deviation."""
    numbers = 1e6 + torch.randn(1000, generator=rng, dtype=torch.float64)
    moments = Moments()
    for part in numbers.split([1, 399, 600]):
        moments = with_more(moments, part)
    assert moments.num == 1000
    assert moments.mean == pytest.approx(float(numbers.mean()), rel=1e-14)
    assert moments.std == pytest.approx(float(numbers.std(correction=0)), rel=1e-9)
