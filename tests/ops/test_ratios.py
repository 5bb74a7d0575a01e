"""What is done with ratios, by hand and by the laws that tie one variant to another."""

import math

import pytest
import torch

from prefloop.ops.losses import ppo_policy_clipped, ppo_policy_loss, reinforce_loss
from prefloop.ops.ratios import (
    cispo_clipped,
    cispo_loss,
    clipped,
    clipped_loss,
    mean_log_ratios,
    overlong_share,
    response_sums,
    token_weights,
)

RATIOS = [0.5, 0.5, 0.9, 1.25, 1.25, 1.5, 1.5, 5.0, 5.0]
ADVANTAGES = [1.0, -1.0, 2.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0]


def test_the_clips_by_hand():
    """low 0.2, high 0.28, dual clip 3: good tokens count up to 1.28, bad ones from 0.8 on, and up to 3."""
    log_ratios = torch.tensor(RATIOS).log().requires_grad_()
    kept = clipped_loss(log_ratios, torch.tensor(ADVANTAGES), low=0.2, high=0.28, worst=3.0)
    assert kept.tolist() == pytest.approx([-0.5, 0.8, -1.8, -1.25, 1.25, -1.28, 1.5, -1.28, 3.0])
    (gradient,) = torch.autograd.grad(kept.sum(), log_ratios)
    stopped = clipped(log_ratios, torch.tensor(ADVANTAGES), low=0.2, high=0.28, worst=3.0)
    assert stopped.tolist() == [False, True, False, False, False, True, False, True, True]
    assert (gradient == 0).tolist() == stopped.tolist()


def test_one_width_and_no_dual_clip_is_ppos_surrogate():
    generator = torch.Generator().manual_seed(3)
    logprobs, old, advantages = (torch.randn(200, generator=generator) for _ in range(3))
    limits = {"low": 0.3, "high": 0.3, "worst": math.inf}
    assert torch.equal(
        clipped_loss(logprobs - old, advantages, **limits), ppo_policy_loss(logprobs, old, advantages, clip=0.3)
    )
    assert torch.equal(
        clipped(logprobs - old, advantages, **limits), ppo_policy_clipped(logprobs, old, advantages, clip=0.3)
    )


def test_a_ratio_of_responses_by_hand():
    """Two responses of 2 and 1 tokens: means (0.1 + 0.3) / 2 and -0.4, sums 0.4 and -0.4; each token its own slope."""
    own, rows = torch.tensor([0.1, 0.3, -0.4], requires_grad=True), torch.tensor([0, 0, 1])
    assert response_sums(own, rows, num_responses=2).tolist() == pytest.approx([0.4, -0.4])
    mean = mean_log_ratios(own, rows, num_responses=2)
    assert mean.tolist() == pytest.approx([0.2, 0.2, -0.4])
    (slope,) = torch.autograd.grad((mean.exp() * torch.tensor([5.0, 7.0, 11.0])).sum(), own)
    assert slope.tolist() == pytest.approx([5 * math.exp(0.2), 7 * math.exp(0.2), 11 * math.exp(-0.4)])


def test_tokens_together_have_the_gradient_of_gspos_loss_of_whole_responses():
    """mean over responses of -min(s A, clip(s) A), s = exp(mean of a response's log-ratios), written out."""
    generator = torch.Generator().manual_seed(4)
    lengths = [3, 1, 5, 2]
    rows = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths))
    own = (0.3 * torch.randn(11, generator=generator)).requires_grad_()
    advantages = torch.tensor([1.0, -2.0, 0.5, -1.0])
    s = torch.stack([own[rows == i].mean().exp() for i in range(4)])
    expected = -torch.minimum(s * advantages, s.clamp(0.9, 1.05) * advantages).mean()
    tokens = clipped_loss(
        mean_log_ratios(own, rows, num_responses=4), advantages[rows], low=0.1, high=0.05, worst=math.inf
    )
    weights = token_weights(torch.tensor(lengths), torch.ones(4, dtype=torch.bool), mean="response", longest=9)
    actual = (weights[rows] * tokens).sum()
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, own, retain_graph=True)[0] for loss in (actual, expected)))


