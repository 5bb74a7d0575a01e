import math

import numpy as np
import pytest
from scipy import special

from prefloop.stats.sequential import annotator_test, confidence_sequence, decision, log_e_value
from stats.reference import REFERENCE

WALD = {"good": 0.85, "bad": 0.65, "alpha": 0.05, "beta": 0.10}


def running_log_e(wins: np.ndarray, played: np.ndarray) -> np.ndarray:
    """Uniform mixture against 1/2 after each game, from factorials: 2^n w! l! / (n + 1)!."""
    factorials = special.gammaln(wins + 1) + special.gammaln(played - wins + 1) - special.gammaln(played + 2)
    return played * math.log(2) + factorials


# By hand and as published


def test_nine_of_ten():
    """2^10 times the integral of p^9 (1 - p) = 1024 / 110; a fair 1 of 2 is 4 / 6."""
    assert math.exp(log_e_value(9, 1, null=0.5)) == pytest.approx(1024 / 110, rel=1e-12)
    assert REFERENCE["beta_binomial_e_value"]["expected"] == pytest.approx(1024 / 110)
    assert math.exp(log_e_value(1, 1, null=0.5)) == pytest.approx(4 / 6)
    assert log_e_value(0, 0, null=0.5) == 0.0
    assert decision(9, 1, 0, alpha=0.05).e_value == pytest.approx(1024 / 110)


def verdict_of(right: np.ndarray) -> tuple[int, str]:
    """When and how the test of an annotator ends."""
    for n, correct in enumerate(np.cumsum(right).tolist(), start=1):
        verdict = annotator_test(correct, n - correct, **WALD)
        if verdict != "continue":
            return n, verdict
    return len(right), "continue"


def test_about_twenty_gold_items_either_way():
    """What 800 annotators of each kind need; both errors as asked. Wald's average lengths are 19.8 and 19.5: the mean
    of
    the bounds, weighed by the chances of error, over the mean of a judgement's evidence."""
    rng = np.random.default_rng(1)
    for accuracy, wrong_verdict, error, length in ((0.85, "bad", 0.05, 19.8), (0.65, "good", 0.10, 19.5)):
        ends = [verdict_of(right) for right in rng.random((800, 200)) < accuracy]
        lengths, wrong = [n for n, _ in ends], sum(verdict == wrong_verdict for _, verdict in ends)
        assert np.mean(lengths) == pytest.approx(length, rel=0.25)
        assert wrong / 800 < error + 0.015


@pytest.mark.parametrize(
    ("correct", "wrong", "verdict"),
    [(8, 0, "continue"), (9, 0, "good"), (21, 4, "continue"), (18, 3, "good"), (24, 11, "continue"), (5, 5, "bad")],
)
def test_wald_by_hand(correct: int, wrong: int, verdict: str):
    """A right one is log(65 / 85) = -0.26826, a wrong one log(35 / 15) = 0.84730; the bounds log(0.1 / 0.95) = -2.2513
    and log(0.9 / 0.05) = 2.8904. 8, 9, 21 and 4, 18 and 3: -2.1461, -2.4143, -2.2444, -2.2869. 24 and 11, 5 and 5:
    2.8819, 2.8952."""
    assert annotator_test(correct, wrong, **WALD) == verdict


# Anytime


def test_false_stops_stay_below_alpha_over_2000_looks():
    """Two equals, looked at after every game: e reaches 20 in under 5 %; 3.9 % in 20,000 tries."""
    rng = np.random.default_rng(2)
    wins = np.cumsum(rng.random((1500, 2000)) < 0.5, axis=1)
    stopped = (running_log_e(wins, np.arange(1, 2001)) >= math.log(20)).any(1)
    assert 0.02 < stopped.mean() < 0.05


def test_mean_stops():
    """Win rates 0.60, 0.65, 0.70 are seen after 244, 100, 56 judgements on average."""
    rng = np.random.default_rng(3)
    for rate, expected in ((0.60, 244), (0.65, 100), (0.70, 56)):
        wins = np.cumsum(rng.random((1000, 3000)) < rate, axis=1)
        reached = running_log_e(wins, np.arange(1, 3001)) >= math.log(20)
        assert reached.any(1).all()
        assert (reached.argmax(1) + 1).mean() == pytest.approx(expected, rel=0.07)


def test_the_running_formula_is_the_function():
    values = [log_e_value(w, n - w, null=0.5) for w, n in ((0, 3), (7, 9), (450, 800))]
    assert values == pytest.approx(running_log_e(np.array([0, 7, 450]), np.array([3, 9, 800])).tolist())


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (0, 5), (9, 1), (450, 355), (3.5, 1.5)])
def test_confidence_sequence_is_where_e_is_small(wins: float, losses: float):
    """At its ends e is 1 / alpha, the rate lies inside; swapping mirrors it."""
    low, high = confidence_sequence(wins, losses, alpha=0.05)
    for end in (low, high):
        if 0 < end < 1:
            assert log_e_value(wins, losses, null=end) == pytest.approx(math.log(20), abs=1e-6)
    if wins + losses:
        assert low < wins / (wins + losses) <= high or (wins == 0 == low)
    assert confidence_sequence(losses, wins, alpha=0.05) == pytest.approx((1 - high, 1 - low))


