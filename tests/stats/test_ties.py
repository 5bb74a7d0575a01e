import numpy as np
import pytest
from scipy import optimize, special

from prefloop.stats.strengths import Strengths, bradley_terry
from prefloop.stats.ties import davidson, rao_kupper
from stats.reference import REFERENCE

PUDDINGS = np.array(REFERENCE["ties_chocolate_pudding"]["rows"])
EXPECTED = REFERENCE["ties_chocolate_pudding"]["expected"]


def fitted(model: str, rows: np.ndarray = PUDDINGS) -> Strengths:
    i, j, wins, losses, ties = rows.T
    return {"davidson": davidson, "rao_kupper": rao_kupper}[model](i - 1, j - 1, wins, losses, ties, num_players=6)


def test_davidson_as_published():
    found, expected = fitted("davidson"), EXPECTED["davidson"]
    assert found.worth == pytest.approx(expected["worth"], abs=1.1e-6)
    assert np.exp(found.effects[0]) == pytest.approx(expected["nu"], abs=1e-6)
    assert found.log_likelihood == pytest.approx(expected["log_likelihood"], abs=6e-5)


def test_rao_kupper_as_published():
    found, expected = fitted("rao_kupper"), EXPECTED["rao_kupper"]
    assert np.exp(found.effects[0]) == pytest.approx(expected["theta"], abs=1e-6)
    assert found.log_likelihood == pytest.approx(expected["log_likelihood"], abs=1e-4)


def rao_kupper_surprise(u: np.ndarray) -> float:
    """Minus log likelihood of the puddings from the definition, worths and theta plain."""
    i, j, wins, losses, ties = PUDDINGS.T
    a, b, theta = np.exp(u[i - 1]), np.exp(u[j - 1]), np.exp(u[6])
    win, loss = a / (a + theta * b), b / (b + theta * a)
    return -float((wins * np.log(win) + losses * np.log(loss) + ties * np.log(1 - win - loss)).sum())


def test_rao_kupper_is_a_maximum_of_its_definition():
    found = fitted("rao_kupper")
    at = np.r_[found.strengths, found.effects]
    assert -rao_kupper_surprise(at) == pytest.approx(found.log_likelihood)
    assert optimize.approx_fprime(at, rao_kupper_surprise, 1e-6) == pytest.approx(np.zeros(7), abs=2e-3)


@pytest.mark.parametrize("model", ["davidson", "rao_kupper"])
def test_two_equals_by_hand(model: str):
    """30 wins, 30 losses, 40 ties. Davidson: nu / (2 + nu) = 0.4. Rao and Kupper: 1 / (1 + theta) = 0.3."""
    fit = {"davidson": davidson, "rao_kupper": rao_kupper}[model]
    found = fit([0], [1], [30], [30], [40], num_players=2)
    assert found.strengths == pytest.approx([0, 0], abs=1e-9)
    assert found.effects == pytest.approx([np.log(4 / 3 if model == "davidson" else 7 / 3)])
    assert fit([0], [1], [40], [20], [40], num_players=2).gap(0, 1)[0] > 0.4


def test_davidson_of_two_is_bradley_terry_of_what_decides():
    """Among two, ties tell nothing of who is better: the gap is log(wins / losses)."""
    found = davidson([0], [1], [30], [10], [25], num_players=2)
    expected = bradley_terry([0], [1], [0.75], num_players=2, ridge=0.0, weights=[40])
    assert found.gap(0, 1) == pytest.approx(expected.gap(0, 1))


@pytest.mark.parametrize("model", ["davidson", "rao_kupper"])
def test_laws(model: str):
    """The side and the order of rows are no matter, nor how games are cut into rows; twice the games, half the variance."""
    before = fitted(model)
    turned = PUDDINGS[::-1][:, [1, 0, 3, 2, 4]]
    assert fitted(model, turned).strengths == pytest.approx(before.strengths)
    doubled = fitted(model, np.vstack([PUDDINGS, PUDDINGS]))
    assert doubled.strengths == pytest.approx(before.strengths)
    assert doubled.covariance == pytest.approx(before.covariance / 2, rel=1e-5)
    assert doubled.effect_errors == pytest.approx(before.effect_errors / np.sqrt(2), rel=1e-5)


def test_truth_is_recovered():
    rng, truth, nu = np.random.default_rng(2), np.array([0.6, 0.0, -0.6]), 0.8
    i, j = np.array([0, 0, 1]), np.array([1, 2, 2])
    p = special.softmax(
        np.stack([(truth[i] - truth[j]) / 2, (truth[j] - truth[i]) / 2, np.full(3, np.log(nu))], 1), axis=1
    )
    counts = rng.multinomial(3000, p)
    found = davidson(i, j, *counts.T, num_players=3)
    assert (np.abs(found.strengths - truth) < 3 * found.standard_errors).all()
    assert abs(found.effects[0] - np.log(nu)) < 3 * found.effect_errors[0]
    assert found.standard_errors.max() < 0.05


def test_without_ties_there_is_no_such_model():
    with pytest.raises(ValueError, match="bradley_terry"):
        davidson([0], [1], [3], [2], [0], num_players=2)
    with pytest.raises(ValueError, match="no finite strengths"):
        rao_kupper([0, 0], [1, 2], [3, 3], [2, 0], [1, 0], num_players=3)
