from functools import partial

import numpy as np
import pytest
from scipy import optimize, special

from prefloop.stats.strengths import (
    Strengths,
    bradley_terry,
    bradley_terry_bootstrap,
    elo,
    normalised_difference,
    strengths_with_ties,
)
from stats.reference import REFERENCE

davidson, rao_kupper = (partial(strengths_with_ties, model=model) for model in ("davidson", "rao-kupper"))
TIES = {"davidson": davidson, "rao_kupper": rao_kupper}
PUDDINGS = np.array(REFERENCE["ties_chocolate_pudding"]["rows"])
EXPECTED = REFERENCE["ties_chocolate_pudding"]["expected"]


def of_table(wins: object, ridge: float = 0.0) -> Strengths:
    """Bradley-Terry of (K, K) wins of row over column."""
    table = np.array(wins)
    i, j = np.nonzero(np.triu(np.ones(table.shape), 1))
    games = table[i, j] + table[j, i]
    return bradley_terry(i, j, table[i, j] / games, num_players=len(table), ridge=ridge, weights=games)


def gap(fitted: Strengths, i: int = 0, j: int = 1) -> tuple[float, float]:
    """(strength_i - strength_j, its standard error)."""
    between = np.eye(len(fitted.strengths))[i] - np.eye(len(fitted.strengths))[j]
    return float(between @ fitted.strengths), float(np.sqrt(between @ fitted.covariance @ between))


def of_puddings(model: str, rows: np.ndarray = PUDDINGS) -> Strengths:
    i, j, wins, losses, ties = rows.T
    return TIES[model](i - 1, j - 1, wins, losses, ties, num_players=6)


