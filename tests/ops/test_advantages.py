from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from prefloop.ops.advantages import discounted_returns, gae, whitened
from prefloop.ops.rewards import token_rewards
from prefloop.ops.shapes import ShapeError


@pytest.fixture
def rollout(rng: torch.Generator, ragged_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """rewards, values, mask, all (5, 7)."""
    draw = torch.randn(2, 5, 7, generator=rng, dtype=torch.float64)
    return draw[0], draw[1], ragged_mask


def brute_force_gae(rewards: list[float], values: list[float], discount: float, decay: float) -> list[float]:
    """The sum as the paper writes it: advantage[t] = sum_l (discount decay)^l surprise[t + l]."""
    after = [*values[1:], 0.0]
    surprise = [r + discount * a - v for r, a, v in zip(rewards, after, values, strict=True)]
    return [
        sum((discount * decay) ** (later - t) * surprise[later] for later in range(t, len(surprise)))
        for t in range(len(surprise))
    ]


def test_gae_by_hand():
    """discount 1, decay 1/2, one reward at the end:

    surprise   = [0 + 2 - 1,  0 + 3 - 2,  4 - 3]   = [1, 1, 1]
    advantage  = [1 + 1.5/2,  1 + 1/2,    1]       = [1.75, 1.5, 1]
    return     = [1.75 + 1,   1.5 + 2,    1 + 3]   = [2.75, 3.5, 4]
    """
    rewards, values = torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[1.0, 2.0, 3.0]])
    advantages, returns = gae(rewards, values, torch.ones(1, 3).bool(), discount=1.0, decay=0.5)
    torch.testing.assert_close(advantages, torch.tensor([[1.75, 1.5, 1.0]]))
    torch.testing.assert_close(returns, torch.tensor([[2.75, 3.5, 4.0]]))


def test_gae_by_hand_with_padding():
    """discount 1/2, decay 1, two real tokens of four; the value after the end is 0, not the 9 that stands there:

    surprise   = [1 + 4/2 - 2,  3 - 4]    = [1, -1]
    advantage  = [1 - 1/2,      -1]       = [0.5, -1]
    """
    mask = torch.tensor([[True, True, False, False]])
    rewards, values = torch.tensor([[1.0, 3.0, 9.0, 9.0]]), torch.tensor([[2.0, 4.0, 9.0, 9.0]])
    advantages, returns = gae(rewards, values, mask, discount=0.5, decay=1.0)
    torch.testing.assert_close(advantages, torch.tensor([[0.5, -1.0, 0.0, 0.0]]))
    torch.testing.assert_close(returns, torch.tensor([[2.5, 3.0, 0.0, 0.0]]))


@pytest.mark.parametrize(("discount", "decay"), [(1.0, 0.95), (0.9, 0.8), (0.99, 1.0), (0.5, 0.0), (1.0, 1.0)])
def test_gae_against_brute_force(rollout: tuple[Tensor, Tensor, Tensor], discount: float, decay: float):
    rewards, values, mask = rollout
    advantages, returns = gae(*rollout, discount=discount, decay=decay)
    for b, n in enumerate(mask.sum(1).tolist()):
        expected = brute_force_gae(rewards[b, :n].tolist(), values[b, :n].tolist(), discount, decay)
        assert advantages[b, :n].tolist() == pytest.approx(expected, rel=1e-12)
        assert (returns - values)[b, :n].tolist() == pytest.approx(expected, rel=1e-12)
        assert not advantages[b, n:].any()
        assert not returns[b, n:].any()


def test_decay_one_is_return_less_value(rollout: tuple[Tensor, Tensor, Tensor]):
    rewards, values, mask = rollout
    advantages, returns = gae(*rollout, discount=0.9, decay=1.0)
    to_come = discounted_returns(rewards, mask, discount=0.9)
    torch.testing.assert_close(advantages[mask], (to_come - values)[mask])
    torch.testing.assert_close(returns, to_come)


def test_decay_zero_is_the_surprise(rollout: tuple[Tensor, Tensor, Tensor]):
    rewards, values, mask = rollout
    advantages, _ = gae(*rollout, discount=0.9, decay=0.0)
    real = torch.where(mask, values, 0)
    after = torch.cat([real[:, 1:], torch.zeros(5, 1)], 1)
    torch.testing.assert_close(advantages[mask], (rewards + 0.9 * after - values)[mask])


def test_a_perfect_critic_leaves_no_advantage(rollout: tuple[Tensor, Tensor, Tensor]):
    rewards, _, mask = rollout
    values = discounted_returns(rewards, mask, discount=0.9)
    advantages, returns = gae(rewards, values, mask, discount=0.9, decay=0.7)
    torch.testing.assert_close(advantages, torch.zeros_like(advantages))
    torch.testing.assert_close(returns, values)


def test_a_score_at_the_end_is_the_return_everywhere(rng: torch.Generator, ragged_mask: Tensor):
    """discount 1, no charge: every real token sees the same return, the score."""
    scores = torch.randn(5, generator=rng)
    rewards = token_rewards(scores, torch.zeros(5, 7), ragged_mask, kl_coef=0.0)
    returns = discounted_returns(rewards, ragged_mask, discount=1.0)
    torch.testing.assert_close(returns, ragged_mask * scores.unsqueeze(1))