def test_confidence_sequence_holds_at_all_looks_together():
    """The truth, 0.7, is ever outside in under 5 % of runs: e against it ever reaches 20."""
    rng = np.random.default_rng(4)
    n = np.arange(1, 1001)
    wins = np.cumsum(rng.random((1000, 1000)) < 0.7, axis=1)
    log_e = special.betaln(1 + wins, 1 + n - wins) - wins * math.log(0.7) - (n - wins) * math.log(0.3)
    assert (log_e >= math.log(20)).any(1).mean() < 0.05


def test_half_ties_are_cautious():
    """Where a third of equal games tie, counting halves stops falsely even more rarely than leaving them out."""
    rng = np.random.default_rng(5)
    games = rng.choice([1.0, 0.5, 0.0], size=(1000, 1000))
    half = np.cumsum(games, axis=1)
    assert (running_log_e(half, np.arange(1, 1001)) >= math.log(20)).any(1).mean() < 0.03


# Decisions


def test_verdicts_and_their_mirror():
    """Sides swapped, ship becomes hold; with nothing seen nothing is known."""
    assert decision(40, 10, 0, alpha=0.05).verdict == "ship"
    assert decision(10, 40, 0, alpha=0.05).verdict == "hold"
    assert decision(26, 24, 0, alpha=0.05).verdict == "continue"
    assert decision(40, 10, 0, alpha=0.05).expected_more == 0
    nothing = decision(0, 0, 0, alpha=0.05)
    assert (nothing.verdict, nothing.win_rate, nothing.expected_more) == ("continue", None, None)
    assert nothing.interval == (0, 1)
    better, worse = decision(30, 20, 6, alpha=0.05), decision(20, 30, 6, alpha=0.05)
    assert better.e_value == pytest.approx(worse.e_value)
    assert better.expected_more == worse.expected_more
    assert decision(4000, 10, 0, alpha=0.05).e_value == math.inf


def test_ties_half_or_left_out():
    """12 wins, 4 losses, 4 ties: 14 of 20, or 12 of 16. Among many ties left out the same verdict takes more
    judgements."""
    half, out = (decision(12, 4, 4, alpha=0.05, tie_rule=rule) for rule in ("half", "left out"))
    assert half.win_rate == pytest.approx(0.7)
    assert out.win_rate == pytest.approx(0.75)
    assert out.e_value == pytest.approx(decision(12, 4, 0, alpha=0.05).e_value)
    assert half.e_value < out.e_value
    few, many = (decision(12, 4, ties, alpha=0.05, tie_rule="left out").expected_more or 0 for ties in (0, 34))
    assert many == pytest.approx(3 * few, rel=0.1)


def test_equals_end_where_only_better_is_worthwhile():
    assert decision(500, 500, 0, alpha=0.05).verdict == "continue"
    assert decision(500, 500, 0, alpha=0.05).expected_more is None
    assert decision(500, 500, 0, alpha=0.05, worthwhile=0.6).verdict == "hold"
    assert decision(50, 50, 0, alpha=0.05, worthwhile=0.6).expected_more is not None


@pytest.mark.parametrize(
    ("wins", "losses", "worthwhile", "verdict"), [(24, 16, 0.5, "ship"), (53, 47, 0.6, "hold"), (116, 84, 0.6, "ship")]
)
def test_the_forecast_comes_true_if_the_rate_stays(wins: int, losses: int, worthwhile: float, verdict: str):
    """Continued as it goes, whichever verdict is nearer falls within two of the judgements forecast."""
    rule = {"alpha": 0.05, "worthwhile": worthwhile}
    more, rate = decision(wins, losses, 0, **rule).expected_more or 0, (wins + 1) / (wins + losses + 2)
    assert 50 < more < 800
    for extra, expected in ((0, "continue"), (more - 2, "continue"), (more + 2, verdict)):
        assert decision(wins + rate * extra, losses + (1 - rate) * extra, 0, **rule).verdict == expected


def test_numbers_that_make_no_sense():
    with pytest.raises(ValueError, match="at least 0"):
        decision(-1, 2, 0, alpha=0.05)
    with pytest.raises(ValueError, match="alpha"):
        decision(1, 2, 0, alpha=0.0)
    with pytest.raises(ValueError, match="bad < good"):
        annotator_test(1, 1, good=0.6, bad=0.8, alpha=0.05, beta=0.1)