def tournament(
    rng: np.random.Generator, strengths: np.ndarray, games: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random pairs and outcomes of Bradley-Terry."""
    i = rng.integers(len(strengths), size=games)
    j = (i + rng.integers(1, len(strengths), size=games)) % len(strengths)
    return i, j, (rng.random(games) < special.expit(strengths[i] - strengths[j])).astype(float)


# Published answers


@pytest.mark.parametrize(
    ("name", "wins", "expected", "zero", "within"),
    [
        ("bradley_terry_baseball_1987", "wins_of_row_over_column", "log_strength_last_is_zero", -1, 6e-5),
        ("bradley_terry_citations", "wins", "log_strength_first_is_zero", 0, 6e-6),
    ],
)
def test_pairs_as_published(name: str, wins: str, expected: str, zero: int, within: float):
    strengths = of_table(REFERENCE[name][wins]).strengths
    assert strengths - strengths[zero] == pytest.approx(REFERENCE[name]["expected"][expected], abs=within)


def test_ties_as_published():
    fitted, expected = of_puddings("davidson"), EXPECTED["davidson"]
    assert fitted.worth == pytest.approx(expected["worth"], abs=1.1e-6)
    assert np.exp(fitted.effects[0]) == pytest.approx(expected["nu"], abs=1e-6)
    assert fitted.log_likelihood == pytest.approx(expected["log_likelihood"], abs=6e-5)
    fitted, expected = of_puddings("rao_kupper"), EXPECTED["rao_kupper"]
    assert np.exp(fitted.effects[0]) == pytest.approx(expected["theta"], abs=1e-6)
    assert fitted.log_likelihood == pytest.approx(expected["log_likelihood"], abs=1e-4)


def test_half_a_win_for_a_tie_is_biased():
    """On the puddings, where Davidson's worths range over 0.139 to 0.202, it draws everybody to the middle."""
    i, j, wins, losses, ties = PUDDINGS.T
    games = wins + losses + ties
    fitted = bradley_terry(i - 1, j - 1, (wins + ties / 2) / games, num_players=6, ridge=0.0, weights=games)
    assert fitted.worth[0] == pytest.approx(0.1461, abs=5e-5)


def test_elo_of_three_dishes():
    """Pizza beats burger, sushi beats burger, pizza and sushi tie: with k = 4, and with k = 30."""
    games = [0, 1, 0], [1, 2, 2], [1, 0, 0.5]
    assert elo(*games, num_players=3, k=4, start=1000).round(1).tolist() == [1002.0, 996.0, 1002.0]
    assert elo(*games, num_players=3, k=30, start=1000).round(2).tolist() == [1014.97, 970.65, 1014.38]


def test_elo_of_equals():
    assert elo([0], [1], [1], num_players=2, k=32, start=1000).tolist() == [1016, 984]
    assert elo([0], [1], [0.5], num_players=2, k=32, start=1000).tolist() == [1000, 1000]


# Closed forms


def test_two_players_by_hand():
    """30 of 40: log(30 / 10), with standard error sqrt(1 / 30 + 1 / 10), half of it to each side of 0."""
    fitted = bradley_terry([0], [1], [0.75], num_players=2, ridge=0.0, weights=[40])
    assert gap(fitted) == pytest.approx((np.log(3), np.sqrt(1 / 30 + 1 / 10)))
    assert fitted.strengths == pytest.approx([np.log(3) / 2, -np.log(3) / 2])
    assert fitted.standard_errors == pytest.approx([np.sqrt(1 / 30 + 1 / 10) / 2] * 2)
    assert fitted.log_likelihood == pytest.approx(30 * np.log(0.75) + 10 * np.log(0.25))


def test_likelihood_equations(rng: np.random.Generator):
    """Expected wins are the wins; with a ridge they differ by ridge * strength."""
    i, j, y = tournament(rng, np.array([0.0, 1.0, -1.0, 0.5]), 300)
    for ridge in (0.0, 2.0):
        s = bradley_terry(i, j, y, num_players=4, ridge=ridge).strengths
        over = y - special.expit(s[i] - s[j])
        assert np.bincount(i, over, 4) - np.bincount(j, over, 4) == pytest.approx(ridge * s, abs=1e-7)
        assert s.mean() == pytest.approx(0.0, abs=1e-12)


def test_errors_by_finite_differences(rng: np.random.Generator):
    """The information along a gap is minus the second difference of the log likelihood."""
    i, j, y = tournament(rng, np.array([0.0, 0.7]), 200)
    fitted = bradley_terry(i, j, y, num_players=2, ridge=0.0)

    def likelihood(between: float) -> float:
        margin = np.where(i == 0, between, -between)
        return float((y * margin - np.logaddexp(0, margin)).sum())

    (best, _), h = gap(fitted), 1e-3
    curve = (likelihood(best + h) - 2 * likelihood(best) + likelihood(best - h)) / h**2
    assert gap(fitted)[1] == pytest.approx((-curve) ** -0.5, rel=1e-5)


# Laws


def test_names_sides_and_duplicates(rng: np.random.Generator):
    """Renaming renames; swapping a game with its outcome is no matter; a game twice is a game of weight 2."""
    i, j, y = tournament(rng, np.array([0.0, 1.0, -0.5, 0.3]), 200)
    before = bradley_terry(i, j, y, num_players=4, ridge=0.1)
    names = rng.permutation(4)
    renamed = bradley_terry(names[i], names[j], y, num_players=4, ridge=0.1)
    assert renamed.strengths[names] == pytest.approx(before.strengths)
    assert bradley_terry(j, i, 1 - y, num_players=4, ridge=0.1).strengths == pytest.approx(before.strengths)
    twice = bradley_terry(np.r_[i, i], np.r_[j, j], np.r_[y, y], num_players=4, ridge=0.1)
    weighted = bradley_terry(i, j, y, num_players=4, ridge=0.1, weights=2.0)
    assert twice.strengths == pytest.approx(weighted.strengths)
    assert twice.covariance == pytest.approx(weighted.covariance)


def test_the_winner_is_ahead():
    assert gap(bradley_terry([0], [1], [1], num_players=2, ridge=1.0))[0] > 0
    assert gap(bradley_terry([0], [1], [0], num_players=2, ridge=1.0))[0] < 0


def test_truth_is_within_its_errors(rng: np.random.Generator):
    """90 % of 95 % intervals or more hold the true gaps, and not all."""
    truth, held = np.array([0.0, 0.4, 0.8, -0.6, -0.6]), []
    for _ in range(60):
        fitted = bradley_terry(*tournament(rng, truth, 400), num_players=5, ridge=0.0)
        z = (fitted.strengths - (truth - truth.mean())) / fitted.standard_errors
        held += (np.abs(z) < 1.96).tolist()
    assert 0.91 < np.mean(held) < 0.98


def test_clusters_widen(rng: np.random.Generator):
    """A game counted five times is no more news: Fisher believes it is, the sandwich does not."""
    i, j, y = tournament(rng, np.array([0.0, 0.5, 1.0]), 300)
    once = bradley_terry(i, j, y, num_players=3, ridge=0.0)
    fives = [np.repeat(column, 5) for column in (i, j, y)]
    fisher = bradley_terry(*fives, num_players=3, ridge=0.0)
    sandwich = bradley_terry(*fives, num_players=3, ridge=0.0, clusters=np.repeat(np.arange(300), 5))
    assert fisher.standard_errors == pytest.approx(once.standard_errors / np.sqrt(5))
    assert sandwich.standard_errors == pytest.approx(once.standard_errors, rel=0.15)


def test_bootstrap_by_prompt(rng: np.random.Generator):
    """Whole prompts drawn: as wide as the clustered sandwich, wider than games drawn singly; ranks are between."""
    truth, prompts = np.array([1.0, 0.0, -1.0]), np.repeat(np.arange(100), 4)
    i, j, y = (np.repeat(column, 4) for column in tournament(rng, truth, 100))
    common = {"num_players": 3, "ridge": 0.01}
    settings = {"confidence": 0.95, "resamples": 200, "seed": 5}
    whole = bradley_terry_bootstrap(i, j, y, prompts, **common, **settings)
    single = bradley_terry_bootstrap(i, j, y, np.arange(400), **common, **settings)
    errors = bradley_terry(i, j, y, **common, clusters=prompts).standard_errors
    assert (whole.high - whole.low).mean() == pytest.approx(2 * 1.96 * errors.mean(), rel=0.25)
    assert (whole.high - whole.low).mean() > 1.5 * (single.high - single.low).mean()
    assert (whole.best_rank.tolist(), whole.worst_rank.tolist()) == ([1, 2, 3], [1, 2, 3])
    again = bradley_terry_bootstrap(i, j, y, prompts, **common, **settings)
    assert again.low.tolist() == whole.low.tolist()


# Style control


def test_style_control_takes_length_away(rng: np.random.Generator):
    """Two models are equally good, one writes longer, people love length: ahead in the raw fit, even if controlled."""
    i = rng.integers(2, size=3000)
    lengths = rng.lognormal(5 + 0.5 * np.array([1, 0]), 0.5, size=(3000, 2))
    style = normalised_difference(lengths[np.arange(3000), i], lengths[np.arange(3000), 1 - i])
    y = (rng.random(3000) < special.expit(2.0 * style)).astype(float)
    raw = bradley_terry(i, 1 - i, y, num_players=2, ridge=0.0)
    controlled = bradley_terry(i, 1 - i, y, num_players=2, ridge=0.0, covariates=style[:, None])
    ahead, error = gap(raw)
    assert ahead > 5 * error
    ahead, error = gap(controlled)
    assert abs(ahead) < 3 * error
    assert controlled.effects[0] == pytest.approx(2.0, abs=3 * controlled.effect_errors[0])
    assert controlled.log_likelihood > raw.log_likelihood + 10


def test_a_side_is_a_covariate_of_ones():
    """First wins 6 of 8, whoever it is: all of it is the side."""
    fitted = bradley_terry([0, 1], [1, 0], [0.75, 0.75], num_players=2, ridge=0.0, weights=4, covariates=[[1], [1]])
    assert fitted.effects == pytest.approx([np.log(3)])
    assert fitted.strengths == pytest.approx([0, 0], abs=1e-9)


def test_normalised_difference_by_hand():
    assert normalised_difference([3, 0, 1], [1, 0, 3]).tolist() == [0.5, 0.0, -0.5]


# Ties


def rao_kupper_surprise(u: np.ndarray) -> float:
    """Minus log likelihood of the puddings from the definition, worths and theta plain."""
    i, j, wins, losses, ties = PUDDINGS.T
    a, b, theta = np.exp(u[i - 1]), np.exp(u[j - 1]), np.exp(u[6])
    win, loss = a / (a + theta * b), b / (b + theta * a)
    return -float((wins * np.log(win) + losses * np.log(loss) + ties * np.log(1 - win - loss)).sum())


def test_rao_kupper_is_a_maximum_of_its_definition():
    fitted = of_puddings("rao_kupper")
    at = np.r_[fitted.strengths, fitted.effects]
    assert -rao_kupper_surprise(at) == pytest.approx(fitted.log_likelihood)
    assert optimize.approx_fprime(at, rao_kupper_surprise, 1e-6) == pytest.approx(np.zeros(7), abs=2e-3)


@pytest.mark.parametrize("model", ["davidson", "rao_kupper"])
def test_two_equals_by_hand(model: str):
    """30 wins, 30 losses, 40 ties. Davidson: nu / (2 + nu) = 0.4. Rao and Kupper: 1 / (1 + theta) = 0.3.

    A share t of ties has information 100 t'^2 / (t (1 - t)), t' its slope: t (1 - t) = 0.24 by log nu, and
    (1 - t^2) / 2 = 0.42 by log theta.
    """
    fit = TIES[model]
    fitted = fit([0], [1], [30], [30], [40], num_players=2)
    assert fitted.strengths == pytest.approx([0, 0], abs=1e-9)
    tie, slope = (4 / 3, 0.24) if model == "davidson" else (7 / 3, 0.42)
    assert fitted.effects == pytest.approx([np.log(tie)])
    assert fitted.effect_errors == pytest.approx([np.sqrt(0.24 / 100) / slope])
    assert gap(fit([0], [1], [40], [20], [40], num_players=2))[0] > 0.4


def test_davidson_of_two_is_bradley_terry_of_what_decides():
    """Among two, ties tell nothing of who is better: the gap is log(wins / losses)."""
    fitted = davidson([0], [1], [30], [10], [25], num_players=2)
    expected = bradley_terry([0], [1], [0.75], num_players=2, ridge=0.0, weights=[40])
    assert gap(fitted) == pytest.approx(gap(expected))


@pytest.mark.parametrize("model", ["davidson", "rao_kupper"])
def test_laws_of_ties(model: str):
    """Side and order of rows are no matter, nor how games are cut into rows; twice the games, half the variance."""
    before = of_puddings(model)
    turned = PUDDINGS[::-1][:, [1, 0, 3, 2, 4]]
    assert of_puddings(model, turned).strengths == pytest.approx(before.strengths)
    doubled = of_puddings(model, np.vstack([PUDDINGS, PUDDINGS]))
    assert doubled.strengths == pytest.approx(before.strengths)
    assert doubled.covariance == pytest.approx(before.covariance / 2, rel=1e-5)
    assert doubled.effect_errors == pytest.approx(before.effect_errors / np.sqrt(2), rel=1e-5)


def test_truth_is_recovered_among_ties():
    rng, truth, nu = np.random.default_rng(2), np.array([0.6, 0.0, -0.6]), 0.8
    i, j = np.array([0, 0, 1]), np.array([1, 2, 2])
    half = (truth[i] - truth[j]) / 2
    p = special.softmax(np.stack([half, -half, np.full(3, np.log(nu))], 1), axis=1)
    counts = rng.multinomial(3000, p)
    fitted = davidson(i, j, *counts.T, num_players=3)
    assert (np.abs(fitted.strengths - truth) < 3 * fitted.standard_errors).all()
    assert abs(fitted.effects[0] - np.log(nu)) < 3 * fitted.effect_errors[0]
    assert fitted.standard_errors.max() < 0.05


# What has no answer


def test_who_never_lost_has_no_finite_strength():
    games = [0, 1, 2, 2], [1, 0, 0, 1], [1, 1, 1, 1]
    with pytest.raises(ValueError, match=r"players \[2\]"):
        bradley_terry(*games, num_players=3, ridge=0.0)
    assert np.isfinite(bradley_terry(*games, num_players=3, ridge=0.1).strengths).all()


def test_covariates_that_say_the_same_are_not_told_apart(rng: np.random.Generator):
    i, j, y = tournament(rng, np.array([0.0, 0.5, 1.0]), 100)
    twins = np.tile(rng.normal(size=(100, 1)), 2)
    with pytest.raises(ValueError, match="do not tell some effects apart"):
        bradley_terry(i, j, y, num_players=3, ridge=0.0, covariates=twins)


@pytest.mark.parametrize(
    ("first", "second", "outcome", "sentence"),
    [([0], [0], 1, "against itself"), ([0], [1], 2, "outcomes must lie"), ([0], [2], 1, "between 0 and 1, got 2")],
)
def test_games_that_are_none(first, second, outcome, sentence):
    with pytest.raises(ValueError, match=sentence):
        bradley_terry(first, second, [outcome], num_players=2, ridge=1.0)


def test_fits_that_are_refused():
    with pytest.raises(ValueError, match="ridge above 0"):
        bradley_terry_bootstrap([0], [1], [1], [0], num_players=2, ridge=0.0, confidence=0.9, resamples=2, seed=0)
    with pytest.raises(ValueError, match="bradley_terry"):
        davidson([0], [1], [3], [2], [0], num_players=2)
    with pytest.raises(ValueError, match="no finite strengths"):
        rao_kupper([0, 0], [1, 2], [3, 3], [2, 0], [1, 0], num_players=3)
