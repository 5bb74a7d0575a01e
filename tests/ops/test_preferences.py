import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from prefloop.ops.preferences import (
    all_pairs_loss,
    bradley_terry_loss,
    centring_loss,
    davidson_loss,
    flipped_preference_loss,
    graded_preference_loss,
    hinge_preference_loss,
    ordinal_loss,
    pair_logit,
    plackett_luce_loss,
    rao_kupper_loss,
    regression_loss,
    robust_preference_loss,
    smoothed_preference_loss,
    soft_preference_loss,
    thumb_loss,
)
from prefloop.ops.shapes import ShapeError

LOG2, LOG3 = math.log(2), math.log(3)
NAN = math.nan
T3 = torch.tensor(LOG3, dtype=torch.float64).log()


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


def f64(*rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# every loss by hand


BY_HAND: dict[str, tuple[Callable[[], Tensor], float]] = {
    # sigmoid(log 3) = 3/4
    "soft, 1/3 for the first": (lambda: soft_preference_loss(f64(LOG3), f64(1 / 3)), math.log(4) - LOG3 / 3),
    "smoothed by 1/4": (lambda: smoothed_preference_loss(f64(LOG3), smoothing=0.25), math.log(4) - 0.75 * LOG3),
    # (3/4 log 4/3 - 1/4 log 4) / (1/2) = log 4 - 3/2 log 3: below 0
    "robust to 1/4 flipped at odds 3": (
        lambda: robust_preference_loss(f64(LOG3), flip_rate=0.25), math.log(4) - 1.5 * LOG3,
    ),
    # 3/4 3/4 + 1/4 1/4 = 5/8
    "1/4 flipped at odds 3": (lambda: flipped_preference_loss(f64(LOG3), flip_rate=0.25), math.log(8 / 5)),
    "hinge, half of the way": (lambda: hinge_preference_loss(f64(0.5), margin=1.0), 0.5),
    "hinge, there": (lambda: hinge_preference_loss(f64(1.5), margin=1.0), 0.0),
    "hinge, wrong way round": (lambda: hinge_preference_loss(f64(-2.0), margin=1.0), 3.0),
    # threshold log 3, equals: sigmoid(-log 3) = 1/4 each, 1/2 for the tie
    "Rao-Kupper, win of an equal": (lambda: rao_kupper_loss(f64(0.0), f64(1), log_threshold=T3), 2 * LOG2),
    "Rao-Kupper, tie of equals": (lambda: rao_kupper_loss(f64(0.0), f64(0), log_threshold=T3), LOG2),
    "Rao-Kupper, loss of the better": (
        lambda: rao_kupper_loss(f64(LOG3), f64(-1), log_threshold=T3), math.log(10),
    ),
    # odds 9, nu 2: 3 : 2 : 1/3
    "Davidson, win": (lambda: davidson_loss(f64(2 * LOG3), f64(1), log_tie=f64(LOG2)[0]), math.log(16 / 9)),
    "Davidson, tie": (lambda: davidson_loss(f64(2 * LOG3), f64(0), log_tie=f64(LOG2)[0]), math.log(8 / 3)),
    "Davidson, loss": (lambda: davidson_loss(f64(2 * LOG3), f64(-1), log_tie=f64(LOG2)[0]), math.log(16)),
    "pair logit": (lambda: pair_logit(f64(3.0), f64(-1.0)), 2.0),
    # worth 1, 2, 5, 2: the 5 first (1/2), then one of the 2s (2/5), the others without a rank
    "two of four ranked": (
        lambda: plackett_luce_loss(f64([0.0, LOG2, math.log(5), LOG2]), f64([NAN, 2, 1, NAN])), math.log(5),
    ),
    # odds 3 twice above the tied pair: 2 log 4/3 of 3 pairs, of which 2 are decided
    "all pairs, by the decided": (
        lambda: all_pairs_loss(f64([LOG3, 0, 0]), f64([1, 2, 2]), divisor="pairs"), math.log(4 / 3),
    ),
    "all pairs, by all": (
        lambda: all_pairs_loss(f64([LOG3, 0, 0]), f64([1, 2, 2]), divisor="all"), 2 / 3 * math.log(4 / 3),
    ),
    "regression": (lambda: regression_loss(f64(1.5), f64(4.0)), 6.25),
    # edges at -log 3 and log 3: 1/4, 1/2, 1/4 at score 0; 1/10, 2/5, 1/2 at score log 3
    "ordinal, worst of three": (lambda: ordinal_loss(f64(0.0), torch.tensor([0]), f64(-LOG3, LOG3)), 2 * LOG2),
    "ordinal, middle": (lambda: ordinal_loss(f64(LOG3), torch.tensor([1]), f64(-LOG3, LOG3)), math.log(5 / 2)),
    "ordinal, best": (lambda: ordinal_loss(f64(LOG3), torch.tensor([2]), f64(-LOG3, LOG3)), LOG2),
    "thumb up": (lambda: thumb_loss(f64(LOG3), torch.tensor([True])), math.log(4 / 3)),
    "thumb down": (lambda: thumb_loss(f64(LOG3), torch.tensor([False])), math.log(4)),
    "centring": (lambda: centring_loss(f64(-1.5)), 2.25),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str):
    loss, expected = BY_HAND[name]
    assert loss().tolist() == [pytest.approx(expected, abs=1e-12)]


# what holds for every loss of a gap

TIE = torch.tensor(0.3, dtype=torch.float64)
GAP_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "soft": lambda gap: soft_preference_loss(gap, torch.full_like(gap, 0.8)),
    "soft win": lambda gap: soft_preference_loss(gap, torch.ones_like(gap)),
    "smoothed": lambda gap: smoothed_preference_loss(gap, smoothing=0.1),
    "robust": lambda gap: robust_preference_loss(gap, flip_rate=0.25),
    "flipped": lambda gap: flipped_preference_loss(gap, flip_rate=0.25),
    "hinge": lambda gap: hinge_preference_loss(gap, margin=1.0),
    "thumb up": lambda gap: thumb_loss(gap, torch.ones_like(gap, dtype=torch.bool)),
    "ordinal": lambda gap: ordinal_loss(gap, torch.ones_like(gap, dtype=torch.int64), gap.new_tensor([-1.0, 0.5])),
    "regression": lambda gap: regression_loss(gap, torch.full_like(gap, 3.0)),
    "centring": centring_loss,
    **{
        f"{name} {outcome}": lambda gap, loss=loss, outcome=outcome: loss(gap, torch.full_like(gap, outcome))
        for name, loss in {
            "Rao-Kupper": lambda gap, outcome: rao_kupper_loss(gap, outcome, log_threshold=TIE.to(gap)),
            "Davidson": lambda gap, outcome: davidson_loss(gap, outcome, log_tie=TIE.to(gap)),
        }.items()
        for outcome in (1, 0, -1)
    },
}