def test_discounted_returns_by_hand():
    """discount 1/2: [1 + (2 + 4/2)/2, 2 + 4/2, 4] = [3, 4, 4], then padding"""
    rewards, mask = torch.tensor([[1.0, 2.0, 4.0, 8.0]]), torch.tensor([[True, True, True, False]])
    torch.testing.assert_close(discounted_returns(rewards, mask, discount=0.5), torch.tensor([[3.0, 4.0, 4.0, 0.0]]))


@pytest.mark.parametrize("places", [[0, 1, 2, 3], [3, 4, 5, 6], [0, 2, 3, 6]])
def test_places_outside_the_mask_are_skipped(rng: torch.Generator, places: list[int]):
    """Four tokens on the left, on the right or scattered over seven places: the same four advantages."""
    rewards, values = torch.randn(2, 1, 4, generator=rng)
    expected, _ = gae(rewards, values, torch.ones(1, 4).bool(), discount=0.9, decay=0.8)
    spread = torch.full((2, 1, 7), torch.nan)
    spread[:, :, places] = torch.stack([rewards, values])
    mask = torch.zeros(1, 7).bool()
    mask[:, places] = True
    advantages, _ = gae(spread[0], spread[1], mask, discount=0.9, decay=0.8)
    torch.testing.assert_close(advantages[mask], expected[0])
    assert not advantages[~mask].any()


def test_padding(unmoved_by_padding: Callable[..., None], rollout: tuple[Tensor, Tensor, Tensor]):
    rewards, values, mask = rollout
    for which in (0, 1):
        unmoved_by_padding(lambda r, v, m, w=which: gae(r, v, m, discount=0.9, decay=0.8)[w], mask, rewards, values)
    unmoved_by_padding(lambda r, m: discounted_returns(r, m, discount=0.9), mask, rewards)
    for shift_mean in (True, False):
        unmoved_by_padding(lambda x, m, s=shift_mean: whitened(x, m, shift_mean=s), mask, rewards)


def test_gradients(rollout: tuple[Tensor, Tensor, Tensor]):
    rewards, values, mask = rollout[0].requires_grad_(), rollout[1].requires_grad_(), rollout[2]
    torch.autograd.gradcheck(lambda r, v: gae(r, v, mask, discount=0.9, decay=0.8), (rewards, values))
    torch.autograd.gradcheck(lambda r: discounted_returns(r, mask, discount=0.9), (rewards,))
    torch.autograd.gradcheck(lambda x: whitened(x, mask, shift_mean=True), (rewards,))
    torch.autograd.gradcheck(lambda x: whitened(x, mask, shift_mean=False), (rewards,))


def test_rows_do_not_meet(rollout: tuple[Tensor, Tensor, Tensor]):
    whole, _ = gae(*rollout, discount=0.9, decay=0.8)
    order = torch.tensor([2, 4, 1, 0, 3])
    shuffled, _ = gae(*(x[order] for x in rollout), discount=0.9, decay=0.8)
    torch.testing.assert_close(shuffled, whole[order])
    halves = [gae(*(x[s] for x in rollout), discount=0.9, decay=0.8)[0] for s in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(torch.cat(halves), whole)


def test_whitened_by_hand():
    """[1, 3, 5, pad]: mean 3, var (4 + 0 + 4) / 3 = 8/3, std 1.63299: [-1.22474, 0, 1.22474, 0]; unshifted + 3."""
    x, mask = torch.tensor([[1.0, 3.0, 5.0, 99.0]]), torch.tensor([[True, True, True, False]])
    shifted = torch.tensor([[-1.224745, 0.0, 1.224745, 0.0]])
    torch.testing.assert_close(whitened(x, mask, shift_mean=True), shifted)
    torch.testing.assert_close(whitened(x, mask, shift_mean=False), shifted + torch.tensor([[3.0, 3.0, 3.0, 0.0]]))


def test_whitened_has_mean_0_and_std_1_keeps_order_and_forgets_scale(rollout: tuple[Tensor, Tensor, Tensor]):
    x, _, mask = rollout
    y = whitened(10 + 3 * x, mask, shift_mean=True)
    assert y[mask].mean().item() == pytest.approx(0, abs=1e-12)
    assert y[mask].std(correction=0).item() == pytest.approx(1)
    assert y[mask].argsort().tolist() == x[mask].argsort().tolist()
    torch.testing.assert_close(y, whitened(x, mask, shift_mean=True), rtol=1e-6, atol=1e-6)
    kept = whitened(10 + 3 * x, mask, shift_mean=False)
    assert kept[mask].mean().item() == pytest.approx((10 + 3 * x)[mask].mean().item())
    assert kept[mask].std(correction=0).item() == pytest.approx(1)


def test_numbers_all_alike_whiten_to_nothing():
    mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(whitened(torch.full((1, 3), 5.0), mask, shift_mean=True), torch.zeros(1, 3))


def test_refusals():
    table, row, mask = torch.zeros(4, 4), torch.zeros(4), torch.ones(4, 4).bool()
    with pytest.raises(ShapeError, match=r"rewards \(4, 4\), values \(4,\), mask \(4, 4\)"):
        gae(table, row, mask, discount=1.0, decay=1.0)
    with pytest.raises(ShapeError):
        discounted_returns(row, mask, discount=1.0)
    with pytest.raises(ShapeError):
        whitened(row, mask, shift_mean=True)
    with pytest.raises(ValueError, match="nothing to reduce"):
        whitened(table, ~mask, shift_mean=True)
