import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from prefloop.ops.reduce import explained_variance, masked_max, masked_mean, masked_sum, masked_var
from prefloop.ops.shapes import ShapeError

ALL = [masked_sum, masked_mean, masked_var, masked_max]


@pytest.fixture
def x(rng: torch.Generator) -> Tensor:
    return torch.randn(5, 7, generator=rng, dtype=torch.float64) - 3


def test_by_hand():
    """Real: 1, 3 | 8. Sum 12, mean 4, var (9 + 1 + 16) / 3 = 26/3, max 8. Rows: sums 4 | 8, means 2 | 8, vars 1 | 0."""
    x = torch.tensor([[1.0, 3.0, 99.0], [8.0, 99.0, 99.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert [f(x, mask).item() for f in ALL] == pytest.approx([12, 4, 26 / 3, 8])
    rows = [f(x, mask, dim=1).tolist() for f in ALL]
    assert rows == [[4, 8], [2, 8], [1, 0], [3, 8]]


def test_against_torch_on_the_real_tokens(x: Tensor, ragged_mask: Tensor):
    real = x[ragged_mask]
    expected = [real.sum(), real.mean(), real.var(correction=0), real.max()]
    for function, wanted in zip(ALL, expected, strict=True):
        torch.testing.assert_close(function(x, ragged_mask), wanted)


def test_along_a_dimension_is_row_by_row(x: Tensor, ragged_mask: Tensor):
    for function in ALL:
        rows = torch.stack([function(r, m) for r, m in zip(x, ragged_mask, strict=True)])
        torch.testing.assert_close(function(x, ragged_mask, dim=1), rows)
        columns = torch.stack([function(c, m) for c, m in zip(x.T, ragged_mask.T, strict=True)])
        torch.testing.assert_close(function(x, ragged_mask, dim=0), columns)


def test_padding(unmoved_by_padding: Callable[..., None], x: Tensor, ragged_mask: Tensor):
    for function in ALL:
        for dim in (None, 0, 1):
            unmoved_by_padding(lambda x, mask, f=function, d=dim: f(x, mask, dim=d), ragged_mask, x)


def test_gradients(x: Tensor, ragged_mask: Tensor):
    for function in ALL:
        for dim in (None, 1):
            torch.autograd.gradcheck(lambda x, f=function, d=dim: f(x, ragged_mask, dim=d), (x.requires_grad_(),))


def test_sums_over_micro_batches_add_up_and_means_do_not(x: Tensor, ragged_mask: Tensor):
    """Why the loop sums, then divides once by the tokens of the whole step."""
    parts = [(x[s], ragged_mask[s]) for s in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(sum(masked_sum(*part) for part in parts), masked_sum(x, ragged_mask))
    mean_of_means = sum(masked_mean(*part) for part in parts) / 2
    assert not torch.allclose(torch.as_tensor(mean_of_means), masked_mean(x, ragged_mask), rtol=1e-3)


def test_order_does_not_matter(x: Tensor, ragged_mask: Tensor, rng: torch.Generator):
    order = torch.randperm(35, generator=rng)
    for function in ALL:
        shuffled = function(x.flatten()[order], ragged_mask.flatten()[order])
        torch.testing.assert_close(shuffled, function(x, ragged_mask))


def test_the_mean_of_a_bool_is_a_share():
    actual = masked_mean(torch.tensor([True, False, True, True]), torch.tensor([True, True, True, False]))
    assert actual.item() == pytest.approx(2 / 3)


def test_refusals():
    x, empty = torch.zeros(2, 3), torch.zeros(2, 3).bool()
    assert masked_sum(x, empty).item() == 0
    half = torch.tensor([[True, True, True], [False, False, False]])
    for function in ALL:
        with pytest.raises(ShapeError, match=r"x \(2, 3\), mask \(3,\)"):
            function(x, empty[0])
    for function in ALL[1:]:
        with pytest.raises(ValueError, match="nothing to reduce"):
            function(x, empty)
        with pytest.raises(ValueError, match="along dim=1"):
            function(x, half, dim=1)
        function(x, half, dim=0)


def test_explained_variance_by_hand():
    """returns 0, 2, 4 (var 8/3), errors 0, 0, 3 (var 2): 1 - 2 / (8/3) = 1/4."""
    values, returns = torch.tensor([0.0, 2.0, 1.0, 99.0]), torch.tensor([0.0, 2.0, 4.0, -99.0])
    assert explained_variance(values, returns, torch.arange(4) < 3).item() == pytest.approx(0.25)


def test_explained_variance_laws(unmoved_by_padding: Callable[..., None], x: Tensor, ragged_mask: Tensor):
    """1 if perfect up to a shift, 0 for a constant, -3 for the exact opposite; undefined if nothing varies."""
    guesses = [x + 7, torch.full_like(x, 7.0), -x]
    assert [explained_variance(v, x, ragged_mask).item() for v in guesses] == pytest.approx([1, 0, -3], abs=1e-12)
    assert math.isnan(explained_variance(x, torch.ones_like(x), ragged_mask).item())
    with pytest.raises(ShapeError):
        explained_variance(x, x[:4], ragged_mask)
    unmoved_by_padding(lambda v, r, mask: explained_variance(v, r, mask), ragged_mask, x.cos(), x)
