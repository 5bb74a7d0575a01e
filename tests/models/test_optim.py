"""The schedule by hand, and AdamW against torch's own."""

import math

import pytest
import torch

from prefloop.models.optim import OptimConfig, Optimizer, Schedule, scale


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1.0, 0.875, 0.75, 0.625]),
        ("cosine", [1 / 3, 2 / 3, 1.0, 0.75 + 0.25 * math.cos(math.pi / 4), 0.75, 0.75 - 0.25 * math.cos(math.pi / 4)]),
    ],
)
def test_schedule_by_hand(schedule: Schedule, expected: list[float]):
    """6 updates, a third of them warm-up: 1/3, 2/3, then four steps of the fall from 1 towards 1/2."""
    config = OptimConfig(lr=1.0, warmup=1 / 3, schedule=schedule, final_lr=0.5)
    assert [scale(i, 6, config) for i in range(6)] == pytest.approx(expected)
    if schedule != "constant":
        assert scale(6, 6, config) == pytest.approx(0.5)


def test_updates_are_those_of_adamw_with_clipping():
    """Three updates against torch.optim.AdamW with the same clip; matrices decay, vectors do not."""
    start = [
        torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),
        torch.randn(4, generator=torch.Generator().manual_seed(2)),
    ]
    ours, theirs = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    config = OptimConfig(lr=0.1, warmup=0, schedule="constant", weight_decay=0.3, beta2=0.95, max_grad_norm=0.5)
    optimizer = Optimizer(ours, config, num_updates=3)
    adam = torch.optim.AdamW(
        [{"params": theirs[:1], "weight_decay": 0.3}, {"params": theirs[1:], "weight_decay": 0.0}],
        lr=0.1,
        betas=(0.9, 0.95),
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
        optimizer = Optimizer([p], OptimConfig(lr=0.1, warmup=0.5), num_updates=4)
        for i in range(3):
            if i == stop:
                state = optimizer.state()
                optimizer = Optimizer([p], OptimConfig(lr=0.1, warmup=0.5), num_updates=4)
                optimizer.restore(state)
            ((p - i) ** 3).sum().backward()
            optimizer.step()
        return p.detach()

    assert torch.equal(run(None), run(2))


def test_frozen_parameters_stay():
    p, q = torch.ones(2, 2, requires_grad=True), torch.ones(2, 2)
    optimizer = Optimizer([p, q], OptimConfig(lr=0.1, weight_decay=1.0), num_updates=1)
    (p * 2).sum().backward()
    optimizer.step()
    assert torch.equal(q, torch.ones(2, 2))
    assert not torch.equal(p, torch.ones(2, 2))