def test_at_length_1_a_response_is_a_token():
    own, rows = torch.randn(20, generator=torch.Generator().manual_seed(5)), torch.arange(20)
    assert torch.equal(mean_log_ratios(own, rows, num_responses=20), own)
    assert torch.equal(response_sums(own, rows, num_responses=20), own)


def test_a_split_between_responses_and_their_order_change_nothing():
    own = torch.randn(6, generator=torch.Generator().manual_seed(6))
    rows = torch.tensor([0, 0, 1, 2, 2, 2])
    whole = mean_log_ratios(own, rows, num_responses=3)
    parts = [
        mean_log_ratios(own[:2], rows[:2], num_responses=1),
        mean_log_ratios(own[2:], rows[2:] - 1, num_responses=2),
    ]
    torch.testing.assert_close(torch.cat(parts), whole)
    order = torch.tensor([2, 5, 3, 4, 0, 1])
    torch.testing.assert_close(mean_log_ratios(own[order], rows[order], num_responses=3), whole[order])


def test_cispo_by_hand():
    """Its gradient is the limited ratio times A, of every token, the limited ones too."""
    logprobs = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    old = torch.tensor([-1.5, -1.0, -3.0])
    loss = cispo_loss(logprobs, logprobs - old, torch.tensor([2.0, -1.0, 4.0]), low=1.0, high=0.2)
    assert loss.tolist() == pytest.approx([1.2 * 2 * 1, -math.exp(-1) * 2, 12])
    (gradient,) = torch.autograd.grad(loss.sum(), logprobs)
    assert gradient.tolist() == pytest.approx([-1.2 * 2, math.exp(-1), -4])
    assert cispo_clipped(logprobs - old, low=1.0, high=0.2).tolist() == [True, False, False]
    assert cispo_clipped(logprobs - old, low=0.2, high=1.0).tolist() == [False, True, False]


def test_at_ratio_1_every_loss_has_reinforces_gradient():
    logprobs = torch.randn(9, generator=torch.Generator().manual_seed(7)).requires_grad_()
    advantages, old, rows = torch.arange(9.0) - 4, logprobs.detach(), torch.arange(9) // 3
    ratios = logprobs - old
    losses = [
        reinforce_loss(logprobs, advantages),
        clipped_loss(ratios, advantages, low=0.2, high=0.2, worst=3.0),
        clipped_loss(mean_log_ratios(ratios, rows, num_responses=3), advantages, low=0.2, high=0.2, worst=3.0),
        cispo_loss(logprobs, ratios, advantages, low=0.2, high=0.2),
    ]
    gradients = [torch.autograd.grad(loss.sum(), logprobs, retain_graph=True)[0] for loss in losses]
    for gradient in gradients:
        torch.testing.assert_close(gradient, -advantages)


@pytest.mark.parametrize(
    ("mean", "expected"),
    [
        ("response", [1 / (2 * 4), 0, 1 / (2 * 1)]),
        ("token", [1 / 5, 0, 1 / 5]),
        ("constant", [1 / (2 * 10), 0, 1 / (2 * 10)]),
    ],
)
def test_weights_by_hand(mean, expected: list[float]):
    """Responses of 4, 6 and 1 tokens, the second left out."""
    weights = token_weights(torch.tensor([4, 6, 1]), torch.tensor([True, False, True]), mean=mean, longest=10)
    assert weights.tolist() == pytest.approx(expected)


def test_nothing_to_learn_from_weighs_nothing():
    for mean in ("response", "token", "constant"):
        none = torch.zeros(2, dtype=torch.bool)
        assert token_weights(torch.tensor([4, 6]), none, mean=mean, longest=10).tolist() == [0, 0]


def test_the_soft_charge_by_hand():
    """The last 4 of 10 tokens cost a quarter each."""
    shares = overlong_share(torch.tensor([1, 6, 7, 8, 9, 10]), longest=10, buffer=4)
    assert shares.tolist() == [0, 0, 0.25, 0.5, 0.75, 1]
