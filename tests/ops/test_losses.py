import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from prefloop.ops.losses import ppo_policy_clipped, ppo_policy_loss, ppo_value_clipped, ppo_value_loss, reinforce_loss
from prefloop.ops.reduce import masked_sum
from prefloop.ops.shapes import ShapeError


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


# ppo_policy_loss


def test_ppo_policy_loss_by_hand():
    """clip 0.2; the gradient is by logprobs, where d ratio = ratio.

    ratio   A    ratio A   clipped A   loss = -min   gradient
     1.5   +1      1.5        1.2         -1.2           0      gone far enough: stop
     1.5   -1     -1.5       -1.2          1.5         1.5      gone the wrong way: come back
     0.5   +1      0.5        0.8         -0.5        -0.5      gone the wrong way: come back
     0.5   -1     -0.5       -0.8          0.8           0      gone far enough: stop
     1.1   +2      2.2        2.2         -2.2        -2.2
     1.0   -3     -3.0       -3.0          3.0         3.0
    """
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1, 1.0])
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0, -3.0])

    def loss(logprobs: Tensor) -> Tensor:
        return ppo_policy_loss(logprobs, torch.zeros(6), advantages, clip=0.2)

    torch.testing.assert_close(loss(ratio.log()), torch.tensor([-1.2, 1.5, -0.5, 0.8, -2.2, 3.0]))
    torch.testing.assert_close(gradient(loss, ratio.log()), torch.tensor([0.0, 1.5, -0.5, 0.0, -2.2, 3.0]))


def test_ppo_gradient_is_zero_exactly_where_clipped_on_the_pessimistic_side(rng: torch.Generator):
    draw = torch.randn(3, 2000, generator=rng, dtype=torch.float64)
    logprobs, old_logprobs, advantages = 0.3 * draw[0] - 2, 0.3 * draw[1] - 2, draw[2]
    ratio = (logprobs - old_logprobs).exp()
    far_enough = ((ratio > 1.2) & (advantages > 0)) | ((ratio < 0.8) & (advantages < 0))
    actual = gradient(lambda x: ppo_policy_loss(x, old_logprobs, advantages, clip=0.2), logprobs)
    assert 300 < far_enough.sum().item() < 1700
    torch.testing.assert_close(actual, torch.where(far_enough, 0.0, -ratio * advantages))
    assert ppo_policy_clipped(logprobs, old_logprobs, advantages, clip=0.2).tolist() == (actual == 0).tolist()
    outside = (ratio - 1).abs() > 0.2
    assert outside.sum().item() > 1.5 * far_enough.sum().item()  # half of what is outside is pulled back


def test_ppo_first_step_is_the_policy_gradient(rng: torch.Generator):
    """At ratio 1 the loss is -A, and its gradient that of -A log p, whatever the clip."""
    logprobs, advantages = torch.randn(2, 3, 4, generator=rng)
    torch.testing.assert_close(ppo_policy_loss(logprobs, logprobs, advantages, clip=0.1), -advantages)
    actual = gradient(lambda x: ppo_policy_loss(x, logprobs, advantages, clip=0.1), logprobs)
    torch.testing.assert_close(actual, -advantages)


def test_ppo_loss_is_never_below_the_unclipped(rng: torch.Generator):
    logprobs, old_logprobs, advantages = torch.randn(3, 500, generator=rng)
    clipped = ppo_policy_loss(logprobs, old_logprobs, advantages, clip=0.2)
    unclipped = ppo_policy_loss(logprobs, old_logprobs, advantages, clip=math.inf)
    assert bool((clipped >= unclipped).all())
    torch.testing.assert_close(unclipped, -(logprobs - old_logprobs).exp() * advantages)


# reinforce_loss


def test_reinforce_loss_is_minus_advantage_times_the_score_function():
    """Better than expected (2) becomes likelier, worse (-1) less likely, each in proportion; advantages have no
    gradient."""
    logprobs = torch.tensor([-0.5, -3.0], requires_grad=True)
    loss = reinforce_loss(logprobs, torch.tensor([2.0, -1.0]))
    assert loss.tolist() == [1.0, -3.0]
    assert torch.autograd.grad(loss.sum(), logprobs)[0].tolist() == [-2.0, 1.0]


# ppo_value_loss


def test_ppo_value_loss_by_hand():
    """clip 0.5, old value 1; the gradient is by values, 0 where the clipped square is the larger.

    value  return  clipped   square   clipped square   loss    gradient
      2      3       1.5       1           2.25        1.125       0
      2      0       1.5       4           2.25        2           2
      0      3       0.5       9           6.25        4.5        -3
     1.2     1       1.2      0.04         0.04        0.02       0.2
    """
    values, returns = torch.tensor([2.0, 2.0, 0.0, 1.2]), torch.tensor([3.0, 0.0, 3.0, 1.0])

    def loss(values: Tensor) -> Tensor:
        return ppo_value_loss(values, torch.ones(4), returns, clip=0.5)

    torch.testing.assert_close(loss(values), torch.tensor([1.125, 2.0, 4.5, 0.02]))
    torch.testing.assert_close(gradient(loss, values), torch.tensor([0.0, 2.0, -3.0, 0.2]))