@pytest.mark.parametrize("name", GAP_LOSSES)
def test_a_loss_of_a_gap_is_finite_far_out_and_has_its_own_gradient(name: str, rng: torch.Generator):
    loss = GAP_LOSSES[name]
    far = torch.tensor([-1e3, -1e2, -30.0, 0.0, 30.0, 1e2, 1e3])
    assert bool(loss(far).isfinite().all())
    assert bool(gradient(loss, far).isfinite().all())
    near = 3 * torch.randn(20, generator=rng, dtype=torch.float64)
    assert torch.autograd.gradcheck(loss, near.requires_grad_())
    assert torch.equal(loss(near.flip(0)), loss(near).flip(0))


def test_pulls_far_out_by_hand():
    """d loss / d gap at -1000 and 1000: a probability short of what was said, so whole numbers and the shares."""
    far = f64(-1e3, 1e3)
    expected = {
        "soft": (-0.8, 0.2), "smoothed": (-0.9, 0.1), "robust": (-1.5, -0.5), "flipped": (0.0, 0.0),
        "hinge": (-1.0, 0.0), "thumb up": (-1.0, 0.0), "ordinal": (-1.0, 1.0),
        "Rao-Kupper 1": (-1.0, 0.0), "Rao-Kupper 0": (-1.0, 1.0), "Rao-Kupper -1": (0.0, 1.0),
        "Davidson 1": (-1.0, 0.0), "Davidson 0": (-0.5, 0.5), "Davidson -1": (0.0, 1.0),
    }  # fmt: skip
    actual = {name: tuple(gradient(GAP_LOSSES[name], far).tolist()) for name in expected}
    assert actual == {name: pytest.approx(pull, abs=1e-12) for name, pull in expected.items()}


