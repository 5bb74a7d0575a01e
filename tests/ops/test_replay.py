"""Learning from what an earlier policy wrote: by hand, against GAE, and on average over all that it could write."""

import itertools
import math

import pytest
import torch

from prefloop.ops.advantages import gae
from prefloop.ops.replay import effective_share, truncated_weights, vtrace
from prefloop.ops.shapes import ShapeError

MASK = torch.tensor([[True, True, True, True], [True, True, False, False], [True, False, True, True]])


def test_weights_by_hand():
    now, then = torch.tensor([0.6, 0.2, 0.3]).log(), torch.tensor([0.3, 0.4, 0.3]).log()
    assert truncated_weights(now, then, cap=1.5).tolist() == pytest.approx([1.5, 0.5, 1.0])
    assert truncated_weights(now, then, cap=math.inf).tolist() == pytest.approx([2.0, 0.5, 1.0])


def test_a_cap_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        truncated_weights(torch.zeros(1), torch.zeros(1), cap=0.0)


def test_the_effective_share_by_hand():
    """(1 + 1 + 2)^2 / (3 (1 + 1 + 4)) = 16 / 18."""
    assert float(effective_share(torch.tensor([1.0, 1.0, 2.0]))) == pytest.approx(16 / 18)
    assert float(effective_share(torch.full((5,), 0.3))) == pytest.approx(1.0)


def test_vtrace_by_hand():
    """discount 1, decay 1/2, weights [1/2, 1, 1/4], rewards [0, 0, 4], values [1, 2, 3]:

    surprise  = [2 - 1, 3 - 2, 4 - 3]                                      = [1, 1, 1]
    advantage = [1 + 1/2 * 1 * 9/8, 1 + 1/2 * 1/4 * 1, 1]                  = [25/16, 9/8, 1]
    return    = [1 + 1/2 * 25/16, 2 + 9/8, 3 + 1/4]
    """
    rewards, values = torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[1.0, 2.0, 3.0]])
    weights, mask = torch.tensor([[0.5, 1.0, 0.25]]), torch.ones(1, 3, dtype=torch.bool)
    advantages, returns = vtrace(rewards, values, weights, mask, discount=1.0, decay=0.5)
    assert advantages.tolist() == [[25 / 16, 9 / 8, 1.0]]
    assert returns.tolist() == [[1 + 25 / 32, 3 + 1 / 8, 3.25]]


@pytest.mark.parametrize(("discount", "decay"), [(1.0, 0.95), (0.9, 0.0), (0.7, 1.0)])
def test_weights_of_one_are_gae_to_the_bit(discount: float, decay: float):
    rewards, values = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    expected = gae(rewards, values, MASK, discount=discount, decay=decay)
    found = vtrace(rewards, values, torch.ones(3, 4), MASK, discount=discount, decay=decay)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_what_stands_in_the_padding_changes_nothing():
    rewards, values, weights = torch.rand(3, 3, 4, generator=torch.Generator().manual_seed(2))
    clean = vtrace(rewards, values, weights, MASK, discount=0.9, decay=0.8)
    dirty = (torch.where(MASK, grid, torch.nan) for grid in (rewards, values, weights))
    found = vtrace(*dirty, MASK, discount=0.9, decay=0.8)
    assert all(torch.equal(a, b) for a, b in zip(clean, found, strict=True))
    assert not found[0][~MASK].any()


def test_over_all_that_the_other_policy_could_write_it_tells_of_the_present_one():
    """Two tokens of two, every pair enumerated. Without a cap and with decay = 1 the mean target of the first state is
    what the present policy earns there, whatever the critic says; and by a critic that is right, the weighted
    advantages of any decay have mean 0.
    """
    first, second = torch.tensor([0.7, 0.3]), torch.tensor([[0.2, 0.8], [0.9, 0.1]])  # the present policy
    other, later = torch.tensor([0.4, 0.6]), torch.tensor([[0.5, 0.5], [0.3, 0.7]])  # the one that wrote
    early, late, discount = torch.tensor([1.0, -0.5]), torch.tensor([[2.0, -1.0], [0.5, 3.0]]), 0.9
    after = (second * late).sum(1)  # what the second state is worth, for each first token
    truth = float((first * (early + discount * after)).sum())
    target, advantage = 0.0, [0.0, 0.0]
    for a, b in itertools.product((0, 1), repeat=2):
        chance = float(other[a] * later[a, b])
        weights = torch.stack([first[a] / other[a], second[a, b] / later[a, b]])[None]
        rewards, mask = torch.stack([early[a], late[a, b]])[None], torch.ones(1, 2, dtype=torch.bool)
        wrong = torch.tensor([[0.3, -2.0 + a]])
        target += chance * float(vtrace(rewards, wrong, weights, mask, discount=discount, decay=1.0)[1][0, 0])
        right = torch.tensor([[truth, float(after[a])]])
        found = vtrace(rewards, right, weights, mask, discount=discount, decay=0.6)[0]
        advantage = [m + chance * float(w * x) for m, w, x in zip(advantage, weights[0], found[0], strict=True)]
    assert target == pytest.approx(truth, abs=1e-6)
    assert advantage[0] == pytest.approx(0.0, abs=1e-6)


def test_shapes_must_agree():
    with pytest.raises(ShapeError):
        vtrace(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3), torch.ones(2, 3).bool(), discount=1.0, decay=1.0)
