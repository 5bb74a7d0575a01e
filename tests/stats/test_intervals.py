import math

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from prefloop.stats.intervals import (
    bootstrap_interval,
    brier,
    distinct_n,
    expected_calibration_error,
    explained_variance,
    fitted_temperature,
    mean_interval,
    reliability,
    wilson_interval,
    win_rate_interval,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


# Intervals


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (0, 20), (1, 20), (7, 20), (20, 20), (403, 805)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_against_scipy(successes: int, n: int, confidence: float):
    expected = scipy_stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, n, confidence=confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_wilson_never_leaves_the_unit_interval():
    for n in range(1, 300):
        low, high = wilson_interval(0, n, confidence=0.95)
        assert low == 0.0
        assert 0.0 < high < 1.0
        low, high = wilson_interval(n, n, confidence=0.95)
        assert high == 1.0
        assert 0.0 < low < 1.0


@pytest.mark.parametrize("p", [0.1, 0.5, 0.72])
def test_wilson_coverage_by_enumeration(p: float):
    """The probability of all the counts whose interval holds p, n = 400."""
    counts = np.arange(401)
    holds = [low <= p <= high for low, high in (wilson_interval(int(k), 400, confidence=0.95) for k in counts)]
    assert 0.93 < scipy_stats.binom.pmf(counts, 400, p)[holds].sum() < 0.97


@pytest.mark.parametrize(("wins", "losses"), [(0, 10), (3, 7), (10, 0), (450, 355)])
def test_win_rate_without_ties_is_wilson(wins: int, losses: int):
    found = win_rate_interval(wins, 0, losses, confidence=0.95)
    assert found == pytest.approx(wilson_interval(wins, wins + losses, confidence=0.95))


def test_win_rate_by_hand():
    """30 wins, 40 ties, 30 losses, z = 1.959964, z^2 = 3.841459: rate 1/2, tied = 40 / 103.841 = 0.385203.

    (1/2 - p)^2 = z^2 / n (p (1 - p) - tied / 4). With p = 1/2 + d: d^2 = 0.0384146 (1/4 - d^2 - 0.0963008),
    d^2 = 0.0384146 * 0.1536992 / 1.0384146 = 0.00568588, d = 0.0754047.
    """
    low, high = win_rate_interval(30, 40, 30, confidence=0.95)
    assert (low, high) == pytest.approx((0.5 - 0.0754047, 0.5 + 0.0754047), abs=1e-6)


def test_win_rate_laws():
    """Swapping sides mirrors; ties narrow it, never to nothing; more games narrow it; the rate lies inside."""
    low, high = win_rate_interval(20, 30, 50, confidence=0.95)
    assert win_rate_interval(50, 30, 20, confidence=0.95) == pytest.approx((1 - high, 1 - low))
    assert low < 0.35 < high
    without = wilson_interval(35, 100, confidence=0.95)
    assert high - low < without[1] - without[0]
    low, high = win_rate_interval(0, 10, 0, confidence=0.95)
    assert 0.2 < high - low < 0.4
    low_more, high_more = win_rate_interval(0, 1000, 0, confidence=0.95)
    assert high_more - low_more < 0.01


@pytest.mark.parametrize(("win", "tie", "n"), [(0.5, 0.0, 300), (0.4, 0.3, 300), (0.6, 0.3, 805), (0.2, 0.6, 500)])
def test_win_rate_coverage(win: float, tie: float, n: int, rng: np.random.Generator):
    """95 % of intervals from 2000 imagined tournaments hold the true rate: 93 to 97 (standard error 0.5)."""
    games = rng.multinomial(n, [win, tie, 1 - win - tie], size=2000)
    intervals = np.array([win_rate_interval(*map(int, row), confidence=0.95) for row in games])
    truth = win + tie / 2
    assert 0.93 < np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])) < 0.97


def test_mean_interval_by_hand_and_against_scipy(rng: np.random.Generator):
    """1, 2, 3: mean 2, s 1, t(0.975, 2) = 4.302653, half-width 4.302653 / sqrt 3 = 2.484138."""
    assert mean_interval([1, 2, 3], confidence=0.95) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    values = rng.normal(size=30)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert mean_interval(values, confidence=0.9) == pytest.approx((expected.low, expected.high))


