import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence
from torch.nn import functional

from prefloop.ops.direct import (
    Divergence,
    advantage_weights,
    apo_down_loss,
    apo_zero_loss,
    conservative_loss,
    cpl_loss,
    discounted_sums,
    dpo_gap,
    dpop_penalty,
    exo_loss,
    expectile_loss,
    followed,
    ipo_loss,
    kto_anchor,
    kto_loss,
    kto_weights,
    linked,
    log_odds,
    reward_weights,
)
from prefloop.ops.preferences import bradley_terry_loss, plackett_luce_loss
from prefloop.ops.shapes import ShapeError

LOG2, LOG3 = math.log(2), math.log(3)
UP, DOWN = torch.tensor([True]), torch.tensor([False])
Loss = Callable[[Tensor, Tensor], Tensor]
LINKS: dict[str, tuple[Divergence, float | None]] = {
    "reverse_kl": ("reverse_kl", None), "forward_kl": ("forward_kl", None), "js": ("js", None), "alpha": ("alpha", 0.4),
}  # fmt: skip


def f64(*rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def win(gap: Tensor) -> Tensor:
    """Surprise at the label that the chosen one is preferred."""
    return bradley_terry_loss(gap, torch.zeros_like(gap))


def orpo(chosen: Tensor, rejected: Tensor) -> Tensor:
    """ORPO's loss of two mean logprobs."""
    return win(log_odds(chosen) - log_odds(rejected))


def kto(u: Tensor, good: Tensor, anchor: Tensor) -> Tensor:
    return kto_loss(u, good, anchor, beta=0.5, good_weight=2.0, bad_weight=1 / 3)


# every function by hand

BY_HAND: dict[str, tuple[Callable[[], Tensor], tuple[float, ...]]] = {
    "gap": (lambda: dpo_gap(f64(2 * LOG3, 1), f64(0, 3), beta=0.5), (LOG3, -1)),
    # 1/4 of 3 and 3/4 of 1; a copy
    "a reference that follows": (lambda: followed(f64(1, -2), f64(3, 6), mix=0.25), (1.5, 0)),
    "a reference that is copied": (lambda: followed(f64(0.1), f64(0.3), mix=1.0), (0.3,)),
    "a reverse link": (lambda: linked(f64(LOG3), divergence="reverse_kl", alpha=None), (LOG3,)),
    # 1 - 1/2
    "a forward link": (lambda: linked(f64(LOG2), divergence="forward_kl", alpha=None), (0.5,)),
    # 2 * 3 / 4
    "a link of Jensen and Shannon": (lambda: linked(f64(LOG3), divergence="js", alpha=None), (math.log(1.5),)),
    # (1 - 1 / sqrt 4) / (1/2)
    "an alpha link": (lambda: linked(f64(2 * LOG2), divergence="alpha", alpha=0.5), (1.0,)),
    "penalty": (lambda: dpop_penalty(f64(-2, 1), coef=5), (10, 0)),
    # 0.1 (-2 - 10 + 20)
    "penalty in a gap": (
        lambda: dpo_gap(f64(-2) - dpop_penalty(f64(-2), coef=5), f64(-20), beta=0.1), (0.8,),
    ),
    # 1 / (2 tau) = 1
    "IPO": (lambda: ipo_loss(f64(3, 1.5, 1), f64(1, 0.5, 3), tau=0.5), (1, 0, 9)),
    # odds 3 and 1
    "log-odds": (lambda: log_odds(f64(0.75, 0.5).log()), (LOG3, 0)),
    # q = 1/2, 3/4, 1/4 against 3/4: 1/2 log 2/3 + 1/2 log 2; nothing; 1/4 log 1/3 + 3/4 log 3
    "EXO": (
        lambda: exo_loss(f64(0, 2 * LOG3, 0), f64(0, 0, 2 * LOG3), beta=0.5, smoothing=0.25),
        (math.log(4 / 3) / 2, 0, LOG3 / 2),
    ),
    # 2 (1 - 3/4) and 1/3 (1 - 1/4)
    "KTO": (lambda: kto(f64(2 * LOG3 + 1, 2 * LOG3 + 1), torch.cat([UP, DOWN]), f64(1)[0]), (0.5, 0.25)),
    "KTO, an anchor for each": (lambda: kto(f64(2, 2), torch.cat([UP, DOWN]), f64(2, 2 - 2 * LOG3)), (1, 0.25)),
    "anchor": (lambda: torch.stack([kto_anchor(f64(-1, 4)), kto_anchor(f64(-4, 1))]), (1.5, 0)),
    "APO zero": (lambda: apo_zero_loss(f64(LOG3, LOG3), torch.cat([UP, DOWN]), beta=1), (0.25, 0.75)),
    # 3/4 + 1 - 3/4 and 1/4 + 1 - 3/4
    "APO down": (lambda: apo_down_loss(f64(LOG3, -LOG3), f64(0, -2 * LOG3), beta=1), (1.0, 0.5)),
    # 2 (-1 - 2/2 - 4/4), 2 (-1), and 2 (-2 - 4/2) where the first is no token
    "discounted": (
        lambda: discounted_sums(
            f64([-1, -2, -4], [-1, -2, -4], [-1, -2, -4]), f64([1, 1, 1], [1, 0, 0], [0, 1, 1]).bool(),
            discount=0.5, alpha=2,
        ),
        (-6, -2, -8),
    ),
    # -1 + 2/2 = 0; -1 + 2 = 1
    "CPL": (lambda: cpl_loss(f64(-1), f64(-2), bias=0.5), (LOG2,)),
    "CPL without bias": (lambda: cpl_loss(f64(-1), f64(-2), bias=1), (math.log(1 + math.exp(-1)),)),
    "AWR": (lambda: advantage_weights(f64(2 * LOG3, 0, -2 * LOG3, 1e4), beta=2, most=2.5), (2.5, 1, 1 / 3, 2.5)),
    "RWR": (lambda: reward_weights(f64(5, 5 + 2 * LOG3), beta=2), (0.5, 1.5)),
    "expectile": (lambda: expectile_loss(f64(1, 1), f64(3, -1), expectile=0.9), (3.6, 0.4)),
    "CQL": (lambda: conservative_loss(f64([LOG3, 0], [LOG3, 0]), torch.tensor([0, 1])), (math.log(4 / 3), math.log(4))),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str):
    function, expected = BY_HAND[name]
    actual = function()
    assert actual.dtype == torch.float64
    assert actual.tolist() == pytest.approx(expected, abs=1e-12)


# what holds for every loss


def of_links(divergence: Divergence, alpha: float | None) -> Loss:
    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        sides = (linked(u, divergence=divergence, alpha=alpha) for u in (chosen, rejected))
        return win(dpo_gap(*sides, beta=0.3))

    return loss


LOSSES: dict[str, Loss] = {
    **{name: of_links(*link) for name, link in LINKS.items()},
    "dpop": lambda c, r: win(dpo_gap(c - dpop_penalty(c, coef=5), r, beta=0.3)),
    "ipo": lambda c, r: ipo_loss(c, r, tau=0.3),
    "orpo": lambda c, r: orpo(-c.square() / 20, -r.square() / 20),
    "exo": lambda c, r: exo_loss(c, r, beta=0.3, smoothing=0.1),
    "kto up": lambda u, z: kto(u, torch.ones_like(u, dtype=torch.bool), z),
    "kto down": lambda u, z: kto(u, torch.zeros_like(u, dtype=torch.bool), z),
    "apo zero": lambda c, r: apo_zero_loss(c, c > -99, beta=0.3) + apo_zero_loss(r, r < -99, beta=0.3),
    "apo down": lambda c, r: apo_down_loss(c, r, beta=0.3),
    "cpl": lambda c, r: cpl_loss(c, r, bias=0.6),
    "expectile": lambda v, t: expectile_loss(v, t, expectile=0.8),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_finite_far_out_and_has_its_own_gradient(name: str, rng: torch.Generator):
    loss = LOSSES[name]
    side = torch.tensor([-1e3, -1e2, -30.0, 0.0, 30.0, 1e2, 1e3])
    far = torch.cartesian_prod(side, side).T.contiguous().requires_grad_()
    assert bool(loss(*far).isfinite().all())
    assert bool(torch.autograd.grad(loss(*far).sum(), far)[0].isfinite().all())
    near = 3 * torch.randn(2, 20, generator=rng, dtype=torch.float64)
    inputs = (near[0].clone().requires_grad_(), near[1].clone().requires_grad_(not name.startswith("kto")))
    assert torch.autograd.gradcheck(loss, inputs)
    torch.testing.assert_close(loss(*near.flip(1)), loss(*near).flip(0), rtol=0, atol=1e-12)
    single = loss(*near.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), loss(*near), rtol=1e-5, atol=1e-5)


def test_what_the_losses_say_at_the_start():
    """The policy is the reference: every log-ratio is 0, and the anchor with them."""
    zero = torch.zeros(3, dtype=torch.float64)
    expected = {
        **dict.fromkeys(("reverse_kl", "forward_kl", "js", "alpha", "dpop", "orpo", "cpl"), LOG2),
        "kto up": 1.0, "kto down": 1 / 6, "apo zero": 1.0, "apo down": 1.0, "ipo": 1 / 0.36, "expectile": 0.0,
        # 1/2 log(1/2 / 9/10) + 1/2 log(1/2 / 1/10)
        "exo": math.log(5 / 3),
    }  # fmt: skip
    actual = {name: loss(zero, zero).tolist() for name, loss in LOSSES.items()}
    assert actual == {name: pytest.approx([value] * 3) for name, value in expected.items()}


@pytest.mark.parametrize("name", [*LINKS, "orpo"])
def test_the_two_orders_of_a_pair_share_a_probability_of_one(name: str, rng: torch.Generator):
    a, b = 2 * torch.randn(2, 50, generator=rng, dtype=torch.float64)
    both = torch.exp(-LOSSES[name](a, b)) + torch.exp(-LOSSES[name](b, a))
    torch.testing.assert_close(both, torch.ones_like(both))


def test_ipo_from_both_sides(rng: torch.Generator):
    """(h - 1/(2 tau))^2 - (-h - 1/(2 tau))^2 = -2 h / tau."""
    a, b = torch.randn(2, 50, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(ipo_loss(a, b, tau=0.3) - ipo_loss(b, a, tau=0.3), -2 * (a - b) / 0.3)


# links of other divergences


def test_links_of_alpha_lie_between_the_two_kls():
    u = torch.linspace(-10, 10, 41, dtype=torch.float64)
    near_reverse = linked(u, divergence="alpha", alpha=1e-8)
    torch.testing.assert_close(near_reverse, u, rtol=0, atol=1e-6)
    near_forward = linked(u, divergence="alpha", alpha=1 - 1e-12)
    torch.testing.assert_close(near_forward, linked(u, divergence="forward_kl", alpha=None))
    single = linked(u.float(), divergence="alpha", alpha=1e-6)
    torch.testing.assert_close(single.double(), u, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LINKS)
def test_links_rise_everywhere_from_a_slope_at_the_start_that_is_known(name: str):
    divergence, alpha = LINKS[name]
    u = torch.linspace(-200, 20, 881, dtype=torch.float64).requires_grad_()
    link = linked(u, divergence=divergence, alpha=alpha)
    assert bool((link.diff() > 0).all())
    (slope,) = torch.autograd.grad(link.sum(), u)
    assert bool((slope > 0).all())
    assert slope[800].item() == pytest.approx(0.5 if name == "js" else 1.0)


def test_a_bounded_link_goes_on_along_its_tangent():
    """At u = -35 the value is 1 - e^35 and the slope e^35; three nats on it is three slopes less."""
    u = torch.tensor([-35.0, -38.0, -1e23], requires_grad=True)
    link = linked(u, divergence="forward_kl", alpha=None)
    (slope,) = torch.autograd.grad(link.sum(), u)
    largest = math.exp(35)
    torch.testing.assert_close(slope, torch.full((3,), largest))
    torch.testing.assert_close(link[:2], torch.tensor([-largest, -4 * largest]))
    assert math.isfinite(link[2].item())


# optima, on responses that can be counted


def lowest(loss: Callable[[Tensor], Tensor], num_responses: int) -> Tensor:
    """Log-probabilities of responses where a loss of them is least."""
    logits = torch.zeros(num_responses, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(logits.log_softmax(0))
        value.backward()
        return value

    optimizer.step(closure)  # type: ignore[arg-type]
    return logits.detach().log_softmax(0)


def expected_loss(loss: Loss, scores: Tensor) -> Callable[[Tensor], Tensor]:
    """Mean over all pairs, both ways round, as often as Bradley and Terry's model labels them so by the scores."""
    first, second = torch.cartesian_prod(torch.arange(len(scores)), torch.arange(len(scores))).T
    share = torch.sigmoid(scores[first] - scores[second])
    return lambda u: (share * loss(u[first], u[second])).mean()


@pytest.mark.parametrize("share", [0.5, 0.7, 0.99])
def test_two_responses_end_at_the_closed_form_of_dpo(share: float):
    """p of the labels prefer the first: its log-ratio ends logit(p) / beta above the other's."""
    reference, beta = f64(0.8, 0.2).log(), 0.5

    def loss(u: Tensor) -> Tensor:
        return share * win(dpo_gap(u[:1], u[1:], beta=beta)) + (1 - share) * win(dpo_gap(u[1:], u[:1], beta=beta))

    logratios = lowest(lambda logprobs: loss(logprobs - reference).sum(), 2) - reference
    assert (logratios[0] - logratios[1]).item() == pytest.approx(math.log(share / (1 - share)) / beta, abs=1e-6)


def test_where_all_labels_agree_ipo_stays_and_dpo_goes_on():
    """IPO ends at sigmoid(1 / (2 tau)) from equals; DPO's gap grows with the logarithm of the steps, without an end."""
    tau = beta = 0.5

    def gap_after(steps: int, loss: Loss) -> float:
        logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        for _ in range(steps):
            u = logits.log_softmax(0)
            (slope,) = torch.autograd.grad(loss(u[:1], u[1:]).sum(), logits)
            logits = (logits - 0.2 * slope).detach().requires_grad_()
        return (logits[0] - logits[1]).item()

    ipo = gap_after(300, lambda c, r: ipo_loss(c, r, tau=tau))
    assert 1 / (1 + math.exp(-ipo)) == pytest.approx(1 / (1 + math.exp(-1 / (2 * tau))), abs=1e-9)
    early, late = (gap_after(steps, lambda c, r: win(dpo_gap(c, r, beta=beta))) for steps in (1000, 4000))
    assert early > 4 > ipo
    assert late - early == pytest.approx(math.log(4) / beta, rel=0.1)


@pytest.mark.parametrize("name", LINKS)
def test_all_pairs_of_eight_responses_end_at_the_optimum_of_the_divergence(name: str, rng: torch.Generator):
    """max E r - beta E_ref f(pi / pi_ref) is where r - beta f' is one number; DPO: pi* = pi_ref exp(r / beta) / Z."""
    scores = torch.randn(8, generator=rng, dtype=torch.float64)
    reference = torch.randn(8, generator=rng, dtype=torch.float64).log_softmax(0)
    pairs = expected_loss(LOSSES[name], scores)
    logprobs = lowest(lambda logprobs: pairs(logprobs - reference), 8)
    divergence, alpha = LINKS[name]
    left = scores - 0.3 * linked(logprobs - reference, divergence=divergence, alpha=alpha)
    assert (left.max() - left.min()).item() < 1e-3
    if name == "reverse_kl":
        best = (reference + scores / 0.3).log_softmax(0)
        assert (logprobs.exp() * (logprobs - best)).sum().item() < 1e-6


def test_all_pairs_of_eight_responses_end_at_the_optimum_of_cpl(rng: torch.Generator):
    """Preferred by regret, with advantages of one step: pi = softmax(A / alpha), whatever the discount."""
    advantages = torch.randn(8, generator=rng, dtype=torch.float64)

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        sums = [
            discounted_sums(x.unsqueeze(1), torch.ones(len(x), 1, dtype=torch.bool), discount=0.9, alpha=0.4)
            for x in (chosen, rejected)
        ]
        return cpl_loss(*sums, bias=1)

    logprobs = lowest(expected_loss(loss, advantages), 8)
    best = (advantages / 0.4).log_softmax(0)
    assert (logprobs.exp() * (logprobs - best)).sum().item() < 1e-6


# against each other, and against others


def test_a_ranking_of_two_by_implied_rewards_is_dpo(rng: torch.Generator):
    chosen, rejected = 9 * torch.randn(2, 200, generator=rng)
    ranking = plackett_luce_loss(0.1 * torch.stack([chosen, rejected], 1), torch.tensor([1.0, 2.0]).expand(200, 2))
    torch.testing.assert_close(ranking, win(dpo_gap(chosen, rejected, beta=0.1)), rtol=0, atol=1e-6)


def test_exo_is_the_kl_from_what_the_policy_prefers_to_the_labels(rng: torch.Generator):
    chosen, rejected = 9 * torch.randn(2, 50, generator=rng, dtype=torch.float64)
    expected = kl_divergence(Bernoulli(logits=0.3 * (chosen - rejected)), Bernoulli(torch.full_like(chosen, 0.9)))
    torch.testing.assert_close(exo_loss(chosen, rejected, beta=0.3, smoothing=0.1), expected)


def test_orpo_by_its_definition(rng: torch.Generator):
    chosen, rejected = torch.rand(2, 50, generator=rng, dtype=torch.float64)
    odds = (chosen / (1 - chosen)) / (rejected / (1 - rejected))
    torch.testing.assert_close(orpo(chosen.log(), rejected.log()), -(odds / (1 + odds)).log())


def test_orpo_near_certainty_and_near_never():
    """Against odds 1, loss = log(1 + p / (1 - p)) = log(1 + 1 / (exp(-mean) - 1)); p = 1 is still pushed."""
    logprobs = torch.tensor([-1e3, -50.0, -1e-3, -1e-5, -1e-6], dtype=torch.float64)
    half = torch.full_like(logprobs, -LOG2)
    expected = torch.log1p(1 / torch.expm1(-logprobs))
    torch.testing.assert_close(orpo(half, logprobs), expected)
    torch.testing.assert_close(orpo(half.float(), logprobs.float()).double(), expected, rtol=1e-5, atol=1e-6)
    for dtype in (torch.float32, torch.float64):
        sides = torch.zeros(2, 1, dtype=dtype, requires_grad=True)
        loss = orpo(*sides)
        (slope,) = torch.autograd.grad(loss.sum(), sides)
        assert loss.item() == pytest.approx(LOG2)
        assert slope.flatten().tolist() == pytest.approx([-0.5, 0.5])


def test_kto_has_no_gradient_through_its_anchor(rng: torch.Generator):
    """And where a response is at the anchor the pull is the strongest: weight * beta / 4."""
    u, others = torch.randn(2, 6, generator=rng, dtype=torch.float64)
    anchor = (others.requires_grad_() + 2).mean()
    assert not kto_anchor(others + 2).requires_grad
    good = torch.arange(6) < 3
    u = u.requires_grad_()
    loss = kto(u, good, anchor).sum()
    assert torch.autograd.grad(loss, [u, others], allow_unused=True)[1] is None
    (slope,) = torch.autograd.grad(kto(u, good, u.detach()).sum(), u)
    torch.testing.assert_close(slope, torch.where(good, -2.0, 1 / 3).double() * 0.5 / 4, rtol=1e-6, atol=0)


def test_apo_zero_is_kto_with_the_anchor_zero(rng: torch.Generator):
    u, good = torch.randn(20, generator=rng, dtype=torch.float64), torch.arange(20) % 3 == 0
    expected = kto_loss(u, good, torch.zeros(()), beta=0.3, good_weight=1, bad_weight=1)
    torch.testing.assert_close(apo_zero_loss(u, good, beta=0.3), expected)


def test_thumbs_are_weighed_only_as_far_as_it_takes():
    assert kto_weights(10, 10) == (1, 1)
    assert kto_weights(13, 10) == (1, 1)
    assert kto_weights(1, 10) == (10, 1)
    assert kto_weights(90, 10) == (1, pytest.approx(6.75))
    for good in range(1, 40):
        weights = kto_weights(good, 17)
        ratio = weights[0] * good / (weights[1] * 17)
        assert 1 - 1e-12 <= ratio <= 4 / 3 + 1e-12
        assert min(weights) == 1
        assert weights == (1, 1) or ratio in (pytest.approx(1), pytest.approx(4 / 3))


# sums over tokens


def test_cpl_without_discount_is_dpo_with_a_uniform_reference(rng: torch.Generator):
    """Responses of one length, 50 tokens in the vocabulary; below discount 1 the two part, but for a single token."""
    logprobs = torch.randn(2, 30, 6, 50, generator=rng, dtype=torch.float64).log_softmax(-1)[..., 0]
    everywhere = torch.ones(30, 6, dtype=torch.bool)
    logratios = (logprobs + math.log(50)).sum(-1)

    def cpl(discount: float, length: int) -> Tensor:
        mask = everywhere & (torch.arange(6) < length)
        return cpl_loss(*(discounted_sums(x, mask, discount=discount, alpha=0.2) for x in logprobs), bias=1)

    torch.testing.assert_close(cpl(1.0, 6), win(dpo_gap(*logratios, beta=0.2)))
    assert (cpl(0.9, 6) - win(dpo_gap(*logratios, beta=0.2))).abs().max().item() > 0.01
    assert torch.equal(cpl(0.5, 1), cpl(1.0, 1))


def test_a_bias_below_one_keeps_to_what_the_data_hold(rng: torch.Generator):
    """Both responses likelier by one nat: no difference without the bias, less loss with it."""
    chosen, rejected = torch.randn(2, 50, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(cpl_loss(chosen + 1, rejected + 1, bias=1), cpl_loss(chosen, rejected, bias=1))
    assert bool((cpl_loss(chosen + 1, rejected + 1, bias=0.6) < cpl_loss(chosen, rejected, bias=0.6)).all())


def test_discounted_sums_do_not_see_padding(
    ragged_mask: Tensor, unmoved_by_padding: Callable[..., None], rng: torch.Generator
):
    logprobs = -torch.rand(5, 7, generator=rng, dtype=torch.float64)
    for mask in (ragged_mask, ragged_mask.flip(1)):
        unmoved_by_padding(lambda x, m: discounted_sums(x, m, discount=0.9, alpha=0.5), mask, logprobs)
    moved = torch.stack([x.roll(7 - int(m.sum())) for x, m in zip(logprobs, ragged_mask, strict=True)])
    torch.testing.assert_close(
        discounted_sums(logprobs, ragged_mask, discount=0.9, alpha=0.5),
        discounted_sums(moved, ragged_mask.flip(1), discount=0.9, alpha=0.5),
    )
    none = torch.zeros(5, 7, dtype=torch.bool)
    assert discounted_sums(logprobs, none, discount=0.9, alpha=0.5).tolist() == [0] * 5


# offline RL


def test_weights_have_no_gradient_and_a_known_mean(rng: torch.Generator):
    scores = (30 * torch.randn(50, generator=rng)).requires_grad_()
    assert not advantage_weights(scores, beta=0.1, most=20).requires_grad
    weights = reward_weights(scores, beta=0.7)
    assert not weights.requires_grad
    assert weights.mean().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(reward_weights(scores + 100, beta=0.7), weights, rtol=1e-3, atol=1e-6)
    assert advantage_weights(f64(3), beta=0.5, most=math.inf).item() == pytest.approx(math.exp(6))


@pytest.mark.parametrize("expectile", [0.2, 0.5, 0.9])
def test_the_expectile_of_a_coin(expectile: float):
    """Targets 0 and 1: least where expectile (1 - v) = (1 - expectile) v, at v = expectile."""
    targets = f64(0, 1)

    def slope(at: float) -> float:
        value = f64(at).requires_grad_()
        return torch.autograd.grad(expectile_loss(value.expand(2), targets, expectile=expectile).sum(), value)[0].item()

    assert slope(expectile) == pytest.approx(0, abs=1e-12)
    assert slope(expectile - 0.1) < 0 < slope(expectile + 0.1)


def test_the_conservative_loss_is_cross_entropy(rng: torch.Generator):
    q, actions = 5 * torch.randn(20, 7, generator=rng, dtype=torch.float64), torch.arange(20) % 7
    torch.testing.assert_close(conservative_loss(q, actions), functional.cross_entropy(q, actions, reduction="none"))
    assert torch.autograd.gradcheck(lambda q: conservative_loss(q, actions), q.requires_grad_())


# shapes and settings that are refused

Z4, Z41, T4 = torch.zeros(4), torch.zeros(4, 1), torch.ones(4, dtype=torch.bool)
PAIR = r"chosen \(4,\), rejected \(4, 1\)"


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: dpo_gap(Z4, Z41, beta=1), ShapeError, PAIR),
        (lambda: dpo_gap(Z4, Z4, beta=0), ValueError, "beta must be above 0, got 0"),
        (lambda: linked(Z4, divergence="alpha", alpha=1.0), ValueError, "between 0 and 1, got 1.0: .* 1 is forward_kl"),
        (lambda: linked(Z4, divergence="alpha", alpha=None), ValueError, "between 0 and 1, got None"),
        (lambda: linked(Z4, divergence="kl", alpha=None), ValueError, "'kl': choose reverse_kl, forward_kl, js or al"),
        (lambda: ipo_loss(Z4, Z41, tau=1), ShapeError, PAIR),
        (lambda: ipo_loss(Z4, Z4, tau=-1), ValueError, "tau must be above 0, got -1"),
        (lambda: exo_loss(Z4, Z41, beta=1, smoothing=0.1), ShapeError, PAIR),
        (lambda: exo_loss(Z4, Z4, beta=1, smoothing=0), ValueError, "above 0 and at most 0.5, got 0"),
        (lambda: kto(Z4, T4[:1], Z4[0]), ShapeError, r"logratios \(4,\), good \(1,\)"),
        (lambda: kto(Z4, T4, Z4[:1]), ShapeError, r"expected \(4,\), got anchor \(1,\)"),
        (lambda: kto_anchor(Z4[:0]), ValueError, "at least one mismatched response"),
        (lambda: kto_weights(0, 3), ValueError, "both kinds are needed, got 0 up and 3 down"),
        (lambda: apo_zero_loss(Z4, T4[:1], beta=1), ShapeError, r"logratios \(4,\), good \(1,\)"),
        (lambda: apo_down_loss(Z4, Z41, beta=1), ShapeError, PAIR),
        (lambda: discounted_sums(Z41, T4, discount=1, alpha=1), ShapeError, r"logprobs \(4, 1\), mask \(4,\)"),
        (lambda: discounted_sums(Z4, T4, discount=1.1, alpha=1), ValueError, "discount must be at most 1, got 1.1"),
        (lambda: cpl_loss(Z4, Z41, bias=1), ShapeError, PAIR),
        (lambda: cpl_loss(Z4, Z4, bias=0), ValueError, "bias must be above 0 and at most 1, got 0"),
        (lambda: advantage_weights(Z4, beta=1, most=0), ValueError, "most must be above 0, got 0"),
        (lambda: reward_weights(Z4, beta=0), ValueError, "beta must be above 0, got 0"),
        (lambda: expectile_loss(Z4, Z41, expectile=0.5), ShapeError, r"values \(4,\), targets \(4, 1\)"),
        (lambda: expectile_loss(Z4, Z4, expectile=1), ValueError, "between 0 and 1, got 1"),
        (lambda: conservative_loss(Z41, T4.long()[:1]), ShapeError, r"expected \(4,\), got actions \(1,\)"),
    ],
)
def test_refusals(call: Callable[[], object], error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        call()