# pairs of which the label may be wrong


@pytest.mark.parametrize("flip_rate", [0.0, 0.1, 0.25, 0.45])
def test_the_mean_of_the_robust_loss_over_flips_is_the_loss_without_flips(flip_rate: float, rng: torch.Generator):
    """Value and gradient, exactly: with chance e the label arrives the other way round, which turns the gap's sign."""
    gap = 4 * torch.randn(50, generator=rng, dtype=torch.float64)

    def over_flips(gap: Tensor) -> Tensor:
        kept = robust_preference_loss(gap, flip_rate=flip_rate)
        return (1 - flip_rate) * kept + flip_rate * robust_preference_loss(-gap, flip_rate=flip_rate)

    def clean(gap: Tensor) -> Tensor:
        return bradley_terry_loss(gap, torch.zeros_like(gap))

    torch.testing.assert_close(over_flips(gap), clean(gap), rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient(over_flips, gap), gradient(clean, gap), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [robust_preference_loss, flipped_preference_loss])
@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_both_losses_for_flips_are_least_at_the_odds_before_the_flips(loss: Callable[..., Tensor], share: float):
    """A share p prefers the first, and e of what they say is turned: p(1 - e) + (1 - p)e arrive for the first."""
    e = 0.25
    seen = share * (1 - e) + (1 - share) * e

    def crowd(gap: Tensor) -> Tensor:
        return seen * loss(gap, flip_rate=e) + (1 - seen) * loss(-gap, flip_rate=e)

    truth = math.log(share / (1 - share))
    assert gradient(crowd, f64(truth)).item() == pytest.approx(0, abs=1e-12)
    assert gradient(crowd, f64(truth - 0.1, truth + 0.1)).sign().tolist() == [-1, 1]


def test_a_known_chance_of_flips_has_a_floor_and_a_ceiling():
    loss = flipped_preference_loss(f64(-1e3, 1e3), flip_rate=0.25)
    torch.testing.assert_close(loss, -f64(0.25, 0.75).log())


def test_without_doubt_they_are_all_bradley_terry(rng: torch.Generator):
    gap = torch.cat([torch.randn(50, generator=rng), torch.tensor([-1e3, 1e3])])
    expected = bradley_terry_loss(gap, torch.zeros_like(gap))
    torch.testing.assert_close(soft_preference_loss(gap, torch.ones_like(gap)), expected)
    torch.testing.assert_close(soft_preference_loss(-gap, torch.zeros_like(gap)), expected)
    torch.testing.assert_close(smoothed_preference_loss(gap, smoothing=0), expected)
    assert torch.equal(robust_preference_loss(gap, flip_rate=0), expected)
    assert torch.equal(flipped_preference_loss(gap, flip_rate=0), expected)
    torch.testing.assert_close(thumb_loss(gap, gap.new_ones(52, dtype=torch.bool)), expected)
    torch.testing.assert_close(rao_kupper_loss(gap, torch.ones(52), log_threshold=torch.tensor(-200.0)), expected)
    torch.testing.assert_close(davidson_loss(gap, torch.ones(52), log_tie=torch.tensor(-200.0)), expected)


# ties