def test_mean_interval_coverage_with_five_values(rng: np.random.Generator):
    """The t quantile, not the normal one: that would hold the truth only 88 % of the time."""
    intervals = np.array([mean_interval(row, confidence=0.95) for row in rng.normal(3, 2, size=(3000, 5))])
    assert 0.93 < np.mean((intervals[:, 0] <= 3) & (intervals[:, 1] >= 3)) < 0.97


def bootstrap_coverage(rng: np.random.Generator, *, clustered: bool) -> float:
    """60 prompts of 4 correlated values; how many of 500 intervals hold the true mean, 0."""
    prompts = np.repeat(np.arange(60), 4)
    held = 0
    for seed in range(500):
        values = rng.normal(size=60)[prompts] + 0.5 * rng.normal(size=240)
        clusters = prompts if clustered else None
        low, high = bootstrap_interval(values, confidence=0.95, resamples=300, seed=seed, clusters=clusters)
        held += low <= 0 <= high
    return held / 500


def test_bootstrap_coverage_with_clusters_and_without(rng: np.random.Generator):
    """Prompts drawn whole hold the truth (standard error 1 point); values drawn singly claim far too much."""
    assert 0.92 < bootstrap_coverage(rng, clustered=True) < 0.98
    assert bootstrap_coverage(rng, clustered=False) < 0.80


def test_bootstrap_agrees_with_t_for_many_values(rng: np.random.Generator):
    values = rng.normal(size=400)
    found = bootstrap_interval(values, confidence=0.9, resamples=4000, seed=0)
    assert found == pytest.approx(mean_interval(values, confidence=0.9), abs=0.01)


def test_bootstrap_laws(rng: np.random.Generator):
    """The seed decides; labels are only names; a cluster each is no clusters; scale and shift go through."""
    values, labels = rng.normal(size=40), np.arange(40) // 4

    def interval(values: np.ndarray, clusters: np.ndarray | list[str] | None = None, seed: int = 1):
        return bootstrap_interval(values, confidence=0.95, resamples=500, seed=seed, clusters=clusters)

    assert interval(values) == interval(values)
    assert interval(values) != interval(values, seed=2)
    assert interval(values, np.arange(40)) == interval(values)
    assert interval(values, [f"prompt {label}" for label in labels]) == interval(values, labels)
    assert interval(values, labels) != interval(values)
    low, high = interval(values)
    assert interval(3 * values + 5) == pytest.approx((3 * low + 5, 3 * high + 5))
    assert interval(np.full(40, 2.0)) == (2.0, 2.0)


def test_bootstrap_weighs_values_and_not_clusters():
    """Clusters of 1 and 3 values: every resample is one of the means 0, (0 + 12)/(1 + 3) = 3 and 12/3 = 4."""
    low, high = bootstrap_interval([0, 4, 4, 4], confidence=0.2, resamples=2000, seed=0, clusters=[0, 1, 1, 1])
    assert (low, high) == (3.0, 3.0)


def test_a_large_bootstrap_is_drawn_in_parts_and_has_all_its_resamples(monkeypatch: pytest.MonkeyPatch):
    values = np.random.default_rng(0).normal(size=50)
    monkeypatch.setattr("prefloop.stats.intervals._RESAMPLED_AT_ONCE", 730)
    in_parts = bootstrap_interval(values, confidence=0.95, resamples=1001, seed=3)
    monkeypatch.undo()
    assert in_parts == pytest.approx(bootstrap_interval(values, confidence=0.95, resamples=1001, seed=3), abs=1e-12)


