from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from prefloop.ops.advantages import discounted_returns, gae, response_returns
from prefloop.ops.rewards import last_index, normalised_scores, repeated_rewards, token_rewards
from prefloop.ops.shapes import ShapeError


def test_by_hand():
    """kl_coef 0.5; the score stands on the last real token, on top of its own charge.

    row 0, 3 of 4 real, score 2:   [-0.5 * 1, -0.5 * 2, 2 - 0.5 * 4, 0] = [-0.5, -1, 0, 0]
    row 1, 1 of 4 real, score -1:  [-1 - 0.5 * -2, 0, 0, 0]             = [0, 0, 0, 0]
    row 2, all real, score 3:      [-0.5, -0.5, -0.5, 2.5]
    """
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    kl = torch.tensor([[1.0, 2.0, 4.0, 9.0], [-2.0, 9.0, 9.0, 9.0], [1.0, 1.0, 1.0, 1.0]])
    actual = token_rewards(torch.tensor([2.0, -1.0, 3.0]), kl, mask, kl_coef=0.5)
    expected = torch.tensor([[-0.5, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [-0.5, -0.5, -0.5, 2.5]])
    torch.testing.assert_close(actual, expected)


def test_a_row_sums_to_the_score_less_the_whole_charge(rng: torch.Generator, ragged_mask: Tensor):
    scores, kl = torch.randn(5, generator=rng), torch.randn(5, 7, generator=rng)
    rewards = token_rewards(scores, kl, ragged_mask, kl_coef=0.3)
    per_row = [float(kl[b, : int(n)].sum()) for b, n in enumerate(ragged_mask.sum(1))]
    torch.testing.assert_close(rewards.sum(1), scores - 0.3 * torch.tensor(per_row))


def test_without_a_charge_only_the_last_token_is_paid(rng: torch.Generator, ragged_mask: Tensor):
    scores = torch.randn(5, generator=rng)
    rewards = token_rewards(scores, torch.randn(5, 7, generator=rng), ragged_mask, kl_coef=0.0)
    assert rewards.count_nonzero().item() == 5
    torch.testing.assert_close(rewards[range(5), [6, 0, 3, 5, 1]], scores)


def test_padding(unmoved_by_padding: Callable[..., None], rng: torch.Generator, ragged_mask: Tensor):
    scores = torch.randn(5, generator=rng)
    kl = torch.randn(5, 7, generator=rng)
    unmoved_by_padding(lambda kl, mask: token_rewards(scores, kl, mask, kl_coef=0.3), ragged_mask, kl)
    wider = torch.cat([kl, torch.full((5, 2), torch.nan)], 1), torch.cat([ragged_mask, torch.zeros(5, 2).bool()], 1)
    torch.testing.assert_close(
        token_rewards(scores, *wider, kl_coef=0.3)[:, :7], token_rewards(scores, kl, ragged_mask, kl_coef=0.3)
    )


def test_gradients(rng: torch.Generator, ragged_mask: Tensor):
    scores = torch.randn(5, generator=rng, dtype=torch.float64, requires_grad=True)
    kl = torch.randn(5, 7, generator=rng, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda s, k: token_rewards(s, k, ragged_mask, kl_coef=0.3), (scores, kl))


def test_rows_do_not_meet(rng: torch.Generator, ragged_mask: Tensor):
    scores, kl, order = torch.randn(5, generator=rng), torch.randn(5, 7, generator=rng), torch.tensor([2, 4, 1, 0, 3])
    whole = token_rewards(scores, kl, ragged_mask, kl_coef=0.3)
    torch.testing.assert_close(token_rewards(scores[order], kl[order], ragged_mask[order], kl_coef=0.3), whole[order])
    first = token_rewards(scores[:2], kl[:2], ragged_mask[:2], kl_coef=0.3)
    torch.testing.assert_close(first, whole[:2])


def test_last_index_is_the_last_true_wherever_the_padding_is():
    """Right padding, left padding, a hole, and full."""
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    assert last_index(mask).tolist() == [1, 3, 2, 3]


def test_normalised_scores_by_hand():
    """(5 - 3) / 2 = 1, (1 - 3) / 2 = -1"""
    torch.testing.assert_close(
        normalised_scores(torch.tensor([5.0, 1.0]), mean=3.0, std=2.0), torch.tensor([1.0, -1.0])
    )


def test_normalised_scores_have_mean_0_and_std_1_and_keep_the_order(rng: torch.Generator):
    raw = 7 + 3 * torch.randn(500, generator=rng, dtype=torch.float64)
    scores = normalised_scores(raw, mean=raw.mean().item(), std=raw.std(correction=0).item())
    assert scores.mean().item() == pytest.approx(0, abs=1e-12)
    assert scores.std(correction=0).item() == pytest.approx(1)
    assert scores.argsort().tolist() == raw.argsort().tolist()


def test_refusals():
    mask = torch.ones(4, 4, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r"expected \(4,\), got scores \(4, 4\)"):
        token_rewards(torch.zeros(4, 4), torch.zeros(4, 4), mask, kl_coef=0.1)
    with pytest.raises(ShapeError, match=r"kl \(4,\), mask \(4, 4\)"):
        token_rewards(torch.zeros(4), torch.zeros(4), mask, kl_coef=0.1)
    mask[2] = False
    with pytest.raises(ValueError, match="but 1 have none, such as row 2"):
        token_rewards(torch.zeros(4), torch.zeros(4, 4), mask, kl_coef=0.1)
    with pytest.raises(ValueError, match="but 2 have none, such as row 0"):
        last_index(torch.zeros(2, 0, dtype=torch.bool))
    with pytest.raises(ValueError, match="std must be above 0"):
        normalised_scores(torch.zeros(2), mean=0.0, std=0.0)


def test_repeated_rewards_by_hand():
    """The score at every token: 2 - 0.5 * kl; two tokens sum to 4 less the charges, where the score is 2."""
    kl = torch.tensor([[0.2, -0.4, 9.0]])
    mask = torch.tensor([[True, True, False]])
    rewards = repeated_rewards(torch.tensor([2.0]), kl, mask, kl_coef=0.5)
    torch.testing.assert_close(rewards, torch.tensor([[1.9, 2.2, 0.0]]))


def test_a_score_given_to_every_token_is_its_return_and_not_its_reward(rng: torch.Generator, ragged_mask: Tensor):
    """PPO-6, Z6: at discount 1 without drift and critic the return of each token is the score, whether it is paid at
    the last token, or the response is one decision; paid at every token it is the score times the tokens to come."""
    scores = torch.randn(5, generator=rng)
    none, zeros = torch.zeros(5, 7), torch.zeros(5, 7)
    last = token_rewards(scores, none, ragged_mask, kl_coef=0.0)
    given = torch.where(ragged_mask, scores[:, None], 0.0)
    advantages, returns = gae(last, zeros, ragged_mask, discount=1.0, decay=1.0)
    torch.testing.assert_close(returns, given)
    torch.testing.assert_close(advantages, given)
    torch.testing.assert_close(discounted_returns(last, ragged_mask, discount=1.0), given)
    torch.testing.assert_close(response_returns(last, ragged_mask), given)
    every = repeated_rewards(scores, none, ragged_mask, kl_coef=0.0)
    to_come = ragged_mask.flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(discounted_returns(every, ragged_mask, discount=1.0), given * to_come)