@pytest.mark.parametrize("parameter", [-3.0, 0.0, 1.5, (-2.0, 0.5)])
def test_a_win_a_tie_and_a_loss_share_a_probability_of_one(parameter: float | tuple[float, ...], rng: torch.Generator):
    """And it is symmetric: the first wins with one gap as the second does with the opposite."""
    gap = 4 * torch.randn(2, generator=rng, dtype=torch.float64)
    tie = torch.tensor(parameter, dtype=torch.float64)
    for loss in (
        lambda gap, outcome: rao_kupper_loss(gap, torch.full_like(gap, outcome), log_threshold=tie),
        lambda gap, outcome: davidson_loss(gap, torch.full_like(gap, outcome), log_tie=tie),
    ):
        total = sum(torch.exp(-loss(gap, outcome)) for outcome in (1, 0, -1))
        torch.testing.assert_close(total, torch.ones_like(gap))
        torch.testing.assert_close(loss(gap, 1), loss(-gap, -1))
        torch.testing.assert_close(loss(gap, 0), loss(-gap, 0))


def test_the_parameters_of_ties_have_gradients(rng: torch.Generator):
    gap = 2 * torch.randn(9, generator=rng, dtype=torch.float64)
    outcome = torch.tensor([1, 0, -1]).repeat(3)
    for shape in ((), (9,)):
        tie = torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_()
        inputs = (gap.requires_grad_(), tie)
        assert torch.autograd.gradcheck(lambda g, t: rao_kupper_loss(g, outcome, log_threshold=t), inputs)
        assert torch.autograd.gradcheck(lambda g, t: davidson_loss(g, outcome, log_tie=t), inputs)


def test_rao_kupper_is_the_graded_preference_with_two_edges(rng: torch.Generator):
    gap, t = torch.randn(9, generator=rng), torch.full((9,), 0.7)
    wins = graded_preference_loss(gap, t, torch.full((9,), math.inf))
    assert torch.equal(rao_kupper_loss(gap, torch.ones(9), log_threshold=t.log()), wins)
    assert torch.equal(rao_kupper_loss(gap, torch.zeros(9), log_threshold=t.log()), graded_preference_loss(gap, -t, t))


# single responses


def test_the_levels_of_a_rating_share_a_probability_of_one(rng: torch.Generator):
    scores, edges = 3 * torch.randn(20, generator=rng, dtype=torch.float64), f64(-2.0, -0.5, 0.1, 3.0)
    total = sum(torch.exp(-ordinal_loss(scores, torch.full((20,), level), edges)) for level in range(5))
    torch.testing.assert_close(total, torch.ones_like(scores))
    levels = torch.arange(20) % 5
    inputs = (scores.requires_grad_(), edges.requires_grad_())
    assert torch.autograd.gradcheck(lambda s, e: ordinal_loss(s, levels, e), inputs)


def test_two_levels_are_a_thumb(rng: torch.Generator):
    scores, good = torch.randn(20, generator=rng), torch.arange(20) % 2 == 0
    torch.testing.assert_close(ordinal_loss(scores, good.long(), torch.zeros(1)), thumb_loss(scores, good))


def test_a_pair_classifier_is_antisymmetric(rng: torch.Generator):
    first, second = torch.randn(2, 20, generator=rng, dtype=torch.float64)
    assert torch.equal(pair_logit(first, second), -pair_logit(second, first))