def test_interval_refusals():
    with pytest.raises(ValueError, match="3 of 2"):
        wilson_interval(3, 2, confidence=0.95)
    with pytest.raises(ValueError, match="0 of 0"):
        wilson_interval(0, 0, confidence=0.95)
    with pytest.raises(ValueError, match="at least one game"):
        win_rate_interval(0, 0, 0, confidence=0.95)
    with pytest.raises(ValueError, match="at least 2 values"):
        mean_interval([1.0], confidence=0.95)
    with pytest.raises(ValueError, match="at least 2 independent clusters, got 1"):
        bootstrap_interval([1.0, 2.0], confidence=0.95, resamples=10, seed=0, clusters=["a", "a"])
    with pytest.raises(ValueError, match="same length"):
        bootstrap_interval([1.0, 2.0], confidence=0.95, resamples=10, seed=0, clusters=["a"])
    for confidence in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match="between 0 and 1"):
            wilson_interval(1, 2, confidence=confidence)


# Calibration


def test_expected_calibration_error_by_hand():
    """Two bins, [1/2, 3/4) and [3/4, 1]; confidence and accuracy:

    p 0.6, outcome 1 -> 0.6, right    p 0.3, outcome 1 -> 0.7, wrong    bin 1: 0.65, 1/2, gap 0.15
    p 0.9, outcome 1 -> 0.9, right    p 0.0, outcome 0 -> 1.0, right    bin 2: 0.95, 1,   gap 0.05
    ECE = (2 * 0.15 + 2 * 0.05) / 4 = 0.1
    """
    p, o = [0.6, 0.3, 0.9, 0.0], [1, 1, 1, 0]
    assert expected_calibration_error(p, o, bins=2) == pytest.approx(0.1)
    table = reliability(p, o, bins=2)
    assert table.edges.tolist() == [0.5, 0.75, 1.0]
    assert table.counts.tolist() == [2, 2]
    assert table.confidence.tolist() == pytest.approx([0.65, 0.95])
    assert table.accuracy.tolist() == pytest.approx([0.5, 1.0])


def test_always_sure_and_right_seven_times_in_ten():
    """0.9 said, 0.7 found: 0.2 whatever the bins, and empty bins count for nothing."""
    for bins in (1, 3, 10):
        assert expected_calibration_error([0.9] * 10, [1] * 7 + [0] * 3, bins=bins) == pytest.approx(0.2)
    assert np.isnan(reliability([0.9], [1], bins=10).accuracy).sum() == 9


def test_calibration_does_not_know_which_response_came_first(rng: np.random.Generator):
    p = rng.uniform(size=500)
    o = rng.integers(2, size=500)
    swapped = expected_calibration_error(1 - p, 1 - o, bins=10)
    assert swapped == pytest.approx(expected_calibration_error(p, o, bins=10))


def test_calibrated_predictions_are_near_the_noise_floor(rng: np.random.Generator):
    """p uniform, n = 2000, M = 10: mean of |N(0, c (1 - c) / (n / M))| over c in [1/2, 1] is
    sqrt(2 / pi) * (pi / 8) * sqrt(M / n) = 0.3133 * 0.0707 = 0.0222. Twice too sure, it is far above."""
    floor, sure = [], []
    for _ in range(100):
        p = rng.uniform(size=2000)
        outcomes = rng.uniform(size=2000) < p
        floor.append(expected_calibration_error(p, outcomes, bins=10))
        sure.append(expected_calibration_error(special.expit(2 * special.logit(p)), outcomes, bins=10))
    assert np.mean(floor) == pytest.approx(0.0222, rel=0.1)
    assert np.mean(sure) > 3 * np.mean(floor)
    assert np.min(sure) > np.max(floor)


def test_brier_by_hand():
    """(0.2^2 + 0.6^2 + 1^2) / 3 = 1.4 / 3; a coin scores 1/4."""
    assert brier([0.8, 0.6, 0.0], [1, 0, 1]) == pytest.approx(1.4 / 3)
    assert brier([0.5] * 4, [0, 1, 1, 1]) == 0.25
    assert brier([0.0, 1.0], [0, 1]) == 0


