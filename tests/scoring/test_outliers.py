"""What is unusual: a calibrated share, and what becomes of unusual responses."""

import pytest
import torch

from prefloop.ops.outliers import unusualness, whitening
from prefloop.scoring.outliers import OutlierCard, guarded
from prefloop.scoring.protocol import Scored, summed

GENERATOR = torch.Generator().manual_seed(0)


def test_the_distance_is_that_of_mahalanobis():
    """sqrt((x - m)^T C^-1 (x - m)), C solved for and not factored; and by whatever the states are multiplied."""
    known = torch.randn(500, 6, generator=GENERATOR) @ torch.randn(6, 6, generator=GENERATOR) + 3
    states = torch.randn(20, 6, generator=GENERATOR)
    mean, factor = whitening(known, shrinkage=1e-9)
    apart = states.double() - known.double().mean(0)
    covariance = (known.double() - known.double().mean(0)).T.cov(correction=0)
    expected = (apart * torch.linalg.solve(covariance, apart.T).T).sum(1).sqrt()
    torch.testing.assert_close(unusualness(states, mean, factor).double(), expected, rtol=1e-5, atol=1e-5)
    scaled = whitening(known * 100, shrinkage=1e-9)
    torch.testing.assert_close(unusualness(states * 100, *scaled).double(), expected, rtol=1e-5, atol=1e-5)


def test_with_fewer_states_than_dimensions_and_with_equal_ones_it_is_finite():
    for known in (torch.randn(3, 16, generator=GENERATOR), torch.ones(4, 16)):
        assert unusualness(torch.randn(5, 16, generator=GENERATOR), *whitening(known, shrinkage=0.1)).isfinite().all()


def test_the_share_is_of_known_responses_that_are_less_unusual():
    """Of 1, 2, 3, 4: below 1 none, at 2.5 half, above 4 all."""
    card = OutlierCard.of(torch.tensor([3.0, 1.0, 4.0, 2.0]), torch.tensor([0.0, 1.0, 2.0, 3.0]))
    assert card.share(torch.tensor([0.5, 1.0, 2.5, 9.0])).tolist() == [0, 0, 0.5, 1]
    assert card.reached == pytest.approx(2.97)
    scores = torch.tensor([1.0, 9.0])
    assert card.limited(scores).tolist() == pytest.approx([1, 2.97])
    own = OutlierCard.of(torch.ones(2), torch.ones(2), {"kind": torch.tensor([0.0, 2.0])})
    assert own.limited(scores).tolist() == [1, 1]
    assert own.limited(scores, "kind").tolist() == pytest.approx([1, 1.98])
    many = torch.rand(5000, generator=GENERATOR)
    share = OutlierCard.of(many, many).share(torch.rand(5000, generator=GENERATOR))
    assert float((share > 0.9).float().mean()) == pytest.approx(0.1, abs=0.02)


SAID = Scored(
    torch.tensor([1.0, 5.0, 3.0]), outlier=torch.tensor([0.5, 0.995, 1.0]), limited=torch.tensor([1.0, 2.0, 2.0])
)


def test_unusual_responses_are_limited_or_left_out():
    """The second and the third are beyond 0.99; beyond 0.999 only the third. The mean of the others is 1, or 3."""
    assert guarded(SAID, "ignore", limit=0.99) is SAID
    for rule, limit, expected in (
        ("clip", 0.99, [1, 2, 2]),
        ("clip", 0.999, [1, 5, 2]),
        ("abstain", 0.99, [1, 1, 1]),
        ("abstain", 0.999, [1, 5, 3]),
        ("abstain", 0.1, [3, 3, 3]),
    ):
        said = guarded(SAID, rule, limit=limit)  # pyright: ignore[reportArgumentType]
        assert said.scores.tolist() == expected
        assert said.scores.equal(summed(said.parts))
        assert list(said.parts) == ["model", "outliers"]


def test_of_parts_the_change_is_one_more():
    parts = {"a": torch.ones(1), "b": torch.full((1,), 2.0)}
    said = Scored(torch.tensor([3.0]), parts, outlier=torch.ones(1), limited=torch.zeros(1))
    held = guarded(said, "clip", limit=0.9)
    assert {name: part.tolist() for name, part in held.parts.items()} == {"a": [1], "b": [2], "outliers": [-3]}
    assert held.scores.tolist() == [0]