# shapes and settings that are refused


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: soft_preference_loss(torch.zeros(4), torch.zeros(4, 1)), ShapeError, r"gap \(4,\), share \(4, 1\)"),
        (lambda: smoothed_preference_loss(torch.zeros(4), smoothing=0.6), ValueError, "from 0 to 0.5, got 0.6"),
        (lambda: robust_preference_loss(torch.zeros(4), flip_rate=0.5), ValueError, "below 0.5, got 0.5"),
        (lambda: flipped_preference_loss(torch.zeros(4), flip_rate=-0.1), ValueError, "at least 0 and .* got -0.1"),
        (lambda: hinge_preference_loss(torch.zeros(4), margin=0), ValueError, "above 0, got 0"),
        (
            lambda: rao_kupper_loss(torch.zeros(4), torch.zeros(1), log_threshold=torch.zeros(())),
            ShapeError, r"gap \(4,\), outcome \(1,\)",
        ),
        (
            lambda: rao_kupper_loss(torch.zeros(4), torch.zeros(4), log_threshold=torch.zeros(1)),
            ShapeError, r"expected \(4,\), got log_threshold \(1,\)",
        ),
        (
            lambda: davidson_loss(torch.zeros(2), torch.tensor([1, 2]), log_tie=torch.zeros(())),
            ValueError, r"1, 0 or -1, got \[1, 2\]",
        ),
        (lambda: pair_logit(torch.zeros(4), torch.zeros(1)), ShapeError, r"first \(4,\), second \(1,\)"),
        (
            lambda: all_pairs_loss(torch.zeros(2, 3), torch.zeros(3), divisor="all"),
            ShapeError, r"scores \(2, 3\), ranks \(3,\)",
        ),
        (
            lambda: plackett_luce_loss(torch.zeros(2, 3), torch.zeros(2, 3), mask=torch.ones(2, 1, dtype=torch.bool)),
            ShapeError, r"scores \(2, 3\), ranks \(2, 3\), mask \(2, 1\)",
        ),
        (lambda: regression_loss(torch.zeros(4), torch.zeros(1)), ShapeError, r"scores \(4,\), ratings \(1,\)"),
        (
            lambda: ordinal_loss(torch.zeros(4), torch.zeros(1).long(), torch.zeros(2)),
            ShapeError, r"scores \(4,\), levels \(1,\)",
        ),
        (
            lambda: ordinal_loss(torch.zeros(1), torch.tensor([0]), torch.zeros(1, 2)),
            ShapeError, r"expected \(2,\), got edges \(1, 2\)",
        ),
        (
            lambda: ordinal_loss(torch.zeros(1), torch.tensor([0]), torch.tensor([1.0, 1.0])),
            ValueError, "must ascend",
        ),
        (
            lambda: ordinal_loss(torch.zeros(2), torch.tensor([2, 3]), torch.tensor([0.0, 1.0])),
            ValueError, r"from 0 to 2, got \[2, 3\]",
        ),
        (lambda: thumb_loss(torch.zeros(4), torch.ones(1).bool()), ShapeError, r"scores \(4,\), good \(1,\)"),
    ],
)  # fmt: skip
def test_refusals(call: Callable[[], object], error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        call()


# bradley_terry_loss


def test_bradley_terry_by_hand():
    """Gap log 3: p = 3/4, loss log(4/3). Gap 0: log 2. Gap 2, margin 2 - log 3: as gap log 3. Gap -log 3: log 4."""
    chosen, rejected = torch.tensor([math.log(3), 5.0, 2.0, 0.0]), torch.tensor([0.0, 5.0, 0.0, math.log(3)])
    margin = torch.tensor([0.0, 0.0, 2 - math.log(3), 0.0])
    actual = bradley_terry_loss(chosen, rejected, margin=margin)
    torch.testing.assert_close(actual, torch.tensor([4 / 3, 2.0, 4 / 3, 4.0]).log())
    torch.testing.assert_close(
        bradley_terry_loss(chosen, rejected), bradley_terry_loss(chosen, rejected, margin=0 * margin)
    )


def test_bradley_terry_is_finite_at_any_gap_and_its_gradient_is_the_surprise():
    """d loss / d chosen = -sigmoid(rejected - chosen), and the opposite for rejected; at +-1000 that is 0 or 1."""
    gap = torch.tensor([-1e3, -30.0, -1.0, 0.0, 1.0, 30.0, 1e3])
    loss = bradley_terry_loss(gap, torch.zeros(7))
    assert bool(loss.isfinite().all())
    assert loss[0].item() == 1e3
    assert loss[-1].item() == 0
    actual = gradient(lambda chosen: bradley_terry_loss(chosen, torch.zeros(7)), gap)
    torch.testing.assert_close(actual, -torch.sigmoid(-gap))
    actual = gradient(lambda rejected: bradley_terry_loss(torch.zeros(7), rejected), -gap)
    torch.testing.assert_close(actual, torch.sigmoid(-gap))


def test_bradley_terry_laws(rng: torch.Generator):
    """The two outcomes share a probability of 1; only gaps matter; a margin asks for more; rows do not meet."""
    a, b = torch.randn(2, 50, generator=rng, dtype=torch.float64)
    both = torch.exp(-bradley_terry_loss(a, b)) + torch.exp(-bradley_terry_loss(b, a))
    torch.testing.assert_close(both, torch.ones_like(both))
    torch.testing.assert_close(bradley_terry_loss(a + 9, b + 9), bradley_terry_loss(a, b))
    margin = torch.rand(50, generator=rng, dtype=torch.float64)
    assert bool((bradley_terry_loss(a, b, margin=margin) > bradley_terry_loss(a, b)).all())
    torch.testing.assert_close(bradley_terry_loss(a, b, margin=margin), bradley_terry_loss(a, b + margin))
    torch.testing.assert_close(bradley_terry_loss(a.flip(0), b.flip(0)), bradley_terry_loss(a, b).flip(0))


def test_bradley_terry_refuses_to_broadcast():
    with pytest.raises(ShapeError, match=r"chosen \(4,\), rejected \(4, 1\)"):
        bradley_terry_loss(torch.zeros(4), torch.zeros(4, 1))
    with pytest.raises(ShapeError, match=r"chosen \(4,\), margin \(1,\)"):
        bradley_terry_loss(torch.zeros(4), torch.zeros(4), margin=torch.zeros(1))


# graded_preference_loss


def test_graded_preference_by_hand():
    """sigmoid is 1/4, 1/2, 3/4 at -log 3, 0, log 3. Gap 0: (-log 3, log 3) holds 1/2, (0, log 3) and (log 3, inf)
    1/4."""
    edge = math.log(3)
    lower, upper = (
        torch.tensor([-edge, 0.0, edge, -math.inf, 0.0]),
        torch.tensor([edge, edge, math.inf, edge, math.inf]),
    )
    actual = graded_preference_loss(torch.zeros(5), lower, upper)
    torch.testing.assert_close(actual, -torch.tensor([0.5, 0.25, 0.25, 0.75, 0.5]).log())


def test_a_plain_win_is_bradley_terry_exactly(rng: torch.Generator):
    gap = torch.cat([torch.randn(50, generator=rng), torch.tensor([-1e3, 1e3])])
    actual = graded_preference_loss(gap, torch.zeros(52), torch.full((52,), math.inf))
    assert torch.equal(actual, bradley_terry_loss(gap, torch.zeros(52)))


def test_graded_preference_laws(rng: torch.Generator):
    """Intervals that share an edge add up; gap and edges move together; the mirror image is the other side's; finite
    gradients."""
    gap = torch.randn(40, generator=rng, dtype=torch.float64) * 3
    low = torch.randn(40, generator=rng, dtype=torch.float64)
    middle, high = low + 0.3, low + 1.7
    part = torch.exp(-graded_preference_loss(gap, low, middle)) + torch.exp(-graded_preference_loss(gap, middle, high))
    torch.testing.assert_close(part, torch.exp(-graded_preference_loss(gap, low, high)))
    torch.testing.assert_close(
        graded_preference_loss(gap + 2, low + 2, high + 2), graded_preference_loss(gap, low, high)
    )
    torch.testing.assert_close(graded_preference_loss(-gap, -high, -low), graded_preference_loss(gap, low, high))
    for far in (-1e3, 1e3):
        for bounds in ((0.5, 1.5), (-0.5, 0.5), (2.0, math.inf)):
            lower, upper = (torch.full((1,), b) for b in bounds)
            assert bool(
                gradient(lambda g, a=lower, b=upper: graded_preference_loss(g, a, b), torch.full((1,), far))
                .isfinite()
                .all()
            )
    numeric = torch.autograd.gradcheck(
        graded_preference_loss, (gap.requires_grad_(), low.requires_grad_(), high.detach().requires_grad_())
    )
    assert numeric


def test_graded_preference_refuses_to_broadcast():
    with pytest.raises(ShapeError, match=r"gap \(4,\), lower \(1,\)"):
        graded_preference_loss(torch.zeros(4), torch.zeros(1), torch.ones(4))