def test_brier_is_least_for_the_true_probability():
    """A proper score: with outcome rate 0.3 the best constant is 0.3, and it scores 0.3 * 0.7."""
    outcomes = [1] * 3 + [0] * 7
    scores = {p: brier([p / 10] * 10, outcomes) for p in range(11)}
    assert min(scores, key=lambda p: scores[p]) == 3
    assert scores[3] == pytest.approx(0.21)


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_fitted_temperature_recovers_the_truth_and_calibrates(truth: float, rng: np.random.Generator):
    margins = rng.normal(0, 2 * truth, size=20_000)
    outcomes = rng.uniform(size=20_000) < special.expit(margins / truth)
    found = fitted_temperature(margins, outcomes)
    assert found == pytest.approx(truth, rel=0.05)
    assert expected_calibration_error(special.expit(margins / found), outcomes, bins=10) < 0.02


def test_fitted_temperature_by_hand():
    """All margins log 9, right 3 times of 4: sigmoid(log 9 / T) = 3/4 = sigmoid(log 3), so T = 2."""
    assert fitted_temperature([math.log(9)] * 4, [1, 1, 0, 1]) == pytest.approx(2.0, rel=1e-6)


def test_fitted_temperature_is_a_stationary_point(rng: np.random.Generator):
    """d / d(1/T) of the surprise is sum of (p - outcome) margin: 0 at the best T. Scores scaled, T scaled."""
    margins = rng.normal(size=300)
    outcomes = rng.uniform(size=300) < special.expit(margins)
    found = fitted_temperature(margins, outcomes)
    assert ((special.expit(margins / found) - outcomes) * margins).mean() == pytest.approx(0, abs=1e-6)
    assert fitted_temperature(100 * margins, outcomes) == pytest.approx(100 * found, rel=1e-5)
    assert fitted_temperature(-margins, ~outcomes) == pytest.approx(found, rel=1e-5)


def test_fitted_temperature_at_its_ends():
    """Never wrong: no temperature is cold enough. Always wrong: none is hot enough. Both stay finite."""
    assert fitted_temperature([1.0, -1.0], [1, 0]) < 0.1
    assert fitted_temperature([1.0, -1.0], [0, 1]) > 900


def test_calibration_refusals():
    with pytest.raises(ValueError, match="one outcome each"):
        expected_calibration_error([0.5, 0.5], [1], bins=10)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        brier([2.0], [1])
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        brier([math.nan], [1])
    with pytest.raises(ValueError, match="one outcome each"):
        brier([], [])
    with pytest.raises(ValueError, match="one outcome per margin"):
        fitted_temperature([0.0, 0.0], [1, 0])
    with pytest.raises(ValueError, match="one outcome per margin"):
        fitted_temperature([1.0], [1, 0])


# Critic, annotators, diversity


def test_explained_variance_by_hand():
    """returns 0, 2, 4 (var 8/3), errors 0, 0, 3 (var 2): 1 - 2 / (8/3) = 1/4."""
    assert explained_variance([0, 2, 1], [0, 2, 4]) == pytest.approx(0.25)


def test_explained_variance_laws(rng: np.random.Generator):
    """1 if perfect up to a shift, 0 for a constant, -3 for the exact opposite; undefined if nothing varies."""
    returns = rng.normal(size=50)
    assert explained_variance(returns + 7, returns) == pytest.approx(1)
    assert explained_variance(np.full(50, 7.0), returns) == pytest.approx(0)
    assert explained_variance(-returns, returns) == pytest.approx(-3)
    assert math.isnan(explained_variance(returns, np.ones(50)))
    with pytest.raises(ValueError, match="one shape"):
        explained_variance(returns, returns[:49])


def test_distinct_n_by_hand():
    """the cat the dog | the cat: 6 words, 3 distinct; pairs the-cat cat-the the-dog the-cat: 4, 3 distinct."""
    texts = [["the", "cat", "the", "dog"], ["the", "cat"]]
    assert distinct_n(texts, 1) == pytest.approx(3 / 6)
    assert distinct_n(texts, 2) == pytest.approx(3 / 4)
    assert distinct_n(texts, 3) == 1
    assert distinct_n(texts, 5) == 0
    assert distinct_n([[7, 7, 7, 7]], 2) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least one word"):
        distinct_n(texts, 0)
