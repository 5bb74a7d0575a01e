"""The schedule by hand, and AdamW against torch's own."""

import math

import pytest
import torch

from prefloop.models.device import Placement
from prefloop.models.load import causal
from prefloop.models.network import Network
from prefloop.models.optim import Group, Optimizer, Schedule, scale
from prefloop.models.quantised import halve
from prefloop.models.stream import ResponseStream
from prefloop.settings import Optimised

HALF = Placement(torch.device("cpu"), torch.bfloat16)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1.0, 0.775, 0.55, 0.325, 0.1]),
        ("cosine", [1 / 3, 2 / 3, 1.0, 0.55 + 0.45 * math.sqrt(0.5), 0.55, 0.55 - 0.45 * math.sqrt(0.5), 0.1]),
    ],
)
def test_schedule_by_hand(schedule: Schedule, expected: list[float]):
    """6 updates, a third of them warm-up: 1/3, 2/3, then four steps of the fall from 1 to a tenth, and there it
    stays."""
    assert [scale(i, 6, warmup=1 / 3, schedule=schedule) for i in range(7)] == pytest.approx(expected)
    assert scale(9, 6, warmup=1 / 3, schedule=schedule) == pytest.approx(expected[-1])


@pytest.mark.parametrize("eps", [1e-8, 0.05])
def test_updates_are_those_of_adamw_with_clipping(eps: float):
    """Three updates against torch.optim.AdamW with the same clip; matrices decay, vectors do not."""
    start = [
        torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),
        torch.randn(4, generator=torch.Generator().manual_seed(2)),
    ]
    ours, theirs = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    config = Optimised(lr=0.1, warmup=0.0, weight_decay=0.3, max_grad_norm=0.5, adam_eps=eps)
    optimizer = Optimizer(ours, config, num_updates=3, schedule="constant")
    adam = torch.optim.AdamW(
        [{"params": theirs[:1], "weight_decay": 0.3}, {"params": theirs[1:], "weight_decay": 0.0}],
        lr=0.1,
        betas=(0.9, 0.99),
        eps=eps,
    )
    for i in range(3):
        for matrix, vector in (ours, theirs):
            ((matrix**2).sum() * (i + 1) + vector.sin().sum()).backward()
        expected = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
        adam.step()
        adam.zero_grad()
        assert optimizer.step() == pytest.approx(float(expected))
        assert expected > 0.5
        assert all(p.grad is None for p in ours)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_restored_optimizer_goes_on_exactly():
    """Two updates, then state into a new one, then a third: bit-identical to three in a row."""

    def run(stop: int | None) -> torch.Tensor:
        p = torch.ones(2, 2, requires_grad=True)
        optimizer = Optimizer([p], Optimised(lr=0.1, warmup=0.5), num_updates=4)
        for i in range(3):
            if i == stop:
                state = optimizer.state()
                optimizer = Optimizer([p], Optimised(lr=0.1, warmup=0.5), num_updates=4)
                optimizer.restore(state)
            ((p - i) ** 3).sum().backward()
            optimizer.step()
        return p.detach()

    assert torch.equal(run(None), run(2))


def test_frozen_parameters_stay():
    p, q = torch.ones(2, 2, requires_grad=True), torch.ones(2, 2)
    optimizer = Optimizer([p, q], Optimised(lr=0.1, weight_decay=1.0), num_updates=1)
    (p * 2).sum().backward()
    optimizer.step()
    assert torch.equal(q, torch.ones(2, 2))
    assert not torch.equal(p, torch.ones(2, 2))


def test_a_group_apart_has_its_own_rate_no_clip_and_no_decay():
    """Against torch's Adam by itself, while the others are clipped, decayed and warmed up."""
    p, apart, theirs = (torch.full((2, 2), 3.0, requires_grad=True) for _ in range(3))
    config = Optimised(lr=0.1, warmup=1.0, weight_decay=0.5, max_grad_norm=1e-3)
    optimizer = Optimizer([p], config, num_updates=3, apart=[Group((apart,), 0.02)])
    adam = torch.optim.Adam([theirs], lr=0.02)
    for _ in range(3):
        (p**2 + apart**2 + theirs**2).sum().backward()
        adam.step()
        adam.zero_grad()
        assert optimizer.step() > 1e-3
        assert apart.grad is None
    torch.testing.assert_close(apart, theirs)
    assert not torch.equal(apart.detach(), torch.full((2, 2), 3.0))