def test_values_are_clipped_where_their_gradient_is_zero(rng: torch.Generator):
    values, old_values, returns = torch.randn(3, 2000, generator=rng, dtype=torch.float64)
    still = gradient(lambda x: ppo_value_loss(x, old_values, returns, clip=0.5), values) == 0
    clipped = ppo_value_clipped(values, old_values, returns, clip=0.5)
    assert clipped.tolist() == still.tolist()
    assert 200 < still.sum().item() < ((values - old_values).abs() > 0.5).sum().item() - 200
    assert not bool(ppo_value_clipped(values, old_values, returns, clip=math.inf).any())


def test_ppo_value_loss_without_a_clip_is_half_the_squared_error(rng: torch.Generator):
    values, old_values, returns = torch.randn(3, 4, 5, generator=rng)
    actual = ppo_value_loss(values, old_values, returns, clip=math.inf)
    torch.testing.assert_close(actual, functional.mse_loss(values, returns, reduction="none") / 2)
    assert bool((ppo_value_loss(values, old_values, returns, clip=0.1) >= actual).all())


# What the token losses have in common


def test_token_losses_by_finite_differences(rng: torch.Generator):
    x, old, target = torch.randn(3, 40, generator=rng, dtype=torch.float64)
    x = x.requires_grad_()
    torch.autograd.gradcheck(lambda x: ppo_policy_loss(x, old, target, clip=0.2), (x,))
    torch.autograd.gradcheck(lambda x: ppo_value_loss(x, old, target, clip=0.2), (x,))


@pytest.mark.parametrize("loss", [ppo_policy_loss, ppo_value_loss])
def test_token_losses_are_elementwise(
    loss: Callable[..., Tensor], unmoved_by_padding: Callable[..., None], rng: torch.Generator, ragged_mask: Tensor
):
    """A table, its packed tokens and its rows in another order are alike; packed, no padding reaches a gradient."""
    table = torch.randn(3, 5, 7, generator=rng, dtype=torch.float64)
    whole = loss(*table, clip=0.2)
    torch.testing.assert_close(loss(*table[:, ragged_mask], clip=0.2), whole[ragged_mask])
    torch.testing.assert_close(loss(*table[:, [3, 1, 4, 0, 2]], clip=0.2), whole[[3, 1, 4, 0, 2]])
    torch.testing.assert_close(masked_sum(whole, ragged_mask), loss(*table[:, ragged_mask], clip=0.2).sum())
    unmoved_by_padding(lambda a, b, c, mask: loss(a[mask], b[mask], c[mask], clip=0.2), ragged_mask, *table)


@pytest.mark.parametrize("loss", [ppo_policy_loss, ppo_value_loss])
def test_token_losses_refuse_to_broadcast(loss: Callable[..., Tensor]):
    with pytest.raises(ShapeError, match=r"\(4, 4\), .* \(4, 4\), .* \(4,\)"):
        loss(torch.zeros(4, 4), torch.zeros(4, 4), torch.zeros(4), clip=0.2)


# clip_high and dual_clip


def test_ppo_limits_of_their_own_by_hand():
    """clip 0.2, clip_high 0.5, dual_clip 3; the gradient is by logprobs, where d ratio = ratio.

    ratio   A    ratio A   clipped A   -min   bounded   gradient
     1.4   +1      1.4        1.4      -1.4     -1.4      -1.4     above 1.2, but below 1.5
     1.6   +1      1.6        1.5      -1.5     -1.5       0
     0.7   -1     -0.7       -0.8       0.8      0.8       0       below 1 it is still 0.8
     2.0   -1     -2.0       -1.5       2.0      2.0       2.0
     4.0   -1     -4.0       -1.5       4.0      3.0       0       it may cost 3 times A and no more
     4.0   +1      4.0        1.5      -1.5     -1.5       0
    """
    ratio = torch.tensor([1.4, 1.6, 0.7, 2.0, 4.0, 4.0])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
    limits = {"clip": 0.2, "clip_high": 0.5, "dual_clip": 3.0}

    def loss(logprobs: Tensor) -> Tensor:
        return ppo_policy_loss(logprobs, torch.zeros(6), advantages, **limits)

    torch.testing.assert_close(loss(ratio.log()), torch.tensor([-1.4, -1.5, 0.8, 2.0, 3.0, -1.5]))
    slopes = gradient(loss, ratio.log())
    torch.testing.assert_close(slopes, torch.tensor([-1.4, 0.0, 0.0, 2.0, 0.0, 0.0]))
    assert ppo_policy_clipped(ratio.log(), torch.zeros(6), advantages, **limits).tolist() == (slopes == 0).tolist()


def test_ppo_without_limits_of_their_own_is_as_before(rng: torch.Generator):
    draw = torch.randn(3, 500, generator=rng, dtype=torch.float64)
    given = (0.5 * draw[0], 0.5 * draw[1], draw[2])
    for function in (ppo_policy_loss, ppo_policy_clipped):
        plain = function(*given, clip=0.2)
        assert torch.equal(plain, function(*given, clip=0.2, clip_high=0.2, dual_clip=1e9))
