import numpy as np
import pytest

from prefloop.stats.newton import connected, contrasts, minimised, sandwich


@pytest.mark.parametrize("k", [2, 3, 7])
def test_contrasts_span_all_that_sums_to_nothing(k: int):
    basis = contrasts(k)
    assert basis.sum(0) == pytest.approx(np.zeros(k - 1), abs=1e-12)
    assert basis.T @ basis == pytest.approx(np.eye(k - 1), abs=1e-12)


def test_minimum_of_a_steep_function():
    """softplus(3 x) - x has slope 3 sigmoid(3 x) - 1: least at log(1/2) / 3; plain Newton from 5 would leap away."""

    def derivatives(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = 1 / (1 + np.exp(-3 * x))
        return 3 * p - 1, np.diag(9 * p * (1 - p))

    least = minimised(lambda x: float(np.logaddexp(0, 3 * x[0]) - x[0]), derivatives, np.array([5.0]))
    assert least == pytest.approx([np.log(0.5) / 3])


def test_no_minimum_is_said():
    def derivatives(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -np.exp(-x), np.diag(np.exp(-x))

    with pytest.raises(ValueError, match="no finite maximum"):
        minimised(lambda x: float(np.exp(-x[0])), derivatives, np.array([0.0]))


def test_sandwich_by_hand():
    """Clusters a: 1 + 2, b: -3: sum of squares 18, times C / (C - 1) = 2, between inverses of 1/2: 9."""
    assert sandwich(np.array([[0.5]]), np.array([[1.0], [2.0], [-3.0]]), ["a", "a", "b"]) == pytest.approx(
        np.array([[9.0]])
    )
    with pytest.raises(ValueError, match="at least 2"):
        sandwich(np.eye(1), np.ones((2, 1)), ["a", "a"])


def test_a_chain_of_wins_is_enough():
    connected(np.array([0, 1, 2]), np.array([1, 2, 0]), np.ones(3), 3)
    with pytest.raises(ValueError, match="players"):
        connected(np.array([0, 1, 2]), np.array([1, 2, 0]), np.array([1.0, 1.0, 0.0]), 3)
