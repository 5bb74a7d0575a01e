import numpy as np
import pytest
from scipy import special

from prefloop.stats.strengths import Strengths, bradley_terry, bradley_terry_bootstrap, elo, normalised_difference
from stats.reference import REFERENCE


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def of_table(wins: object, ridge: float = 0.0) -> Strengths:
    """Bradley-Terry of (K, K) wins of row over column."""
    table = np.array(wins)
    i, j = np.nonzero(np.triu(np.ones(table.shape), 1))
    games = table[i, j] + table[j, i]
    return bradley_terry(i, j, table[i, j] / games, num_players=len(table), ridge=ridge, weights=games)


def tournament(
    rng: np.random.Generator, strengths: np.ndarray, games: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random pairs and outcomes of Bradley-Terry."""
    i = rng.integers(len(strengths), size=games)
    j = (i + rng.integers(1, len(strengths), size=games)) % len(strengths)
    return i, j, (rng.random(games) < special.expit(strengths[i] - strengths[j])).astype(float)


# Published answers


def test_baseball_as_published():
    reference = REFERENCE["bradley_terry_baseball_1987"]
    found = of_table(reference["wins_of_row_over_column"])
    assert found.strengths - found.strengths[-1] == pytest.approx(
        reference["expected"]["log_strength_last_is_zero"], abs=6e-5
    )


def test_journals_as_published():
    reference = REFERENCE["bradley_terry_citations"]
    found = of_table(reference["wins"])
    assert found.strengths - found.strengths[0] == pytest.approx(
        reference["expected"]["log_strength_first_is_zero"], abs=6e-6
    )


def test_half_a_win_for_a_tie_is_biased():
    """On the puddings, where Davidson's worths range over 0.139 to 0.202, it draws everybody to the middle."""
    i, j, wins, losses, ties = np.array(REFERENCE["ties_chocolate_pudding"]["rows"]).T
    games = wins + losses + ties
    found = bradley_terry(i - 1, j - 1, (wins + ties / 2) / games, num_players=6, ridge=0.0, weights=games)
    assert found.worth[0] == pytest.approx(0.1461, abs=5e-5)


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
    found = bradley_terry([0], [1], [0.75], num_players=2, ridge=0.0, weights=[40])
    assert found.gap(0, 1) == pytest.approx((np.log(3), np.sqrt(1 / 30 + 1 / 10)))
    assert found.strengths == pytest.approx([np.log(3) / 2, -np.log(3) / 2])
    assert found.standard_errors == pytest.approx([np.sqrt(1 / 30 + 1 / 10) / 2] * 2)
    assert found.log_likelihood == pytest.approx(30 * np.log(0.75) + 10 * np.log(0.25))


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
    found = bradley_terry(i, j, y, num_players=2, ridge=0.0)

    def likelihood(gap: float) -> float:
        margin = np.where(i == 0, gap, -gap)
        return float((y * margin - np.logaddexp(0, margin)).sum())

    gap, h = found.gap(0, 1)[0], 1e-3
    curve = (likelihood(gap + h) - 2 * likelihood(gap) + likelihood(gap - h)) / h**2
    assert found.gap(0, 1)[1] == pytest.approx((-curve) ** -0.5, rel=1e-5)


# Laws


def test_names_sides_and_duplicates(rng: np.random.Generator):
    """Renaming renames; swapping a game with its outcome is no matter; a game twice is a game of weight 2."""
    i, j, y = tournament(rng, np.array([0.0, 1.0, -0.5, 0.3]), 200)
    before = bradley_terry(i, j, y, num_players=4, ridge=0.1)
    names = rng.permutation(4)
    assert bradley_terry(names[i], names[j], y, num_players=4, ridge=0.1).strengths[names] == pytest.approx(
        before.strengths
    )
    assert bradley_terry(j, i, 1 - y, num_players=4, ridge=0.1).strengths == pytest.approx(before.strengths)
    twice = bradley_terry(np.r_[i, i], np.r_[j, j], np.r_[y, y], num_players=4, ridge=0.1)
    weighted = bradley_terry(i, j, y, num_players=4, ridge=0.1, weights=2.0)
    assert twice.strengths == pytest.approx(weighted.strengths)
    assert twice.covariance == pytest.approx(weighted.covariance)


def test_the_winner_is_ahead():
    assert bradley_terry([0], [1], [1], num_players=2, ridge=1.0).gap(0, 1)[0] > 0
    assert bradley_terry([0], [1], [0], num_players=2, ridge=1.0).gap(0, 1)[0] < 0


def test_truth_is_within_its_errors(rng: np.random.Generator):
    """90 % of 95 % intervals or more hold the true gaps, and not all."""
    truth, held = np.array([0.0, 0.4, 0.8, -0.6, -0.6]), []
    for _ in range(60):
        found = bradley_terry(*tournament(rng, truth, 400), num_players=5, ridge=0.0)
        z = (found.strengths - (truth - truth.mean())) / found.standard_errors
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
    """Two models are equally good, one writes longer, people love length: ahead in the raw fit, even when controlled."""
    i = rng.integers(2, size=3000)
    lengths = rng.lognormal(5 + 0.5 * np.array([1, 0]), 0.5, size=(3000, 2))
    style = normalised_difference(lengths[np.arange(3000), i], lengths[np.arange(3000), 1 - i])
    y = (rng.random(3000) < special.expit(2.0 * style)).astype(float)
    raw = bradley_terry(i, 1 - i, y, num_players=2, ridge=0.0)
    controlled = bradley_terry(i, 1 - i, y, num_players=2, ridge=0.0, covariates=style[:, None])
    gap, error = raw.gap(0, 1)
    assert gap > 5 * error
    gap, error = controlled.gap(0, 1)
    assert abs(gap) < 3 * error
    assert controlled.effects[0] == pytest.approx(2.0, abs=3 * controlled.effect_errors[0])
    assert controlled.log_likelihood > raw.log_likelihood + 10


def test_a_side_is_a_covariate_of_ones():
    """First wins 6 of 8, whoever it is: all of it is the side."""
    found = bradley_terry([0, 1], [1, 0], [0.75, 0.75], num_players=2, ridge=0.0, weights=4, covariates=[[1], [1]])
    assert found.effects == pytest.approx([np.log(3)])
    assert found.strengths == pytest.approx([0, 0], abs=1e-9)


def test_normalised_difference_by_hand():
    assert normalised_difference([3, 0, 1], [1, 0, 3]).tolist() == [0.5, 0.0, -0.5]


# What has no answer


def test_who_never_lost_has_no_finite_strength():
    with pytest.raises(ValueError, match=r"players \[2\]"):
        bradley_terry([0, 1, 2, 2], [1, 0, 0, 1], [1, 1, 1, 1], num_players=3, ridge=0.0)
    assert np.isfinite(
        bradley_terry([0, 1, 2, 2], [1, 0, 0, 1], [1, 1, 1, 1], num_players=3, ridge=0.1).strengths
    ).all()


def test_covariates_that_say_the_same_are_not_told_apart(rng: np.random.Generator):
    i, j, y = tournament(rng, np.array([0.0, 0.5, 1.0]), 100)
    twins = np.tile(rng.normal(size=(100, 1)), 2)
    with pytest.raises(ValueError, match="do not tell some effects apart"):
        bradley_terry(i, j, y, num_players=3, ridge=0.0, covariates=twins)


def test_games_that_are_none():
    with pytest.raises(ValueError, match="against itself"):
        bradley_terry([0], [0], [1], num_players=2, ridge=1.0)
    with pytest.raises(ValueError, match="counted from 0 to 1"):
        elo([0], [2], [1], num_players=2, k=4, start=0)
    with pytest.raises(ValueError, match="outcomes must lie"):
        bradley_terry([0], [1], [2], num_players=2, ridge=1.0)
    with pytest.raises(ValueError, match="ridge above 0"):
        bradley_terry_bootstrap([0], [1], [1], [0], num_players=2, ridge=0.0, confidence=0.9, resamples=2, seed=0)
