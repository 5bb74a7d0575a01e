"""Ceilings from agreement, against annotators whose noise is known."""

import numpy as np
import pytest
from scipy import special

from prefloop.stats.noise import agreement_of_cycles, ceiling


@pytest.mark.parametrize(
    ("agreement", "most", "usual", "nll"),
    [
        (1.0, 1.0, 1.0, 0.0),
        (0.5, 0.5, 0.5, np.log(2)),
        (0.3, 0.5, 0.5, np.log(2)),
        (2 / 3, (1 + 1 / np.sqrt(3)) / 2, 0.75, 0.5),  # p uniform: E max(p, 1 - p) = 3/4, E H(p) = 1/2
        (0.82, 0.9, None, None),  # p = 0.9 everywhere
    ],
)
def test_a_ceiling_by_hand(agreement: float, most: float, usual: float | None, nll: float | None):
    found = ceiling(agreement)
    assert found.most == pytest.approx(most)
    if usual is not None:
        assert (found.usual, found.nll) == (pytest.approx(usual), pytest.approx(nll))
    assert max(agreement, 0.5) <= found.usual + 1e-12 <= found.most + 2e-12


@pytest.mark.parametrize("clearness", ["equal", "uniform", "mixed"])
def test_simulated_annotators_of_known_noise(clearness: str):
    """What two votes on each pair say of the best possible forecast, against that forecast itself."""
    rng = np.random.default_rng(0)
    pairs = 200_000
    p = {
        "equal": np.full(pairs, 0.8),
        "uniform": rng.random(pairs),
        "mixed": special.expit(2 * rng.standard_normal(pairs)),
    }[clearness]
    first, second = (rng.random(pairs) < p for _ in range(2))
    found = ceiling(float((first == second).mean()))
    best = float((first == (p > 0.5)).mean())
    assert (first == second).mean() - 0.01 <= best <= found.most + 0.01
    assert (found.most if clearness == "equal" else found.usual) == pytest.approx(best, abs=0.01)
    if clearness != "equal":
        surprise = -(special.xlogy(p, p) + special.xlogy(1 - p, 1 - p)).mean()
        assert found.nll == pytest.approx(surprise, abs=0.02)


def test_cycles_of_single_votes_imply_the_agreement_of_repeated_ones():
    rng = np.random.default_rng(1)
    wrong = rng.random((100_000, 3)) < 0.15  # of a above b, b above c, a above c
    cyclic = (~wrong[:, 0] & ~wrong[:, 1] & wrong[:, 2]) | (wrong[:, 0] & wrong[:, 1] & ~wrong[:, 2])
    assert agreement_of_cycles(float(cyclic.mean())) == pytest.approx(0.85**2 + 0.15**2, abs=0.005)
    assert agreement_of_cycles(0.25) == agreement_of_cycles(1.0) == 0.5
    assert agreement_of_cycles(0.0) == 1.0


def test_an_agreement_is_a_share():
    with pytest.raises(ValueError, match="between 0 and 1"):
        ceiling(1.2)
