"""Advantages within a group, by hand and by their laws."""

import pytest
import torch

from prefloop.ops.groups import flat_groups, group_mean, group_normalised, leave_one_out
from prefloop.ops.shapes import ShapeError

EARNED = torch.tensor([1.0, 4.0, 7.0, 5.0, 5.0, 5.0])
"""Two prompts with three responses each; those to the second all earned the same."""


def test_leave_one_out_by_hand():
    """1 - (4 + 7) / 2,  4 - (1 + 7) / 2,  7 - (1 + 4) / 2"""
    assert leave_one_out(EARNED, copies=3).tolist() == pytest.approx([-4.5, 0, 4.5, 0, 0, 0])


def test_of_two_it_is_their_difference():
    earned = torch.tensor([3.0, 1.0, -2.0, 0.5])
    assert leave_one_out(earned, copies=2).tolist() == [2.0, -2.0, -2.5, 2.5]


def test_leave_one_out_sums_to_0_over_a_group_and_is_the_group_mean_stretched():
    earned = torch.randn(40, generator=torch.Generator().manual_seed(1))
    advantages = leave_one_out(earned, copies=8)
    torch.testing.assert_close(advantages.view(5, 8).sum(1), torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(advantages, (earned - group_mean(earned, copies=8)) * 8 / 7)
    others = torch.stack([(earned.view(5, 8).sum(1)[i // 8] - earned[i]) / 7 for i in range(40)])
    torch.testing.assert_close(advantages, earned - others)


def test_group_mean_by_hand():
    assert group_mean(EARNED, copies=3).tolist() == [4, 4, 4, 5, 5, 5]


@pytest.mark.parametrize(("scale", "divisor"), [("group", 3.0001), ("batch", 3.9**0.5 + 1e-4), ("none", 1.0)])
def test_normalised_by_hand(scale, divisor):
    """1, 4, 7 have deviation sqrt((9 + 0 + 9) / 2) = 3; all six have mean 4.5 and deviation sqrt(19.5 / 5)."""
    expected = [-3 / divisor, 0, 3 / divisor, 0, 0, 0]
    assert group_normalised(EARNED, copies=3, scale=scale).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", ["group", "none"])
def test_a_constant_added_to_a_prompts_scores_changes_nothing(scale):
    moved = EARNED + torch.tensor([2.0, 2.0, 2.0, -7.0, -7.0, -7.0])
    torch.testing.assert_close(
        group_normalised(moved, copies=3, scale=scale), group_normalised(EARNED, copies=3, scale=scale)
    )
    torch.testing.assert_close(leave_one_out(moved, copies=3), leave_one_out(EARNED, copies=3))


def test_the_order_within_a_group_and_of_groups_moves_with_the_responses():
    earned = torch.randn(12, generator=torch.Generator().manual_seed(2))
    order = torch.tensor([8, 11, 9, 10, 3, 2, 1, 0, 4, 6, 5, 7])
    for advantages in (
        lambda x: leave_one_out(x, copies=4),
        lambda x: group_normalised(x, copies=4, scale="group"),
        lambda x: group_normalised(x, copies=4, scale="batch"),
    ):
        torch.testing.assert_close(advantages(earned[order]), advantages(earned)[order])


def test_equal_responses_have_no_advantage_whatever_rounding_does():
    earned = torch.full((7,), 0.1)
    assert leave_one_out(earned, copies=7).tolist() == [0.0] * 7
    assert group_normalised(earned, copies=7, scale="group").tolist() == [0.0] * 7
    assert flat_groups(EARNED, copies=3).tolist() == [False, True]


def test_what_is_no_group_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        leave_one_out(EARNED, copies=1)
    with pytest.raises(ValueError, match="at least 2"):
        group_normalised(EARNED, copies=1, scale="none")
    with pytest.raises(ValueError, match="4 responses to a prompt do not divide 6 responses"):
        leave_one_out(EARNED, copies=4)
    with pytest.raises(ShapeError):
        leave_one_out(EARNED.view(2, 3), copies=3)
