import numpy as np
import pytest
from scipy import stats as scipy_stats

from prefloop.stats.intervals import (
    bootstrap_interval,
    clustered_error,
    holm,
    mean_interval,
    proportion,
    share_interval,
    wilson_interval,
    win_rate_interval,
)


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
    interval = win_rate_interval(wins, 0, losses, confidence=0.95)
    assert interval == pytest.approx(wilson_interval(wins, wins + losses, confidence=0.95))


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
    interval = bootstrap_interval(values, confidence=0.9, resamples=4000, seed=0)
    assert interval == pytest.approx(mean_interval(values, confidence=0.9), abs=0.01)


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


@pytest.mark.parametrize(
    ("interval", "given", "sentence"),
    [
        (wilson_interval, (3, 2), "3 of 2"),
        (wilson_interval, (0, 0), "0 of 0"),
        (proportion, (6, 5), "6 of 5"),
        (win_rate_interval, (0, 0, 0), "at least one game"),
        (mean_interval, ([1.0],), "at least 2 values"),
    ],
)
def test_what_has_no_interval(interval, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        interval(*given, confidence=0.95)
    for confidence in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match="between 0 and 1"):
            wilson_interval(1, 2, confidence=confidence)


@pytest.mark.parametrize(("clusters", "sentence"), [("aa", "at least 2 independent clusters, got 1"), ("a", "length")])
def test_what_cannot_be_drawn_anew(clusters, sentence):
    with pytest.raises(ValueError, match=sentence):
        bootstrap_interval([1.0, 2.0], confidence=0.95, resamples=10, seed=0, clusters=list(clusters))


def test_proportion_by_hand():
    """5 of 5: exact two-sided p 2 / 32; Wilson from 5 / (5 + z^2) to 1."""
    whole = proportion(5, 5, confidence=0.95)
    assert (whole.rate, whole.p_value) == (1.0, pytest.approx(2 / 32))
    assert (whole.low, whole.high) == pytest.approx((5 / (5 + 1.959964**2), 1.0), abs=1e-6)
    nothing = proportion(0, 0, confidence=0.95)
    assert (nothing.rate, nothing.low, nothing.high, nothing.p_value) == (None, 0.0, 1.0, 1.0)


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, never falling."""
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.9]) == pytest.approx([1.0, 1.0])


def test_shares_by_hand():
    """Prompts with 2 answers each, right 2, 1, 0 and 2 times: rate 5/8.

    deviations summed by prompt 3/4, -1/4, -5/4, 3/4, squares 11/4; clustered variance 4/3 * 11/4 / 64 = 0.0572917;
    if all were independent 15/64 / 7 = 0.0334821, so deff = 1.711111. t with 7 and 3 degrees of freedom is 2.364624
    and 3.182446. n* = 8 / 1.711111 * (2.364624 / 3.182446)^2 = 2.581186. The ends solve
    (5/8 - p)^2 = z^2 p (1 - p) / n*.
    """
    right, prompts = [1, 1, 1, 0, 0, 0, 1, 1], [*"aabbccdd"]
    assert clustered_error(right, prompts) == pytest.approx(0.0572917**0.5, rel=1e-5)
    ends = np.array(share_interval(right, prompts, confidence=0.95))
    assert (0.625 - ends) ** 2 == pytest.approx(1.959964**2 * ends * (1 - ends) / 2.581186, rel=1e-4)
    assert ends[0] < 0.625 < ends[1]


def test_a_prompt_each_is_wilson_and_with_ties_the_win_rate(rng: np.random.Generator):
    for right in (rng.integers(0, 2, 30), np.ones(5), np.zeros(5), np.ones(1)):
        expected = wilson_interval(float(right.sum()), len(right), confidence=0.9)
        assert share_interval(right, np.arange(len(right)), confidence=0.9) == pytest.approx(expected)
    games = np.repeat([1, 0.5, 0], [20, 30, 50])
    expected = win_rate_interval(20, 30, 50, confidence=0.95)
    assert share_interval(games, rng.permutation(100), confidence=0.95) == pytest.approx(expected)
    ties = win_rate_interval(0, 7, 0, confidence=0.95)
    assert share_interval([0.5] * 7, range(7), confidence=0.95) == pytest.approx(ties)


def test_shares_of_few_prompts():
    """One prompt says nothing of others; answers that all agree count once a prompt; order and names are nothing."""
    assert share_interval([1, 1, 0], ["a"] * 3, confidence=0.95) == (0, 1)
    assert share_interval([1] * 12, [*range(4)] * 3, confidence=0.95) == wilson_interval(4, 4, confidence=0.95)
    one = share_interval([1, 0, 0.5, 1, 1], [*"abbca"], confidence=0.95)
    assert one == pytest.approx(share_interval([1, 1, 0.5, 0, 1], [*"yzxxz"], confidence=0.95))
    for bad in ([], [1.1], [-0.1]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            share_interval(bad, range(len(bad)), confidence=0.95)
    with pytest.raises(ValueError, match="same length"):
        share_interval([1, 0], [1], confidence=0.95)


@pytest.mark.parametrize(
    ("prompts", "pairs", "truth", "alike"),
    [(20, 5, 0.7, 0.3), (40, 4, 0.83, 0.3), (100, 3, 0.9, 0.5), (15, 4, 0.7, 0.4)],
)
def test_coverage_where_pairs_share_prompts(
    prompts: int, pairs: int, truth: float, alike: float, rng: np.random.Generator
):
    """Pairs of a prompt are right with a probability of its own, from a beta distribution with that correlation.

    Of 1000 intervals 95 % hold the true rate (standard error 0.7 points). Wilson's alone, as if pairs were independent,
    hold it as rarely as 79 to 86 %.
    """
    spread = (1 - alike) / alike
    clusters, held = np.repeat(np.arange(prompts), pairs), np.zeros(2)
    for _ in range(1000):
        right = rng.random(prompts * pairs) < rng.beta(truth * spread, (1 - truth) * spread, prompts)[clusters]
        clustered = share_interval(right, clusters, confidence=0.95)
        alone = wilson_interval(float(right.sum()), len(right), confidence=0.95)
        held += [low <= truth <= high for low, high in (clustered, alone)]
    assert 930 < held[0] < 975
    assert held[1] < 890


def test_coverage_of_a_mean_where_values_share_prompts(rng: np.random.Generator):
    """12 prompts of 4 correlated values: t with 11 degrees of freedom holds; a value each is Student's own interval."""
    clusters, held = np.repeat(np.arange(12), 4), np.zeros(2)
    for _ in range(1000):
        values = rng.normal(size=12)[clusters] + 0.5 * rng.normal(size=48)
        intervals = [mean_interval(values, confidence=0.95, clusters=by) for by in (clusters, None)]
        held += [low <= 0 <= high for low, high in intervals]
    assert 925 < held[0] < 975
    assert held[1] < 800
    assert mean_interval([3, 1, 4], confidence=0.9, clusters=[*"abc"]) == mean_interval([3, 1, 4], confidence=0.9)
    with pytest.raises(ValueError, match="at least 2 independent clusters"):
        mean_interval([1.0, 2.0], confidence=0.95, clusters=["a", "a"])