def test_updates_passed_over_count_for_the_schedule():
    """Two updates, three passed over: the learning rate is that of the sixth of ten."""
    p = torch.ones(2, requires_grad=True)
    optimizer = Optimizer([p], Optimised(lr=1.0, warmup=0.0), num_updates=10, schedule="linear")
    for _ in range(2):
        p.sum().backward()
        optimizer.step()
    optimizer.pass_over(3)
    assert optimizer.done == 5
    assert optimizer.lr == pytest.approx(0.1 + 0.9 * 0.5)


def test_matrices_in_bfloat16_learn_to_the_bit_as_in_float32():
    """The same gradients, clipped and decayed: the whole weights are those of float32 training, and what is computed
    with is their nearest bfloat16. Steps are far smaller than bfloat16 tells apart."""
    start = torch.randn(40, 50, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    bias = torch.randn(50, generator=torch.Generator().manual_seed(2))
    settings = Optimised(lr=1e-4, warmup=0.2, weight_decay=0.1, max_grad_norm=2.0, adam_eps=1e-3)
    half, whole = start.clone().requires_grad_(), start.float().requires_grad_()
    biases = [bias.clone().requires_grad_() for _ in range(2)]
    optimizers = [Optimizer([p, b], settings, num_updates=60) for p, b in zip((half, whole), biases, strict=True)]
    drawn = torch.Generator().manual_seed(3)
    for update in range(60):
        grad = torch.randn(40, 50, generator=drawn).to(torch.bfloat16)
        half.grad, whole.grad = grad.clone(), grad.float()
        for b in biases:
            b.grad = torch.ones(50)
        norms = [optimizer.step() for optimizer in optimizers]
        assert norms[0] == pytest.approx(norms[1], rel=1e-6)
        if update == 30:
            state = optimizers[0].state()
            optimizers[0] = Optimizer([half, biases[0]], settings, num_updates=60)
            optimizers[0].restore(state)
    rest = optimizers[0].state()["halves"]["rests"][0]
    kept = ((half.detach().view(torch.int16).to(torch.int32) << 16) + rest).view(torch.float32)
    torch.testing.assert_close(kept, whole.detach(), rtol=0, atol=2e-9)
    assert torch.equal(biases[0], biases[1])
    assert (half.detach() - whole.detach().to(torch.bfloat16)).count_nonzero() <= 2  # ties
    assert not torch.equal(half.detach(), start)
    assert half.grad is None


def test_a_new_head_has_a_rate_of_its_own_on_the_same_schedule():
    """Constant gradients, no clip: AdamW's first update is its rate, whatever the gradient."""
    trunk, head = torch.ones(2, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
    settings = Optimised(lr=1e-3, warmup=0.5, max_grad_norm=1e9)
    group = Group((head,), 0.1, follows=True)
    optimizer = Optimizer([trunk, head], settings, num_updates=4, apart=[group])
    (trunk.sum() + head.sum()).backward()
    assert optimizer.step() == pytest.approx(6**0.5)  # its gradient counts in the norm
    assert (1 - trunk).detach().flatten().tolist() == pytest.approx([1e-3 / 3] * 4, rel=1e-3)
    assert (-head).tolist() == pytest.approx([0.1 / 3] * 2, rel=1e-3)


def test_a_model_in_bfloat16_learns_what_one_in_float32_learns(network: Network, folder: str):
    """Where products are bfloat16 only memory is saved: losses are equal to the bit, until a weight stands in the very
    middle between two numbers of bfloat16, which autocast rounds to the even one."""
    half = causal(folder, HALF)
    network.placement = HALF
    for one in (network, half):  # both begin as a file in bfloat16 has it
        halve(one.pretrained.base_model)
    network.float()
    packed = ResponseStream.of([[5, 9], [8]], [[7, 30], [2, 41, 6]], HALF.device)
    losses: list[list[float]] = []
    for one in (network, half):
        optimizer = Optimizer(one.parameters(), Optimised(lr=1e-3, weight_decay=0.1), num_updates=12)
        losses.append([])
        for _ in range(12):
            loss = -one.logprobs(packed, temperature=1.0).mean()
            loss.backward()
            losses[-1] += [float(loss.detach()), optimizer.step()]
    assert losses[0][:10] == losses[1][:10]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][-2] < losses[0][0] - 0.1
