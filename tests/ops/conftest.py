"""What the tests of the arithmetic share: a seeded generator, and the law of padding."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(20)


@pytest.fixture
def ragged_mask() -> Tensor:
    """Five rows of 1 to 7 real tokens, padded on the right."""
    return torch.arange(7) < torch.tensor([7, 1, 4, 6, 2]).unsqueeze(1)


@pytest.fixture
def unmoved_by_padding() -> Callable[..., None]:
    """Whatever stands in the padding, the answer and every gradient stay the same, to the last bit."""

    def check(function: Callable[..., Tensor], mask: Tensor, *inputs: Tensor) -> None:
        def outcome(filler: float) -> list[Tensor]:
            leaves = [torch.where(mask, x, filler).requires_grad_() for x in inputs]
            answer = function(*leaves, mask)
            weights = torch.linspace(-1, 2, answer.numel(), dtype=answer.dtype).view(answer.shape)
            gradients = torch.autograd.grad((answer * weights).sum(), leaves)
            return [answer.detach(), *gradients]

        expected = outcome(0.0)
        assert all(bool(x.isfinite().all()) for x in expected)
        for filler in (float("nan"), float("inf"), -1e30):
            for actual, wanted in zip(outcome(filler), expected, strict=True):
                torch.testing.assert_close(actual, wanted, rtol=0, atol=0)

    return check
